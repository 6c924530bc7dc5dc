"""The objects of a run as the API server stores them, and what the kubelet says of pods that cannot start."""

from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import yaml

from strategyrun.adapters.settings import Settings, load_settings
from strategyrun.domain.inputs import build_inputs
from strategyrun.domain.job import job, snapshot
from strategyrun.domain.observation import observe_job, observe_pod
from strategyrun.domain.outcomes import Reason
from strategyrun.domain.sandbox import Profile, Resources, Sandbox, SeccompProfile
from strategyrun.domain.strategyrun import Attempt, StrategyRun
from strategyrun.domain.verdict import Verdict, judge
from strategyrun.domain.vetting import Kind
from support.cluster import CHECKOUT, CONFIG_MAP, JOB, NETWORK_POLICY, NODE, POD, Cluster, Manifest
from support.journal import Open
from support.runs import HOLD_EVERYTHING, strategy_run, wait_finished
from support.waiting import IN_LINE, wait_until

GOLDEN = Path(__file__).parent / "golden"
SETTINGS: Settings = load_settings(CHECKOUT / "config" / "sandbox.yaml")
POLICY = "finlab-sandbox-deny-all"


def test_stored_pod_and_job_are_the_hardened_ones(cluster: Cluster, namespace: str, journal: Open) -> None:
    """What the API server holds, its defaults and admission included, is the whole of golden/pod.yaml and job.yaml.

    But for commands and environments: of those, only the evaluator has a nonce, and nothing refers elsewhere.
    """
    pods = journal(POD)
    jobs = journal(JOB)
    snapshots = journal(CONFIG_MAP)
    run = cluster.create(strategy_run(namespace=namespace, ttlSecondsAfterFinished=600, timeoutSeconds=60))
    wait_finished(cluster, namespace)

    pod, stored = pods.read()[0][1], jobs.read()[0][1]
    kept = next(each for _, each in snapshots.read() if each["metadata"]["name"] != "kube-root-ca.crt")
    names = {
        stored["metadata"]["uid"]: "<uid of the job>",
        kept["metadata"]["name"]: "<name of the snapshot>",
        SETTINGS.profile.sandbox.image: "<image>",
        SETTINGS.profile.seccomp.localhost_profile: "<seccomp profile>",
        SETTINGS.profile.seccomp.node_label: "<seccomp label>",
    }
    del stored["spec"]["template"]
    containers = [*pod["spec"]["initContainers"], *pod["spec"]["containers"]]
    variables = {each["name"]: each.pop("env") for each in containers}
    assert [each.pop("command")[-1] for each in containers] == ["finlab_sandbox.harness", "finlab_sandbox.evaluate"]
    assert {key for each in variables.values() for variable in each for key in variable} == {"name", "value"}
    assert [name for name in variables if "FINLAB_NONCE" in str(variables[name])] == ["evaluate"]
    assert _plain(pod["spec"] | {"nodeName": "<node>"}, names) == _golden("pod.yaml")
    assert _plain(stored["spec"], names) == _golden("job.yaml")

    owner = {"kind": "StrategyRun", "name": "run", "uid": run["metadata"]["uid"], "controller": True}
    for owned in (stored, kept):
        assert [{key: each[key] for key in owner} for each in owned["metadata"]["ownerReferences"]] == [owner]
    assert kept["immutable"] is True
    assert set(kept["data"]) == {"strategy.py", "input.json", "evaluation.json"}
    assert kept["data"]["strategy.py"] == HOLD_EVERYTHING


def test_network_is_denied_before_the_first_job(cluster: Cluster, namespace: str, journal: Open) -> None:
    """A policy that denies all traffic to and from the run's pods is older than the namespace's first Job."""
    policies = journal(NETWORK_POLICY)
    jobs = journal(JOB)
    cluster.create(strategy_run(namespace=namespace))
    wait_finished(cluster, namespace)
    (_, policy), *others = policies.read()
    assert others == []
    _, first_job = jobs.read()[0]
    assert int(policy["metadata"]["resourceVersion"]) < int(first_job["metadata"]["resourceVersion"])
    (pod,) = cluster.list(POD, namespace)
    selected = policy["spec"].pop("podSelector")["matchLabels"]
    assert policy["spec"] == {"policyTypes": ["Ingress", "Egress"]}
    assert selected.items() <= pod["metadata"]["labels"].items()


def test_policy_that_somebody_deleted_is_back_before_the_next_job(
    cluster: Cluster, namespace: str, journal: Open
) -> None:
    """That a policy was there once is not taken for a fact."""
    cluster.create(strategy_run("first", namespace))
    wait_finished(cluster, namespace, "first")
    policies = journal(NETWORK_POLICY)
    jobs = journal(JOB)
    cluster.delete(NETWORK_POLICY, POLICY, namespace)
    cluster.create(strategy_run("second", namespace))
    wait_finished(cluster, namespace, "second")
    (deleted, _), (added, policy) = policies.read()
    assert (deleted, added) == ("DELETED", "ADDED")
    second_job = next(each for change, each in jobs.read() if change == "ADDED")
    assert int(policy["metadata"]["resourceVersion"]) < int(second_job["metadata"]["resourceVersion"])


def test_largest_run_fits_everywhere(cluster: Cluster, namespace: str) -> None:
    """A name of 253 characters, 128 KiB of source and 57 KiB of params pass through every object to the metrics."""
    name = ".".join(["n" * 63] * 4)[:253]
    note = "# " + "\u00fc\U0001f4c8" * 100 + "\n"
    source = HOLD_EVERYTHING + note * ((128 * 1024 - len(HOLD_EVERYTHING)) // len(note.encode()))
    source += "#" * (128 * 1024 - len(source.encode()))
    cluster.create(strategy_run(name, namespace, source=source, params={"table": ["\u00fc" * 10] * 900}))
    status = wait_finished(cluster, namespace, name)["status"]
    assert (status["phase"], status["reason"]) == ("Succeeded", "Evaluated"), status
    assert status["provenance"]["codeSHA256"] == sha256(source.encode()).hexdigest()


_HUGE = Resources(cpu="100m", memory="4000Gi")


@pytest.mark.parametrize(
    ("expected", "changes", "profile"),
    [
        (Reason.IMAGE_PULL_FAILED, {"image": "localhost:1/finlab-sandbox:none"}, None),
        (Reason.IMAGE_PULL_FAILED, {"image": "finlab-sandbox:none", "image_pull_policy": "Never"}, None),
        (Reason.IMAGE_PULL_FAILED, {"image": "No Image"}, None),
        (Reason.IMAGE_INVALID, {"image": "pause", "image_pull_policy": "Never"}, None),
        (Reason.SECCOMP_PROFILE_MISSING, {}, SeccompProfile.of(b"a profile that no node has")),
        (Reason.UNSCHEDULABLE, {"limits": _HUGE, "requests": _HUGE}, None),
    ],
    ids=["unreachable image", "absent image", "impossible image", "foreign image", "no seccomp profile", "no room"],
)
def test_words_of_the_kubelet_are_understood(
    cluster: Cluster, namespace: str, expected: Reason, changes: dict[str, Any], profile: SeccompProfile | None
) -> None:
    """A pod that cannot start has its reason while it waits, from what this cluster's kubelet says of it.

    The Job is built by the operator's own builder for another configuration. It carries neither
    labels nor owner, so that no operator meddles with it.
    """
    if changes.get("image") == "pause":
        changes = changes | {"image": _pause_image(cluster)}
    sandbox = SETTINGS.profile.sandbox.model_copy(update=changes)
    _wait_verdict(cluster, namespace, expected, _manifests(namespace, sandbox, profile or SETTINGS.profile.seccomp))


def test_a_strategy_that_outlives_the_harness_ends_at_the_deadline_of_its_pod(cluster: Cluster, namespace: str) -> None:
    """A first process that ignores every signal it may, and that nobody in the pod stops."""
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    snapshot_of_run, built = _manifests(namespace, SETTINGS.profile.sandbox, SETTINGS.profile.seccomp)
    pod = built["spec"]["template"]["spec"]
    pod["activeDeadlineSeconds"] = 120  # they begin before the strategy does
    pod["initContainers"][-1] |= {"command": ["python3", "-c", deaf], "args": []}
    _wait_verdict(cluster, namespace, Reason.TIMEOUT, [snapshot_of_run, built])


def test_a_pod_that_never_starts_ends_at_the_deadline_of_its_job(cluster: Cluster, namespace: str) -> None:
    """Which takes the pod away: what is left to judge by is the Job."""
    sandbox = SETTINGS.profile.sandbox.model_copy(update={"limits": _HUGE, "requests": _HUGE})
    snapshot_of_run, built = _manifests(namespace, sandbox, SETTINGS.profile.seccomp)
    built["spec"]["activeDeadlineSeconds"] = 5
    _wait_verdict(cluster, namespace, Reason.START_TIMEOUT, [snapshot_of_run, built])
    wait_until("the pod is gone", lambda: cluster.list(POD, namespace), lambda pods: not pods, seconds=120)


def _wait_verdict(cluster: Cluster, namespace: str, expected: Reason, manifests: list[Manifest]) -> None:
    """Create what a Job needs and the Job, and wait until it is judged as expected."""
    for manifest in manifests:
        created = cluster.create(manifest)
    name = created["metadata"]["name"]

    def look() -> Verdict:
        pods = cluster.list(POD, namespace, labels=f"batch.kubernetes.io/job-name={name}")
        job_seen = observe_job(cluster.get(JOB, name, namespace))
        return judge(job_seen, observe_pod(pods[0]) if pods else None, podless=not pods)

    wait_until(
        f"the verdict is {expected}",
        look,
        lambda verdict: getattr(verdict, "reason", None) == expected,
        seconds=IN_LINE,
    )


def _manifests(namespace: str, sandbox: Sandbox, profile: SeccompProfile) -> list[Manifest]:
    body = strategy_run(namespace=namespace)
    now = datetime.now(UTC).isoformat()
    body["metadata"] |= {"uid": "none", "resourceVersion": "0", "creationTimestamp": now}
    run = StrategyRun.parse(body)
    inputs = build_inputs(run, HOLD_EVERYTHING.encode(), Kind.POSITIONS, sandbox)
    attempt = Attempt(number=1, job_name="strategy", created_at=run.created_at)
    hardened = Profile(name="default", sandbox=sandbox, seccomp=profile)
    built = job(run, attempt, inputs=inputs, nonce="none", profile=hardened)
    del built["spec"]["template"]["metadata"]["labels"], built["spec"]["template"]["spec"]["affinity"]
    manifests = [snapshot(run, inputs), built]
    for manifest in manifests:
        del manifest["metadata"]["ownerReferences"], manifest["metadata"]["labels"]
    return manifests


def _pause_image(cluster: Cluster) -> str:
    """Name an image that is on every node and holds no Python."""
    images = [image for node in cluster.list(NODE) for image in node["status"].get("images", [])]
    names: list[str] = [name for image in images for name in image["names"] or []]
    return next(name for name in names if "/pause:" in name)


def _golden(name: str) -> Any:
    return yaml.safe_load((GOLDEN / name).read_text())


def _plain(value: Any, names: dict[str, str]) -> Any:
    """Replace what differs from run to run by what it is."""
    match value:
        case dict():
            return {key: _plain(each, names) for key, each in value.items()}
        case list():
            return [_plain(each, names) for each in value]
        case str():
            return names.get(value, value)
        case _:
            return value
