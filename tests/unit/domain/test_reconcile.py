"""The one decision: each branch, from what is seen to status, acts and the next look."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategyrun.domain import reconcile
from strategyrun.domain.acts import (
    ConfirmJob,
    Create,
    DeleteJob,
    DeleteReport,
    DeleteSnapshot,
    FindPod,
    FindTrouble,
    KeepReport,
    StopJob,
    Vet,
)
from strategyrun.domain.inputs import PARAMS_LIMIT_BYTES, inputs_hash
from strategyrun.domain.nesting import NESTING_LIMIT
from strategyrun.domain.observation import JobObservation, PodObservation, observe_job, observe_pod
from strategyrun.domain.outcomes import Reason
from strategyrun.domain.reconcile import (
    NODE_PATIENCE,
    PROFILE_PATIENCE,
    QUOTA_POLL,
    REPORT_PATIENCE,
    RETRY_BACKOFF,
    SOURCE_POLL,
    TROUBLE_AFTER,
    TROUBLE_POLL,
    VAIN_VETTINGS,
    Decision,
    give_up,
    holds_slot,
    met_quota,
    stands_in_line,
)
from strategyrun.domain.report import parse_report
from strategyrun.domain.sandbox import Obstacle
from strategyrun.domain.seen import NOWHERE, Kept, Seen, Vain, Vetted
from strategyrun.domain.slots import Place
from strategyrun.domain.status import accept, advance, close_attempt, fail, succeed, witness
from strategyrun.domain.strategyrun import (
    KUEUE_LABEL,
    Attempt,
    Executor,
    Failure,
    PastOutcome,
    Phase,
    QueueStatus,
    ReportReference,
    StrategyRun,
    StrategyRunStatus,
)
from strategyrun.domain.verdict import Fault, Success, Trouble, hindrance
from strategyrun.domain.vetting import VENDOR_RULE, Flaw, Kind, Reading
from support.builders import (
    CODE,
    JOB_UID,
    NONCE,
    NOW,
    PROFILE,
    SANDBOX,
    SECCOMP,
    Document,
    after,
    failed_pod,
    job_body,
    job_manifest,
    last_words,
    make_inputs,
    make_job,
    make_pod,
    make_run,
    nested,
    pod_body,
    report_text,
    run_body,
    running,
    scored_pod,
    specs,
    terminated,
    waiting,
)

START_SECONDS = SANDBOX.timeouts.start_seconds
BY_MAP: Document = {"source": {"configMapRef": {"name": "code"}}}


def at(status: StrategyRunStatus | None, run: StrategyRun | None = None) -> StrategyRun:
    """Give a run a status."""
    return (run or make_run()).model_copy(update={"status": status})


def vetted(run: StrategyRun | None = None, **changes: Any) -> Vetted:
    """Build the vetting of a run's source, by default of one without flaws."""
    return Vetted(
        **{
            "inputs_hash": inputs_hash(run or make_run()),
            "at": NOW,
            "code": CODE.encode(),
            "reading": Reading(Kind.POSITIONS),
            **changes,
        }
    )


def look(status: StrategyRunStatus | None = None, run: StrategyRun | None = None, **seen: Any) -> Seen:
    """Build what is seen of a run that has a slot, a good source, and no Job of an attempt that is over."""
    known = {"run": at(status, run), "vetted": vetted(run), "profile": PROFILE, "place": Place(0), "nonce": NONCE}
    if status and status.attempts and (last := status.attempts[-1]).finished_at:
        known["gone"] = frozenset({last.job_uid or last.job_name})
    return Seen(**{**known, **seen})


def decide(seen: Seen, now: datetime = NOW) -> Decision:
    """Decide."""
    return reconcile.decide(seen, now)


def queued(run: StrategyRun | None = None) -> StrategyRunStatus:
    """Build the status of an accepted run."""
    run = run or make_run()
    return accept(run, inputs_hash(run), NOW)


def begun(run: StrategyRun | None = None) -> StrategyRunStatus:
    """Build the status of a run whose first attempt is on record."""
    return answer(decide(look(queued(run), run)))


def started(run: StrategyRun | None = None) -> StrategyRunStatus:
    """Build the status of a run whose strategy runs."""
    return answer(decide(look(begun(run), run, jobs=(make_job(run),), pods=(running_pod(run),)), after(5)))


def lost(run: StrategyRun | None = None, seconds: float = 10) -> StrategyRunStatus:
    """Build the status of a run whose first attempt was evicted so many seconds after NOW."""
    closed = close_attempt(begun(run), after(seconds), Reason.EVICTED, "drained")
    return advance(closed, run or make_run(), after(seconds), Phase.QUEUED, Reason.RETRYING, "Evicted: drained")


def answered(run: StrategyRun | None = None) -> StrategyRunStatus:
    """Build the status of a run that was scored."""
    run = run or make_run()
    closed = close_attempt(witness(begun(run), make_job(run), None), after(30), Reason.EVALUATED)
    return succeed(closed, run, after(30), Success(parse_report(report_text(job_body(run))), scored_pod(job_body(run))))


def running_pod(run: StrategyRun | None = None) -> PodObservation:
    """Build a pod whose strategy runs."""
    return make_pod(job_body(run), strategy=running(after(4)))


def evicted_pod() -> PodObservation:
    """Build a pod that was drained."""
    return failed_pod(exit_code=137, disruption="EvictionByEvictionAPI", deleted=after(10))


def answer(decision: Decision) -> StrategyRunStatus:
    """Return the status of a decision that has one."""
    assert decision.status is not None
    return decision.status


def failure(decision: Decision) -> Failure:
    """Return the failure of a decision that is one."""
    failed = answer(decision).failure
    assert failed is not None
    return failed


def created(decision: Decision) -> list[Document]:
    """Return the manifests of what is created, in order."""
    return [act.manifest for act in decision.acts if isinstance(act, Create)]


def kinds(decision: Decision) -> list[str]:
    """Name what is created and otherwise done, in order."""
    return [act.manifest["kind"] if isinstance(act, Create) else type(act).__name__ for act in decision.acts]


# --- acceptance ---------------------------------------------------------------------------------------------------


def test_a_new_run_is_taken_note_of_before_its_source_is_vetted() -> None:
    """Its status says so at once; vetting takes its time when many come together."""
    decision = decide(look(vetted=None))
    assert (answer(decision).phase, answer(decision).reason) == (Phase.QUEUED, Reason.VETTING)
    assert decision.acts == (Vet(),)
    assert decide(look(answer(decision), vetted=None), after(1)) == Decision(answer(decision), (Vet(),))


def test_a_run_is_accepted_when_its_source_was_asked_for() -> None:
    """The time of vetting counts as time in the queue."""
    status = answer(decide(look(place=NOWHERE), after(3)))
    assert status.accepted_at == NOW


def test_the_vetting_of_other_inputs_does_not_count() -> None:
    """An edit makes another source."""
    assert decide(look(queued(), vetted=vetted(inputs_hash="other"))).acts == (Vet(),)


def vain(run: StrategyRun | None = None, times: int = VAIN_VETTINGS) -> Vain:
    """Build what is known of vettings that came to nothing, the last of them now."""
    return Vain(inputs_hash(run or make_run()), times, NOW, timedelta(seconds=5), "no")


@pytest.mark.parametrize("status", [None, queued(), begun()], ids=["new", "queued", "its Job was never made"])
def test_a_source_that_cannot_be_checked_several_times_says_so(status: StrategyRunStatus | None) -> None:
    """Whatever the run has come to; the first times may be a moment's."""
    silent = decide(look(status, vetted=None, vain=vain(times=VAIN_VETTINGS - 1)))
    assert "cannot be checked" not in answer(silent).message
    told = decide(look(status, vetted=None, vain=vain()))
    assert answer(told).message == "the source cannot be checked yet: no"
    assert answer(told).phase is (Phase.STARTING if status and status.attempts else Phase.QUEUED)
    goes_on = decide(look(answer(told)), after(9))
    assert (answer(goes_on).phase, answer(goes_on).message) == (Phase.STARTING, "the pod is starting")


def test_a_vetting_in_vain_is_not_repeated_at_once() -> None:
    """Whoever looks meanwhile waits too, but an edit does not: those are other inputs."""
    waits = decide(look(queued(), vetted=None, vain=vain()), after(4))
    assert (waits.acts, waits.wake_at) == ((), after(5))
    assert decide(look(queued(), vetted=None, vain=vain()), after(5)).acts == (Vet(),)
    edited = make_run(generation=2, params={"fast": 5})
    decision = decide(look(queued(), edited, vetted=None, vain=vain()))
    assert (decision.status, decision.acts) == (queued(), (Vet(),))


def test_what_was_in_vain_long_ago_is_not_said_again() -> None:
    """A run that was suspended since may find the trouble over."""
    decision = decide(look(queued(), vetted=None, vain=vain()), after(3600))
    assert (decision.status, decision.acts) == (queued(), (Vet(),))


def test_what_a_run_lacks_is_said_though_it_cannot_be_looked_for() -> None:
    """And its time goes on."""
    lacking = look(without_source(), BY_MAP_RUN, vetted=no_source(NOW), vain=vain(BY_MAP_RUN))
    assert decide(lacking, after(6)) == Decision(without_source(), (Vet(),))


def test_an_edit_whose_source_cannot_be_checked_stops_the_strategy_of_before() -> None:
    """The status speaks of the new inputs then, and the slot is somebody else's."""
    edited = make_run(generation=2, params={"fast": 5})
    decision = decide(look(started(), edited, vetted=None, jobs=(make_job(),), vain=vain(edited)), after(9))
    assert answer(decision).attempts == ()
    assert decision.acts == (Vet(), StopJob(make_job().name, JOB_UID))


def test_flaws_end_the_run_before_any_pod() -> None:
    """CodeRejected, with every finding, and no attempt."""
    flaws = (Flaw(3, "network", "no network"), Flaw(9, "network", "no network"))
    decision = decide(look(queued(), vetted=vetted(reading=Reading(Kind.POSITIONS, flaws))), after(0.4))
    status = answer(decision)
    assert (status.phase, status.reason, status.attempts) == (Phase.FAILED, Reason.CODE_REJECTED, ())
    assert status.message == "line 3: no network [network]"
    assert [finding.line for finding in failure(decision).findings] == [3, 9]
    assert decision.acts == ()


def test_params_that_are_too_large_are_refused() -> None:
    """They would not fit beside the source in a ConfigMap; the schema cannot count their bytes."""
    fits, large = ({"x": "a" * (PARAMS_LIMIT_BYTES - extra)} for extra in (8, 7))
    run = make_run(params=large)
    decision = decide(look(queued(run), run))
    assert (answer(decision).phase, answer(decision).reason) == (Phase.FAILED, Reason.SPEC_INVALID)
    assert "65537 bytes" in answer(decision).message
    assert kinds(decide(look(queued(make_run(params=fits)), make_run(params=fits))))[-1] == "Job"


@pytest.mark.parametrize("key", [None, "a"], ids=["lists", "objects"])
@pytest.mark.parametrize("times", [NESTING_LIMIT, 9_990])
def test_params_that_are_nested_too_deep_are_refused(times: int, key: str | None) -> None:
    """Whatever the API server takes; nothing is made of them, and nothing is waited for."""
    run = make_run(params={"x": nested(times, key=key)})
    decision = decide(look(None, run, vetted=None))
    assert (answer(decision).phase, answer(decision).reason) == (Phase.FAILED, Reason.SPEC_INVALID)
    assert answer(decision).message == f"spec.params: nested {times + 1} deep; the limit is 64"
    assert (decision.acts, decision.wake_at) == ((), None)
    fits = make_run(params={"x": nested(NESTING_LIMIT - 1, key=key)})
    assert kinds(decide(look(queued(fits), fits)))[-1] == "Job"


def test_params_that_are_nested_otherwise_are_other_inputs() -> None:
    """An author who takes a level away gets another answer, and one who changes nothing gets none."""
    deep, again, less = (inputs_hash(make_run(params={"x": nested(times)})) for times in (9_990, 9_990, 9_989))
    assert deep == again != less


def test_a_missing_source_is_waited_for() -> None:
    """Whoever applies a folder applies the ConfigMap in the same second, maybe after the run."""
    run = make_run(**BY_MAP)
    seen = look(
        queued(run), run, vetted=vetted(run, missing=Fault(Reason.SOURCE_MISSING, "there is no ConfigMap code"))
    )
    decision = decide(seen, after(1))
    assert (answer(decision).phase, answer(decision).reason) == (Phase.QUEUED, Reason.SOURCE_MISSING)
    assert answer(decision).message == "there is no ConfigMap code"
    assert answer(decision).hint
    assert (decision.acts, decision.wake_at) == ((), after(1) + SOURCE_POLL)
    assert decide(replace(seen, run=at(decision.status, run)), NOW + SOURCE_POLL).acts == (Vet(),)


BY_MAP_RUN = make_run(**BY_MAP)


def no_source(at: datetime) -> Vetted:
    """Build the vetting of a source that was not there."""
    return vetted(BY_MAP_RUN, missing=Fault(Reason.SOURCE_MISSING, "no ConfigMap"), at=at)


def without_source() -> StrategyRunStatus:
    """Build the status of a run that waits for its source."""
    return answer(decide(look(queued(BY_MAP_RUN), BY_MAP_RUN, vetted=no_source(NOW))))


def test_a_missing_source_is_looked_for_without_a_slot_too() -> None:
    """A run whose source was vetted once, and is gone, does not go back into the line, where no time would end it."""
    known = without_source().model_copy(update={"kind": Kind.POSITIONS})
    seen = look(known, BY_MAP_RUN, vetted=no_source(NOW), place=NOWHERE)
    assert decide(seen, after(6)) == Decision(known, (Vet(),))


def test_a_missing_source_is_not_waited_for_for_ever() -> None:
    """The time is that of a start."""
    late = after(START_SECONDS)
    decision = decide(look(without_source(), BY_MAP_RUN, vetted=no_source(late)), late)
    assert (answer(decision).phase, answer(decision).reason) == (Phase.FAILED, Reason.SOURCE_MISSING)


def test_the_time_for_a_source_counts_from_when_it_was_missed() -> None:
    """A run that was held back for an hour, and goes on as its source is applied, has waited for none before."""
    held = advance(queued(BY_MAP_RUN), BY_MAP_RUN, NOW, Phase.QUEUED, Reason.SUSPENDED, "spec.suspend is set")
    missed = answer(decide(look(held, BY_MAP_RUN, vetted=no_source(after(3600))), after(3600)))
    assert (missed.phase, missed.reason) == (Phase.QUEUED, Reason.SOURCE_MISSING)
    for waited, phase in ((START_SECONDS - 1, Phase.QUEUED), (START_SECONDS, Phase.FAILED)):
        now = after(3600 + waited)
        seen = look(missed, BY_MAP_RUN, vetted=no_source(now), reason_since=after(3600))
        assert answer(decide(seen, now)).phase is phase


def test_a_run_waits_for_a_slot() -> None:
    """Without one it stays in the queue, and nothing is created."""
    decision = decide(look(queued(), place=NOWHERE))
    assert (answer(decision).phase, answer(decision).reason) == (Phase.QUEUED, Reason.WAITING_FOR_SLOT)
    assert decision.acts == ()


# --- launch -------------------------------------------------------------------------------------------------------


def test_intent_is_on_record_before_anything_is_created() -> None:
    """The status that is written first names the Job; policy, snapshot and Job follow in this order."""
    decision = decide(look(queued()), after(2))
    (attempt,) = answer(decision).attempts
    assert answer(decision).phase is Phase.STARTING
    assert answer(decision).executor == "Sandbox"
    assert attempt == Attempt(number=1, job_name=job_manifest()["metadata"]["name"], created_at=after(2))
    assert kinds(decision) == ["NetworkPolicy", "ConfigMap", "Job"]
    assert decision.acts[-1] == Create(job_manifest(attempt=attempt))


def test_what_will_run_is_on_record_too() -> None:
    """Hashes of code, params and profile stand in the provenance from the beginning."""
    provenance = begun().provenance
    assert provenance is not None
    assert provenance.code_sha256 == make_inputs().hashes["code"]
    assert provenance.seccomp_sha256 == SECCOMP.sha256
    assert provenance.isolation is not None
    assert provenance.isolation.seccomp == SECCOMP.localhost_profile


def test_a_job_on_record_that_is_not_there_is_created() -> None:
    """The operator may have ended between its two writes, or have lost the answer to the second."""
    decision = decide(look(begun()), after(60))
    assert decision.status == begun()
    assert kinds(decision) == ["NetworkPolicy", "ConfigMap", "Job"]


def test_after_a_restart_the_source_is_vetted_again_first() -> None:
    """What was vetted was in memory only."""
    assert decide(look(begun(), vetted=None)).acts == (Vet(),)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        pytest.param({"missing": Fault(Reason.SOURCE_MISSING, "gone")}, "gone", id="missing"),
        pytest.param({"code": b"# other"}, "the source has changed since this evaluation began", id="changed"),
    ],
)
def test_what_is_on_record_and_not_to_be_had_any_more_is_not_replaced(source: Document, message: str) -> None:
    """A run never continues with another source than it began with."""
    run = make_run(**BY_MAP)
    decision = decide(look(begun(run), run, vetted=vetted(run, **source)))
    assert (answer(decision).reason, answer(decision).message) == (Reason.SOURCE_MISSING, message)
    assert answer(decision).final
    assert failure(decision).findings == ()


def test_flaws_that_appear_between_record_and_creation_carry_their_findings() -> None:
    """A newer operator may know better than the one that began."""
    decision = decide(
        look(begun(), vetted=vetted(reading=Reading(Kind.POSITIONS, (Flaw(1, "network", "no network"),))))
    )
    assert answer(decision).reason == Reason.CODE_REJECTED
    assert len(failure(decision).findings) == 1


def test_a_job_that_the_api_server_refuses_is_a_failure_of_the_platform() -> None:
    """It is tried again, and then the run fails with the server's words."""
    run = make_run(retry={"limit": 0})
    denied = Fault(Reason.POLICY_DENIED, "admission webhook says no")
    decision = decide(look(begun(run), run, refused=denied))
    assert (answer(decision).reason, answer(decision).message) == (Reason.POLICY_DENIED, "admission webhook says no")
    assert answer(decide(look(begun(), refused=denied))).reason == Reason.RETRYING


def test_a_webhook_that_does_not_answer_is_named_while_it_is_waited_for() -> None:
    """The Job is tried again all the while; like a pod that does not start, it has its time and no more."""
    message = "the API server does not take the Job: failed calling webhook nobody.example.com"
    seen = look(begun(), hindered=hindrance(message))
    waiting = decide(seen, after(START_SECONDS - 1))
    assert (answer(waiting).phase, answer(waiting).reason) == (Phase.STARTING, Reason.POLICY_DENIED)
    assert answer(waiting).message == message
    assert kinds(waiting) == kinds(decide(look(begun())))
    over = answer(decide(seen, after(START_SECONDS)))
    assert (over.reason, over.attempts[-1].reason) == (Reason.RETRYING, Reason.POLICY_DENIED)


@pytest.mark.parametrize(
    "said",
    [
        "jsonpatch add operation does not apply: doc is missing path: /metadata/annotations/x: missing value",
        "replace operation does not apply: doc is missing key: /spec/priority: missing value",
    ],
)
def test_a_webhook_that_breaks_the_job_is_given_up_too(said: str) -> None:
    """The API server does not name it: a patch that does not fit is somebody's webhook or policy all the same."""
    message = f"the API server does not take the Job: Internal error occurred: {said}"
    seen = look(begun(), hindered=hindrance(message))
    waiting = answer(decide(seen, after(START_SECONDS - 1)))
    assert (waiting.reason, waiting.message) == (Reason.POLICY_DENIED, message)
    over = answer(decide(seen, after(START_SECONDS)))
    assert (over.reason, over.attempts[-1].reason) == (Reason.RETRYING, Reason.POLICY_DENIED)


def test_an_api_server_that_fails_is_waited_for_however_long_it_takes() -> None:
    """Nothing is wrong with the run or its sandbox; what the API server says is there to be read."""
    message = "the API server does not take the Job: etcdserver: mvcc: database space exceeded"
    waiting = decide(look(begun(), hindered=hindrance(message)), after(100 * START_SECONDS))
    assert (answer(waiting).reason, answer(waiting).message) == (Reason.STARTING, message)
    assert kinds(waiting) == kinds(decide(look(begun())))


def test_a_run_whose_status_is_refused_has_the_least_there_is_to_say() -> None:
    """Nothing that it had is kept, since some of it was too much; and it is an answer to these inputs."""
    run = make_run().model_copy(update={"status": started()})
    status = give_up(run, after(9), "too large")
    assert (status.phase, status.reason) == (Phase.FAILED, Reason.POLICY_DENIED)
    assert status.message == "the API server refuses the status of this run: too large"
    assert (status.attempts, status.history, status.provenance, status.warnings) == ((), (), None, ())
    assert decide(look(status, jobs=(make_job(),))).acts == (StopJob(make_job().name, JOB_UID),)


def test_a_job_of_somebody_else_is_left_alone() -> None:
    """Its name is taken, so the next attempt has another; the stranger's Job is not touched."""
    body = job_body()
    body["metadata"]["ownerReferences"] = []
    decision = decide(look(begun(), jobs=(observe_job(body),)))
    assert answer(decision).reason == Reason.RETRYING
    assert answer(decision).attempts[0].reason == Reason.NAME_CONFLICT
    assert decision.acts == ()
    again = decide(look(decision.status, jobs=(observe_job(body),)), NOW + RETRY_BACKOFF)
    assert answer(again).attempts[-1].job_name.endswith("-2")


# --- following an attempt -----------------------------------------------------------------------------------------


def test_a_pod_that_starts_changes_nothing() -> None:
    """No write for what everybody expects; the next look is when its events may say what keeps it."""
    decision = decide(look(begun(), jobs=(make_job(),), pods=(make_pod(strategy=waiting()),)), after(1))
    assert decision == Decision(begun(), (), NOW + TROUBLE_AFTER)


def test_trouble_at_the_start_is_written_while_it_lasts() -> None:
    """With hint, pod and node; and it is taken back when the pod goes on."""
    pod = make_pod(strategy=waiting("ImagePullBackOff", "Back-off pulling image"))
    decision = decide(look(begun(), jobs=(make_job(),), pods=(pod,)), after(5))
    assert (answer(decision).phase, answer(decision).reason) == (Phase.STARTING, Reason.IMAGE_PULL_FAILED)
    assert answer(decision).message == "ImagePullBackOff: Back-off pulling image"
    assert answer(decision).hint
    assert answer(decision).attempts[0].pod_name == pod.name
    assert decision.wake_at == after(START_SECONDS)
    better = make_pod(strategy=waiting("PodInitializing"))
    taken_back = answer(decide(look(decision.status, jobs=(make_job(),), pods=(better,)), after(6)))
    assert (taken_back.reason, taken_back.hint) == (Reason.STARTING, None)


@pytest.mark.parametrize(
    ("pod", "reason", "message"),
    [
        pytest.param(None, Reason.START_TIMEOUT, "after 120 s still waiting for the pod", id="no-pod"),
        pytest.param(
            make_pod(strategy=waiting()),
            Reason.START_TIMEOUT,
            "after 120 s still waiting for the pod to start",
            id="pod",
        ),
        pytest.param(
            make_pod(strategy=waiting("CreateContainerError", "executable file not found")),
            Reason.IMAGE_INVALID,
            "executable file not found",
            id="image",
        ),
    ],
)
def test_a_start_that_takes_too_long_fails(pod: PodObservation | None, reason: Reason, message: str) -> None:
    """With the reason that it waits for, and its Job is deleted: nothing starts after the verdict."""
    pods = (pod,) if pod else ()
    decision = decide(look(begun(), jobs=(make_job(),), pods=pods), after(START_SECONDS))
    assert (answer(decision).phase, answer(decision).reason, answer(decision).message) == (
        Phase.FAILED,
        reason,
        message,
    )
    assert decision.acts == (StopJob(make_job().name, JOB_UID),)


def test_no_room_in_the_cluster_is_tried_again() -> None:
    """Unschedulable is the platform's."""
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}
    pod = make_pod(node=None, scheduled=condition)
    decision = decide(look(begun(), jobs=(make_job(),), pods=(pod,)), after(START_SECONDS))
    assert answer(decision).reason == Reason.RETRYING
    assert decision.acts == (StopJob(make_job().name, JOB_UID),)


def test_the_time_to_start_is_counted_from_the_job() -> None:
    """An operator that was away does not count its absence."""
    job = make_job(created=after(500))
    decision = decide(look(begun(), jobs=(job,)), after(501))
    assert decision.wake_at == after(500) + TROUBLE_AFTER
    known = Trouble(JOB_UID, after(500 + START_SECONDS - 1))
    later = decide(look(begun(), jobs=(job,), trouble=known), after(500 + START_SECONDS - 1))
    assert later.wake_at == after(500 + START_SECONDS)


def test_a_time_without_the_api_server_counts_against_no_start() -> None:
    """Neither a kubelet nor anybody else could do anything then: the pod has all of its time after it."""
    back = after(10 * START_SECONDS)
    waiting = look(begun(), jobs=(make_job(),), pods=(make_pod(),), in_contact_since=back)
    kept = decide(waiting, after(11 * START_SECONDS - 1))
    assert answer(kept).phase is Phase.STARTING
    assert kept.wake_at == after(11 * START_SECONDS)
    assert failure(decide(waiting, after(11 * START_SECONDS))).reason == Reason.START_TIMEOUT


def test_a_time_without_the_api_server_counts_against_no_source() -> None:
    """Nobody could apply it then."""
    gone = vetted(missing=Fault(Reason.SOURCE_MISSING, "no ConfigMap"), at=after(10 * START_SECONDS))
    seen = look(queued(), vetted=gone, in_contact_since=after(10 * START_SECONDS))
    assert answer(decide(seen, after(10 * START_SECONDS + 1))).phase is Phase.QUEUED


def test_a_running_strategy_is_on_record_with_its_pod() -> None:
    """Phase, Job, pod, node and the moment it began."""
    status = started()
    assert (status.phase, status.reason) == (Phase.RUNNING, Reason.RUNNING)
    (attempt,) = status.attempts
    assert (attempt.job_uid, attempt.pod_name, attempt.started_at) == (JOB_UID, running_pod().name, after(4))


@pytest.mark.parametrize(
    "pods",
    [(), (make_pod(strategy=waiting()),), (make_pod(strategy=waiting("ErrImagePull")),)],
    ids=["gone", "seen-before-it-began", "trouble-of-before"],
)
def test_what_has_begun_does_not_wait_to_start(pods: tuple[PodObservation, ...]) -> None:
    """A list may be older than the record, and a pod may be gone before its Job says so: no deadline of a start ends
    the attempt, and the run does not go back to Starting."""
    decision = decide(look(started(), jobs=(make_job(),), pods=pods), after(9999))
    assert decision == Decision(started())


OVERDUE = after(602) + NODE_PATIENCE
"""When a node has had its time to end a pod that was asked to go 600 seconds after NOW."""
NOT_ENDED = "the node has not ended the pod 60 s after its deadline"


def lingering(run: StrategyRun | None = None, **changes: Any) -> Document:
    """Build what is seen of a Job over its deadline whose pod goes on."""
    job = make_job(run, conditions={"FailureTarget": "DeadlineExceeded"})
    return {"jobs": (job,), "pods": (make_pod(job_body(run), deleted=after(600), **changes),)}


def test_a_pod_that_its_node_does_not_end_does_not_keep_its_run() -> None:
    """The Job never says that it has failed. A wake-up is set, for nothing else may happen; the Job goes with the
    answer, as it would not expire."""
    run = make_run(retry={"limit": 5}, fallback={"policy": "OnSandboxUnavailable"})
    seen = look(started(run), run, **lingering(run, strategy=running(after(4))))
    assert decide(seen, OVERDUE - timedelta(seconds=1)) == Decision(started(run), (), OVERDUE)
    over = decide(seen, OVERDUE)
    assert (answer(over).phase, answer(over).reason, answer(over).message) == (Phase.FAILED, Reason.TIMEOUT, NOT_ENDED)
    assert (answer(over).fallback, len(answer(over).attempts)) == (None, 1)
    assert over.acts == (StopJob(make_job(run).name, JOB_UID),)
    assert not holds_slot(run, over.status, seen.jobs)


def test_a_pod_that_was_never_seen_to_run_and_is_not_ended() -> None:
    """The operator was away: that the strategy began is on record then, and it is not told as a start."""
    over = answer(decide(look(begun(), **lingering(strategy=running(after(4)))), OVERDUE))
    assert (over.reason, over.attempts[0].started_at) == (Reason.TIMEOUT, after(4))


def test_an_evaluation_that_its_node_does_not_end_is_tried_again() -> None:
    """The strategy had ended in time. Its Job goes before another is made; the pod is left to its node."""
    seen = look(started(), **lingering(strategy=terminated(0, started=after(4)), evaluate=running(after(30))))
    over = decide(seen, OVERDUE)
    assert (answer(over).phase, answer(over).reason) == (Phase.QUEUED, Reason.RETRYING)
    assert (answer(over).attempts[0].reason, answer(over).attempts[0].message) == (Reason.EVALUATOR_FAILED, NOT_ENDED)
    assert over.acts == (StopJob(make_job().name, JOB_UID),)
    due = OVERDUE + RETRY_BACKOFF
    waiting = decide(replace(seen, run=at(over.status)), due)
    assert waiting == Decision(over.status, (StopJob(make_job().name, JOB_UID),))
    again = decide(look(answer(over), pods=seen.pods), due)
    assert kinds(again) == ["NetworkPolicy", "ConfigMap", "Job"]


def test_what_a_pod_says_before_its_node_is_given_up_counts() -> None:
    """A report that came late came."""
    seen = look(started(), jobs=lingering()["jobs"], pods=(scored_pod(phase="Running", deleted=after(600)),))
    assert answer(decide(seen, after(650))).phase is Phase.SUCCEEDED


def test_a_time_without_the_api_server_counts_against_no_node() -> None:
    """It could not tell that it had ended the pod."""
    back = after(5000)
    seen = look(started(), **lingering(strategy=running(after(4))), in_contact_since=back)
    assert decide(seen, back + NODE_PATIENCE - timedelta(seconds=1)).wake_at == back + NODE_PATIENCE
    assert failure(decide(seen, back + NODE_PATIENCE)).reason == Reason.TIMEOUT


@pytest.mark.parametrize("later", ["goes on", "without its Job", "scored"])
def test_a_pod_that_was_given_up_changes_no_answer(later: str) -> None:
    """Its Job goes, it may stay for days, and what it says then is said to nobody."""
    seen = look(started(), **lingering(strategy=running(after(4))))
    over = answer(decide(seen, OVERDUE))
    pods = (scored_pod(deleted=after(600)),) if later == "scored" else seen.pods
    jobs = seen.jobs if later == "goes on" else ()
    decision = decide(replace(seen, run=at(over), jobs=jobs, pods=pods), after(9999))
    assert decision == Decision(over, (StopJob(make_job().name, JOB_UID),) if jobs else ())


def test_success_ends_the_run_and_leaves_the_job_to_its_ttl() -> None:
    """The snapshot goes at once; the Job stays for those who want to read logs."""
    seen = look(started(), jobs=(make_job(),), pods=(scored_pod(),), snapshots=frozenset({"s"}))
    decision = decide(seen, after(30))
    assert (answer(decision).phase, answer(decision).reason) == (Phase.SUCCEEDED, Reason.EVALUATED)
    assert answer(decision).attempts[0].reason == Reason.EVALUATED
    assert answer(decision).attempts[0].finished_at == after(30)
    assert decision.acts == (DeleteSnapshot("s"),)


def test_success_of_a_job_that_nobody_saw_start_counts() -> None:
    """The operator was away for all of it."""
    decision = decide(look(begun(), jobs=(make_job(),), pods=(scored_pod(),)), after(900))
    assert answer(decision).phase is Phase.SUCCEEDED


def test_a_failure_of_the_strategy_is_final() -> None:
    """It is never tried again, whatever the limit is."""
    run = make_run(retry={"limit": 5})
    pod = failed_pod(job_body(run), last_words())
    decision = decide(look(started(run), run, jobs=(make_job(run),), pods=(pod,)), after(30))
    assert (answer(decision).phase, answer(decision).reason) == (Phase.FAILED, Reason.STRATEGY_ERROR)
    assert failure(decision).last_lines[-1] == "KeyError: 'Close'"


def test_a_failure_of_the_sandbox_is_final() -> None:
    """Trying again would fail again until somebody mends it."""
    pod = scored_pod(report=report_text(nonce="0" * 32))
    decision = decide(look(started(), jobs=(make_job(),), pods=(pod,)), after(30))
    assert (answer(decision).phase, answer(decision).reason) == (Phase.FAILED, Reason.TAMPERED)


def test_the_pod_of_an_ended_job_is_looked_for_before_it_is_given_up() -> None:
    """Its last event may still be on its way: absence in a cache proves nothing."""
    job = make_job(conditions={"Failed": "BackoffLimitExceeded"})
    seen = look(started(), jobs=(job,))
    assert decide(seen, after(60)) == Decision(started(), (FindPod(JOB_UID),))
    decision = decide(replace(seen, podless=frozenset({JOB_UID})), after(60))
    assert answer(decision).reason == Reason.RETRYING
    assert answer(decision).attempts[0].reason == Reason.JOB_VANISHED


def test_a_job_that_was_seen_and_is_not_there_is_asked_about() -> None:
    """Only a direct read makes it vanish; it is never created again under its name."""
    seen = look(started())
    assert decide(seen, after(60)) == Decision(started(), (ConfirmJob(make_job().name, JOB_UID),))
    decision = decide(replace(seen, gone=frozenset({JOB_UID})), after(60))
    assert answer(decision).attempts[0].reason == Reason.JOB_VANISHED


def test_a_job_that_was_seen_is_not_called_refused() -> None:
    """A refusal of the API server is about a Job that was never there."""
    denied = Fault(Reason.POLICY_DENIED, "no")
    assert decide(look(started(), refused=denied)).acts == (ConfirmJob(make_job().name, JOB_UID),)


# --- repeating ----------------------------------------------------------------------------------------------------


def test_a_failure_of_the_platform_is_tried_again_later() -> None:
    """The attempt is closed, the run goes back to the queue and says why, and a wake-up is set."""
    decision = decide(look(started(), jobs=(make_job(),), pods=(evicted_pod(),)), after(30))
    assert (answer(decision).phase, answer(decision).reason) == (Phase.QUEUED, Reason.RETRYING)
    assert answer(decision).message == "Evicted: EvictionByEvictionAPI"
    assert answer(decision).failure is None
    assert answer(decision).attempts[0].reason == Reason.EVICTED
    assert decision.wake_at == after(30) + RETRY_BACKOFF


def test_the_next_attempt_waits_for_its_time() -> None:
    """Nothing is done before, and the snapshot of the attempt before is gone by then."""
    decision = decide(look(lost(), snapshots=frozenset({"s"})), after(11))
    assert decision == Decision(lost(), (DeleteSnapshot("s"),), after(10) + RETRY_BACKOFF)


def test_the_next_attempt_has_the_next_number() -> None:
    """Another name, the same inputs."""
    decision = decide(look(lost()), after(10) + RETRY_BACKOFF)
    first, second = answer(decision).attempts
    assert (first.number, second.number) == (1, 2)
    assert decision.acts[-1] == Create(job_manifest(attempt=second))
    assert kinds(decision) == ["NetworkPolicy", "ConfigMap", "Job"]


def test_each_attempt_waits_twice_as_long_as_the_one_before() -> None:
    """10, 20, 40 seconds."""
    second = close_attempt(answer(decide(look(lost()), after(20))), after(30), Reason.NODE_LOST)
    assert decide(look(second), after(30)).wake_at == after(30) + 2 * RETRY_BACKOFF


@pytest.mark.parametrize(("limit", "final"), [(0, True), (1, False)])
def test_the_limit_counts_further_attempts(limit: int, final: bool) -> None:
    """With 0 the first failure of the platform is the answer."""
    run = make_run(retry={"limit": limit})
    decision = decide(look(started(run), run, jobs=(make_job(run),), pods=(evicted_pod(),)), after(30))
    assert answer(decision).final is final
    assert answer(decision).reason == (Reason.EVICTED if final else Reason.RETRYING)


def test_a_repeated_run_waits_for_a_slot_like_any_other() -> None:
    """It gave its own back."""
    decision = decide(look(lost(), place=NOWHERE), after(20))
    assert (answer(decision).phase, answer(decision).reason) == (Phase.QUEUED, Reason.WAITING_FOR_SLOT)


def test_no_attempt_begins_beside_a_job_that_may_still_run() -> None:
    """The Job of the lost attempt is deleted, and the next one waits until it is gone."""
    seen = look(lost(), jobs=(make_job(),), pods=(running_pod(),))
    decision = decide(seen, after(20))
    assert decision.status == lost()
    assert decision.acts == (StopJob(make_job().name, JOB_UID),)
    assert kinds(decide(replace(seen, jobs=()), after(20)))[-1] == "Job"


@pytest.mark.parametrize(
    "seen",
    [
        pytest.param({"jobs": (make_job(),), "pods": (evicted_pod(),)}, id="pod-is-done"),
        pytest.param({"jobs": (make_job(conditions={"Failed": "BackoffLimitExceeded"}),)}, id="job-is-finished"),
    ],
)
def test_a_job_under_which_nothing_can_run_is_not_waited_for(seen: Document) -> None:
    """It stays for a while, for those who want to see what happened."""
    decision = decide(look(lost(), **seen), after(20))
    assert answer(decision).phase is Phase.STARTING
    assert not {"DeleteJob", "StopJob"} & {*kinds(decision)}


def test_no_attempt_begins_before_the_job_of_the_last_is_known_to_be_gone() -> None:
    """It is not in sight: the list may be old, or somebody's finalizers keep what the operator has deleted."""
    status = close_attempt(witness(lost(), make_job(), None), after(10), Reason.EVICTED)
    seen = look(status, gone=frozenset())
    assert decide(seen, after(20)) == Decision(status, (ConfirmJob(make_job().name, JOB_UID),))
    assert kinds(decide(replace(seen, gone=frozenset({JOB_UID})), after(20)))[-1] == "Job"
    assert decide(look(lost(), gone=frozenset()), after(20)).acts == (ConfirmJob(make_job().name, None),)
    lingers = decide(replace(seen, jobs=(make_job(deleting=True),)), after(20))
    assert lingers == Decision(status, ())
    over = replace(seen, jobs=(make_job(conditions={"Failed": "BackoffLimitExceeded"}),))
    assert kinds(decide(over, after(20)))[-1] == "Job"


def test_a_job_that_is_being_deleted_is_not_deleted_again() -> None:
    """But it is waited for."""
    decision = decide(look(lost(), jobs=(make_job(deleting=True),)), after(20))
    assert decision == Decision(lost())


def ended_job(run: StrategyRun | None = None, seconds: float = 20) -> JobObservation:
    """Build a Job that its controller counted so many seconds after NOW."""
    return make_job(run, conditions={"Complete": "CompletionsReached"}, ended=after(seconds))


@pytest.mark.parametrize(("ended", "kept_until"), [(20, 90), (50, 110)], ids=["before-the-answer", "after-the-answer"])
def test_an_ended_job_is_kept_for_a_while_after_the_answer(ended: float, kept_until: float) -> None:
    """A Job has no clock of its own: one that ended while no operator was there waits until it has been read."""
    run = make_run(ttlSecondsAfterFinished=60)
    job = ended_job(run, ended)
    seen = look(answered(run), run, jobs=(job,), pods=(scored_pod(),))
    assert decide(seen, after(kept_until - 1)) == Decision(answered(run), (), wake_at=after(kept_until))
    assert decide(seen, after(kept_until)) == Decision(answered(run), (DeleteJob(job.name, JOB_UID),))


def test_a_job_whose_answer_is_due_does_not_expire() -> None:
    """However long ago it ended, and although its run asks for no time at all: first its answer is on record."""
    run = make_run(ttlSecondsAfterFinished=0, report="Discard")
    decision = decide(look(begun(run), run, jobs=(ended_job(run),), pods=(scored_pod(job_body(run)),)), after(9000))
    assert answer(decision).phase is Phase.SUCCEEDED
    assert decision.acts == (DeleteJob(make_job(run).name, JOB_UID),)
    unread = decide(look(begun(run), run, jobs=(ended_job(run),)), after(9000))
    assert unread.acts == (FindPod(JOB_UID),)


def test_the_jobs_of_earlier_attempts_expire_by_themselves() -> None:
    """They do not wait for the end of their run, which may be suspended for days."""
    run = make_run(ttlSecondsAfterFinished=60, suspend=True)
    held = advance(lost(make_run()), run, after(20), Phase.QUEUED, Reason.SUSPENDED, "spec.suspend is set")
    seen = look(held, run, jobs=(ended_job(run),))
    assert decide(seen, after(79)) == Decision(held, (), wake_at=after(80))
    assert decide(seen, after(80)).acts == (DeleteJob(make_job(run).name, JOB_UID),)


def test_nobody_elses_job_expires() -> None:
    """Nor one that is on its way out."""
    job = make_job(conditions={"Complete": "CompletionsReached"})
    others = (job.model_copy(update={"run_uid": "another"}), job.model_copy(update={"deleting": True}))
    assert decide(look(answered(), jobs=others), after(90_000)) == Decision(answered())


# --- clocks -------------------------------------------------------------------------------------------------------

AN_HOUR_AGO = after(-3600)
"""What the clock says after it has gone back."""


def test_a_clock_that_goes_back_makes_no_retry_wait_for_it() -> None:
    """An end in the future says nothing of how long ago it was: the wait begins anew, and is no longer than before."""
    decision = decide(look(lost()), AN_HOUR_AGO)
    assert answer(decision).attempts[-1].finished_at == AN_HOUR_AGO
    assert decision.wake_at == AN_HOUR_AGO + RETRY_BACKOFF
    assert kinds(decide(look(answer(decision)), AN_HOUR_AGO + RETRY_BACKOFF))[-1] == "Job"


def test_a_clock_that_goes_back_makes_nobody_wait_for_what_is_missing() -> None:
    """The source is looked for as often as ever, and given up after as long as ever."""
    missing = vetted(missing=Fault(Reason.SOURCE_MISSING, "no ConfigMap"))
    again = decide(look(queued(), vetted=missing), AN_HOUR_AGO)
    assert again.acts == (Vet(),)
    waits = decide(look(queued(), vetted=replace(missing, at=AN_HOUR_AGO)), AN_HOUR_AGO)
    assert (answer(waits).phase, answer(waits).accepted_at) == (Phase.QUEUED, AN_HOUR_AGO)
    later = AN_HOUR_AGO + timedelta(seconds=START_SECONDS)
    over = decide(look(answer(waits), vetted=replace(missing, at=later)), later)
    assert answer(over).reason == Reason.SOURCE_MISSING


def test_a_clock_that_goes_back_makes_nobody_wait_for_an_obstacle() -> None:
    """A pod's time to start, from now."""
    obstacle = Obstacle(reason=Reason.SECCOMP_PROFILE_MISSING, message="no node", since=AN_HOUR_AGO)
    seen = look(queued(), profile=PROFILE.model_copy(update={"obstacle": obstacle}))
    assert decide(seen, AN_HOUR_AGO).wake_at == AN_HOUR_AGO + timedelta(seconds=START_SECONDS)


def test_events_that_were_read_in_the_future_are_read_again() -> None:
    """How long ago they were read is not known."""
    pod = make_pod()
    decision = decide(look(begun(), jobs=(make_job(),), pods=(pod,), trouble=Trouble(pod.uid, after(3600))), after(10))
    assert decision.acts == (FindTrouble(pod.uid),)


def test_clocks_that_differ_by_less_than_they_can_be_known_by_change_nothing() -> None:
    """Two operators write no records against each other."""
    assert decide(look(lost()), after(9)) == Decision(lost(), (), after(10) + RETRY_BACKOFF)


def test_an_answer_keeps_its_time() -> None:
    """Whatever the clock says by then."""
    assert decide(look(answered()), AN_HOUR_AGO).status == answered()


def test_a_job_was_not_let_go_before_it_was_made() -> None:
    """Two clocks stamp that, and the one that is behind takes no pod's time to start away."""
    job = make_job().model_copy(update={"released_at": AN_HOUR_AGO})
    assert answer(decide(look(begun(), jobs=(job,)), after(START_SECONDS - 1))).phase is Phase.STARTING
    assert answer(decide(look(begun(), jobs=(job,)), after(START_SECONDS))).reason == Reason.START_TIMEOUT


# --- edits and deletion -------------------------------------------------------------------------------------------


def test_an_edit_starts_a_new_evaluation_and_stops_the_old() -> None:
    """The Job of the old inputs is deleted once the status speaks of the new ones, and its snapshot with it."""
    edited = make_run(generation=2, params={"fast": 5})
    seen = look(started(), edited, jobs=(make_job(),), pods=(running_pod(),), snapshots=frozenset({"s"}))
    decision = decide(seen, after(50))
    assert answer(decision).inputs_hash == inputs_hash(edited)
    assert (answer(decision).phase, answer(decision).attempts) == (Phase.QUEUED, ())
    assert decision.acts == (StopJob(make_job().name, JOB_UID), DeleteSnapshot("s"))


def test_an_edit_that_is_taken_back_at_once_changes_nothing() -> None:
    """While the new source is vetted the old Job runs on, and is still there when its inputs come back."""
    edited = make_run(generation=2, params={"fast": 5})
    seen = look(started(), edited, jobs=(make_job(),), pods=(running_pod(),), vetted=None)
    assert decide(seen, after(50)) == Decision(started(), (Vet(),))


def test_an_edit_of_an_answered_run_keeps_the_answer_in_the_history() -> None:
    """And its finished Job for as long as it lives."""
    edited = make_run(generation=2, params={"fast": 5})
    job = make_job(conditions={"Complete": "CompletionsReached"})
    decision = decide(look(answered(), edited, jobs=(job,), place=NOWHERE), after(50))
    assert [past.reason for past in answer(decision).history] == ["Evaluated"]
    assert decision.acts == ()


def test_nothing_begins_while_the_job_of_an_earlier_evaluation_may_run() -> None:
    """It is deleted first, whatever its name: a run has one strategy at a time."""
    job = make_job()
    seen = look(queued(), jobs=(job,), pods=(running_pod(),))
    decision = decide(seen)
    assert (decision.status, decision.acts) == (queued(), (StopJob(job.name, JOB_UID),))
    assert kinds(decide(replace(seen, jobs=(), pods=())))[-1] == "Job"


@pytest.mark.parametrize(
    ("conditions", "pods"), [({}, ()), ({"Complete": "CompletionsReached"}, (scored_pod(),))], ids=["running", "ended"]
)
def test_a_job_of_an_earlier_evaluation_answers_for_nothing(
    conditions: dict[str, str], pods: tuple[PodObservation, ...]
) -> None:
    """Where it comes into sight after the attempt of its name is on record: it goes, and the attempt's own follows."""
    status = answer(decide(look(queued()), after(60)))
    job = make_job(conditions=conditions)
    seen = look(status, jobs=(job,), pods=pods)
    decision = decide(seen, after(61))
    assert decision.acts == (DeleteJob(job.name, JOB_UID),)
    assert (answer(decision).phase, answer(decision).attempts) == (Phase.STARTING, status.attempts)
    assert "an earlier evaluation" in answer(decision).message
    assert kinds(decide(replace(seen, jobs=(), pods=()), after(62)))[-1] == "Job"


def test_a_rerun_annotation_asks_again() -> None:
    """The same inputs, once more."""
    decision = decide(look(answered(), make_run(rerun="1")), after(60))
    assert answer(decision).phase is Phase.STARTING
    assert answer(decision).history[0].inputs_hash == answered().inputs_hash
    assert answer(decision).observed_rerun == "1"


def test_an_answer_of_an_earlier_version_learns_which_rerun_it_answers() -> None:
    """It is written once more and not evaluated again: tools that wait for the rerun see it."""
    run = make_run(rerun="1")
    earlier = answered(run).model_copy(update={"observed_rerun": None})
    assert not reconcile.is_answered(at(earlier, run))
    decision = decide(look(earlier, run), after(60))
    assert (decision.status, decision.acts) == (answered(run), ())
    assert reconcile.is_answered(at(answered(run), run))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"timeoutSeconds": 1}, id="time-limit"),
        pytest.param({"retry": {"limit": 0}}, id="retries"),
        pytest.param({"ttlSecondsAfterFinished": 1}, id="life-of-the-job"),
    ],
)
def test_a_change_of_anything_else_is_acknowledged(change: Document) -> None:
    """The generation is seen; the answer stays."""
    decision = decide(look(answered(), make_run(generation=5, **change)), after(60))
    assert answer(decision).observed_generation == 5
    assert (
        answer(decision).model_copy(update={"observed_generation": 1, "conditions": answered().conditions})
        == answered()
    )
    assert decision.acts == ()


def test_a_time_limit_that_changes_between_attempts_changes_the_snapshot() -> None:
    """The second attempt reads a limit that its Job has pinned, under a name of its own."""
    patient = make_run(generation=2, timeoutSeconds=7)
    decision = decide(look(lost(), patient), after(20))
    _, before, _ = created(decide(look(queued())))
    _, snapshot, job = created(decision)
    assert snapshot["metadata"]["name"] != before["metadata"]["name"]
    assert snapshot["metadata"]["name"] in str(job["spec"]["template"]["spec"]["volumes"])


def test_a_final_run_is_tidied() -> None:
    """What could still run and what nobody reads any more is deleted; what has ended stays."""
    other = observe_job(job_body(uid="other", attempt=2))
    ended = make_job(conditions={"Complete": "CompletionsReached"})
    decision = decide(look(answered(), jobs=(ended, other), snapshots=frozenset({"b", "a"})))
    assert decision.status == answered()
    assert decision.acts == (StopJob(other.name, "other"), DeleteSnapshot("a"), DeleteSnapshot("b"))


def test_a_job_of_somebody_else_is_never_deleted() -> None:
    """Whatever its labels say."""
    body = job_body(uid="foreign", attempt=9)
    body["metadata"]["ownerReferences"] = []
    foreign = observe_job(body)
    assert decide(look(answered(), jobs=(foreign,))).acts == ()
    assert answer(decide(look(lost(), jobs=(foreign,)), after(20))).phase is Phase.STARTING


@pytest.mark.parametrize(
    "status",
    [
        pytest.param(queued(), id="queued"),
        pytest.param(begun(), id="on-record"),
        pytest.param(started(), id="running"),
        pytest.param(lost(), id="retrying"),
        pytest.param(answered(), id="answered"),
    ],
)
def test_nothing_is_begun_for_a_run_that_is_being_deleted(status: StrategyRunStatus) -> None:
    """A foreground deletion, or somebody's finalizer, may keep it visible: its Jobs end, its status stays."""
    seen = look(status, make_run(deleting=True, generation=2), jobs=(make_job(),), snapshots=frozenset({"s"}))
    assert decide(seen, after(60)) == Decision(status, (StopJob(make_job().name, JOB_UID), DeleteSnapshot("s")))


def test_nothing_is_begun_for_a_run_that_was_deleted_before_it_was_seen() -> None:
    """Not even a status."""
    assert decide(look(None, make_run(deleting=True))) == Decision(None)


def test_a_spec_that_cannot_be_read_is_said_to_be_so() -> None:
    """A run that the API server let pass ends all the same, so that nobody waits for ever."""
    run = make_run(timeoutSeconds="soon")
    decision = decide(Seen(run=run), NOW)
    assert (answer(decision).phase, answer(decision).reason) == (Phase.FAILED, Reason.SPEC_INVALID)
    assert answer(decision).message.startswith("spec.timeoutSeconds: ")
    assert decide(Seen(run=at(decision.status, run)), after(9)) == Decision(decision.status)


# --- properties ---------------------------------------------------------------------------------------------------

PODS = [
    None,
    make_pod(),
    make_pod(strategy=waiting("CreateContainerError", "boom")),
    running_pod(),
    make_pod(strategy=running(after(4)), deleted=after(10)),
    make_pod(strategy=terminated(0), evaluate=running()),
    make_pod(strategy=terminated(0), evaluate=running(), deleted=after(10)),
    scored_pod(),
    failed_pod(message=last_words()),
    evicted_pod(),
    scored_pod(report="{}"),
]
JOBS = [
    None,
    make_job(),
    make_job(conditions={"Failed": "BackoffLimitExceeded"}),
    make_job(conditions={"FailureTarget": "DeadlineExceeded"}),
    make_job(deleting=True),
    make_job(attempt=2, uid="second"),
]
STATUSES = [None, queued(), begun(), started(), lost(), answered()]

sights = st.builds(
    lambda status, jobs, pod, place, source, gone, podless, refused, hindered: look(
        status,
        jobs=tuple({job.name: job for job in jobs if job}.values()),
        pods=(pod,) if pod else (),
        place=place,
        vetted=source,
        gone=gone,
        podless=podless,
        refused=refused,
        hindered=hindered,
    ),
    st.sampled_from(STATUSES),
    st.lists(st.sampled_from(JOBS), max_size=3),
    st.sampled_from(PODS),
    st.sampled_from([Place(0), NOWHERE]),
    st.sampled_from(
        [
            None,
            vetted(),
            vetted(reading=Reading(Kind.SCRIPT, (Flaw(1, "syntax", "what?"),))),
            vetted(missing=Fault(Reason.SOURCE_MISSING, "no ConfigMap")),
        ]
    ),
    st.sampled_from([frozenset(), frozenset({JOB_UID})]),
    st.sampled_from([frozenset(), frozenset({JOB_UID})]),
    st.sampled_from([None, Fault(Reason.POLICY_DENIED, "denied")]),
    st.sampled_from([None, hindrance("failed calling webhook"), hindrance("no space")]),
)


moments = st.sampled_from([after(seconds) for seconds in (0, 5, 15, 119, 120, 900)])


@given(sights, moments)
def test_a_status_that_was_written_is_decided_again(seen: Seen, now: datetime) -> None:
    """What is read back is what was decided, and once decisions stand still, nothing is written any more."""
    for _ in range(6):
        status = decide(seen, now).status
        if status == seen.run.status:
            break
        assert status is not None
        assert StrategyRunStatus.model_validate(status.document()) == status
        seen = replace(seen, run=at(status))
    else:
        pytest.fail("six writes without an event between them")


@given(sights, moments)
def test_an_answer_is_never_left_and_nothing_is_created_for_it(seen: Seen, now: datetime) -> None:
    """Whatever is seen: the status stays as it is, and only deletions follow."""
    decision = decide(replace(seen, run=at(answered())), now)
    assert decision.status == answered()
    assert not any(isinstance(act, Create | Vet) for act in decision.acts)


@given(sights, moments)
def test_a_job_is_created_only_for_the_attempt_on_record(seen: Seen, now: datetime) -> None:
    """One Job at most, by the name that the status says, with its policy and snapshot before it."""
    decision = decide(seen, now)
    if manifests := created(decision):
        assert [manifest["kind"] for manifest in manifests] == ["NetworkPolicy", "ConfigMap", "Job"]
        attempt = answer(decision).attempts[-1]
        assert manifests[-1]["metadata"]["name"] == attempt.job_name
        assert attempt.finished_at is None


@given(sights, moments)
def test_who_waits_knows_for_what(seen: Seen, now: datetime) -> None:
    """An unfinished run has an act under way, a wake-up, a Job or the line for a slot to wait for."""
    decision = decide(seen, now)
    status = decision.status
    if status is None or not status.final:
        in_line = status is not None and status.reason == Reason.WAITING_FOR_SLOT
        assert decision.acts or decision.wake_at or in_line or seen.jobs


@given(specs)
def test_every_spec_is_accepted_and_launched(spec: Document) -> None:
    """No valid spec stops the decision."""
    run = make_run(**spec | {"suspend": False, "cancel": False})
    decision = decide(look(queued(run), run))
    assert kinds(decision) == ["NetworkPolicy", "ConfigMap", "Job"]


def test_a_pod_is_paired_with_its_job_by_uid() -> None:
    """The pod of a deleted Job of the same name says nothing of its successor."""
    old = observe_pod(pod_body(job_body(uid="old"), strategy=terminated(1, message=last_words()), phase="Failed"))
    decision = decide(look(begun(), jobs=(make_job(),), pods=(old,)), after(1))
    assert decision.status == begun()


def test_a_run_that_has_failed_is_not_judged_again() -> None:
    """A pod that says otherwise later is too late."""
    status = fail(
        close_attempt(started(), after(9), Reason.TIMEOUT), make_run(), after(9), Fault(Reason.TIMEOUT, "late")
    )
    decision = decide(look(status, jobs=(make_job(),), pods=(scored_pod(),)), after(60))
    assert decision.status == status


# --- what a scored run leaves -------------------------------------------------------------------------------------

KEPT = ReportReference(config_map="momentum-report", sha256="f" * 64)


def concluded(
    run: StrategyRun | None = None, kept: Kept | None = None, job: JobObservation | None = None, **words: Any
) -> Decision:
    """Decide on a run whose pod has a report that promises a full one."""
    run = run or make_run()
    body = job_body(run)
    strategy = terminated(message=last_words("Completed", exitCode=0, **words))
    pod = scored_pod(body, report=report_text(body, full="f" * 64), strategy=strategy)
    return decide(look(begun(run), run, jobs=(job or make_job(run),), pods=(pod,), kept=kept), after(30))


def test_the_full_report_is_kept_before_the_answer_is_written() -> None:
    """While the pod is sure to be there; the answer then says where it is."""
    decision = concluded()
    (act,) = decision.acts
    assert isinstance(act, KeepReport)
    assert (act.job_uid, act.sha256) == (JOB_UID, "f" * 64)
    assert not answer(decision).final
    done = answer(concluded(kept=Kept(JOB_UID, KEPT)))
    assert done.final
    assert done.report == KEPT


def test_the_time_for_a_report_counts_from_the_jobs_end() -> None:
    """That is the control plane's clock; the node's may be anything. Until the end is there, from now."""
    (early,) = concluded().acts
    (late,) = concluded(job=make_job(conditions={"Complete": "CompletionsReached"}, ended=after(25))).acts
    assert isinstance(early, KeepReport)
    assert isinstance(late, KeepReport)
    assert (early.until, late.until) == (after(30) + REPORT_PATIENCE, after(25) + REPORT_PATIENCE)


def test_a_report_that_cannot_be_kept_does_not_hold_the_answer_up() -> None:
    """The answer says that it is lost."""
    done = answer(concluded(kept=Kept(JOB_UID, lost="no log")))
    assert (done.phase, done.report) == (Phase.SUCCEEDED, None)
    assert done.warnings == ("report: no log",)


def test_the_report_of_another_job_is_not_this_ones() -> None:
    """What was kept for an earlier attempt says nothing of the later."""
    (act,) = concluded(kept=Kept("another-job", KEPT)).acts
    assert isinstance(act, KeepReport)


def test_whoever_wants_no_report_gets_none() -> None:
    """A loop of thousands spares the cluster theirs."""
    done = concluded(make_run(report="Discard"))
    assert (answer(done).phase, answer(done).report) == (Phase.SUCCEEDED, None)
    assert not any(isinstance(act, KeepReport) for act in done.acts)


def test_a_report_goes_when_no_status_speaks_of_it_any_more() -> None:
    """The sixth answer pushes the first out of the history, and its report with it."""
    run = make_run()
    past = [
        PastOutcome(
            inputs_hash=str(n),
            phase=Phase.SUCCEEDED,
            reason="Evaluated",
            report=KEPT.model_copy(update={"config_map": f"report-{n}"}),
        )
        for n in range(5)
    ]
    status = answer(concluded(run, kept=Kept(JOB_UID, KEPT))).model_copy(update={"history": tuple(past)})
    edited = make_run(params={"fast": 5}, status=status.document(), generation=2)
    decision = decide(replace(look(None, edited), run=edited), after(60))
    assert decision.acts[0] == DeleteReport("report-4"), "what may fail comes after it"
    assert answer(decision).history[0].report == KEPT
    assert not any(isinstance(act, DeleteReport) and act.name != "report-4" for act in decision.acts)


LEAK = {"samples": 5, "checked": 5, "changed": 2, "firstDate": "2004-05-03", "symbol": "AAPL", "note": ""}


def test_a_look_into_the_future_fails_a_run_that_asks_for_it() -> None:
    """The positions are not ranked: there are no metrics, and the condition says why."""
    strict = make_run(evaluation={"lookAhead": {"action": "Fail"}})
    status = answer(concluded(strict, lookAhead=LEAK))
    assert (status.phase, status.reason) == (Phase.FAILED, Reason.LOOK_AHEAD_DETECTED)
    assert status.metrics is None
    assert "AAPL on 2004-05-03" in status.message
    assert {str(c.type): c.status for c in status.conditions}["LookAheadClean"] == "False"
    lenient = answer(concluded(kept=Kept(JOB_UID), lookAhead=LEAK))
    assert lenient.phase is Phase.SUCCEEDED


def test_what_is_unknown_fails_no_run() -> None:
    """Not even where a finding would: the condition says that nothing is known."""
    strict = make_run(evaluation={"lookAhead": {"action": "Fail"}})
    unknown = {"samples": 5, "checked": 0, "changed": 0, "note": "two runs differ", "deterministic": False}
    status = answer(concluded(strict, kept=Kept(JOB_UID), lookAhead=unknown))
    assert status.phase is Phase.SUCCEEDED
    assert {str(c.type): c.status for c in status.conditions}["LookAheadClean"] == "Unknown"


def test_code_that_only_needs_the_vendor_is_told_so() -> None:
    """A reason of its own where nothing else is wrong; with other flaws beside it the code is rejected."""
    vendor, network = Flaw(3, VENDOR_RULE, "it needs the vendor"), Flaw(9, "network", "no network")
    reasons = [
        answer(decide(look(queued(), vetted=vetted(reading=Reading(Kind.POSITIONS, flaws))), after(1))).reason
        for flaws in ((vendor,), (vendor, network))
    ]
    assert reasons == [Reason.VENDOR_AUTH_REQUIRED, Reason.CODE_REJECTED]


def test_the_kind_is_on_record_with_the_attempt() -> None:
    """What reading the source told stands in the status from the start."""
    decision = decide(look(queued(), vetted=vetted(reading=Reading(Kind.RESULT))))
    assert answer(decision).kind is Kind.RESULT


def test_loading_a_dataset_has_time_of_its_own() -> None:
    """A run that reads its own dataset is late later than one that does not."""
    own = make_run(datasets=[{"name": "prices", "configMapRef": {"name": "prices"}}])
    pod = make_pod(job_body(own), dataset=running(), strategy=waiting())
    seen = look(begun(own), own, jobs=(make_job(own),), pods=(pod,))
    assert not answer(decide(seen, after(START_SECONDS + 1))).final
    late = answer(decide(seen, after(START_SECONDS + 60)))
    assert (late.reason, late.message) == (Reason.START_TIMEOUT, "after 180 s still the dataset is being read")


# --- what holds a run back ----------------------------------------------------------------------------------------


def test_a_new_run_without_a_slot_is_acknowledged_before_it_is_vetted() -> None:
    """Whoever applies a thousand runs sees each of them taken note of, with its place."""
    decision = decide(look(None, vetted=None, place=Place(7, "4 of 4 slots are taken")))
    assert decision.acts == (Vet(),)
    assert (answer(decision).phase, answer(decision).reason) == (Phase.QUEUED, Reason.WAITING_FOR_SLOT)
    assert answer(decision).queue == QueueStatus(position=7, reason="4 of 4 slots are taken")


def test_a_run_that_was_vetted_stands_in_line_without_being_vetted_again() -> None:
    """After a restart nobody waits behind the vetting of those whose turn is far; its own turn needs it again."""
    accepted_status = answer(decide(look(queued(), place=NOWHERE)))
    assert {str(each.type): each.status for each in accepted_status.conditions}["Accepted"] == "True"
    assert decide(look(accepted_status, vetted=None, place=NOWHERE)) == Decision(accepted_status)
    assert decide(look(accepted_status, vetted=None)).acts == (Vet(),)


@pytest.mark.parametrize(
    ("before", "now", "shown"),
    [(900, 800, 900), (900, 450, 450), (12, 11, 12), (12, 10, 10), (3, 2, 2), (5, 40, 40)],
)
def test_a_place_far_from_the_head_is_not_written_at_every_step(before: int, now: int, shown: int) -> None:
    """A line of thousands costs each of them a few writes; the last ten places are exact."""
    first = answer(decide(look(queued(), place=Place(before, "full"))))
    second = answer(decide(look(first, place=Place(now, "full")), after(5)))
    assert second.queue == QueueStatus(position=shown, reason="full")


def test_a_suspended_run_waits_and_goes_on() -> None:
    """Before its Job it simply waits; set to false, it begins."""
    run = make_run(suspend=True)
    waiting_status = answer(decide(look(queued(run), run)))
    assert (waiting_status.phase, waiting_status.reason, waiting_status.attempts) == (
        Phase.QUEUED,
        Reason.SUSPENDED,
        (),
    )
    assert kinds(decide(look(waiting_status))) == ["NetworkPolicy", "ConfigMap", "Job"]


def test_a_suspension_stops_a_strategy_and_its_resumption_begins_anew() -> None:
    """The attempt is closed, its Job deleted; the next one does not count as a retry."""
    run = make_run(suspend=True, retry={"limit": 0})
    stopped = decide(look(started(), run, jobs=(make_job(),), pods=(running_pod(),)), after(10))
    assert stopped.acts == (StopJob(make_job().name, JOB_UID),)
    (attempt,) = answer(stopped).attempts
    assert (attempt.reason, attempt.finished_at) == (Reason.SUSPENDED, after(10))
    resumed = decide(look(answer(stopped), make_run(retry={"limit": 0})), after(11))
    assert [attempt.number for attempt in answer(resumed).attempts] == [1, 2]


def test_a_suspension_does_not_throw_away_an_answer() -> None:
    """A pod that has ended is read, whatever somebody wishes afterwards."""
    decision = decide(look(started(), make_run(suspend=True), jobs=(make_job(),), pods=(scored_pod(),)), after(30))
    assert answer(decision).phase is Phase.SUCCEEDED


def test_a_cancelled_run_is_over() -> None:
    """Its Job goes, the phase is final, and taking the field back changes nothing."""
    run = make_run(cancel=True)
    decision = decide(look(started(), run, jobs=(make_job(),), pods=(running_pod(),)), after(10))
    cancelled = answer(decision)
    assert (cancelled.phase, cancelled.reason, cancelled.attempts[0].reason) == (
        Phase.CANCELLED,
        Reason.CANCELLED,
        Reason.CANCELLED,
    )
    assert decision.acts == (StopJob(make_job().name, JOB_UID),)
    assert cancelled.summary is not None
    assert cancelled.summary.duration == "10.0s"
    assert decide(look(cancelled), after(20)).status == cancelled


def test_a_run_that_was_answered_cannot_be_cancelled() -> None:
    """A final status is never left."""
    assert decide(look(answered(), make_run(cancel=True)), after(40)).status == answered()


@pytest.mark.parametrize("field", ["suspend", "cancel", "priority", "fallback"])
def test_what_only_steers_a_run_starts_no_evaluation(field: str) -> None:
    """GitOps may switch them as it likes."""
    values: Document = {"suspend": True, "cancel": True, "priority": 5, "fallback": {"policy": "Never"}}
    assert inputs_hash(make_run(**{field: values[field]})) == inputs_hash(make_run())


def test_another_profile_is_another_evaluation() -> None:
    """And the default counts as before there were others."""
    assert inputs_hash(make_run(profile="gvisor")) != inputs_hash(make_run())
    assert inputs_hash(make_run(profile="default")) == inputs_hash(make_run())


def test_a_profile_that_is_not_there_is_waited_for() -> None:
    """It may be applied a moment later; after two minutes the run fails with its name."""
    run = make_run(profile="gvisor")
    waits = decide(look(queued(run), run, profile=None), after(1))
    assert (answer(waits).phase, answer(waits).reason) == (Phase.QUEUED, Reason.PROFILE_MISSING)
    assert waits.wake_at == after(1) + SOURCE_POLL
    failed = answer(decide(look(answer(waits), run, profile=None), NOW + PROFILE_PATIENCE))
    assert (failed.phase, failed.message) == (Phase.FAILED, "there is no SandboxProfile gvisor that can be used")


def test_a_profile_that_goes_ends_no_run_at_once() -> None:
    """However long it stood in line before: an administrator may be about to mend the profile."""
    run, now = make_run(profile="gvisor"), after(7200)
    in_line = answer(decide(look(queued(run), run, place=NOWHERE)))
    missed = answer(decide(look(in_line, run, profile=None), now))
    assert (missed.phase, missed.reason) == (Phase.QUEUED, Reason.PROFILE_MISSING)
    late = look(missed, run, profile=None, reason_since=now)
    assert answer(decide(late, now + PROFILE_PATIENCE - timedelta(seconds=1))).phase is Phase.QUEUED
    assert answer(decide(late, now + PROFILE_PATIENCE)).phase is Phase.FAILED


def test_a_profile_for_others_is_refused() -> None:
    """At once: nobody waits for a right."""
    sandbox = SANDBOX.model_copy(update={"allowed_namespaces": ("trading",)})
    decision = decide(look(queued(), profile=PROFILE.model_copy(update={"sandbox": sandbox})))
    assert (answer(decision).phase, answer(decision).reason) == (Phase.FAILED, Reason.PROFILE_DENIED)
    assert "research" in answer(decision).message


NO_NODE = PROFILE.model_copy(
    update={
        "obstacle": Obstacle(
            reason=Reason.SECCOMP_PROFILE_MISSING, message="0 of 3 nodes hold the profile", since=after(5)
        )
    }
)


def test_a_run_waits_while_no_node_can_take_it() -> None:
    """No Job is made; the reason is there at once; it goes on when the obstacle is gone."""
    waits = decide(look(queued(), profile=NO_NODE), after(6))
    assert (answer(waits).reason, waits.acts) == (Reason.SECCOMP_PROFILE_MISSING, ())
    assert waits.wake_at == after(5 + START_SECONDS)
    assert kinds(decide(look(answer(waits)), after(30))) == ["NetworkPolicy", "ConfigMap", "Job"]


def test_a_pod_without_a_node_says_why_no_node_takes_it() -> None:
    """The scheduler only says that the affinity does not match."""
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}
    pod = make_pod(node=None, scheduled=condition)
    status = answer(decide(look(begun(), jobs=(make_job(),), pods=(pod,), profile=NO_NODE), after(9)))
    assert (status.reason, status.message) == (Reason.SECCOMP_PROFILE_MISSING, "0 of 3 nodes hold the profile")


QUOTA = Fault(Reason.QUOTA_EXCEEDED, "jobs.batch is forbidden: exceeded quota: few, requested: pods=1, used: pods=1")


def test_a_spent_quota_is_waited_for_without_a_slot() -> None:
    """However often: it is no failure, and it does not count as one."""
    status, run = begun(), make_run(retry={"limit": 0})
    for turn in range(4):
        refused = decide(look(status, run, refused=QUOTA), after(20 * turn))
        assert (answer(refused).phase, answer(refused).reason) == (Phase.QUEUED, Reason.QUOTA_EXCEEDED)
        assert refused.wake_at == after(20 * turn) + QUOTA_POLL
        status = answer(decide(look(answer(refused), run), after(20 * turn + 15)))
        assert status.attempts[-1].number == turn + 2


def test_a_run_meets_a_quota_when_it_is_refused_and_not_while_it_waits() -> None:
    """The next in line would be refused too, so the namespace pauses: once, and not for as long as somebody waits."""
    refused = answer(decide(look(begun(), refused=QUOTA)))
    waits = answer(decide(look(refused, place=Place(1, "the ResourceQuota is spent", quota=True)), after(1)))
    assert waits.reason == refused.reason == Reason.QUOTA_EXCEEDED
    assert (met_quota(refused), met_quota(waits), met_quota(begun())) == (True, False, False)


def test_a_quota_that_stops_the_pod_gives_the_slot_back() -> None:
    """The Job controller says so in an event of the Job; the Job is deleted, so that it does not hold anything."""
    trouble = Trouble(JOB_UID, after(6), "FailedCreate", 'pods "x" is forbidden: exceeded quota: few')
    decision = decide(look(begun(), jobs=(make_job(),), trouble=trouble), after(6))
    assert (answer(decision).phase, answer(decision).reason) == (Phase.QUEUED, Reason.QUOTA_EXCEEDED)
    assert decision.acts == (StopJob(make_job().name, JOB_UID),)


def test_the_events_of_a_pod_that_does_not_start_are_read() -> None:
    """After five seconds, then every ten, and what they say is the reason that it waits for."""
    pod = make_pod(strategy=waiting())
    asks = decide(look(begun(), jobs=(make_job(),), pods=(pod,)), NOW + TROUBLE_AFTER)
    assert asks.acts == (FindTrouble(pod.uid),)
    told = Trouble(pod.uid, after(5), "FailedMount", 'configmap "gone" not found')
    waits = decide(look(begun(), jobs=(make_job(),), pods=(pod,), trouble=told), after(6))
    assert (answer(waits).reason, answer(waits).message) == (Reason.MOUNT_FAILED, 'configmap "gone" not found')
    assert (waits.acts, waits.wake_at) == ((), after(5) + TROUBLE_POLL)


def test_a_job_that_kueue_holds_back_has_no_deadline() -> None:
    """It is created suspended, in Kueue's queue and not in ours; its time to start begins with its release."""
    run = make_run().model_copy(update={"kueue_queue": "team-a"})
    decision = decide(look(queued(run), run, place=NOWHERE))
    job = next(act.manifest for act in decision.acts if isinstance(act, Create) and act.manifest["kind"] == "Job")
    assert job["spec"]["suspend"] is True
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "team-a"
    held = make_job().model_copy(update={"suspended": True})
    waits = decide(look(begun(), run, jobs=(held,)), after(9999))
    assert (answer(waits).phase, answer(waits).reason, waits.wake_at) == (Phase.QUEUED, Reason.WAITING_FOR_SLOT, None)
    released = make_job().model_copy(update={"released_at": after(9999), "resumed": True})
    starts = decide(look(answer(waits), run, jobs=(released,)), after(10_000))
    assert (answer(starts).phase, answer(starts).reason) == (Phase.STARTING, Reason.STARTING)


def test_a_job_that_is_let_go_again_is_judged_by_its_new_pod() -> None:
    """The pod that was taken away for somebody else says no more of the answer, nor that all is over."""
    run = make_run().model_copy(update={"kueue_queue": "team-a"})
    preempted = make_pod(uid="first", phase="Failed", strategy=terminated(137), deleted=after(20))
    let_go = make_job().model_copy(update={"released_at": after(60), "resumed": True})
    waits = decide(look(started(), run, jobs=(let_go,), pods=(preempted,)), after(61))
    assert (answer(waits).phase, answer(waits).reason) == (Phase.STARTING, Reason.STARTING)
    assert decide(look(lost(), run, jobs=(let_go,), pods=(preempted,)), after(61)).acts == (
        StopJob(let_go.name, JOB_UID),
    )
    pods = (preempted, scored_pod(uid="second").model_copy(update={"created_at": after(60)}))
    assert answer(decide(look(started(), run, jobs=(let_go,), pods=pods), after(90))).phase is Phase.SUCCEEDED


def test_news_of_a_preempted_pod_may_come_before_that_of_its_job() -> None:
    """The Job is asked first: it is suspended by then, and the attempt goes on; or the pod was deleted for good."""
    run = make_run().model_copy(update={"kueue_queue": "team-a"})
    job, pod = make_job(), make_pod(phase="Failed", strategy=terminated(137), deleted=after(20))
    asked = decide(look(started(), run, jobs=(job,), pods=(pod,)), after(30))
    assert asked.acts == (ConfirmJob(job.name, JOB_UID, pod.uid),)
    known = frozenset({pod.uid})
    held = job.model_copy(update={"suspended": True})
    waits = answer(decide(look(started(), run, jobs=(held,), pods=(pod,), answered_for=known), after(30)))
    assert (waits.phase, len(waits.attempts), waits.attempts[-1].finished_at) == (Phase.QUEUED, 1, None)
    lost_pod = answer(decide(look(started(), run, jobs=(job,), pods=(pod,), answered_for=known), after(30)))
    assert (lost_pod.reason, lost_pod.attempts[-1].reason) == (Reason.RETRYING, Reason.JOB_VANISHED)


def test_a_preempted_job_is_no_longer_wanted_once_its_run_is_cancelled() -> None:
    """Its pod has ended, and yet another would come."""
    run = make_run(cancel=True).model_copy(update={"kueue_queue": "team-a"})
    preempted = make_pod(phase="Failed", strategy=terminated(137), deleted=after(20))
    held = make_job().model_copy(update={"suspended": True})
    decision = decide(look(started(), run, jobs=(held,), pods=(preempted,)), after(30))
    assert (answer(decision).phase, decision.acts) == (Phase.CANCELLED, (StopJob(held.name, JOB_UID),))


def test_a_run_of_kueues_stands_in_no_line_of_ours() -> None:
    """Not when it is acknowledged, not before it is vetted again, and not while Kueue holds its Job back."""
    run = make_run().model_copy(update={"kueue_queue": "team-a"})
    first = decide(look(None, run, place=NOWHERE, vetted=None))
    assert (answer(first).reason, answer(first).queue, first.acts) == (Reason.VETTING, None, (Vet(),))
    again = decide(look(lost(), run, place=NOWHERE, vetted=None), after(20))
    assert again.acts == (Vet(),)
    waits = queued()
    assert reconcile.stands_in_line(at(waits))
    assert not reconcile.stands_in_line(at(waits, run))
    assert not reconcile.stands_in_line(at(begun()))


# --- the fallback -------------------------------------------------------------------------------------------------

NO_IMAGE = make_pod(strategy=waiting("ErrImagePull", "not found"))


def falling_back(run: StrategyRun | None = None) -> StrategyRunStatus:
    """Build the status of a run whose sandbox could not start."""
    return answer(decide(look(begun(run), run, jobs=(make_job(run),), pods=(NO_IMAGE,)), after(START_SECONDS)))


def test_a_sandbox_that_cannot_start_leads_to_the_fallback() -> None:
    """The trigger is on record first; then vetted code starts in the other image."""
    status = falling_back()
    assert (status.phase, status.reason) == (Phase.QUEUED, Reason.FALLING_BACK)
    assert status.fallback is not None
    assert (status.fallback.used, status.fallback.trigger) == (False, Reason.IMAGE_PULL_FAILED)
    decision = decide(look(status), after(START_SECONDS + 1))
    begun_again = answer(decision)
    assert begun_again.fallback is not None
    assert (begun_again.executor, begun_again.fallback.used) == (Executor.FALLBACK, True)
    assert [(attempt.number, attempt.executor) for attempt in begun_again.attempts] == [
        (1, Executor.SANDBOX),
        (2, Executor.FALLBACK),
    ]
    job = next(act.manifest for act in decision.acts if isinstance(act, Create) and act.manifest["kind"] == "Job")
    containers = [*job["spec"]["template"]["spec"]["initContainers"], *job["spec"]["template"]["spec"]["containers"]]
    assert {container["image"] for container in containers} == {"finlab-sandbox-operator:test"}
    assert begun_again.provenance is not None
    assert begun_again.provenance.isolation is not None
    assert begun_again.provenance.isolation.seccomp == "RuntimeDefault"


def test_code_that_the_gate_refuses_fails_with_the_trigger() -> None:
    """And the gate's findings say why it did not run."""
    refused = (Flaw(3, "R-IMP", "scipy is not on the list"),)
    status = answer(decide(look(falling_back(), vetted=vetted(gate=refused)), after(START_SECONDS + 1)))
    assert (status.phase, status.reason) == (Phase.FAILED, Reason.IMAGE_PULL_FAILED)
    assert status.fallback is not None
    assert [(finding.line, finding.rule) for finding in status.fallback.findings] == [(3, "R-IMP")]
    assert {str(condition.type): condition.status for condition in status.conditions}["FallbackUsed"] == "False"


def test_an_obstacle_that_lasts_leads_to_the_fallback_too() -> None:
    """Without a Job, as none could have started."""
    decision = decide(look(queued(), profile=NO_NODE), after(5 + START_SECONDS))
    assert (answer(decision).reason, answer(decision).attempts) == (Reason.FALLING_BACK, ())
    assert kinds(decide(look(answer(decision), profile=NO_NODE), after(200))) == ["NetworkPolicy", "ConfigMap", "Job"]


@pytest.mark.parametrize(
    "how", ["policy", "no image", "another kernel", "strategy ran", "strategy ran before", "fallback failed too"]
)
def test_without_right_or_reason_there_is_no_fallback(how: str) -> None:
    """Never by policy, without an image or in place of another kernel, after a first instruction, or twice."""
    run = make_run(fallback={"policy": "Never"}) if how == "policy" else make_run()
    changes: dict[str, dict[str, Any]] = {
        "no image": {"fallback": None},
        "another kernel": {"runtime_class_name": "gvisor"},
    }
    profile = PROFILE.model_copy(update={"sandbox": SANDBOX.model_copy(update=changes.get(how, {}))})
    status, pod, number = begun(run), NO_IMAGE, 1
    if how == "strategy ran":
        pod = failed_pod(message="seccomp profile: no such file", reason="CreateContainerError")
    if how == "strategy ran before":  # and lost its node
        (attempt,) = status.attempts
        lost_node = {"number": 0, "started_at": after(1), "finished_at": after(2), "reason": "NodeLost"}
        status = status.model_copy(update={"attempts": (attempt.model_copy(update=lost_node), attempt)})
    if how == "fallback failed too":
        status, number = answer(decide(look(falling_back(run), run), after(START_SECONDS + 1))), 2
        pod = make_pod(job_body(run, attempt=2), strategy=waiting("ErrImagePull", "not found"))
    sight = look(
        status,
        run,
        jobs=(make_job(run, attempt=number, began=status.attempts[-1].created_at),),
        pods=(pod,),
        profile=profile,
    )
    assert answer(decide(sight, after(3 * START_SECONDS))).phase is Phase.FAILED


IMAGE_DATA = make_run(datasets=[{"name": "prices", "image": {"reference": "registry.example.com/prices:1"}}])


def test_an_image_that_cannot_be_pulled_beside_an_image_of_the_authors_leads_nowhere() -> None:
    """Which of the two it was is told by words of a registry, and that may be the author's."""
    pod = make_pod(job_body(IMAGE_DATA), dataset=waiting("ErrImagePull", "registry says: no"), strategy=waiting())
    sight = look(begun(IMAGE_DATA), IMAGE_DATA, jobs=(make_job(IMAGE_DATA),), pods=(pod,))
    status = answer(decide(sight, after(3 * START_SECONDS)))
    assert (status.phase, status.reason, status.fallback) == (Phase.FAILED, Reason.IMAGE_PULL_FAILED, None)


def test_what_events_alone_tell_is_tried_again_and_leads_nowhere() -> None:
    """Whoever may write events in a namespace could tell it; a network plugin that fails is no sandbox that fails."""
    pod = make_pod(strategy=waiting())
    trouble = Trouble(pod.uid, after(5), "FailedCreatePodSandBox", "plugin type=bridge failed")
    status = answer(decide(look(begun(), jobs=(make_job(),), pods=(pod,), trouble=trouble), after(2 * START_SECONDS)))
    assert (status.phase, status.reason, status.fallback) == (Phase.QUEUED, Reason.RETRYING, None)
    assert status.attempts[-1].reason == Reason.POD_SANDBOX_FAILED


OWN_DATA = make_run(datasets=[{"name": "prices", "persistentVolumeClaim": {"claimName": "broken"}}])


@pytest.mark.parametrize(
    ("run", "pod", "said"),
    [
        (make_run(), make_pod(strategy=waiting()), 'MountVolume.SetUp failed for volume "code" : configmap not found'),
        (OWN_DATA, make_pod(job_body(OWN_DATA), dataset=waiting()), "Unable to attach or mount volumes: [source]"),
        (OWN_DATA, make_pod(job_body(OWN_DATA), dataset=waiting("CreateContainerError", "cannot mount")), ""),
    ],
    ids=["snapshot-deleted", "broken-claim", "container-of-a-broken-source"],
)
def test_nothing_that_an_author_mounts_leads_to_the_fallback(run: StrategyRun, pod: PodObservation, said: str) -> None:
    """Else the author of a run could choose the weaker place: by a deleted snapshot, by a claim that is none."""
    trouble = Trouble(pod.uid, after(5), "FailedMount", said) if said else None
    sight = look(begun(run), run, jobs=(make_job(run),), pods=(pod,), trouble=trouble)
    status = answer(decide(sight, after(3 * START_SECONDS)))
    assert (status.phase, status.fallback) == (Phase.FAILED, None)
    assert status.reason == (Reason.MOUNT_FAILED if said else Reason.CONTAINER_CONFIG_ERROR)


@pytest.mark.parametrize(
    "pod",
    [
        pytest.param(failed_pod(exit_code=137), id="oom"),
        pytest.param(failed_pod(exit_code=159), id="violation"),
        pytest.param(failed_pod(exit_code=2, message=last_words("ImageInvalid", exitCode=2)), id="feigned"),
        pytest.param(failed_pod(message=last_words("Timeout")), id="timeout"),
        pytest.param(failed_pod(message=last_words("SeccompProfileMissing")), id="said-by-the-strategy"),
    ],
)
def test_nothing_that_a_strategy_does_leads_to_the_fallback(pod: PodObservation) -> None:
    """Else a strategy could leave the sandbox by breaking it."""
    status = answer(decide(look(started(), jobs=(make_job(),), pods=(pod,)), after(30)))
    assert (status.phase, status.fallback) == (Phase.FAILED, None)


# --- slots --------------------------------------------------------------------------------------------------------


def labelled(*, deleting: bool = False, queue: str | None = None) -> StrategyRun:
    """Build a run, with Kueue's label or without."""
    body = run_body(deleting=deleting)
    body["metadata"]["labels"] = {KUEUE_LABEL: queue} if queue else {}
    return StrategyRun.parse(body)


@pytest.mark.parametrize(
    ("run", "takes"),
    [(labelled(), True), (labelled(deleting=True), False), (labelled(queue="team-a"), False)],
    ids=["any", "being deleted", "in Kueue's queue"],
)
def test_who_takes_a_slot_or_a_place_in_line(run: StrategyRun, *, takes: bool) -> None:
    """Not who is on its way out, for somebody's finalizer may keep it for ever, nor who is let in by Kueue."""
    assert holds_slot(run, started(), ()) is takes
    assert not holds_slot(run, queued(), ())
    assert not holds_slot(run, None, ())
    in_line = answer(decide(look(queued(), place=NOWHERE)))
    assert stands_in_line(run.model_copy(update={"status": in_line})) is takes


def test_a_label_that_comes_later_frees_no_slot_and_one_that_goes_takes_none() -> None:
    """Who was let in is told by the Job: else a label on running runs would let others past the limit."""
    own, of_kueue = make_job(), make_job(labelled(queue="team-a"))
    assert holds_slot(labelled(queue="team-a"), started(), (own,))
    assert not holds_slot(labelled(), started(), (of_kueue,))


def test_who_has_a_job_stands_in_no_line() -> None:
    """It waits for whoever suspended the Job; at the head of the line it would keep a free slot from all others."""
    job = make_job(labelled(queue="team-a")).model_copy(update={"suspended": True})
    held = answer(decide(look(begun(), jobs=(job,)), after(5)))
    assert held.reason == Reason.WAITING_FOR_SLOT
    assert not stands_in_line(labelled().model_copy(update={"status": held}))
