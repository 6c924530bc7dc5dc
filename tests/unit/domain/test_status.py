"""The operator's answer: what it says, what it keeps, and how large it may get."""

import json
import unicodedata
from collections import Counter
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategyrun.domain.observation import PodObservation
from strategyrun.domain.outcomes import FAILURES, Reason, named
from strategyrun.domain.report import LastWords, parse_last_words, parse_report
from strategyrun.domain.status import (
    ATTEMPTS_LIMIT,
    accept,
    acknowledge,
    advance,
    begin,
    close_attempt,
    fail,
    gated,
    has_begun,
    is_acknowledged,
    succeed,
    witness,
)
from strategyrun.domain.strategyrun import (
    HISTORY_LIMIT,
    NOT_SEEN,
    RERUN_LIMIT,
    Attempt,
    Condition,
    Executor,
    FallbackStatus,
    Isolation,
    Metrics,
    Phase,
    Provenance,
    ReportReference,
    StrategyRun,
    StrategyRunStatus,
    Summary,
)
from strategyrun.domain.text import LINE_LIMIT, clean
from strategyrun.domain.verdict import Fault, Success
from strategyrun.domain.vetting import Flaw, Kind
from support.builders import (
    ALL_FAILURES,
    METRICS,
    NOW,
    Document,
    after,
    failed_pod,
    hostile_text,
    last_words,
    make_job,
    make_pod,
    make_run,
    report_text,
    running,
    scored_pod,
    terminated,
)

STATUS_LIMIT_BYTES = 16 * 1024
RUN = make_run()


def size(status: StrategyRunStatus) -> int:
    """Count the bytes of a status as JSON in UTF-8."""
    return len(json.dumps(status.document(), ensure_ascii=False, separators=(",", ":")).encode())


def queued(run: StrategyRun = RUN) -> StrategyRunStatus:
    """Build the first status of a run."""
    return accept(run, "1" * 64, NOW)


def begun(number: int = 1, status: StrategyRunStatus | None = None) -> StrategyRunStatus:
    """Build the status of a run whose attempt is on record."""
    status = status or queued()
    attempt = Attempt(number=number, job_name=f"momentum-0123456789ab-{number}", created_at=after(number))
    return advance(
        status, RUN, after(number), Phase.STARTING, Reason.STARTING, "", attempts=(*status.attempts, attempt)
    )


def ran(pod: PodObservation | None = None) -> StrategyRunStatus:
    """Build the status of a run whose strategy runs."""
    seen = witness(begun(), make_job(), pod or make_pod(strategy=running(after(2))))
    return advance(seen, RUN, after(3), Phase.RUNNING, Reason.RUNNING, "the strategy runs")


def scored(**report: Any) -> StrategyRunStatus:
    """Build the status of a run that was scored."""
    closed = close_attempt(ran(), after(30), Reason.EVALUATED)
    words = parse_last_words(last_words("Completed", exitCode=0))
    return succeed(closed, RUN, after(30), Success(parse_report(report_text(**report)), scored_pod(), words))


def failed(fault: Fault, status: StrategyRunStatus | None = None) -> StrategyRunStatus:
    """Build the status of a run that failed."""
    closed = close_attempt(status or ran(), after(30), fault.reason, fault.message)
    return fail(closed, RUN, after(30), fault, failed_pod())


def conditions(status: StrategyRunStatus) -> dict[str, str]:
    """Return the truth of each condition by its type."""
    return {str(condition.type): condition.status for condition in status.conditions}


def by_type(status: StrategyRunStatus) -> dict[str, Condition]:
    """Return the conditions by type."""
    return {str(condition.type): condition for condition in status.conditions}


@pytest.mark.parametrize(
    ("status", "truths"),
    [
        pytest.param(queued(), "Unknown False False Unknown Unknown False", id="queued"),
        pytest.param(begun(), "True False False Unknown Unknown False", id="starting"),
        pytest.param(ran(), "True True False Unknown Unknown False", id="running"),
        pytest.param(scored(), "True True True True True False", id="succeeded"),
        pytest.param(failed(Fault(Reason.TIMEOUT, "late")), "True True True False False True", id="failed"),
        pytest.param(
            fail(queued(), RUN, NOW, Fault(Reason.CODE_REJECTED, "no")),
            "False False True False False True",
            id="rejected",
        ),
        pytest.param(
            failed(Fault(Reason.IMAGE_PULL_FAILED, "no"), begun()),
            "True False True False False True",
            id="never-started",
        ),
    ],
)
def test_conditions_follow_from_the_status(status: StrategyRunStatus, truths: str) -> None:
    """All of these, always, and Finished at every end; Ready and Stalled are what GitOps tools look at."""
    always = ("Accepted", "Started", "Finished", "Succeeded", "Ready", "Stalled")
    found = {type_: truth for type_, truth in conditions(status).items() if type_ != "LookAheadClean"}
    assert found == dict(zip(always, truths.split(), strict=True))


@pytest.mark.parametrize("reason", ALL_FAILURES, ids=str)
def test_every_failure_finishes_the_run(reason: Reason) -> None:
    """`kubectl wait --for=condition=Finished` returns, and the status says who has to act and how."""
    status = failed(Fault(reason, "what happened"))
    outcome = FAILURES[reason]
    assert status.final
    assert conditions(status)["Finished"] == "True"
    assert (status.reason, status.message) == (reason, "what happened")
    assert status.hint is not None
    pod = status.attempts[-1].pod_name or "POD"
    assert status.hint == named(outcome.hint, namespace="research", run="momentum", pod=pod)
    assert status.failure is not None
    assert (status.failure.class_, status.failure.reason) == (outcome.class_, reason)
    assert status.finished_at == after(30)


def test_a_failure_without_words_says_what_its_reason_means() -> None:
    """A message is never empty."""
    assert failed(Fault(Reason.NODE_LOST, "\x00")).message == FAILURES[Reason.NODE_LOST].meaning


@pytest.mark.parametrize("reason", Reason)
def test_a_status_leaves_nothing_of_what_stood_in_for_it(reason: Reason) -> None:
    """Each field of that is written with a value of the operator's own, also where a pod waits without words."""
    document = advance(queued(), RUN, NOW, Phase.QUEUED, reason, "").document()
    assert all(document[name] and document[name] != value for name, value in NOT_SEEN.items())


def test_a_condition_keeps_the_moment_of_its_last_change() -> None:
    """A later status with the same truth has the same time; another truth has its own."""
    first, second, third = by_type(begun()), by_type(ran()), by_type(scored())
    assert first["Accepted"].last_transition_time == second["Accepted"].last_transition_time == after(1)
    assert third["Accepted"].last_transition_time == after(1)
    assert second["Started"].last_transition_time == after(3)
    assert third["Started"].last_transition_time == after(3)
    assert third["Finished"].last_transition_time == after(30)


def test_new_inputs_change_only_the_conditions_that_they_change() -> None:
    """Finished goes back to False at the moment of acceptance."""
    run = RUN.model_copy(update={"status": scored(), "generation": 2})
    before, again = by_type(scored()), by_type(accept(run, "2" * 64, after(100)))
    assert again["Finished"].status == "False"
    assert again["Finished"].last_transition_time == after(100)
    unstarted = RUN.model_copy(update={"status": failed(Fault(Reason.IMAGE_PULL_FAILED, "no"), begun())})
    assert by_type(accept(unstarted, "2" * 64, after(100)))["Started"].last_transition_time == NOW
    assert before["Finished"].last_transition_time == after(30)


def test_the_status_speaks_of_the_generation_that_it_saw() -> None:
    """Everywhere where a generation stands."""
    run = make_run(generation=7)
    status = advance(queued(run), run, NOW, Phase.QUEUED, Reason.WAITING_FOR_SLOT, "")
    assert status.observed_generation == 7
    assert {condition.observed_generation for condition in status.conditions} == {7}


def test_a_generation_is_acknowledged_without_another_change() -> None:
    """A change of what is no input leaves the answer as it is, and tools that compare generations see it seen."""
    status = acknowledge(scored(), make_run(generation=9))
    assert status.observed_generation == 9
    assert {condition.observed_generation for condition in status.conditions} == {9}
    assert (is_acknowledged(scored(), make_run(generation=9)), is_acknowledged(status, make_run(generation=9))) == (
        False,
        True,
    )
    back = acknowledge(status, RUN)
    assert back == scored()


@pytest.mark.parametrize("rerun", [None, "", "again", "\u202e\x07"], ids=["none", "empty", "word", "control"])
def test_the_status_says_which_rerun_it_answers(rerun: str | None) -> None:
    """To the letter, for it is compared; one of an earlier version, which did not, says so once it is looked at."""
    run = make_run(rerun=rerun)
    status = accept(run, "1" * 64, NOW)
    assert status.observed_rerun == status.document().get("observedRerun") == rerun
    assert is_acknowledged(status, run)
    earlier = status.model_copy(update={"observed_rerun": None})
    assert is_acknowledged(earlier, run) is (rerun is None)
    assert acknowledge(earlier, run) == status


def test_of_a_long_rerun_the_status_has_the_beginning() -> None:
    """An annotation may be larger than a status."""
    run = make_run(rerun="x" * 200_000)
    status = accept(run, "1" * 64, NOW)
    assert status.observed_rerun == "x" * RERUN_LIMIT
    assert is_acknowledged(status, run)


def test_an_answer_moves_to_the_history() -> None:
    """With its inputs, its end and its summary; the new status starts empty."""
    run = RUN.model_copy(update={"status": scored()})
    status = accept(run, "2" * 64, after(100))
    assert (status.phase, status.inputs_hash, status.accepted_at) == (Phase.QUEUED, "2" * 64, after(100))
    assert (status.metrics, status.summary, status.failure, status.attempts) == (None, None, None, ())
    assert (status.provenance, status.timings, status.finished_at, status.executor) == (None, None, None, None)
    (past,) = status.history
    assert (past.inputs_hash, past.phase, past.reason, past.finished_at) == (
        "1" * 64,
        Phase.SUCCEEDED,
        "Evaluated",
        after(30),
    )
    assert past.summary == scored().summary


def test_an_evaluation_that_was_overtaken_leaves_no_history() -> None:
    """It has no answer; the answers before it stay."""
    first = accept(RUN.model_copy(update={"status": scored()}), "2" * 64, after(100))
    second = accept(RUN.model_copy(update={"status": first}), "3" * 64, after(101))
    assert second.history == first.history


def test_history_keeps_the_last_five() -> None:
    """The latest first."""
    run = RUN
    for number in range(HISTORY_LIMIT + 3):
        answered = scored().model_copy(
            update={"inputs_hash": str(number), "history": run.status.history if run.status else ()}
        )
        run = run.model_copy(update={"status": answered})
        run = run.model_copy(update={"status": accept(run, "next", after(number))})
    assert run.status is not None
    assert [past.inputs_hash for past in run.status.history] == ["7", "6", "5", "4", "3"]


def test_success_has_metrics_as_numbers_and_columns_as_text() -> None:
    """Programs read the one, kubectl shows and sorts the other."""
    status = scored()
    assert status.metrics is not None
    assert status.metrics.document() == METRICS
    assert status.summary is not None
    assert status.summary.document() == {
        "sharpe": "0.91",
        "totalReturn": "42.1",
        "maxDrawdown": "-31.9",
        "trades": "42",
        "duration": "30.0s",
    }
    assert (status.reason, status.message, status.hint, status.failure) == ("Evaluated", "scored 3267 days", None, None)


def test_an_undefined_metric_is_absent_and_its_column_empty() -> None:
    """Never 0, and the warning says why."""
    status = scored(metrics={"trades": 0}, warnings=["sharpe: zero variance"])
    assert status.metrics is not None
    assert status.metrics.document() == {"trades": 0}
    assert status.summary is not None
    assert (status.summary.sharpe, status.summary.trades) == ("", "0")
    assert status.warnings == ("sharpe: zero variance",)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        pytest.param(0.0, "0.0", id="zero"),
        pytest.param(-0.99996, "-100.0", id="nearly-all"),
        pytest.param(1e6, "100000000.0", id="plain-while-it-fits"),
        pytest.param(1e300, "1.00e+302", id="absurd"),
        pytest.param(1.7e308, "", id="more-than-a-number-can-say-in-percent"),
    ],
)
def test_a_column_stays_narrow(value: float, shown: str) -> None:
    """A number with 300 digits would push every other column off the screen."""
    summary = scored(metrics={"totalReturn": value}).summary
    assert summary is not None
    assert summary.total_return == shown


def test_timings_come_from_stamps_and_from_inside() -> None:
    """Seconds, each of its own stage."""
    assert scored().timings is not None
    assert scored().timings.document() == {  # type: ignore[union-attr]
        "queued": 1.0,
        "scheduled": 0.0,
        "started": 0.0,
        "strategy": 1.75,
        "evaluated": 0.048,
    }


def test_a_clock_that_runs_behind_makes_no_negative_time() -> None:
    """Stamps come from different machines."""
    early = make_pod(strategy=terminated(1, started=after(-5)), phase="Failed")
    status = fail(ran(), RUN, after(30), Fault(Reason.STRATEGY_ERROR, "x"), early)
    assert status.timings is not None
    assert status.timings.started == 0.0


def test_provenance_says_what_ran_and_where() -> None:
    """The code's hash is the one that the evaluator read, and what was known before stays."""
    before = Provenance(code_sha256="0" * 64, isolation=Isolation(seccomp="s", network_policy="Applied"))
    closed = close_attempt(ran(), after(30), Reason.EVALUATED).model_copy(update={"provenance": before})
    report = parse_report(report_text())
    provenance = succeed(closed, RUN, after(30), Success(report, scored_pod())).provenance
    assert provenance is not None
    assert provenance.code_sha256 == report.hashes.code
    assert (provenance.dataset_sha256, provenance.positions_sha256) == ("d" * 64, "e" * 64)
    assert (provenance.node, provenance.image_id, provenance.evaluator) == (
        "node-1",
        "finlab-sandbox@sha256:feed",
        "0.1.0",
    )
    assert provenance.isolation == before.isolation


def test_provenance_says_whether_landlock_bound_the_strategy() -> None:
    """It is the one wall that a good pod may lack; what the harness says of it is all that there is to know."""
    before = Provenance(isolation=Isolation(seccomp="s", network_policy="Applied"))
    closed = close_attempt(ran(), after(30), Reason.EVALUATED).model_copy(update={"provenance": before})
    for found in (6, None):
        told = last_words("Completed", exitCode=0, walls={"executor": "Sandbox", "landlock": found})
        pod = scored_pod(strategy=terminated(message=told))
        provenance = succeed(closed, RUN, after(30), Success(parse_report(report_text()), pod)).provenance
        assert provenance is not None
        assert provenance.isolation is not None
        assert (provenance.isolation.seccomp, provenance.isolation.landlock) == ("s", found)


def test_a_failure_keeps_the_provenance_that_is_known() -> None:
    """Also when its pod was never seen."""
    status = begun().model_copy(update={"provenance": Provenance(code_sha256="c" * 64)})
    assert fail(status, RUN, NOW, Fault(Reason.JOB_VANISHED, "x")).provenance == Provenance(code_sha256="c" * 64)


def test_the_last_attempt_says_who_carried_it() -> None:
    """Job, pod and node by name, also when the strategy never started: its events are found by them."""
    pod = make_pod(strategy=None)
    (attempt,) = witness(begun(), make_job(), pod).attempts
    assert (attempt.job_uid, attempt.pod_name, attempt.node, attempt.started_at) == (
        make_job().uid,
        pod.name,
        "node-1",
        None,
    )


def test_what_was_witnessed_is_not_forgotten() -> None:
    """A pod that lost its stamps, or is gone, takes nothing back."""
    seen = ran()
    lost = make_pod(node=None, strategy=terminated(137, started=None))
    assert witness(seen, make_job(), lost).attempts == seen.attempts
    assert witness(seen, make_job(), None).attempts == seen.attempts


def test_only_the_last_attempt_is_written_on() -> None:
    """Earlier ones are history."""
    first = close_attempt(ran(), after(5), Reason.EVICTED, "drained")
    second = close_attempt(begun(2, first), after(50), Reason.NODE_LOST, "gone")
    assert second.attempts[0] == first.attempts[0]
    assert [attempt.reason for attempt in second.attempts] == [Reason.EVICTED, Reason.NODE_LOST]


def attempted(*ends: tuple[Reason, bool]) -> StrategyRunStatus:
    """Build the status of a run whose attempts have ended so; each with whether the strategy had begun."""
    status = queued()
    for number, (reason, ran) in enumerate(ends, 1):
        known = begin(status, Attempt(number=number, job_name=f"j-{number}", created_at=NOW))
        last = known[-1].model_copy(update={"reason": reason, "finished_at": NOW, "started_at": NOW if ran else None})
        status = advance(status, RUN, NOW, Phase.QUEUED, reason, "", attempts=(*known[:-1], last))
    return status


def test_waiting_makes_no_failure_forgotten() -> None:
    """However often a run waits for a quota or is suspended: its retries are counted, and that it ran is known."""
    waits = [(Reason.QUOTA_EXCEEDED, False)] * 20
    status = attempted((Reason.SUSPENDED, True), *[(Reason.EVICTED, False)] * 5, *waits)
    reasons = Counter(attempt.reason for attempt in status.attempts)
    assert reasons == {Reason.EVICTED: 5, Reason.QUOTA_EXCEEDED: 1}
    assert (len(status.attempts), status.attempts[-1].number) == (ATTEMPTS_LIMIT, 26)
    assert has_begun(status)
    assert conditions(status)["Started"] == "True"


def test_what_led_to_the_fallback_makes_room_for_its_failures() -> None:
    """It stands in status.fallback."""
    told = FallbackStatus(used=True, trigger=Reason.IMAGE_PULL_FAILED, message="")
    status = attempted((Reason.IMAGE_PULL_FAILED, False), *[(Reason.EVICTED, False)] * 5)
    known = begin(status.model_copy(update={"fallback": told}), Attempt(number=7, job_name="j-7", created_at=NOW))
    assert [attempt.number for attempt in known] == [2, 3, 4, 5, 6, 7]


def test_other_inputs_have_not_begun() -> None:
    """Whatever was true of the earlier ones."""
    assert has_begun(ran())
    later = accept(RUN.model_copy(update={"status": ran()}), "another", after(9))
    assert not has_begun(later)
    assert conditions(later)["Started"] == "False"


def test_findings_stand_line_by_line() -> None:
    """As the vetting named them."""
    fault = Fault(Reason.CODE_REJECTED, "no", flaws=(Flaw(3, "network", "no network"), Flaw(9, "syntax", "what?")))
    failure = fail(queued(), RUN, NOW, fault).failure
    assert failure is not None
    assert [(finding.line, finding.rule, finding.hint) for finding in failure.findings] == [
        (3, "network", "no network"),
        (9, "syntax", "what?"),
    ]


@given(
    st.sampled_from([queued(), begun(), ran(), scored(), failed(Fault(Reason.CRASHED, "x", 139, "SIGSEGV", ("y",)))])
)
def test_a_status_survives_its_document(status: StrategyRunStatus) -> None:
    """What the API server gives back is what was written."""
    assert StrategyRunStatus.model_validate(json.loads(json.dumps(status.document()))) == status


@given(
    st.sampled_from(ALL_FAILURES),
    hostile_text,
    st.none() | hostile_text,
    st.lists(hostile_text, max_size=40),
    st.lists(hostile_text, max_size=20),
)
def test_whatever_a_pod_says_the_status_is_fit_to_store_and_to_show(
    reason: Reason, message: str, signal: str | None, lines: list[str], hints: list[str]
) -> None:
    """Valid UTF-8 without control characters, below 16 KiB."""
    flaws = tuple(Flaw(1, "syntax", hint) for hint in hints)
    status = failed(Fault(reason, message, 255, signal, tuple(lines), flaws))
    text = json.dumps(status.document(), ensure_ascii=False)
    assert text.encode()
    assert not {unicodedata.category(character) for character in text} & {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    assert size(status) <= STATUS_LIMIT_BYTES


HUGE = "\U0001f4a3" * 2000
QUOTES = '"' * 2000


LONGEST_REPORT = ReportReference(config_map="r" * 51, sha256="f" * 64)


def exhausted(text: str, end: datetime) -> StrategyRunStatus:
    """Build a status with all that there can be: six attempts, five past answers, every text at its cap."""
    node, pod = "n" * 253, "p" * 63
    run = make_run(rerun=text)
    for number in range(HISTORY_LIMIT):
        answered = scored(metrics={"totalReturn": -1.2345e300, "sharpe": -1.2345e300, "trades": 10**15 - 1})
        answered = answered.model_copy(
            update={
                "inputs_hash": f"{number:064}",
                "history": run.status.history if run.status else (),
                "report": LONGEST_REPORT,
            }
        )
        run = run.model_copy(update={"status": answered})
        run = run.model_copy(update={"status": accept(run, "f" * 64, end)})
    assert run.status is not None
    status = run.status
    for number in range(1, ATTEMPTS_LIMIT + 1):
        status = begun(number, status)
        carried = make_pod(node=node, strategy=terminated(137)).model_copy(update={"name": pod})
        status = close_attempt(witness(status, make_job(), carried), end, Reason.EVALUATOR_FAILED, text)
    known = Provenance(
        **{f"{name}_sha256": "a" * 64 for name in ("code", "params", "dataset", "positions", "seccomp")},
        evaluator="e" * 64,
        isolation=Isolation(seccomp="finlab-sandbox/0123456789ab.json", network_policy="Applied"),
    )
    told = FallbackStatus(used=True, trigger=Reason.SECCOMP_PROFILE_MISSING, message=clean(text, LINE_LIMIT))
    status = gated(status, told, (Flaw(131_072, "R-ATTR", text),) * 20)
    return status.model_copy(update={"provenance": known, "executor": Executor.SANDBOX})


@pytest.mark.parametrize("text", [pytest.param(HUGE, id="emoji"), pytest.param(QUOTES, id="quotes")])
def test_the_worst_failure_fits(text: str) -> None:
    """Six attempts, five past answers, twenty lines, all as long and as costly as they can be."""
    pod = failed_pod(message=text, node="n" * 253).model_copy(update={"name": "p" * 63})
    lines = fail(
        exhausted(text, after(9)), RUN, after(9), Fault(Reason.STRATEGY_ERROR, text, 255, text, (text,) * 40), pod
    )
    assert 10_000 < size(lines) <= STATUS_LIMIT_BYTES


@pytest.mark.parametrize("text", [pytest.param(HUGE, id="emoji"), pytest.param(QUOTES, id="quotes")])
def test_the_worst_rejection_fits(text: str) -> None:
    """Twenty findings after six attempts."""
    flaws = tuple(Flaw(131_072, "interactive", text) for _ in range(20))
    status = fail(exhausted(text, after(9)), RUN, after(9), Fault(Reason.CODE_REJECTED, text, flaws=flaws))
    assert 10_000 < size(status) <= STATUS_LIMIT_BYTES


@pytest.mark.parametrize("text", [pytest.param(HUGE, id="emoji"), pytest.param(QUOTES, id="quotes")])
def test_the_worst_success_fits(text: str) -> None:
    """All warnings, every metric, a curve and a leak after six attempts."""
    names = [field.alias or name for name, field in Metrics.model_fields.items()]
    metrics = {name: 10**15 - 1 if name in ("trades", "days") else -1.2345678901234567e-300 for name in names}
    curve = {"from": "2000-03-01", "to": "2013-03-01", "values": [1.2345678e-300] * 48}
    report = parse_report(report_text(metrics=metrics, equity=curve))
    report = report.model_copy(update={"warnings": [text] * 12, "evaluator": text})
    status = succeed(
        exhausted(text, after(9)), RUN, after(9), Success(report, scored_pod(), said(text)), LONGEST_REPORT, None
    )
    assert 10_000 < size(status) <= STATUS_LIMIT_BYTES


@pytest.mark.parametrize("kind", [Kind.RESULT, Kind.SCRIPT], ids=str)
@pytest.mark.parametrize("text", [pytest.param(HUGE, id="emoji"), pytest.param(QUOTES, id="quotes")])
def test_the_worst_script_fits(text: str, kind: Kind) -> None:
    """Its output, its numbers and its warnings are its own, and bounded."""
    report = parse_report(report_text(verdict="Unscored", reason="Unscored", metrics={}))
    report = report.model_copy(update={"warnings": [text] * 12, "evaluator": text})
    before = exhausted(text, after(9)).model_copy(update={"kind": kind})
    status = succeed(before, RUN, after(9), Success(report, scored_pod(), said(text)), None, text)
    assert 10_000 < size(status) <= STATUS_LIMIT_BYTES


def said(text: str) -> LastWords:
    """What a harness can say at most, with more in every text than it ever says."""
    words = parse_last_words(last_words("Completed", lookAhead=LEAK))
    assert words
    assert words.look_ahead
    found = words.look_ahead.model_copy(update={"symbol": text, "note": text})
    result = {f"{number:02}{text}": -1.2345678901234567e-300 for number in range(32)}
    return words.model_copy(
        update={"warnings": [text] * 8, "last_lines": [text] * 40, "result": result, "look_ahead": found}
    )


def test_a_strategys_numbers_cannot_break_the_status() -> None:
    """Durations whose sum is infinite are not believed: they would make a status that is no JSON."""
    words = last_words("Completed", exitCode=0, seconds={"imports": 1e308, "strategy": 1e308})
    closed = close_attempt(ran(), after(30), Reason.EVALUATED)
    pod = scored_pod(strategy=terminated(0, message=words))
    status = succeed(closed, RUN, after(30), Success(parse_report(report_text()), pod))
    assert json.loads(json.dumps(status.document(), allow_nan=False))["timings"].keys() == {
        "queued",
        "scheduled",
        "started",
        "evaluated",
    }


def test_abbreviations_are_upper_case_in_documents() -> None:
    """Names are those of the schema, which users and columns read."""
    document: Document = scored().document()
    assert {"observedGeneration", "inputsHash", "acceptedAt", "finishedAt"} <= document.keys()
    assert {"codeSHA256", "datasetSHA256", "imageID"} <= document["provenance"].keys()
    assert "jobUID" in document["attempts"][0]


def guarded(found: Document | None, **evaluation: Any) -> StrategyRunStatus:
    """Build the status of a scored run whose harness says this of the look-ahead guard."""
    run = make_run(evaluation={"lookAhead": evaluation})
    words = parse_last_words(last_words("Completed", lookAhead=found))
    success = Success(parse_report(report_text()), scored_pod(), words)
    return succeed(close_attempt(ran(), after(30), Reason.EVALUATED), run, after(30), success)


LEAK = {"samples": 5, "checked": 5, "changed": 2, "firstDate": "2004-05-03", "symbol": "AAPL", "note": ""}

RANDOM = {"samples": 5, "checked": 0, "changed": 0, "note": "two runs differ", "deterministic": False}


@pytest.mark.parametrize(
    ("found", "truth", "reason"),
    [
        pytest.param(LEAK | {"changed": 0, "firstDate": None, "symbol": None}, "True", "PositionsHeld", id="clean"),
        pytest.param(LEAK, "False", "PositionsChanged", id="leak"),
        pytest.param(LEAK | {"checked": 1, "changed": 1}, "False", "PositionsChanged", id="leak-in-the-only-try"),
        pytest.param(LEAK | {"checked": 0, "changed": 0, "note": "no time"}, "Unknown", "NotChecked", id="no-time"),
        pytest.param(RANDOM, "Unknown", "NonDeterministic", id="chance"),
        pytest.param(None, "Unknown", "NotChecked", id="the-harness-says-nothing"),
    ],
)
def test_a_look_into_the_future_is_a_condition(found: Document | None, truth: str, reason: str) -> None:
    """True only after a look: silence is Unknown, and so is chance."""
    condition = by_type(guarded(found))["LookAheadClean"]
    assert (condition.status, condition.reason) == (truth, reason)


def test_a_leak_is_the_first_warning_and_names_where() -> None:
    """One look at the run tells, and the metrics stay for who wants to see what the leak is worth."""
    status = guarded(LEAK)
    assert status.phase is Phase.SUCCEEDED
    assert status.warnings[0] == (
        "lookAhead: positions change with later prices in 2 of 5 tries; the first is AAPL on 2004-05-03"
    )
    assert status.look_ahead
    assert status.look_ahead.first_date == "2004-05-03"


def test_a_guard_that_is_off_says_nothing() -> None:
    """No condition, no finding: nobody looked."""
    status = guarded(LEAK, action="Off")
    assert "LookAheadClean" not in conditions(status)
    assert status.look_ahead is None
    assert status.warnings == ()


def test_numbers_of_a_script_are_marked_as_its_own() -> None:
    """They stand apart from metrics and in no column, whatever they say."""
    status = unscored(Kind.RESULT, result={"sharpe": 99.0, "bad\u202ename": 1.0})
    assert (status.phase, status.reason) == (Phase.SUCCEEDED, Reason.SELF_REPORTED)
    assert status.self_reported
    assert status.self_reported.document() == {
        "source": "SelfReported",
        "values": {"sharpe": 99.0, "badname": 1.0},
    }
    assert status.metrics is None
    assert status.summary == Summary(duration="30.0s")


def test_a_script_keeps_its_tail() -> None:
    """What it printed last, cleaned: nothing else came of it."""
    status = unscored(Kind.SCRIPT, lastLines=["all \x1b[31mdone\x1b[0m"])
    assert (status.phase, status.reason) == (Phase.SUCCEEDED, Reason.SCRIPT_COMPLETED)
    assert status.output == ("all done",)
    assert status.metrics is None


def unscored(kind: Kind, **words: Any) -> StrategyRunStatus:
    """Build the status of a script that ended well."""
    report = parse_report(report_text(verdict="Unscored", reason="Unscored", metrics={}))
    success = Success(report, scored_pod(), parse_last_words(last_words("Completed", **words)))
    closed = close_attempt(ran().model_copy(update={"kind": kind}), after(30), Reason.EVALUATED)
    return succeed(closed, RUN, after(30), success)


def test_the_curve_and_the_full_report_are_on_record() -> None:
    """Thinned out to six digits, and by name and hash."""
    curve = {"from": "2000-03-01", "to": "2013-03-01", "values": [1.0, 1.123456789, 0.00001234567]}
    success = Success(parse_report(report_text(equity=curve)), scored_pod())
    kept = ReportReference(config_map="momentum-report", sha256="f" * 64)
    status = succeed(close_attempt(ran(), after(30), Reason.EVALUATED), RUN, after(30), success, kept)
    assert status.document()["equity"] == curve | {"values": [1.0, 1.12346, 1.23457e-05]}
    assert status.report == kept


def test_a_report_that_was_lost_is_a_warning() -> None:
    """The answer does not wait for it, and nobody has to guess where it is."""
    closed = close_attempt(ran(), after(30), Reason.EVALUATED)
    success = Success(parse_report(report_text()), scored_pod())
    status = succeed(closed, RUN, after(30), success, None, "the pod's log is gone")
    assert status.phase is Phase.SUCCEEDED
    assert status.warnings == ("report: the pod's log is gone",)
    assert status.report is None


def test_an_earlier_answer_keeps_its_report() -> None:
    """The history says where the reports of earlier inputs are."""
    kept = ReportReference(config_map="momentum-report", sha256="f" * 64)
    before = scored().model_copy(update={"report": kept})
    run = make_run(status=before.document(), params={"fast": 5})
    assert accept(run, "b" * 64, after(60)).history[0].report == kept
