"""The commands on runs of the deployed operator, as processes."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from support.cluster import CHECKOUT, STRATEGY_RUN, Cluster
from support.runs import wait_finished
from support.waiting import IN_LINE, PATIENCE, wait_until

PROGRAM = CHECKOUT / ".venv" / "bin" / "strategyrun"
GOOD = "def strategy(data, params):\n    return data.close > data.close.rolling(50).mean()\n"
SLOW = """\
import time


def strategy(data, params):
    print("begun", flush=True)
    time.sleep(250)
    return data.close > 0
"""


class Terminal:
    """Types commands in a namespace."""

    def __init__(self, cluster: Cluster, namespace: str, folder: Path) -> None:
        self._namespace = namespace
        self._folder = folder
        self._environment = os.environ | {"KUBECONFIG": str(cluster.kubeconfig)}

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start a command."""
        return subprocess.Popen(
            [PROGRAM, *arguments, "-n", self._namespace],
            cwd=self._folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def type(self, *arguments: str, code: int = 0) -> str:
        """Run a command to its end and return what it printed."""
        process = self.start(*arguments)
        out, said = process.communicate(timeout=IN_LINE)
        assert process.returncode == code, f"{out}{said}"
        return out


@pytest.fixture
def terminal(cluster: Cluster, namespace: str, tmp_path: Path) -> Terminal:
    """A terminal in a folder with two strategies."""
    (tmp_path / "good.py").write_text(GOOD)
    (tmp_path / "slow.py").write_text(SLOW)
    return Terminal(cluster, namespace, tmp_path)


def test_what_a_strategy_prints_is_shown_while_it_runs(terminal: Terminal) -> None:
    """To one who asked before there was a pod; cancelling ends the run for whoever waits, by its exit code."""
    terminal.type("submit", "slow.py", "--name", "slow")
    following = terminal.start("logs", "slow", "--follow")
    waiting = terminal.start("wait", "slow")
    try:
        assert following.stdout is not None
        assert following.stdout.readline() == "begun\n"
        wait_until(
            "it runs",
            lambda: terminal.type("list", "-o", "json"),
            lambda text: '"phase": "Running"' in text,
        )
        terminal.type("cancel", "slow")
        assert waiting.wait(120) == 40
        assert following.wait(120) == 0
    finally:
        for process in (following, waiting):
            process.kill()
            process.communicate()
    assert "Somebody cancelled it" in terminal.type("explain", "slow")


def test_an_interrupt_of_watching_leaves_the_run_going(terminal: Terminal, cluster: Cluster, namespace: str) -> None:
    """Whoever submitted it finds it again."""
    watching = terminal.start("submit", "good.py", "--name", "good", "--watch")
    wait_until("the run is there", lambda: cluster.find(STRATEGY_RUN, "good", namespace), bool)
    watching.send_signal(signal.SIGINT)
    watching.communicate(timeout=PATIENCE)
    assert watching.returncode == 130
    status = wait_finished(cluster, namespace, "good")["status"]
    assert status["phase"] == "Succeeded"
    assert terminal.type("wait", "good").count("good") == 1


def test_the_doctor_finds_this_cluster_well(terminal: Terminal) -> None:
    """Everything that is needed is there, as measured and not as assumed."""
    needed = ("cluster", "crd", "permissions", "operator", "profile", "seccomp", "image")

    def examined() -> tuple[int, dict[str, str]]:
        process = terminal.start("doctor", "-o", "json")
        out, _ = process.communicate(timeout=280)
        return process.returncode, {each["part"]: each["level"] for each in json.loads(out)}

    wait_until(
        "all is well",  # a measurement may be under way
        examined,
        lambda seen: seen[0] == 0 and all(seen[1].get(part) == "ok" for part in needed),
        seconds=180,
    )


def test_kubectl_finds_the_program(terminal: Terminal, cluster: Cluster, namespace: str) -> None:
    """As its plugin, by its name in the path; and it asks it how words may go on."""
    terminal.type("submit", "good.py", "--name", "good", "--watch")
    path = f"{PROGRAM.parent}{os.pathsep}{cluster.kubeconfig.parent / 'bin'}{os.pathsep}{os.environ['PATH']}"

    def typed(*words: str) -> str:
        done = subprocess.run(
            ["kubectl", *words],
            env=os.environ | {"PATH": path, "KUBECONFIG": str(cluster.kubeconfig)},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        return done.stdout

    assert typed("strategyrun", "list", "-n", namespace, "-o", "name") == "strategyrun.finlab-sandbox.dev/good\n"
    wait_until(
        "the name is offered",  # none is where the cluster does not answer within the moment that a shell waits
        lambda: typed("__complete", "strategyrun", "wait", "-n", namespace, "go"),
        lambda offered: offered == "good\n:0\n",
    )
