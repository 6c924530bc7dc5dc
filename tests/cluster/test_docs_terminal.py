"""What docs/terminal.md and docs/python.md tell a reader to type, typed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from support.cluster import CHECKOUT, Cluster
from support.pages import blocks
from support.runs import wait_finished
from support.snippets import snippets
from support.waiting import IN_LINE, wait_until

TERMINAL = CHECKOUT / "docs" / "terminal.md"
PYTHON = CHECKOUT / "docs" / "python.md"
REPORT = CHECKOUT / "docs" / "report.md"


@pytest.fixture
def environment(cluster: Cluster, namespace: str, tmp_path: Path) -> dict[str, str]:
    """What a reader has: a kubeconfig whose context names a namespace, and the programs."""
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    for context in config["contexts"]:
        context["context"]["namespace"] = namespace
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    programs = [str(CHECKOUT / ".venv" / "bin"), str(cluster.kubeconfig.parent / "bin"), os.environ["PATH"]]
    sources = {"PYTHONPATH": os.environ["PYTHONPATH"]} if "PYTHONPATH" in os.environ else {}
    return {"KUBECONFIG": str(path), "PATH": os.pathsep.join(programs), "HOME": str(tmp_path), **sources}


def ends_well(done: "subprocess.CompletedProcess[str]") -> bool:
    """Say whether a command ended with 0."""
    return done.returncode == 0


def test_every_command_of_the_page(environment: dict[str, str], tmp_path: Path) -> None:
    """In order, in one folder with the page's files; each ends well."""

    def type_in(command: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["bash", "-c", command],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=IN_LINE,
        )

    said: dict[str, str] = {}
    for block in blocks("sh", "python"):
        if block.page != TERMINAL or block.reason_not_to_run:
            continue
        if block.title:
            (tmp_path / block.title).write_text(block.snippet.text)
            continue
        for command in block.snippet.commands:
            if command == "strategyrun doctor":  # it tells of this moment, in which the operator may be starting
                done = wait_until(command, lambda: type_in("strategyrun doctor"), ends_well, seconds=180)
            else:
                done = type_in(command)
            assert ends_well(done), f"{block.where}: {command}\n{done.stdout}{done.stderr}"
            said[command] = done.stdout
    assert "average-50" in said["strategyrun top --metric sharpe"]
    assert said['strategyrun submit broken.py --name broken --watch || echo "exit code $?"'].endswith("exit code 10\n")
    assert said['strategyrun wait nowhere || echo "exit code $?"'] == "exit code 2\n"
    assert "strategyrun logs broken" in said["strategyrun explain broken"]
    assert "NOPE" in said["strategyrun logs broken"]
    assert said["strategyrun delete --selector loop=averages"].count(" deleted\n") == 1
    assert "different rules" in said["strategyrun compare average-50 average-200"]


def test_every_form_of_a_report(cluster: Cluster, namespace: str, environment: dict[str, str], tmp_path: Path) -> None:
    """The commands of the page, on the sample that it shows."""
    cluster.kubectl("apply", "-n", namespace, "-f", str(CHECKOUT / "manifests" / "samples" / "turtle.yaml"))
    wait_finished(cluster, namespace, "turtle")
    (block,) = (each for each in snippets(REPORT, "console") if "strategyrun report turtle" in each.text)
    for command in block.commands:
        subprocess.run(["bash", "-c", command], cwd=tmp_path, env=environment, check=True, timeout=300)
    assert (tmp_path / "turtle.png").read_bytes().startswith(b"\x89PNG")
    assert "turtle" in (tmp_path / "turtle.html").read_text(encoding="utf-8")


def test_every_block_of_the_python_page(environment: dict[str, str], tmp_path: Path) -> None:
    """One program of all blocks, as a reader who follows the page has it."""
    blocks = [*snippets(PYTHON, "python")]
    assert len(blocks) >= 6
    program = "\n".join(block.text for block in blocks)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=2 * IN_LINE,  # the runs of all blocks, each with its wait in the line
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("Succeeded Evaluated ")
    assert any(line.startswith("User StrategyError") for line in lines)
    assert "the strategy: KeyError: 'NOPE'" in lines
    assert {f"{{'days': {days}}}" for days in (20, 50, 100, 200)} <= {line.partition("}")[0] + "}" for line in lines}
    assert {"days-15", "days-30", "days-60"} & {*lines}
    assert "3 deleted" in lines
    assert "True True" in lines
