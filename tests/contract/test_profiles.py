"""SandboxProfiles on a real API server: what it takes, what the operator measures, and what runs are told."""

import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from copy import deepcopy
from dataclasses import replace
from secrets import token_hex
from typing import Any

import pytest
import yaml

from strategyrun.adapters.settings import CanarySettings, Settings, load_settings
from strategyrun.domain.canary import ROLE_LABEL
from strategyrun.domain.crd import profile_crd
from strategyrun.domain.sandbox import NODE_READY, PROFILE_PLURAL, SeccompProfile
from support.cluster import CHECKOUT, JOB, NODE, POD, Cluster, Kind, Manifest, RefusedError
from support.definitions import installed
from support.namespaces import temporary_namespace
from support.operator import RunningOperator, resource_of
from support.runs import strategy_run
from support.waiting import PATIENCE, wait_until

CONFIG = CHECKOUT / "config" / "sandbox.yaml"
SHIPPED: Manifest = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
ELSEWHERE = SeccompProfile.of(b"a file that no node holds")


@pytest.fixture(scope="module")
def profile_kind(cluster: Cluster) -> Iterator[Kind]:
    """Install the CRD for the operators of this module."""
    with installed(cluster, profile_crd()) as kind:
        yield kind


@pytest.fixture
def settings(cluster: Cluster) -> Iterator[Settings]:
    """Measure in a namespace of the test's own, again soon after each time; know a seccomp file that no node holds."""
    with temporary_namespace(cluster, "test_profiles_canary", admission=False) as canaries:
        shipped = load_settings(CONFIG)
        yield replace(
            shipped,
            canary=CanarySettings(every_seconds=30),
            canary_namespace=canaries,
            seccomp=shipped.seccomp | {"elsewhere.json": ELSEWHERE},
        )


def manifest(kind: Kind, name: str = "default", **changes: Any) -> Manifest:
    """Build the shipped profile with other fields; None takes a field away."""
    spec = {key: value for key, value in (deepcopy(SHIPPED["spec"]) | changes).items() if value is not None}
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": name}, "spec": spec}


@contextmanager
def profile(cluster: Cluster, kind: Kind, name: str = "default", **changes: Any) -> Iterator[None]:
    """Have a profile while the block lasts."""
    cluster.create(manifest(kind, name, **changes))
    try:
        yield
    finally:
        cluster.delete(kind, name)


@contextmanager
def operator(cluster: Cluster, runs: Kind, profiles: Kind, settings: Settings) -> Iterator[RunningOperator]:
    """Run the operator on these kinds."""
    with RunningOperator(cluster, runs, settings, profiles=resource_of(profiles, PROFILE_PLURAL)) as running:
        yield running


def measured(cluster: Cluster, kind: Kind, **expected: tuple[str, str]) -> Manifest:
    """Wait until pods have measured the profile and found this, by condition, and return its status.

    That may take more than one measurement: one whose pods had no time says that it does not know.
    """
    return wait_until(
        f"the profile is measured: {expected}",
        lambda: cluster.get(kind, "default").get("status", {}),
        lambda status: "measuredAt" in status and expected.items() <= conditions(status).items(),
        seconds=300,
    )


def conditions(status: Manifest) -> dict[str, tuple[str, str]]:
    """Return status and reason of each condition."""
    return {each["type"]: (each["status"], each["reason"]) for each in status["conditions"]}


def test_a_profile_is_measured(cluster: Cluster, operated_kind: Kind, profile_kind: Kind, settings: Settings) -> None:
    """On a cluster whose network enforces no policy it says so, and that the seccomp file holds."""
    with profile(cluster, profile_kind), operator(cluster, operated_kind, profile_kind, settings):
        found = {
            "ImageAvailable": ("True", "Started"),
            "NetworkIsolated": ("True", "SeccompOnly"),
            "Ready": ("True", "Measured"),
        }
        status = measured(cluster, profile_kind, **found)
        nodes = conditions(status)["SeccompInstalled"]
        assert nodes in (("True", "AllNodes"), ("True", "SomeNodes")), "other tests make nodes"
        assert conditions(status) == found | {"SeccompInstalled": nodes}, status
        (ready,) = [each for each in status["conditions"] if each["type"] == "Ready"]
        assert re.search(r"it had [12]?\d?\d threads when one was refused$", ready["message"]), "podPidsLimit is 256"
        assert status["network"] == "SeccompOnly"
        assert status["seccompSHA256"] == settings.profile.seccomp.sha256
        wait_until("the canaries are gone", lambda: cluster.list(JOB, settings.canary_namespace), lambda jobs: not jobs)


@contextmanager
def enforcement(cluster: Cluster, namespace: str) -> Iterator[None]:
    """Do what a network that enforces policies does: drop what comes from the pod that deny-all selects.

    By a table of its own in the node's network, written by the one pod that has the program for it.
    """
    table = f"test-{token_hex(4)}"
    stop = threading.Event()

    def nft(*words: str) -> None:
        proxy = ("--namespace", "kube-system", "exec", "daemonset/kube-proxy", "--")
        cluster.kubectl(*proxy, "nft", *words)

    def follow() -> None:
        done: set[str] = set()
        while not stop.wait(0.2):
            for pod in cluster.list(POD, namespace, labels=f"{ROLE_LABEL}=bound"):
                address = pod["status"].get("podIP")
                if address and address not in done:
                    with suppress(RefusedError, subprocess.TimeoutExpired):  # asked again
                        nft("add", "rule", "ip", table, "drops", "ip", "saddr", address, "drop")
                        done.add(address)

    nft("add", "table", "ip", table)
    nft("add", "chain", "ip", table, "drops", "{ type filter hook prerouting priority -300 ; }")
    thread = threading.Thread(target=follow)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(timeout=PATIENCE)
        nft("delete", "table", "ip", table)


def test_a_network_that_enforces_policies_is_found_out(
    cluster: Cluster, operated_kind: Kind, profile_kind: Kind, settings: Settings
) -> None:
    """A labelled pod that is cut off, beside a twin that is not, is what a policy does.

    Whoever plays the network may be late for a pod, which then was not cut off; not for each of several.
    """
    with (
        enforcement(cluster, settings.canary_namespace),
        profile(cluster, profile_kind),
        operator(cluster, operated_kind, profile_kind, settings),
    ):
        status = measured(cluster, profile_kind, NetworkIsolated=("True", "PolicyAndSeccomp"))
    assert status["network"] == "Policy+Seccomp", status


def test_where_no_pod_can_be_made_nothing_is_claimed(
    cluster: Cluster, operated_kind: Kind, profile_kind: Kind, settings: Settings
) -> None:
    """Not even that something is wrong: runs go on."""
    nowhere = replace(settings, canary_namespace="nowhere-at-all")
    with profile(cluster, profile_kind), operator(cluster, operated_kind, profile_kind, nowhere):
        status = measured(cluster, profile_kind)
    assert status["network"] == "Unknown"
    assert {kind: found[0] for kind, found in conditions(status).items()} == {
        "SeccompInstalled": "True",
        "ImageAvailable": "Unknown",
        "NetworkIsolated": "Unknown",
        "Ready": "Unknown",
    }
    assert "no pod can be started in nowhere-at-all" in status["conditions"][-1]["message"]


def test_an_image_that_is_not_there_is_found_before_a_run_is(
    cluster: Cluster, operated_kind: Kind, profile_kind: Kind, settings: Settings
) -> None:
    """The profile is not ready, and says which image and why."""
    with (
        profile(cluster, profile_kind, image="finlab-sandbox:none", imagePullPolicy="Never"),
        operator(cluster, operated_kind, profile_kind, settings),
    ):
        missing = ("False", "ImagePullFailed")
        measured(cluster, profile_kind, ImageAvailable=missing, Ready=missing)


def reason(cluster: Cluster, kind: Kind, namespace: str, name: str) -> str:
    """Read what a run waits for, or ended with."""
    return str(cluster.get(kind, name, namespace).get("status", {}).get("reason", ""))


def wait_reason(cluster: Cluster, kind: Kind, namespace: str, name: str, *reasons: str) -> None:
    """Wait until a run has one of these reasons."""
    wait_until(
        f"{name}: {' or '.join(reasons)}", lambda: reason(cluster, kind, namespace, name), lambda now: now in reasons
    )


STARTED = ("PodStarting", "Unschedulable")
HUGE = {"cpu": "1k", "memory": "2Gi"}
"""What no node has: the run's pod is made, and never runs."""


@contextmanager
def fake_node(cluster: Cluster, *labels: str) -> Iterator[None]:
    """Have a node without a kubelet, that takes no pods, with labels of seccomp files."""
    name = f"test-profiles-{token_hex(3)}"
    cluster.create(
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": name, "labels": dict.fromkeys(labels, NODE_READY)},
            "spec": {"unschedulable": True, "taints": [{"key": "example.com/none", "effect": "NoExecute"}]},
        }
    )
    try:
        yield
    finally:
        cluster.delete(NODE, name)


def test_runs_wait_for_a_node_that_holds_the_file_and_go_on(
    cluster: Cluster, operated_kind: Kind, profile_kind: Kind, settings: Settings, namespace: str
) -> None:
    """No Job is made before; afterwards the run starts by itself."""
    with ExitStack() as stack:
        large = {"limits": HUGE, "requests": HUGE, "fallback": None}
        stack.enter_context(profile(cluster, profile_kind, "far", seccompProfile="elsewhere.json", **large))
        stack.enter_context(operator(cluster, operated_kind, profile_kind, settings))
        cluster.create(strategy_run("waits", namespace, kind=operated_kind, profile="far"))
        wait_reason(cluster, operated_kind, namespace, "waits", "SeccompProfileMissing")
        assert cluster.list(JOB, namespace) == []
        stack.enter_context(fake_node(cluster, ELSEWHERE.node_label))
        wait_reason(cluster, operated_kind, namespace, "waits", *STARTED)


def test_runs_wait_for_their_profile_and_are_held_to_its_namespaces(
    cluster: Cluster, operated_kind: Kind, profile_kind: Kind, settings: Settings, namespace: str
) -> None:
    """A name that is nobody's waits; a profile of other namespaces ends the run."""
    large = {"limits": HUGE, "requests": HUGE}
    with operator(cluster, operated_kind, profile_kind, settings):
        for name in ("late", "closed"):
            cluster.create(strategy_run(name, namespace, kind=operated_kind, profile=name))
            wait_reason(cluster, operated_kind, namespace, name, "ProfileMissing")
        with (
            profile(cluster, profile_kind, "late", allowedNamespaces=[namespace], **large),
            profile(cluster, profile_kind, "closed", allowedNamespaces=[], **large),
        ):
            wait_reason(cluster, operated_kind, namespace, "late", *STARTED)
            wait_reason(cluster, operated_kind, namespace, "closed", "ProfileDenied")


ACCEPTED: dict[str, dict[str, Any]] = {
    "as-shipped": {},
    "by-digest": {"image": "registry.example:5000/team/sandbox@sha256:" + "a" * 64},
    "runtime-class": {"runtimeClassName": "gvisor"},
    "users": {"hostUsers": False},
    "no-fallback": {"fallback": None},
    "namespaces": {"allowedNamespaces": ["research", "teaching"]},
    "no-namespace": {"allowedNamespaces": []},
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_a_good_profile_is_taken(cluster: Cluster, profile_kind: Kind, case: str) -> None:
    """With unknown fields refused."""
    cluster.create(manifest(profile_kind, case, **ACCEPTED[case]), dry_run=True)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "misspelt": ({"imagePulPolicy": "Always"}, "unknown field"),
    "no-image": ({"image": None}, "spec.image: Required value"),
    "image-with-space": ({"image": "a b"}, "spec.image in body should match"),
    "pull-policy": ({"imagePullPolicy": "Sometimes"}, "spec.imagePullPolicy: Unsupported value"),
    "runtime-class": ({"runtimeClassName": "gVisor"}, "spec.runtimeClassName in body should match"),
    "seccomp-elsewhere": ({"seccompProfile": "../a.json"}, "spec.seccompProfile in body should match"),
    "quantity": ({"tmp": "1 GB"}, "spec.tmp in body should match"),
    "requests-cpu": ({"requests": {"cpu": "501m", "memory": "1Gi"}}, "requests.cpu must not be above limits.cpu"),
    "requests-memory": (
        {"requests": {"cpu": "1m", "memory": "3Gi"}},
        "requests.memory must not be above limits",
    ),
    "tmp": ({"tmp": "2Gi"}, "together they must not be above limits.memory"),
    "strategy-seconds": (
        {"timeouts": SHIPPED["spec"]["timeouts"] | {"strategySeconds": 301}},
        "spec.timeouts.strategySeconds: Invalid value: 301",
    ),
    "start-seconds": (
        {"timeouts": SHIPPED["spec"]["timeouts"] | {"startSeconds": 3601}},
        "spec.timeouts.startSeconds: Invalid value: 3601",
    ),
    "namespace": ({"allowedNamespaces": ["A"]}, "allowedNamespaces"),
    "namespace-twice": ({"allowedNamespaces": ["a", "a"]}, "Duplicate value"),
    "fallback": ({"fallback": {}}, "spec.fallback.image: Required value"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_profile_that_cannot_be_meant_is_refused(cluster: Cluster, profile_kind: Kind, case: str) -> None:
    """By the API server, with the field and the limit."""
    changes, said = REFUSED[case]
    with pytest.raises(RefusedError) as refused:
        cluster.create(manifest(profile_kind, case, **changes), dry_run=True)
    assert said in refused.value.message


def test_a_name_too_long_for_a_label_is_refused(cluster: Cluster, profile_kind: Kind) -> None:
    """Jobs carry it as one."""
    cluster.create(manifest(profile_kind, "a" * 63), dry_run=True)
    with pytest.raises(RefusedError, match="at most 63 characters"):
        cluster.create(manifest(profile_kind, "a" * 64), dry_run=True)
