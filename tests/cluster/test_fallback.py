"""The fallback, caused for real: what leads there and what never does, and that its numbers are the sandbox's."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import yaml

from strategyrun.adapters.settings import Settings, load_settings
from strategyrun.domain.sandbox import Resources, SeccompProfile
from support.bench import Bench, workbench
from support.cluster import CHECKOUT, CONFIG_MAP, EVENT, POD, Cluster, Kind, Manifest
from support.namespaces import temporary_namespace
from support.operator import RunningOperator, with_slots, with_timeouts
from support.runs import condition, snapshot_of
from support.waiting import wait_until

pytestmark = pytest.mark.timeout(1800)  # the first test waits for the runs of the module's fixture too

CONFIGURED = load_settings(CHECKOUT / "config" / "sandbox.yaml")
SMALL = Resources(cpu="50m", memory="512Mi")
SAMPLES = ("momentum", "volatility-target")
GATED = "import os\ndef strategy(data, params):\n    print(os.environ)\n    return data.close.notna()\n"
SLOW = "import time\ndef strategy(data, params):\n    time.sleep(120)\n    return data['close'].notna()\n"
HUNGRY = """\
import numpy as np


def strategy(data, params):
    held = [np.ones(1 << 24) for _ in range(64)]
    return data.close * len(held)
"""
# The first two pass the strict gate: nothing but the reason keeps them from the fallback.
NEVER: dict[str, tuple[str, dict[str, Any]]] = {
    "OutOfMemory": (HUNGRY, {}),
    "Timeout": ("def strategy(data, params):\n    while True:\n        pass\n", {"timeoutSeconds": 5}),
    "SyscallViolation": (
        "import ctypes\ndef strategy(data, params):\n    ctypes.CDLL(None).ptrace(16, 1, 0, 0)\n",
        {},
    ),
}


class Gone(SeccompProfile):
    """A profile whose label the nodes keep and whose file they have lost."""

    @property
    def localhost_profile(self) -> str:
        """A path at which no node has a file."""
        return f"finlab-sandbox/{'0' * 12}.json"


def sample(name: str) -> dict[str, Any]:
    """The spec of a sample."""
    spec: dict[str, Any] = yaml.safe_load((CHECKOUT / "manifests" / "samples" / f"{name}.yaml").read_text())["spec"]
    return spec


def settings(seccomp: SeccompProfile | None = None, *, start_seconds: int = 180, **changes: Any) -> Settings:
    """The configuration of this checkout with small pods, this time to start, and the given fields of the sandbox."""
    profile = CONFIGURED.profile
    sandbox = profile.sandbox.model_copy(update={"requests": SMALL} | changes)
    changed = profile.model_copy(update={"sandbox": sandbox, "seccomp": seccomp or profile.seccomp})
    return with_timeouts(with_slots(replace(CONFIGURED, profile=changed), 6), start_seconds=start_seconds)


CANNOT_START = 120
"""Seconds that runs wait whose sandbox cannot start; their fallback has as many to find room."""
NO_IMAGE = settings(image="nowhere.invalid/finlab-sandbox:none", start_seconds=CANNOT_START)


def ended(bench: Bench, name: str) -> Manifest:
    """Wait for a run's answer."""
    return wait_until(
        f"{name} is Finished",
        lambda: bench.run(name),
        lambda run: condition(run, "Finished") == "True",
        seconds=400,
    )


def fallback_events(bench: Bench) -> dict[str, str]:
    """Read what events say of runs that went to the fallback, by name."""
    found = bench.cluster.list(EVENT, bench.namespace, fields="reason=FallbackUsed,type=Warning")
    return {event["involvedObject"]["name"]: event["message"] for event in found}


@pytest.fixture(scope="module")
def without_image(cluster: Cluster, kind: Kind) -> Iterator[Bench]:
    """Lend a namespace with runs that have all ended, and whose sandbox had no image."""
    runs: dict[str, dict[str, Any]] = {
        **{name: sample(name) for name in SAMPLES},
        "plain": {},
        "gated": {"source": GATED},
        "never": {"fallback": {"policy": "Never"}},
    }
    with (
        temporary_namespace(cluster, "without-image", admission=False) as namespace,
        workbench(cluster, kind, namespace) as bench,
    ):
        with RunningOperator(cluster, kind, NO_IMAGE):
            for name, spec in runs.items():
                bench.apply(name, **spec)
            for name in runs:
                ended(bench, name)
            events = {*SAMPLES, "plain"}
            wait_until("events say so", lambda: fallback_events(bench), lambda told: told.keys() == events)
            snapshot = snapshot_of(bench.run("plain"), NO_IMAGE.profile.sandbox)["metadata"]["name"]
            bench.wait_names(CONFIG_MAP, lambda names: snapshot not in names, seconds=150)
        yield bench


def test_an_image_that_cannot_be_pulled_leads_to_the_fallback(
    cluster: Cluster, kind: Kind, bench: Bench, without_image: Bench
) -> None:
    """The run says so in every place, and its numbers are those of the sandbox, bit for bit."""
    with RunningOperator(cluster, kind, settings()):
        for name in SAMPLES:
            bench.apply(name, **sample(name))
        sandbox = {name: ended(bench, name)["status"] for name in SAMPLES}
    told = fallback_events(without_image)
    for name in SAMPLES:
        run = without_image.run(name)
        status = run["status"]
        assert (status["phase"], status["reason"], status["executor"]) == ("Succeeded", "Evaluated", "Fallback")
        assert (condition(run, "FallbackUsed"), condition(run, "Succeeded")) == ("True", "True")
        assert (status["fallback"]["used"], status["fallback"]["trigger"]) == (True, "ImagePullFailed")
        assert "nowhere.invalid" in status["fallback"]["message"]
        assert told[name].startswith("ImagePullFailed: ")
        assert [(each["executor"], each["reason"]) for each in status["attempts"]] == [
            ("Sandbox", "ImagePullFailed"),
            ("Fallback", "Evaluated"),
        ]
        assert sandbox[name]["executor"] == "Sandbox"
        assert "fallback" not in sandbox[name]
        assert status["metrics"] == sandbox[name]["metrics"]
        assert status["lookAhead"]["changed"] == sandbox[name]["lookAhead"]["changed"] == 0
        hashes = ("codeSHA256", "datasetSHA256", "positionsSHA256")
        assert [status["provenance"][each] for each in hashes] == [sandbox[name]["provenance"][each] for each in hashes]


def test_a_seccomp_profile_that_is_not_there_leads_to_the_fallback(cluster: Cluster, kind: Kind, bench: Bench) -> None:
    """Whatever the node's label says: the container cannot be made without the file."""
    missing = Gone(sha256=CONFIGURED.profile.seccomp.sha256)
    with RunningOperator(cluster, kind, settings(missing, start_seconds=CANNOT_START)):
        bench.apply(source="def strategy(data, params):\n    return data.close > data.close.rolling(50).mean()\n")
        run = ended(bench, "run")
    status = run["status"]
    found = (status["phase"], status["executor"], condition(run, "FallbackUsed"))
    assert found == ("Succeeded", "Fallback", "True"), json.dumps(status, indent=2)
    assert status["fallback"]["trigger"] == "SeccompProfileMissing"
    assert missing.localhost_profile in status["fallback"]["message"]


def test_source_that_the_gate_refuses_and_users_who_refuse_fail_with_the_reason(without_image: Bench) -> None:
    """With what the gate found, line by line; without a second attempt."""
    gated, never = without_image.run("gated"), without_image.run("never")
    for run in (gated, never):
        status = run["status"]
        assert (status["phase"], status["reason"]) == ("Failed", "ImagePullFailed")
        assert status["failure"]["class"] == "Sandbox"
        assert [each["executor"] for each in status["attempts"]] == ["Sandbox"]
    fallback = gated["status"]["fallback"]
    assert (fallback["used"], fallback["trigger"], condition(gated, "FallbackUsed")) == (
        False,
        "ImagePullFailed",
        "False",
    )
    assert [(each["line"], each["rule"]) for each in fallback["findings"]] == [(1, "R-IMP"), (3, "R-ATTR")]
    assert "fallback" not in never["status"]


def test_what_a_strategy_can_bring_about_never_leads_there(cluster: Cluster, kind: Kind, bench: Bench) -> None:
    """Memory, time, a forbidden call, an eviction: else a strategy could choose the weaker place."""
    limited = settings(limits=Resources(cpu="500m", memory="1Gi"))
    with RunningOperator(cluster, kind, limited):
        for reason, (source, spec) in NEVER.items():
            bench.apply(reason.lower(), source=source, **spec)
        bench.apply("evicted", source=SLOW, retry={"limit": 0})
        bench.wait_reason("StrategyRunning", "evicted")
        pod = bench.wait_pod("evicted")["metadata"]["name"]
        cluster.request(
            "POST",
            f"/api/v1/namespaces/{bench.namespace}/pods/{pod}/eviction",
            body={
                "apiVersion": "policy/v1",
                "kind": "Eviction",
                "metadata": {"name": pod, "namespace": bench.namespace},
            },
        )
        runs = {reason: ended(bench, reason.lower()) for reason in (*NEVER, "Evicted")}
    for reason, run in runs.items():
        status = run["status"]
        assert (status["phase"], status["reason"], status["executor"]) == ("Failed", reason, "Sandbox"), status
        assert "fallback" not in status
        assert condition(run, "FallbackUsed") == "Unknown"
        assert [each["executor"] for each in status["attempts"]] == ["Sandbox"]


def test_a_fallback_without_its_walls_refuses(cluster: Cluster, without_image: Bench) -> None:
    """The harness says which wall is missing, before any line of the strategy: here nothing filters system calls."""
    run, namespace = without_image.run("plain"), without_image.namespace
    cluster.create(snapshot_of(run, NO_IMAGE.profile.sandbox))  # the operator has taken it back, and the pod mounts it
    pod = cluster.get(POD, run["status"]["attempts"][-1]["podName"], namespace)
    document: Manifest = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "unfiltered", "namespace": namespace},
        "spec": {key: value for key, value in pod["spec"].items() if key not in ("nodeName", "serviceAccountName")},
    }
    document["spec"]["securityContext"]["seccompProfile"] = {"type": "Unconfined"}
    cluster.create(document)
    seen = wait_until(
        "the pod is over",
        lambda: cluster.get(POD, "unfiltered", namespace),
        lambda found: found["status"]["phase"] in ("Failed", "Succeeded"),
        seconds=240,
    )
    state = seen["status"]["initContainerStatuses"][0]["state"]["terminated"]
    assert state["exitCode"] == 2
    assert "the fallback does not hold: seccompFilters is 1" in state["message"]
