"""What the operator keeps of the cluster."""

import gc
import tracemalloc
from typing import Any

import pytest
from pydantic import ValidationError

from strategyrun.adapters.cache import Cache, Sight, key_of
from strategyrun.domain.inputs import inputs_hash
from strategyrun.domain.job import snapshot
from strategyrun.domain.outcomes import Reason
from strategyrun.domain.slots import Place
from strategyrun.domain.status import accept, advance
from strategyrun.domain.strategyrun import Phase, StrategyRun
from strategyrun.domain.verdict import Fault
from support.builders import (
    JOB_UID,
    NOW,
    POD_UID,
    PROFILE,
    RUN_UID,
    Document,
    after,
    job_body,
    make_inputs,
    make_run,
    pod_body,
    run_body,
    terminated,
)

KEY = key_of("research", RUN_UID)


def seen(cache: Cache, run: StrategyRun | None = None) -> Any:
    """Return what a decision on the run would see."""
    return cache.see(run or make_run(), profile=PROFILE, place=Place(0), nonce="n", in_contact_since=None)


def snapshot_body(namespace: str = "research", uid: str = "snapshot-uid") -> Document:
    """Build the ConfigMap of the run as the API server returns it."""
    body = snapshot(make_run(namespace=namespace), make_inputs())
    body["metadata"]["uid"] = uid
    return body


def in_namespace(body: Document, namespace: str) -> Document:
    """Put a document into another namespace, with all that it says of its owner."""
    return body | {"metadata": body["metadata"] | {"namespace": namespace}}


def with_version(body: Document, version: int) -> Document:
    """Give a document another resourceVersion."""
    return body | {"metadata": body["metadata"] | {"resourceVersion": str(version)}}


@pytest.mark.parametrize(("version", "news"), [(99, False), (100, False), (101, True)], ids=["older", "same", "newer"])
def test_only_a_newer_version_of_a_run_is_news(version: int, *, news: bool) -> None:
    """Whatever order events and lists come in, time does not run backwards; 99 < 100 although "99" > "100"."""
    cache = Cache()
    assert cache.put_run(run_body(version=100, generation=1)) is not None
    told = cache.put_run(run_body(version=version, generation=2))
    run = cache.run(KEY)
    assert run is not None
    assert (told is not None, run.generation) == ((True, 2) if news else (False, 1))


def test_a_status_that_cannot_be_read_is_an_error() -> None:
    """The caller decides; what was known stays."""
    cache = Cache()
    cache.put_run(run_body(version=100))
    with pytest.raises(ValidationError):
        cache.put_run(run_body(version=101, status={"phase": "Daydreaming"}))
    assert cache.run(KEY) == make_run(version=100)


def test_a_spec_that_cannot_be_read_is_kept() -> None:
    """Such a run gets its answer like any other."""
    cache = Cache()
    run = cache.put_run(run_body(datasets=[{"name": "prices", "builtin": "martian-stocks"}]))
    assert run is not None
    assert run.unreadable is not None
    assert run.unreadable.complaint == "spec.datasets.0.builtin: Input should be 'us-stocks'"


def test_a_forgotten_run_leaves_nothing() -> None:
    """Neither the run nor what belonged to it is known any more."""
    cache = Cache()
    cache.put_run(run_body())
    cache.put_job(job_body())
    cache.forget_run(KEY)
    assert cache.run(KEY) is None
    assert cache.known == set()
    assert cache.restless == set()


def test_a_job_belongs_to_the_run_that_owns_it() -> None:
    """The owner reference decides, not the labels."""
    cache = Cache()
    body = job_body()
    body["metadata"]["labels"] = {}
    assert cache.put_job(body)[0] == KEY
    assert [job.uid for job in seen(cache).jobs] == [JOB_UID]


@pytest.mark.parametrize("owners", [[], [{"kind": "StrategyRun", "uid": RUN_UID}]], ids=["none", "no-controller"])
def test_a_job_without_a_controlling_owner_is_nobodys(owners: list[Document]) -> None:
    """Labels alone make no Job the run's."""
    cache = Cache()
    body = job_body()
    body["metadata"]["ownerReferences"] = owners
    cache.put_job(body)
    assert seen(cache).jobs == ()


def test_a_job_that_has_the_name_is_shown_to_the_run_that_wanted_it() -> None:
    """The decision then says NameConflict; the run does not hang."""
    cache = Cache()
    body = job_body()
    body["metadata"]["ownerReferences"] = []
    key, _ = cache.put_job(body, claimed_by=make_run())
    assert key == KEY
    assert [job.run_uid for job in seen(cache).jobs] == [None]


def test_what_lies_in_another_namespace_is_not_the_runs() -> None:
    """Whoever may write Jobs, pods and ConfigMaps in one namespace cannot reach a run in another by forging its UID."""
    cache = Cache()
    cache.put_run(run_body())
    cache.put_job(job_body())
    cache.put_job(in_namespace(job_body(nonce="forged", uid="forged"), "elsewhere"))
    cache.put_pod(in_namespace(pod_body(), "elsewhere"))
    cache.put_snapshot(snapshot_body("elsewhere"))
    view = seen(cache)
    assert [job.uid for job in view.jobs] == [JOB_UID]
    assert view.pods == ()
    assert view.snapshots == frozenset()


def test_older_news_of_a_job_is_ignored() -> None:
    """A page of a list can be older than an event that came before it."""
    cache = Cache()
    cache.put_job(with_version(job_body(conditions={"Complete": "CompletionsReached"}), 205))
    cache.put_job(with_version(job_body(), 204))
    assert [job.finished for job in seen(cache).jobs] == [True]


def test_older_news_of_a_pod_is_ignored() -> None:
    """The same for the pod, whose last state is the verdict."""
    cache = Cache()
    cache.put_pod(pod_body(version=305, evaluate=terminated()))
    cache.put_pod(pod_body(version=304))
    assert [pod.done for pod in seen(cache).pods] == [True]


def test_a_new_job_takes_the_name_of_an_old_one() -> None:
    """The later of two Jobs of one name is the one that there is."""
    cache = Cache()
    cache.put_job(with_version(job_body(uid="old"), 200))
    cache.put_job(with_version(job_body(uid="new"), 201))
    assert [job.uid for job in seen(cache).jobs] == ["new"]


def test_dropping_a_job_spares_its_successor() -> None:
    """That the old Job is gone says nothing of the new one of its name."""
    cache = Cache()
    cache.put_job(with_version(job_body(uid="new"), 201))
    cache.drop_job(KEY, "old")
    assert [job.uid for job in seen(cache).jobs] == ["new"]
    cache.drop_job(KEY, "new")
    assert seen(cache).jobs == ()


def test_a_dropped_pod_is_gone() -> None:
    """Its namesakes have other UIDs."""
    cache = Cache()
    cache.put_pod(pod_body())
    cache.drop_pod(KEY, "another")
    assert [pod.uid for pod in seen(cache).pods] == [POD_UID]
    cache.drop_pod(KEY, POD_UID)
    assert seen(cache).pods == ()


def test_a_snapshot_belongs_to_the_run_that_owns_it() -> None:
    """A ConfigMap that only wears the labels may be anybody's, and is never deleted."""
    cache = Cache()
    body = snapshot_body()
    cache.put_snapshot(body)
    assert cache.sight(KEY).snapshots == {body["metadata"]["name"]: "snapshot-uid"}
    stray = snapshot_body()
    stray["metadata"] |= {"name": "stray", "ownerReferences": []}
    cache.put_snapshot(stray)
    assert seen(cache).snapshots == {body["metadata"]["name"]}


def test_everything_that_is_not_settled_is_to_be_looked_at() -> None:
    """Runs without an answer, and what is left of runs that are gone."""
    cache = Cache()
    cache.put_run(run_body(uid="u1"))
    cache.put_job(job_body(make_run(uid="u2")))
    assert cache.restless == {"research/u1", "research/u2"}
    assert cache.known == {"research/u1"}


@pytest.mark.parametrize(
    ("sight", "untidy"),
    [
        (Sight(), False),
        (Sight(snapshots={"a": "uid"}), True),
        (Sight(gone={"uid"}, refused=Fault(Reason.POLICY_DENIED, "no")), False),
    ],
    ids=["nothing", "snapshot", "memories"],
)
def test_untidy_is_what_may_have_to_be_deleted(sight: Sight, *, untidy: bool) -> None:
    """Snapshots, and Jobs that may still run."""
    assert sight.untidy is untidy


@pytest.mark.parametrize(("conditions", "untidy"), [({}, True), ({"Complete": "CompletionsReached"}, False)], ids=str)
def test_a_finished_job_may_stay(conditions: dict[str, str], *, untidy: bool) -> None:
    """For as long as the run asks."""
    cache = Cache()
    cache.put_job(job_body(conditions=conditions))
    assert cache.sight(KEY).untidy is untidy


def settled(cache: Cache, version: int = 100) -> None:
    """Put a run and settle it."""
    run = cache.put_run(run_body(version=version))
    assert run is not None
    assert cache.settle(run, NOW)


def test_a_settled_run_is_known_by_name_and_version_only() -> None:
    """It needs no look, and can be read again."""
    cache = Cache()
    settled(cache)
    assert cache.run(KEY) is None
    assert cache.known == {KEY}
    assert cache.restless == set()
    assert cache.settled(KEY) == ("research", "momentum", 100, None)


def test_a_settled_run_comes_back_with_a_new_version_only() -> None:
    """An edit is news, a list that repeats what is known is not."""
    cache = Cache()
    settled(cache)
    assert cache.put_run(run_body(version=100)) is None
    assert cache.put_run(run_body(version=101)) is not None
    assert cache.run(KEY) is not None
    assert cache.settled(KEY) is None


def test_a_settled_run_can_be_read_again() -> None:
    """The same version counts after it was made room for."""
    cache = Cache()
    settled(cache)
    cache.unsettle(KEY)
    assert cache.put_run(run_body(version=100)) is not None


def test_a_run_rests_until_its_first_job_expires() -> None:
    """Its ended Jobs are forgotten with it, and known to be due; then it rests no longer."""
    cache = Cache()
    run = cache.put_run(run_body(ttlSecondsAfterFinished=60))
    assert run is not None
    ended = job_body(run, conditions={"Complete": "CompletionsReached"})
    cache.put_job(ended)
    assert cache.settle(run, after(60)) is None
    found = cache.settle(run, after(59))
    assert found
    assert found.expires_at == after(60)
    cache.put_job(with_version(ended, 201))
    assert cache.restless == set()


def test_an_ended_job_that_turns_up_after_all_is_news() -> None:
    """A run that was settled without a Job does not know when that expires; one that is on its way out needs nobody."""
    cache = Cache()
    settled(cache)
    cache.put_job(job_body(conditions={"Complete": "CompletionsReached"}, deleting=True))
    assert cache.restless == set()
    cache.put_job(job_body(conditions={"Complete": "CompletionsReached"}))
    assert cache.restless == {KEY}


def test_a_settled_run_takes_note_of_what_would_have_to_be_deleted() -> None:
    """Its pod is no news; a Job that may still run and a snapshot are."""
    cache = Cache()
    settled(cache)
    cache.put_pod(pod_body())
    assert cache.restless == set()
    cache.put_job(job_body())
    cache.put_snapshot(snapshot_body())
    assert cache.restless == {KEY}
    assert cache.sight(KEY).untidy


def test_a_run_has_its_reason_since_it_was_given_first() -> None:
    """A wait counts from then; where a clock was set back, from now, for nobody waits until it has caught up."""
    cache, run = Cache(), make_run()
    waits = advance(accept(run, inputs_hash(run), NOW), run, NOW, Phase.QUEUED, Reason.SOURCE_MISSING, "no ConfigMap")
    known = run.model_copy(update={"status": waits})
    others = run.model_copy(update={"status": waits.model_copy(update={"inputs_hash": "0" * 64})})
    moments = [(run, 10, 10), (known, 20, 10), (known, -3600, -3600), (run, 40, 40), (known, 50, 40), (others, 60, 60)]
    for before, now, since in moments:
        cache.time_reason(before, waits, after(now))
        assert seen(cache).reason_since == after(since)


def test_six_thousand_answers_are_small() -> None:
    """A settled run costs less than 700 bytes, whatever its source weighs."""
    source = {"inline": "#" * 20_000}
    cache = Cache()
    tracemalloc.start()
    try:
        for number in range(600):
            body = run_body(f"run-{number}", uid=f"{number:032}", source=source, status=None)
            run = cache.put_run(body)
            assert run is not None
            assert inputs_hash(run)
            cache.put_job(job_body(run, conditions={"Complete": "CompletionsReached"}))
            assert cache.settle(run, NOW)
        gc.collect()
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert used < 600 * 700
    assert len(cache.known) == 600
