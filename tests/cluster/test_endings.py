"""What holds runs back and what they wait for, caused for real: quotas, runtimes, volumes, users, Kueue's way in."""

from collections.abc import Iterator

import pytest

from strategyrun.adapters.settings import load_settings
from strategyrun.domain.sandbox import Resources
from support.bench import Bench, count
from support.cluster import CHECKOUT, JOB, POD, Cluster, Kind, Manifest
from support.operator import RunningOperator, with_sandbox, with_slots, with_timeouts
from support.runs import condition, strategy_run

SETTINGS = load_settings(CHECKOUT / "config" / "sandbox.yaml")
HASTY = with_timeouts(
    with_sandbox(SETTINGS, requests=Resources(cpu="100m", memory="512Mi")), start_seconds=80, load_seconds=20
)
SLOW = "import time\ndef strategy(data, params):\n    time.sleep(params['seconds'])\n    return data['close'].notna()\n"


@pytest.fixture
def operator(cluster: Cluster, kind: Kind) -> Iterator[RunningOperator]:
    """Run the operator with the configuration of this checkout."""
    with RunningOperator(cluster, kind, SETTINGS) as running:
        yield running


def given_up(bench: Bench, reason: str) -> Manifest:
    """Return the status of a run that waits; it ends with the same reason, and without a fallback."""
    waits = bench.wait_reason(reason)
    ended = bench.wait("the end", lambda seen: seen["phase"] == "Failed")
    assert (ended["reason"], ended["failure"]["class"], "fallback" in ended) == (reason, "Sandbox", False)
    return waits


@pytest.mark.parametrize("resource", ["count/jobs.batch", "pods"])
@pytest.mark.usefixtures("operator")
def test_a_run_waits_for_its_namespaces_quota(bench: Bench, resource: str) -> None:
    """Whether the Job or its pod is refused: the reason is there, and it goes on when there is room."""
    bench.spend(resource)
    bench.apply()
    waits = bench.wait_reason("QuotaExceeded")
    assert waits["phase"] == "Queued"
    assert "few" in waits["message"] or "ResourceQuota" in waits["message"]
    assert f"describe resourcequota -n {bench.namespace}" in waits["hint"]
    bench.allow(resource, "9")
    assert bench.wait_reason("Evaluated")["phase"] == "Succeeded"


def test_a_runtime_class_that_is_not_there_is_named(cluster: Cluster, kind: Kind, bench: Bench) -> None:
    """While the run waits, and at its end: the Job controller cannot make the pod."""
    with RunningOperator(cluster, kind, with_sandbox(HASTY, runtime_class_name="no-such-runtime")):
        bench.apply()
        waits = given_up(bench, "RuntimeClassMissing")
    assert (waits["phase"], "no-such-runtime" in waits["message"]) == ("Starting", True)


def test_a_runtime_that_no_node_has_is_named(cluster: Cluster, kind: Kind, bench: Bench) -> None:
    """The pod is there and has its node: only the kubelet's events say what it waits for."""
    name = bench.namespace
    meta = {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": name}}
    cluster.create(meta | {"handler": "no-such-handler"})
    try:
        with RunningOperator(cluster, kind, with_sandbox(HASTY, runtime_class_name=name)):
            bench.apply()
            waits = given_up(bench, "RuntimeClassMissing")
    finally:
        cluster.delete(Kind("node.k8s.io/v1", "RuntimeClass"), name)
    assert (waits["phase"], "no-such-handler" in waits["message"]) == ("Starting", True)


def test_a_volume_that_cannot_be_mounted_is_named(cluster: Cluster, kind: Kind, bench: Bench) -> None:
    """The claim is bound, and its folder is not on the node: only the kubelet's events say so."""
    name = f"nowhere-{bench.namespace}"
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": "1Mi"},
            "accessModes": ["ReadOnlyMany"],
            "storageClassName": "",
            "hostPath": {"path": f"/no/{name}", "type": "Directory"},
            "claimRef": {"name": "prices", "namespace": bench.namespace},
        },
    }
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "prices", "namespace": bench.namespace},
        "spec": {
            "accessModes": ["ReadOnlyMany"],
            "storageClassName": "",
            "volumeName": name,
            "resources": {"requests": {"storage": "1Mi"}},
        },
    }
    bench.cluster.create(volume)
    try:
        bench.cluster.create(claim)
        with RunningOperator(cluster, kind, HASTY):
            bench.apply(datasets=[{"name": "prices", "persistentVolumeClaim": {"claimName": "prices"}}])
            assert name in given_up(bench, "MountFailed")["message"]
    finally:
        bench.cluster.delete(Kind("v1", "PersistentVolume"), name)


@pytest.mark.usefixtures("operator")
def test_a_profile_that_is_not_there_is_waited_for(bench: Bench) -> None:
    """By name, and without a Job."""
    bench.apply(profile="nobodys")
    waits = bench.wait_reason("ProfileMissing")
    assert (waits["phase"], waits["message"]) == ("Queued", "there is no SandboxProfile nobodys that can be used")
    assert bench.names(JOB) == []


def test_a_run_waits_for_a_slot_and_can_be_deleted_there(cluster: Cluster, kind: Kind, bench: Bench) -> None:
    """Without a Job, with its place; deleted, it never gets one."""
    with RunningOperator(cluster, kind, with_slots(SETTINGS, 1)) as operator:
        bench.apply("holder", source=SLOW, params={"seconds": 3600})
        bench.wait_reason("StrategyRunning", name="holder")
        bench.apply("waiting")
        waits = bench.wait("in line", lambda seen: seen.get("queue"), name="waiting")
        assert (waits["reason"], waits["queue"]["position"]) == ("WaitingForSlot", 1)
        truths = [condition(bench.run("waiting"), name) for name in ("Started", "Finished", "Succeeded")]
        assert truths == ["False", "False", "Unknown"]
        for name in ("waiting", "holder"):
            cluster.delete(kind, name, bench.namespace)
        bench.wait_nothing_left()
        assert count(operator.calls, "create", "jobs") == 1


@pytest.mark.usefixtures("operator")
def test_a_strategy_is_suspended_and_resumed(bench: Bench) -> None:
    """Its pod goes; set to false, a second attempt runs to the end."""
    bench.apply(source=SLOW, params={"seconds": 60})
    bench.wait_reason("StrategyRunning")
    bench.edit({"spec": {"suspend": True}})
    bench.wait_reason("Suspended")
    bench.wait_names(POD, lambda names: not names)
    bench.edit({"spec": {"suspend": False}})
    assert (
        bench.wait("a second attempt", lambda seen: len(seen["attempts"]) == 2)["attempts"][0]["reason"] == "Suspended"
    )
    bench.wait_reason("StrategyRunning")


@pytest.mark.usefixtures("operator")
def test_a_strategy_is_cancelled(bench: Bench) -> None:
    """Finished is True, so that whoever waits goes on; pod and snapshot go."""
    bench.apply(source=SLOW, params={"seconds": 60})
    bench.wait_reason("StrategyRunning")
    bench.edit({"spec": {"cancel": True}})
    bench.wait_reason("Cancelled")
    run = bench.run()
    truths = {name: condition(run, name) for name in ("Finished", "Succeeded", "Ready", "Stalled")}
    assert truths == {"Finished": "True", "Succeeded": "False", "Ready": "False", "Stalled": "True"}
    bench.wait_nothing_left()


@pytest.mark.usefixtures("operator")
def test_kueue_decides_when_a_run_begins(bench: Bench) -> None:
    """The Job carries Kueue's label and is held back; whoever lets it go, lets the run go."""
    run = strategy_run(namespace=bench.namespace, kind=bench.kind)
    run["metadata"]["labels"] = {"kueue.x-k8s.io/queue-name": "team-a"}
    bench.cluster.create(run)
    held = bench.wait("held back", lambda seen: seen.get("attempts") and seen["phase"] == "Queued")
    name = held["attempts"][0]["jobName"]
    job = bench.cluster.get(JOB, name, bench.namespace)
    assert (job["spec"]["suspend"], job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"]) == (True, "team-a")
    bench.cluster.merge(JOB, name, bench.namespace, {"spec": {"suspend": False}})
    assert bench.wait_reason("Evaluated")["phase"] == "Succeeded"
