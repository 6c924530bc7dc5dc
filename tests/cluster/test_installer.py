"""The installer as it is deployed: what it keeps on the node, what it may not do, and what runs see when it is away."""

import asyncio
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from strategyrun.adapters.kube import NODES, Kube
from strategyrun.adapters.kube import RefusedError as NotAllowed
from strategyrun.adapters.settings import load_settings
from support.cluster import CHECKOUT, NODE, POD, SANDBOX_PROFILE, STRATEGY_RUN, Cluster, RefusedError
from support.operator import configuration_of
from support.runs import strategy_run, wait_finished
from support.waiting import wait_until

NAMESPACE = "finlab-sandbox-installer"
DAEMON_SET = "daemonset/finlab-sandbox-installer"
SECCOMP = load_settings(CHECKOUT / "config" / "sandbox.yaml").profile.seccomp
FOLDER = "/var/lib/kubelet/seccomp/finlab-sandbox"
FILE = f"{FOLDER}/{SECCOMP.localhost_profile.rpartition('/')[2]}"
CONTENT = (CHECKOUT / "config" / "seccomp_profile.json").read_text(encoding="utf-8")

pytestmark = pytest.mark.alone


@pytest.fixture
def node(cluster: Cluster) -> str:
    """The node, which is a container of the engine on this machine."""
    (found,) = cluster.list(NODE)
    return str(found["metadata"]["name"])


def on_node(node: str, *command: str) -> str:
    """Run a command on the node as its root."""
    done = subprocess.run(["docker", "exec", node, *command], capture_output=True, text=True, check=False, timeout=60)
    return done.stdout


def label(cluster: Cluster, node: str) -> str | None:
    """Read what the node says of the file."""
    found: str | None = cluster.get(NODE, node)["metadata"]["labels"].get(SECCOMP.node_label)
    return found


def ready(cluster: Cluster) -> tuple[str, str]:
    """Read status and reason of the default profile's readiness."""
    conditions = cluster.get(SANDBOX_PROFILE, "default").get("status", {}).get("conditions", [])
    return next(((each["status"], each["reason"]) for each in conditions if each["type"] == "Ready"), ("", ""))


def installers(cluster: Cluster) -> list[tuple[str, bool]]:
    """Read of each installer its node and whether it is ready."""
    whole = {"type": "Ready", "status": "True"}
    return sorted(
        (
            pod["spec"].get("nodeName", ""),
            any(whole.items() <= each.items() for each in pod["status"].get("conditions", [])),
        )
        for pod in cluster.list(POD, NAMESPACE)
    )


def wait_everywhere(cluster: Cluster) -> None:
    """Wait until every node has one installer, which is ready."""
    wait_until(
        "one that is ready on every node, and no other",
        lambda: (installers(cluster), sorted(each["metadata"]["name"] for each in cluster.list(NODE))),
        lambda seen: seen[0] == [(node, True) for node in seen[1]],
    )


def wait_whole(cluster: Cluster, node: str) -> None:
    """Wait until file, label, profile and the installer itself are as they should be."""
    wait_until("the file is there", lambda: on_node(node, "cat", FILE), lambda found: found == CONTENT, seconds=120)
    wait_until("the node says so", lambda: label(cluster, node), lambda found: found == "ready", seconds=120)
    wait_until("the profile is ready", lambda: ready(cluster), lambda found: found[0] == "True", seconds=300)
    wait_everywhere(cluster)


@pytest.mark.parametrize(
    ("damage", "left"),
    [
        pytest.param(f"rm {FILE}", "", id="removed"),
        pytest.param(f"echo '{{}}' >{FILE}", "{}\n", id="changed"),
        pytest.param(f"rm -rf {FOLDER}", "", id="with-its-folder"),
    ],
)
def test_the_file_is_put_back(cluster: Cluster, node: str, damage: str, left: str) -> None:
    """Within seconds, byte for byte; where the folder is gone, by a container that starts anew."""
    wait_whole(cluster, node)
    # In one command, and opened by the shell itself: the installer looks every few seconds.
    assert on_node(node, "sh", "-c", f"{damage}; cat <{FILE}; echo looked") == f"{left}looked\n"
    wait_whole(cluster, node)


def test_the_label_is_put_back(cluster: Cluster, node: str) -> None:
    """It says what is true, whoever takes it away."""
    wait_whole(cluster, node)
    cluster.merge(NODE, node, None, {"metadata": {"labels": {SECCOMP.node_label: None}}})
    wait_until("the label is back", lambda: label(cluster, node), lambda found: found == "ready")


@contextmanager
def installer_away(cluster: Cluster, node: str) -> Iterator[None]:
    """Let the installer leave the node, as when somebody deletes it."""

    def select(value: str | None) -> None:
        patch = {"spec": {"template": {"spec": {"nodeSelector": {"example.com/nowhere": value} if value else None}}}}
        cluster.kubectl("--namespace", NAMESPACE, "patch", DAEMON_SET, "--type=merge", "--patch", json.dumps(patch))

    select("true")
    try:
        wait_until("the installer is away", lambda: cluster.list(POD, NAMESPACE), lambda pods: not pods, seconds=90)
        yield
    finally:
        select(None)
        wait_whole(cluster, node)


def test_without_the_installer_runs_wait_and_go_on_when_it_is_back(cluster: Cluster, namespace: str, node: str) -> None:
    """It takes its promise along when it goes; a run says what it waits for, and nothing has to be done for it."""
    wait_whole(cluster, node)
    with installer_away(cluster, node):
        assert label(cluster, node) is None
        wait_until(
            "the profile says so",
            lambda: ready(cluster),
            lambda found: found == ("False", "SeccompProfileMissing"),
            seconds=120,  # it is measured before that
        )
        cluster.create(strategy_run(namespace=namespace, fallback={"policy": "Never"}))
        waiting = wait_until(
            "the run says what it waits for",
            lambda: cluster.get(STRATEGY_RUN, "run", namespace).get("status", {}),
            lambda status: status.get("reason") == "SeccompProfileMissing",
        )
        assert waiting["phase"] in ("Queued", "Starting")
    assert wait_finished(cluster, namespace)["status"]["phase"] == "Succeeded"


def test_a_tolerant_installer_covers_every_node(cluster: Cluster) -> None:
    """One on each becomes ready, so none restarts for want of a right."""
    wait_everywhere(cluster)


@pytest.mark.parametrize(
    "words",
    [
        ("get", "nodes"),
        ("list", "pods", "--all-namespaces"),
        ("get", "secrets", "--namespace", NAMESPACE),
        ("create", "pods", "--namespace", NAMESPACE),
        ("delete", "nodes"),
        ("update", "nodes/status"),
        ("get", "strategyruns.finlab-sandbox.dev", "--all-namespaces"),
    ],
    ids=" ".join,
)
def test_the_installer_may_nothing_else(cluster: Cluster, words: tuple[str, ...]) -> None:
    """Its account patches nodes, which a policy narrows (tests/contract/test_admission.py), and that is all."""
    account = f"--as=system:serviceaccount:{NAMESPACE}:finlab-sandbox-installer"
    with pytest.raises(RefusedError) as refused:
        cluster.kubectl("auth", "can-i", *words, account, "--quiet")
    assert refused.value.code == 1


def test_a_stolen_token_changes_no_node(cluster: Cluster, node: str) -> None:
    """Asked for from outside of a pod it names no node, so the policy lets it do nothing at all."""
    token = cluster.kubectl("create", "token", "finlab-sandbox-installer", "--namespace", NAMESPACE).strip()
    body = {"metadata": {"labels": {SECCOMP.node_label: None}}}

    async def attempted() -> None:
        async with Kube(await configuration_of(cluster, token=token)) as kube:
            await kube.send("PATCH", NODES.path(name=node), body=body, content="application/merge-patch+json")

    with pytest.raises(NotAllowed, match="an installer labels the node that it runs on"):
        asyncio.run(attempted())
