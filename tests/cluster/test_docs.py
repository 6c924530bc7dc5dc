"""What the quickstart types is typed here, in its order, and what it shows is what comes."""

import re
import shlex
import subprocess
from contextlib import suppress
from pathlib import Path

import bokeh_sampledata
import pytest
import yaml

from support.cluster import CHECKOUT, STRATEGY_RUN, Cluster, RefusedError
from support.pages import Block, blocks
from support.runs import strategy_run, wait_finished
from support.waiting import wait_until

PAGES = ("README.md", "docs/index.md", "docs/quickstart.md")
DATASETS = "docs/datasets.md"
GUIDE = "docs/writing-strategies.md"
OPERATIONS = "docs/operations.md"
GITOPS = "docs/gitops.md"
PROFILES = "docs/profiles.md"
SECONDS = re.compile(r"(\d+m)?\d+(\.\d+)?s|\d+m\b")
COMMAND_SECONDS = 580
"""The pages let kubectl wait for ten minutes, and a test has no more."""


def of(page: str, *languages: str) -> list[Block]:
    """The blocks of a page that may be run."""
    found = [block for block in blocks(*languages) if block.page == CHECKOUT / page]
    return [block for block in found if not block.reason_not_to_run]


def steps(block: Block) -> list[tuple[str, list[str]]]:
    """Each command of a session with the lines that the page shows below it."""
    found: list[tuple[str, list[str]]] = []
    for line in block.snippet.text.splitlines():
        if line.startswith("$ "):
            found.append((line.removeprefix("$ "), []))
        else:
            found[-1][1].append(line)
    return found


def words(lines: list[str]) -> list[list[str]]:
    """Lines as words; how long something took is another thing each time."""
    return [SECONDS.sub("a time", line).split() for line in lines if line.strip()]


def timeless(lines: list[str]) -> list[str]:
    """Lines of facts; how old each is is another thing each time."""
    return [re.sub(r"\d+ s", "a time", line) for line in lines]


@pytest.mark.parametrize("page", PAGES)
def test_a_session_goes_as_it_is_told(page: str, cluster: Cluster, namespace: str, tmp_path: Path) -> None:
    """Every kubectl of the page succeeds, and prints what the page says it prints, but for times."""
    for block in of(page, "yaml"):
        if block.title:
            (tmp_path / block.title).write_text(block.snippet.text)
    sessions = of(page, "console")
    assert sessions
    for block in sessions:
        for command, shown in steps(block):
            program, *arguments = shlex.split(command)
            assert program == "kubectl", block.where
            here = [str(tmp_path / word) if (tmp_path / word).is_file() else word for word in arguments]
            printed = cluster.kubectl("--namespace", namespace, *here, seconds=COMMAND_SECONDS)
            if shown:
                assert words(printed.splitlines()) == words(shown), f"{block.where}: {command}"


def test_every_question_about_profiles_is_answered(cluster: Cluster) -> None:
    """The default profile is there, ready and explained."""
    commands = [command for block in of(PROFILES, "sh") for command in block.snippet.commands]
    assert commands
    for command in commands:
        program, *arguments = shlex.split(command, comments=True)
        assert program == "kubectl"
        assert cluster.kubectl(*arguments, seconds=COMMAND_SECONDS)


def test_the_operator_names_the_facts_of_its_page(cluster: Cluster) -> None:
    """What a probe asks is answered as the page shows, but for times.

    Where other runs are at work, a sweep may find a change a moment before the watch tells of it.
    """
    ((monitoring, _), (ask, shown)) = steps(*of(OPERATIONS, "console"))
    cluster.kubectl(*shlex.split(monitoring.replace("manifests/", f"{CHECKOUT}/manifests/"))[1:])

    def facts() -> list[str]:
        with suppress(RefusedError):  # the Service was made just now, and leads nowhere yet
            return timeless(cluster.kubectl(*shlex.split(ask)[1:]).splitlines())
        return []

    wait_until("the facts of the page", facts, timeless(shown).__eq__)


def test_a_rerun_is_waited_for_as_the_page_says(cluster: Cluster, namespace: str) -> None:
    """The last wait returns at the new answer, and not at the one before."""
    cluster.create(strategy_run("momentum", namespace))
    first = wait_finished(cluster, namespace, "momentum")["status"]
    for command, _ in steps(*of(GITOPS, "console")):
        cluster.kubectl("--namespace", namespace, *shlex.split(command)[1:], seconds=COMMAND_SECONDS)
    second = cluster.get(STRATEGY_RUN, "momentum", namespace)["status"]
    assert second["phase"] == "Succeeded"
    assert second["acceptedAt"] > first["finishedAt"]
    assert [past["finishedAt"] for past in second["history"]] == [first["finishedAt"]]


def test_a_dataset_has_the_hash_that_its_page_computes(cluster: Cluster, namespace: str, tmp_path: Path) -> None:
    """Created as the page says, named in a run as the page says, and hashed in both ways that the page shows."""
    create, hashes = (block.snippet.commands for block in of(DATASETS, "sh"))
    (datasets,) = [
        yaml.safe_load(each.snippet.text) for each in of(DATASETS, "yaml") if "prices.csv.gz" in each.snippet.text
    ]
    table = Path(bokeh_sampledata.__file__).parent / "_data" / "stocks.csv.gz"
    (tmp_path / "prices").mkdir()
    for copy in (tmp_path / "prices.csv.gz", tmp_path / "prices" / "prices.csv.gz"):
        copy.write_bytes(table.read_bytes())

    (words_of_create,) = map(shlex.split, create)
    here = [word.replace("prices.csv.gz", str(tmp_path / "prices.csv.gz")) for word in words_of_create[1:]]
    cluster.kubectl("--namespace", namespace, *here)
    cluster.create(strategy_run("run", namespace, **datasets))
    status = wait_finished(cluster, namespace)["status"]
    assert status["reason"] == "Evaluated", status
    for command in hashes:
        printed = subprocess.run(
            ["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=True
        ).stdout
        assert printed.split()[0] == status["provenance"]["datasetSHA256"], command


def test_every_strategy_of_the_guide_runs_in_the_sandbox(cluster: Cluster, namespace: str) -> None:
    """Those that need what only the image has, too; each ends as the guide's table says of its kind."""
    ends = {"Positions": "Evaluated", "Result": "SelfReported", "Script": "ScriptCompleted"}
    names = [f"block-{block.snippet.line}" for block in of(GUIDE, "python")]
    for name, block in zip(names, of(GUIDE, "python"), strict=True):
        cluster.create(strategy_run(name, namespace, source=block.snippet.text))
    for name in names:
        status = wait_finished(cluster, namespace, name)["status"]
        assert status["reason"] == ends[status["kind"]], (name, status)
