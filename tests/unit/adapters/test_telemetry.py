"""What is counted, and that it is counted once. The numbers are read as Prometheus reads them."""

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any

import pytest
from kubernetes.aio import client
from prometheus_client.parser import text_string_to_metric_families

from strategyrun.adapters.kube import ConflictError, Kube
from strategyrun.adapters.observer import Observer
from strategyrun.domain.outcomes import FAILURES, Reason
from strategyrun.domain.strategyrun import (
    Attempt,
    Executor,
    Failure,
    FallbackStatus,
    Phase,
    StrategyRun,
    StrategyRunStatus,
    Timings,
)
from support.builders import NOW, after, make_run, run_body

LABELS = ("phase", "class", "reason", "executor", "trigger", "used", "verb", "resource", "code", "stage", "outcome")
HOSTILE = 'x"} 1\nfinlab_sandbox_forged_total 1\n#'


def attempts(*reasons: str | None, first: int = 1) -> tuple[Attempt, ...]:
    """Build attempts by how they ended, numbered from the first that is kept."""
    return tuple(
        Attempt(number=number, job_name=f"job-{number}", created_at=NOW, reason=reason)
        for number, reason in enumerate(reasons, first)
    )


def status(phase: Phase, reason: str, *, inputs: str = "a", **facts: Any) -> StrategyRunStatus:
    """Build a status."""
    ended = {"finished_at": after(9)} if phase.final else {}
    fields: dict[str, Any] = {"accepted_at": NOW} | ended | facts
    return StrategyRunStatus(observed_generation=1, phase=phase, reason=reason, inputs_hash=inputs, **fields)


def failed(reason: Reason = Reason.TIMEOUT, **facts: Any) -> StrategyRunStatus:
    """Build the status of a failure."""
    failure = Failure(class_=FAILURES[reason].class_, reason=reason, message=HOSTILE)
    return status(Phase.FAILED, reason, failure=failure, message=HOSTILE, executor=Executor.SANDBOX, **facts)


def at(seen: StrategyRunStatus | None, version: int = 100, **spec: Any) -> StrategyRun:
    """Build a run that stands there."""
    return StrategyRun.parse(run_body(version=version, status=seen.document() if seen else None, **spec))


class Scene:
    """An observer whose controller is the test."""

    def __init__(self, kube: Kube) -> None:
        self.observer = Observer(kube, clock=lambda: after(10))

    def write(self, run: StrategyRun, written: StrategyRunStatus) -> None:
        """Write a status."""
        with self.observer.writing(run, written):
            pass

    def samples(self, name: str) -> dict[tuple[str, ...], float]:
        """Read a metric: values by labels; what has not happened is left out."""
        text = self.observer.telemetry.exposition().decode()
        return {
            tuple(sample.labels[label] for label in LABELS if label in sample.labels): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == f"finlab_sandbox_{name}" and sample.value
        }


def play(act: Any) -> None:
    """Let a test act on an observer whose connection is never used."""

    async def work() -> None:
        async with Kube(client.Configuration(host="http://127.0.0.1:1")) as kube:
            result = act(Scene(kube))
            if isinstance(result, Coroutine):
                await result

    asyncio.run(work())


def test_an_end_is_counted_with_phase_class_reason_and_executor() -> None:
    """When it is written; what leads there is not an end."""

    def act(scene: Scene) -> None:
        scene.write(at(None), status(Phase.QUEUED, Reason.WAITING_FOR_SLOT))
        assert scene.samples("runs_finished_total") == {}
        scene.write(at(status(Phase.RUNNING, Reason.RUNNING)), failed())
        scene.write(at(status(Phase.RUNNING, Reason.RUNNING)), status(Phase.SUCCEEDED, Reason.EVALUATED))
        assert scene.samples("runs_finished_total") == {
            ("Failed", "User", "Timeout", "Sandbox"): 1,
            ("Succeeded", "", "Evaluated", ""): 1,
        }

    play(act)


def test_the_same_end_is_counted_once_and_the_next_evaluation_again() -> None:
    """An acknowledgement of a new generation, or a restart that sees an end, adds nothing."""

    def act(scene: Scene) -> None:
        ended = failed()
        scene.write(at(status(Phase.RUNNING, Reason.RUNNING)), ended)
        scene.observer.saw(at(ended))
        scene.write(at(ended), ended.model_copy(update={"observed_generation": 2}))
        assert sum(scene.samples("runs_finished_total").values()) == 1
        scene.write(at(ended), failed(inputs="b"))
        assert sum(scene.samples("runs_finished_total").values()) == 2

    play(act)


def test_a_write_whose_answer_was_lost_is_counted_when_it_is_seen() -> None:
    """The run's next version tells that it went through, once; another version tells that it did not."""

    def act(scene: Scene) -> None:
        before, ended = at(status(Phase.RUNNING, Reason.RUNNING)), failed()
        for seen in (at(ended, 101), at(status(Phase.RUNNING, Reason.RUNNING), 102)):
            with pytest.raises(ConnectionError), scene.observer.writing(before, ended):
                raise ConnectionError
            scene.observer.saw(seen)
            scene.observer.saw(seen)
        assert sum(scene.samples("runs_finished_total").values()) == 1
        assert scene.samples("status_writes_total") == {("Failed",): 2}

    play(act)


def test_a_write_that_met_a_newer_version_counts_as_a_conflict_alone() -> None:
    """The end is counted by whoever wrote it."""

    def act(scene: Scene) -> None:
        before = at(status(Phase.RUNNING, Reason.RUNNING))
        with pytest.raises(ConflictError), scene.observer.writing(before, failed()):
            raise ConflictError(409, "newer")
        scene.observer.saw(at(failed(), 101))
        assert scene.samples("runs_finished_total") == {}
        assert scene.samples("status_writes_total") == {("Conflict",): 1}

    play(act)


def test_no_word_of_a_tenant_becomes_a_label() -> None:
    """A reason that is none of ours is Other; names, messages and findings are no labels at all."""

    def act(scene: Scene) -> None:
        run = at(None, name="secret-name", namespace="secret-space")
        scene.write(run, status(Phase.FAILED, HOSTILE, fallback=FallbackStatus(used=False, trigger=HOSTILE)))
        scene.observer.telemetry.requested("GET", f"/api/v1/namespaces/secret-space/pods/{HOSTILE}/log", "200", 1)
        scene.observer.telemetry.requested("GET", f"/apis/{HOSTILE}/v1/things", "200", 1)
        text = scene.observer.telemetry.exposition().decode()
        assert "secret" not in text
        assert "forged" not in text
        assert scene.samples("runs_finished_total") == {("Failed", "", "Other", ""): 1}
        assert scene.samples("fallbacks_total") == {("Other", "false"): 1}
        assert set(scene.samples("api_request_seconds_count")) == {("get", "pods/log", "200"), ("get", "Other", "200")}

    play(act)


def test_retries_are_counted_by_what_ended_the_attempt_before() -> None:
    """As each further attempt is written; several in one write count each."""

    def act(scene: Scene) -> None:
        one = status(Phase.STARTING, Reason.STARTING, attempts=attempts(None))
        two = status(Phase.STARTING, Reason.STARTING, attempts=attempts("Evicted", None))
        scene.write(at(None), one)
        assert scene.samples("retries_total") == {}
        scene.write(at(one), two)
        scene.write(at(two), two)
        assert scene.samples("retries_total") == {("Evicted",): 1}
        scene.write(at(two), failed(attempts=attempts("Evicted", "NodeLost", "JobVanished")))
        assert scene.samples("retries_total") == {("Evicted",): 1, ("NodeLost",): 1}

    play(act)


def test_a_retry_is_counted_where_the_status_has_forgotten_the_first_attempts() -> None:
    """It keeps the last few: their numbers tell how many there were."""

    def act(scene: Scene) -> None:
        kept = ("QuotaExceeded",) * 5
        before = status(Phase.STARTING, Reason.STARTING, attempts=attempts(*kept, None, first=4))
        scene.write(at(before), status(Phase.STARTING, Reason.STARTING, attempts=attempts(*kept, None, first=5)))
        assert scene.samples("retries_total") == {("QuotaExceeded",): 1}

    play(act)


def test_stages_are_taken_from_the_timings_of_the_status() -> None:
    """Each that is known, and the whole."""

    def act(scene: Scene) -> None:
        timings = Timings(queued=1, scheduled=0.5, started=2, strategy=3.5, evaluated=0.2)
        scene.write(at(None), status(Phase.SUCCEEDED, Reason.EVALUATED, timings=timings))
        sums = {stage: seconds for (stage,), seconds in scene.samples("run_stage_seconds_sum").items()}
        assert sums == {"queue": 1, "schedule": 0.5, "start": 2, "run": 3.5, "evaluate": 0.2, "total": 9}

    play(act)


@pytest.mark.parametrize(
    ("method", "path", "words"),
    [
        ("GET", "/apis/finlab-sandbox.dev/v1alpha1/strategyruns", ("list", "strategyruns")),
        ("GET", "/apis/finlab-sandbox.dev/v1alpha1/sandboxprofiles", ("list", "sandboxprofiles")),
        ("GET", "/api/v1/nodes", ("list", "nodes")),
        ("GET", "/api/v1/namespaces/a/pods", ("list", "pods")),
        ("GET", "/api/v1/namespaces/a/configmaps/b", ("get", "configmaps")),
        ("POST", "/apis/batch/v1/namespaces/a/jobs", ("create", "jobs")),
        (
            "PATCH",
            "/apis/finlab-sandbox.dev/v1alpha1/namespaces/a/strategyruns/b/status",
            ("patch", "strategyruns/status"),
        ),
        ("DELETE", "/apis/batch/v1/namespaces/a/jobs/b", ("delete", "jobs")),
        ("PUT", "/apis/coordination.k8s.io/v1/namespaces/a/leases/b", ("update", "leases")),
    ],
)
def test_requests_are_named_as_in_rbac(method: str, path: str, words: tuple[str, str]) -> None:
    """Verb and resource, with the code; the path's names are nowhere."""

    def act(scene: Scene) -> None:
        scene.observer.telemetry.requested(method, path, "200", 0.1)
        assert set(scene.samples("api_request_seconds_count")) == {(*words, "200")}

    play(act)


def test_an_old_failure_is_no_news() -> None:
    """An operator that starts again among many failed runs posts an event for those of the last minutes alone."""

    def act(scene: Scene) -> None:
        for age in (timedelta(minutes=5), timedelta(hours=1)):
            ended = failed(finished_at=after(10) - age)
            scene.observer.saw(at(ended, uid=f"uid-{age}"))
        assert scene.observer.events._waiting.qsize() == 1

    play(act)


def test_every_failure_stands_at_zero_before_it_is_counted() -> None:
    """Prometheus computes growth from a first value: a counter that is born at 1 has not grown."""

    def act(scene: Scene) -> None:
        text = scene.observer.telemetry.exposition().decode()
        for reason in FAILURES:
            assert f'reason="{reason}"}} 0.0' in text

    play(act)


def test_a_looks_outcome_is_counted() -> None:
    """A defect is told from trouble that passes."""

    def act(scene: Scene) -> None:
        with scene.observer.reconciling():
            pass
        with pytest.raises(ConnectionError), scene.observer.reconciling():
            raise ConnectionError
        with pytest.raises(ZeroDivisionError), scene.observer.reconciling():
            raise ZeroDivisionError
        assert scene.samples("reconciles_total") == {("Done",): 1, ("Trouble",): 1, ("Defect",): 1}

    play(act)


def test_a_run_that_is_unknown_leaves_no_trace() -> None:
    """A lost answer about a run that was then deleted is forgotten with it."""

    def act(scene: Scene) -> None:
        run = make_run()
        with pytest.raises(ConnectionError), scene.observer.writing(run, failed()):
            raise ConnectionError
        scene.observer.gone(run.uid)
        assert not scene.observer._unsure

    play(act)
