"""Documents of the API server as the domain meets them, each valid until a test says what is different."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from strategyrun.domain import naming
from strategyrun.domain.inputs import Inputs, build_inputs, inputs_hash
from strategyrun.domain.job import job
from strategyrun.domain.model import rfc3339
from strategyrun.domain.observation import JobObservation, PodObservation, observe_job, observe_pod
from strategyrun.domain.outcomes import FAILURES, Reason
from strategyrun.domain.sandbox import FallbackImage, Profile, Resources, Sandbox, SeccompProfile, Timeouts
from strategyrun.domain.strategyrun import (
    GROUP,
    KIND,
    RERUN_ANNOTATION,
    VERSION,
    Attempt,
    Executor,
    FailureClass,
    StrategyRun,
)
from strategyrun.domain.vetting import Kind

Document = dict[str, Any]

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
NONCE = "c2f1a7c0d95d4e0b8d0f0d6b5a1e9f37"
CODE = "def strategy(data, params):\n    return data['close'].notna()\n"
RUN_UID = "5f0c9a3e-6f2b-4a55-9d0e-0c1c8b1f7a10"
JOB_UID = "b2f6d7c4-1111-4222-8333-944444444444"
POD_UID = "7c1d2e3f-aaaa-4bbb-8ccc-9ddddddddddd"

SANDBOX = Sandbox(
    image="finlab-sandbox:test",
    seccomp_profile="seccomp_profile.json",
    limits=Resources(cpu="500m", memory="2Gi"),
    requests=Resources(cpu="250m", memory="2Gi"),
    tmp="1Gi",
    out="64Mi",
    data="1Gi",
    timeouts=Timeouts(strategy_seconds=300, start_seconds=120, load_seconds=60, evaluate_seconds=30),
    fallback=FallbackImage(image="finlab-sandbox-operator:test"),
)
SECCOMP = SeccompProfile.of(b'{"defaultAction": "SCMP_ACT_ERRNO"}')
PROFILE = Profile(name="default", sandbox=SANDBOX, seccomp=SECCOMP)


def after(seconds: float) -> datetime:
    """Return a moment so many seconds after NOW."""
    return NOW + timedelta(seconds=seconds)


def run_body(
    name: str = "momentum",
    *,
    namespace: str = "research",
    uid: str = RUN_UID,
    generation: int = 1,
    version: int = 100,
    rerun: str | None = None,
    deleting: bool = False,
    status: Document | None = None,
    **spec: Any,
) -> Document:
    """Build a StrategyRun as the API server returns it; `spec` replaces fields of the shortest valid one."""
    meta: Document = {
        "name": name,
        "namespace": namespace,
        "uid": uid,
        "generation": generation,
        "resourceVersion": str(version),
        "creationTimestamp": rfc3339(NOW),
    }
    if rerun is not None:
        meta["annotations"] = {RERUN_ANNOTATION: rerun}
    if deleting:
        meta["deletionTimestamp"] = rfc3339(NOW)
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": KIND,
        "metadata": meta,
        "spec": {"source": {"inline": CODE}} | spec,
        **({"status": status} if status is not None else {}),
    }


def make_run(name: str = "momentum", **changes: Any) -> StrategyRun:
    """Build a StrategyRun as the domain reads it; see `run_body`."""
    return StrategyRun.parse(run_body(name, **changes))


def nested(times: int, *, key: str | None = None) -> Any:
    """Build lists, or objects with this key, that lie in each other so many times."""
    inner: Any = [] if key is None else {}
    for _ in range(times - 1):
        inner = [inner] if key is None else {key: inner}
    return inner


def failed_run(name: str = "momentum", *, uid: str = "uid", **status: Any) -> StrategyRun:
    """Build a run that failed; `status` replaces fields of its status."""
    facts = {
        "observedGeneration": 1,
        "phase": "Failed",
        "reason": "Timeout",
        "inputsHash": "a",
        "message": "the strategy used up its 300 s",
        "finishedAt": "2026-03-02T09:30:05.123Z",
    }
    return make_run(name, uid=uid, status=facts | status)


def make_inputs(run: StrategyRun | None = None, code: str = CODE, kind: Kind = Kind.POSITIONS) -> Inputs:
    """Build the documents that a run's pod reads."""
    return build_inputs(run or make_run(), code.encode(), kind, SANDBOX)


def make_attempt(
    run: StrategyRun, number: int = 1, *, executor: Executor = Executor.SANDBOX, created: datetime = NOW
) -> Attempt:
    """Build an attempt of a run's current inputs as it begins."""
    name = naming.job_name(run, inputs_hash(run), number)
    return Attempt(number=number, executor=executor, job_name=name, created_at=created)


def job_manifest(run: StrategyRun | None = None, attempt: Attempt | None = None, *, nonce: str = NONCE) -> Document:
    """Build the Job that the operator would POST."""
    run = run or make_run()
    return job(run, attempt or make_attempt(run), inputs=make_inputs(run), nonce=nonce, profile=PROFILE)


def job_body(
    run: StrategyRun | None = None,
    *,
    attempt: int = 1,
    began: datetime = NOW,
    nonce: str = NONCE,
    uid: str = JOB_UID,
    created: datetime = NOW,
    conditions: dict[str, str] | None = None,
    ended: datetime | None = None,
    deleting: bool = False,
) -> Document:
    """Build a Job as the API server returns it; `conditions` are those that are True, since `ended`, with reasons."""
    run = run or make_run()
    body = job_manifest(run, make_attempt(run, attempt, created=began), nonce=nonce)
    body["metadata"] |= {"uid": uid, "resourceVersion": "200", "creationTimestamp": rfc3339(created)}
    if deleting:
        body["metadata"]["deletionTimestamp"] = rfc3339(created)
    body["status"] = {
        "conditions": [
            {
                "type": kind,
                "status": "True",
                "reason": reason,
                "message": JOB_MESSAGES[reason],
                "lastTransitionTime": rfc3339(ended or created),
            }
            for kind, reason in (conditions or {}).items()
        ]
    }
    return body


JOB_MESSAGES = {
    "BackoffLimitExceeded": "Job has reached the specified backoff limit",
    "CompletionsReached": "Reached expected number of succeeded pods",
    "JobSuspended": "Job suspended",
    "DeadlineExceeded": "Job was active longer than specified deadline",
}


def make_job(run: StrategyRun | None = None, **changes: Any) -> JobObservation:
    """Build a Job as the domain sees it; see `job_body`."""
    return observe_job(job_body(run, **changes))


def waiting(reason: str = "PodInitializing", message: str = "") -> Document:
    """Build the state of a container that waits."""
    return {"waiting": {"reason": reason, **({"message": message} if message else {})}}


def running(started: datetime = NOW) -> Document:
    """Build the state of a container that runs."""
    return {"running": {"startedAt": rfc3339(started)}}


def terminated(
    exit_code: int = 0,
    reason: str | None = None,
    message: str = "",
    *,
    started: datetime | None = NOW,
    finished: datetime | None = None,
) -> Document:
    """Build the state of a container that ended, by default 20 seconds after NOW."""
    return {
        "terminated": {
            "exitCode": exit_code,
            "reason": reason or ("Error" if exit_code else "Completed"),
            "startedAt": rfc3339(started) if started else None,
            "finishedAt": rfc3339(finished or after(20)) if started else None,
            "containerID": "containerd://0123",
            **({"message": message} if message else {}),
        }
    }


def unlocated() -> Document:
    """Build what the kubelet says of a container that it cannot find when its pod ends."""
    message = "The container could not be located when the pod was terminated"
    return terminated(137, "ContainerStatusUnknown", message, started=None)


def pod_body(
    job: Document | None = None,
    *,
    dataset: Document | None = None,
    strategy: Document | None = None,
    evaluate: Document | None = None,
    uid: str = POD_UID,
    version: int = 300,
    phase: str = "Pending",
    reason: str = "",
    message: str = "",
    node: str | None = "node-1",
    scheduled: Document | None = None,
    disruption: str | None = None,
    disrupted: datetime | None = None,
    deleted: datetime | None = None,
    grace: int = 2,
    created: datetime = NOW,
) -> Document:
    """Build the pod of a Job as the API server returns it.

    `dataset`, `strategy` and `evaluate` are states of the containers, `scheduled` the condition PodScheduled,
    `disruption` the reason of DisruptionTarget since `disrupted`, `deleted` when deletion was asked for.
    """
    job = job or job_body()
    meta: Document = {
        "name": f"{job['metadata']['name']}-x7k2p",
        "namespace": job["metadata"]["namespace"],
        "uid": uid,
        "resourceVersion": str(version),
        "creationTimestamp": rfc3339(created),
        "labels": job["spec"]["template"]["metadata"]["labels"],
        "ownerReferences": [
            {
                "apiVersion": "batch/v1",
                "kind": "Job",
                "name": job["metadata"]["name"],
                "uid": job["metadata"]["uid"],
                "controller": True,
            }
        ],
    }
    if deleted:
        meta["deletionTimestamp"] = rfc3339(deleted + timedelta(seconds=grace))
        meta["deletionGracePeriodSeconds"] = grace
    conditions = [scheduled or {"type": "PodScheduled", "status": "True", "lastTransitionTime": rfc3339(NOW)}]
    if disruption:
        since = rfc3339(disrupted or after(10))
        conditions.append(
            {"type": "DisruptionTarget", "status": "True", "reason": disruption, "lastTransitionTime": since}
        )
    status: Document = {"phase": phase, "conditions": conditions}
    status |= {"reason": reason} if reason else {}
    status |= {"message": message} if message else {}
    for key, name, state in (
        ("initContainerStatuses", "dataset", dataset),
        ("initContainerStatuses", "strategy", strategy),
        ("containerStatuses", "evaluate", evaluate),
    ):
        if state is not None:
            container = {"name": name, "state": state, "imageID": "finlab-sandbox@sha256:feed"}
            status.setdefault(key, []).append(container)
    return {
        "metadata": meta,
        "spec": {**job["spec"]["template"]["spec"], **({"nodeName": node} if node else {})},
        "status": status,
    }


def make_pod(job: Document | None = None, **changes: Any) -> PodObservation:
    """Build a pod as the domain sees it; see `pod_body`."""
    return observe_pod(pod_body(job, **changes))


def scored_pod(job: Document | None = None, report: str | None = None, **changes: Any) -> PodObservation:
    """Build a pod whose evaluator ended with a report."""
    job = job or job_body()
    states = {
        "strategy": terminated(message=last_words("Completed", exitCode=0)),
        "evaluate": terminated(message=report_text(job) if report is None else report),
    }
    return make_pod(job, **{"phase": "Succeeded", **states, **changes})


def failed_pod(job: Document | None = None, message: str = "", exit_code: int = 1, **changes: Any) -> PodObservation:
    """Build a pod whose strategy ended with an error."""
    states = {"strategy": terminated(exit_code, message=message), "evaluate": waiting()}
    return make_pod(job, **{"phase": "Failed", **states, **changes})


METRICS: Document = {
    "totalReturn": 0.4213,
    "cagr": 0.0721,
    "volatility": 0.21,
    "sharpe": 0.913,
    "maxDrawdown": -0.3187,
    "trades": 42,
    "days": 3267,
}


def report_document(job: Document | None = None, *, full: str | None = None, **changes: Any) -> Document:
    """Build the evaluator's report on a Job's pod; a change to None takes the field out.

    `full` is the hash of the full report that it promises.
    """
    job = job or job_body()
    template = job["spec"]["template"]
    pinned = template["metadata"]["annotations"]
    (nonce,) = [
        variable["value"] for variable in template["spec"]["containers"][0]["env"] if variable["name"] == "FINLAB_NONCE"
    ]
    document = {
        "schema": 2,
        "nonce": nonce,
        "verdict": "Evaluated",
        "reason": "Evaluated",
        "message": "",
        "metrics": METRICS,
        "warnings": [],
        "hashes": {
            "code": pinned[f"{GROUP}/code-sha256"],
            "input": pinned[f"{GROUP}/input-sha256"],
            "evaluation": pinned[f"{GROUP}/evaluation-sha256"],
            "dataset": "d" * 64,
            "positions": "e" * 64,
            **({"report": full} if full else {}),
        },
        "evaluator": "0.1.0",
        "seconds": 0.0481,
    } | changes
    return {name: value for name, value in document.items() if value is not None}


def report_text(job: Document | None = None, **changes: Any) -> str:
    """Write that report as the evaluator does."""
    return json.dumps(report_document(job, **changes), separators=(",", ":"))


def last_words(
    reason: str = "StrategyError", message: str = "KeyError: 'Close' (strategy.py line 12)", **more: Any
) -> str:
    """Write the harness's document on how the strategy ended."""
    document = {
        "schema": 2,
        "reason": reason,
        "message": message,
        "exitCode": 1,
        "signal": None,
        "lastLines": ["Traceback (most recent call last):", "KeyError: 'Close'"],
        "seconds": {"imports": 1.25, "strategy": 0.5},
        "warnings": [],
        "lookAhead": {"samples": 5, "checked": 5, "changed": 0, "firstDate": None, "symbol": None, "note": ""},
        "result": None,
    }
    return json.dumps(document | more)


def _present(**fields: Any) -> Document:
    """Return the fields that have a value."""
    return {name: value for name, value in fields.items() if value is not None}


PLATFORM_REASONS = frozenset(
    reason.value for reason, outcome in FAILURES.items() if outcome.class_ is FailureClass.PLATFORM
)
ALL_FAILURES: tuple[Reason, ...] = tuple(FAILURES)

_numbers = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | _numbers | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_bps = st.floats(0, 10_000)
_names = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,20}[a-z0-9])?", fullmatch=True)

_paths = st.none() | st.lists(_names, min_size=1, max_size=3).map("/".join)
_dataset_sources = st.one_of(
    st.just({"builtin": "us-stocks"}),
    st.builds(lambda name, key: {"configMapRef": {"name": name, **_present(key=key)}}, _names, st.none() | _names),
    st.builds(lambda name, path: {"persistentVolumeClaim": {"claimName": name, **_present(path=path)}}, _names, _paths),
    st.builds(lambda name, path: {"image": {"reference": name, **_present(path=path)}}, _names, _paths),
)

specs = st.fixed_dictionaries(
    {
        "source": st.builds(lambda text: {"inline": text}, st.text(min_size=1, max_size=200))
        | st.builds(lambda name: {"configMapRef": {"name": name}}, _names)
    },
    optional={
        "params": st.dictionaries(st.text(max_size=20), json_values, max_size=4),
        "datasets": st.builds(lambda name, source: [{"name": name, **source}], _names, _dataset_sources),
        "evaluation": st.fixed_dictionaries(
            {},
            optional={
                "initialCapital": st.floats(0, 1e15, exclude_min=True),
                "feesBps": _bps,
                "sellTaxBps": _bps,
                "slippageBps": _bps,
                "price": st.sampled_from(["Auto", "AdjClose", "Close"]),
                "rebalance": st.sampled_from(["EveryRow", "OnChange"]),
                "allowLeverage": st.booleans(),
                "periodsPerYear": st.integers(1, 366),
                "riskFreeRate": st.floats(-1, 1, exclude_min=True),
                "benchmark": st.sampled_from(["EqualWeight", "AAPL", "台積電"]),
                "lookAhead": st.fixed_dictionaries(
                    {},
                    optional={
                        "samples": st.integers(1, 20),
                        "action": st.sampled_from(["Warn", "Fail", "Off"]),
                    },
                ),
            },
        ),
        "report": st.sampled_from(["Keep", "Discard"]),
        "timeoutSeconds": st.integers(1, 300),
        "retry": st.fixed_dictionaries({"limit": st.integers(0, 5)}),
        "profile": _names,
        "fallback": st.fixed_dictionaries({"policy": st.sampled_from(["OnSandboxUnavailable", "Never"])}),
        "suspend": st.booleans(),
        "cancel": st.booleans(),
        "priority": st.integers(-1000, 1000),
        "ttlSecondsAfterFinished": st.integers(0, 604_800),
    },
)
"""Every spec that the schema allows, within sizes that tests can bear."""

hostile_text = st.text(alphabet=st.characters(codec=None), max_size=600)
"""Text with every character that there is: controls, bidi marks, halves of surrogate pairs."""

object_names = st.from_regex(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?", fullmatch=True).filter(
    lambda name: ".." not in name and ".-" not in name and "-." not in name
)
"""Names of objects: DNS subdomains of at most 253 characters."""
