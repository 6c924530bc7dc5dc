"""Runs without a cluster, as a user starts them: the numbers, the reasons, the exit codes, what is printed."""

import hashlib
import json
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from strategyrun.local.bubblewrap import Bubblewrap
from strategyrun.local.installation import configured, installed
from strategyrun.local.plan import Host, Mount, Plan, Scratch, Step
from strategyrun.local.stop import Stop
from support.cluster import CHECKOUT
from support.endings import ENDS, HALF, PRICES, QUICK
from support.local import call, manifest, run_local, sandbox_python

SAMPLES = sorted((CHECKOUT / "manifests" / "samples").glob("*.yaml"))
GOLDEN: dict[str, dict[str, float]] = json.loads((CHECKOUT / "tests/cluster/golden/samples.json").read_text())
ADDS_FLOATS = ("factor-graph",)
"""Samples that add floats by Python's own `sum`, in a library: before 3.12 it rounds otherwise."""

PARAMS = """\
def strategy(data, params):
    assert (params["whole"], type(params["whole"])) == (10, int), params
    return data.close * 0
"""


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: str(path.stem))
def test_a_sample_scores_as_in_the_cluster(sample: Path) -> None:
    """Every metric is the cluster's own, to the last bit, and no look-ahead is found in what there was time for."""
    run = run_local(sample)
    assert run.exit_code == 0, run.told
    if sample.stem in ADDS_FLOATS and "adds floats otherwise" in run.told:
        pytest.skip("this Python is older than 3.12; the run says so")
    status = run.status
    assert (status["phase"], status["reason"], status["executor"]) == ("Succeeded", "Evaluated", "Sandbox")
    assert status["metrics"] == GOLDEN[sample.stem]
    found = status["lookAhead"]
    assert (found["checked"] >= 1, found["changed"]) == (True, 0)
    assert found["checked"] == 5 or "the time limit left room for" in found["note"]
    assert {each["type"]: each["status"] for each in status["conditions"]}["Succeeded"] == "True"
    assert "report" not in status


def test_provenance_says_what_ran_and_behind_which_walls(tmp_path: Path) -> None:
    """The hashes of what was given, the profile of the checkout, and no policy that is not there."""
    found = run_local(manifest(tmp_path, HALF, evaluation=QUICK)).status["provenance"]
    profile = hashlib.sha256((CHECKOUT / "config" / "seccomp_profile.json").read_bytes()).hexdigest()
    assert found["codeSHA256"] == hashlib.sha256(HALF.encode()).hexdigest()
    assert found["seccompSHA256"] == profile
    assert found["isolation"]["networkPolicy"] == "NetworkNamespace"
    assert re.match(r"(bubblewrap|docker) \d", found["isolation"]["runtimeClass"])


def test_a_whole_number_reaches_the_strategy_as_an_integer(tmp_path: Path) -> None:
    """10.0 is 10, as behind an API server: from a manifest and from the command line."""
    assert run_local(manifest(tmp_path, PARAMS, params={"whole": 10.0}, evaluation=QUICK)).exit_code == 0
    (tmp_path / "strategy.py").write_text(PARAMS)
    assert run_local(tmp_path / "strategy.py", "--param", "whole=10.0").exit_code == 0


@pytest.mark.parametrize("whole", [False, True])
def test_prices_of_ones_own_are_read_by_the_loader(tmp_path: Path, whole: bool) -> None:
    """A file, or the folder that it lies in, under a name with spaces."""
    folder = tmp_path / "prices of mine"
    folder.mkdir()
    (folder / "daily.csv").write_text(PRICES)
    (tmp_path / "strategy.py").write_text(HALF)
    status = run_local(tmp_path / "strategy.py", "--dataset", str(folder if whole else folder / "daily.csv")).status
    assert (status["reason"], status["metrics"]["days"]) == ("Evaluated", 28)


def test_prices_that_are_none_are_told_by_the_loader(tmp_path: Path) -> None:
    """The reason that a cluster gives, before any line of the strategy."""
    (tmp_path / "strategy.py").write_text(HALF)
    (tmp_path / "bad.csv").write_text("when,what\n1,2\n")
    run = run_local(tmp_path / "strategy.py", "--dataset", str(tmp_path / "bad.csv"))
    assert (run.exit_code, run.status["reason"]) == (10, "DataInvalid")
    assert "bad.csv" in run.status["message"]


def test_config_maps_of_the_same_file_are_mounted(tmp_path: Path) -> None:
    """Source and dataset by reference, as they are applied together."""
    path = manifest(tmp_path, "", datasets=[{"name": "prices", "configMapRef": {"name": "tables", "key": "a.csv"}}])
    run = yaml.safe_load(path.read_text())
    run["spec"]["source"] = {"configMapRef": {"name": "code"}}
    maps = [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}
        for name, data in (("code", {"strategy.py": HALF}), ("tables", {"a.csv": PRICES}))
    ]
    path.write_text(yaml.safe_dump_all([run, *maps]))
    assert run_local(path).status["metrics"]["days"] == 28


@pytest.mark.parametrize("source", ENDS)
def test_every_end_has_the_clusters_reason(tmp_path: Path, source: str) -> None:
    """From the same table, with an exit code by who has to act."""
    code, reason, spec = ENDS[source]
    run = run_local(manifest(tmp_path, source + "\n", **({"evaluation": QUICK} | spec)))
    assert (run.exit_code, run.status["reason"]) == (code, reason), run.told


def test_a_rejected_source_needs_no_engine(tmp_path: Path) -> None:
    """It ends before anything of the sandbox is looked for."""
    run = run_local(manifest(tmp_path, "input()\n"), FINLAB_SANDBOX_PYTHON="/nonexistent", PATH="/nonexistent")
    assert (run.exit_code, run.status["failure"]["findings"][0]["rule"]) == (10, "interactive")


def test_a_sandbox_that_is_broken_is_no_fault_of_the_strategy(tmp_path: Path) -> None:
    """A Python whose pandas does not import: exit code 20."""
    python = sandbox_python()
    assert python is not None
    here = tmp_path / "sandbox"
    (here / "bin").mkdir(parents=True)
    (here / "bin" / "python3").symlink_to(python.resolve())
    (here / "pyvenv.cfg").write_text((python.parent.parent / "pyvenv.cfg").read_text())
    (folder,) = python.parent.parent.glob("lib/python3*/site-packages")
    libraries = here / folder.relative_to(python.parent.parent)
    libraries.mkdir(parents=True)
    for each in folder.iterdir():
        if each.name != "pandas":
            (libraries / each.name).symlink_to(each)
    (libraries / "pandas").mkdir()
    (libraries / "pandas" / "__init__.py").write_text("raise ImportError('broken on purpose')\n")
    run = run_local(
        manifest(tmp_path, HALF), "--engine", "bubblewrap", FINLAB_SANDBOX_PYTHON=str(here / "bin" / "python3")
    )
    assert (run.exit_code, run.status["reason"]) == (20, "ImageInvalid"), run.told


@pytest.mark.parametrize(
    ("arguments", "environment", "says"),
    [
        (("nothing.py",), {}, "nothing.py: cannot be read: No such file or directory"),
        (("notebook.ipynb",), {}, "notebook.ipynb: must be a .py file, or a manifest (.yaml, .yml, .json)"),
        (("--engine", "bubblewrap"), {"FINLAB_SANDBOX_PYTHON": "/nonexistent"}, "/nonexistent, which is no program"),
        (("--engine", "bubblewrap"), {"PATH": "/nonexistent"}, "bubblewrap is not installed"),
        (("--report", "a.pdf"), {}, "the name must end in"),
    ],
)
def test_what_cannot_be_run_is_one_line(
    tmp_path: Path, arguments: tuple[str, ...], environment: dict[str, str], says: str
) -> None:
    """Exit code 2, and no status that anybody could take for an answer of the strategy."""
    file = () if arguments[0][0] != "-" else (str(manifest(tmp_path, HALF, evaluation=QUICK)),)
    done = call(*file, *arguments, **environment)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_text_yaml_and_page_tell_the_same(tmp_path: Path) -> None:
    """A table with a curve for people, the StrategyRun for programs, the report as a page."""
    path, page = manifest(tmp_path, HALF, evaluation=QUICK), tmp_path / "report.html"
    shown = call(str(path), "--report", str(page))
    assert shown.returncode == 0, shown.stderr
    assert "Sharpe ratio" in shown.stdout
    assert "Equity, multiples of the initial capital" in shown.stdout
    assert "weaker than in a pod" in shown.stderr
    assert page.read_text().startswith("<!DOCTYPE html>")
    printed = yaml.safe_load(call(str(path), "-o", "yaml").stdout)
    total = printed["status"]["metrics"]["totalReturn"]
    assert f"{total * 100:.2f}".lstrip("-") in shown.stdout
    assert not {"uid", "resourceVersion"} & set(printed["metadata"])


def step(name: str, code: str, *mounts: Mount, user: int = 1000) -> Step:
    """Build a step that is a few lines of Python."""
    return Step(name, "none", ("python3", "-c", code), {"FROM_THE_STEP": "1"}, user, mounts, tells_by_log=True)


def boxes(*steps: Step, seconds: int = 60, memory: int = 1 << 31, **volumes: Any) -> list[Any]:
    """Run steps in boxes."""
    os.environ["FINLAB_SANDBOX_PYTHON"] = str(sandbox_python())
    config = configured()
    return Bubblewrap(installed(), config.seccomp).run(Plan("plan", steps, volumes, memory, seconds), Stop())


def test_a_box_has_its_own_of_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its users, processes, network, environment and files; and nothing of the one that started it."""
    monkeypatch.setenv("A_SECRET", "of the launcher")
    code = (
        "import json, os, socket\n"
        "def end(call, *a):\n"
        "    try: return call(*a) and 'worked'\n"
        "    except OSError as error: return error.errno\n"
        "print(json.dumps({'uid': os.getuid(), 'pid': os.getpid(), 'environment': sorted(os.environ),\n"
        " 'environ of 1': 'SECRET' in open('/proc/1/environ').read(), 'interfaces': open('/proc/net/dev').read(),\n"
        " 'root': sorted(os.listdir('/')), 'socket': end(socket.socket), 'write': end(os.mkdir, '/a'),\n"
        " 'code': end(os.mkdir, '/opt/venv/a'), 'map': open('/proc/self/uid_map').read().split()}))"
    )
    (end,) = boxes(step("strategy", code))
    found = json.loads(end.log)
    assert (end.exit_code, found["uid"], found["pid"]) == (0, 1000, 1)
    assert found["environment"] == ["FROM_THE_STEP", "LANG", "PATH", "PWD", "PYTHONPATH"]
    assert found["environ of 1"] is False
    assert re.findall(r"(\w+):", found["interfaces"]) == ["lo"]
    assert not {"home", "root", "run", "var", "srv", "mnt"} & ({*found["root"]} - {Path(sys.base_prefix).parts[1]})
    assert (found["socket"], found["write"], found["code"]) == (1, 30, 30)


def test_steps_share_what_they_mount_and_no_more() -> None:
    """What one leaves in scratch space the next reads, and cannot write where it is read-only."""
    out, read = Mount("out", "/out", read_only=False), Mount("out", "/out", read_only=True)
    first = step(
        "one", "open('/out/a', 'w').write('left'); open('/tmp/b', 'w')", out, Mount("tmp", "/tmp", read_only=False)
    )
    second = step(
        "two",
        "import os; print(open('/out/a').read(), os.path.exists('/tmp/b'), os.getuid()); open('/out/c', 'w')",
        read,
        user=2000,
    )
    ends = boxes(first, second, out=Scratch(1 << 20), tmp=Scratch(1 << 20))
    assert [end.exit_code for end in ends] == [0, 1]
    assert b"left False 2000\n" in ends[1].log
    assert b"Read-only file system" in ends[1].log


def test_scratch_space_has_its_size() -> None:
    """A megabyte and no byte more."""
    code = "open('/out/a', 'wb').write(bytes(1 << 21))"
    (end,) = boxes(step("one", code, Mount("out", "/out", read_only=False)), out=Scratch(1 << 20))
    assert b"No space left on device" in end.log


def test_what_is_mounted_of_this_machine_cannot_be_written(tmp_path: Path) -> None:
    """Not even by an owner."""
    (tmp_path / "a.csv").write_text("kept")
    code = "print(open('/source/a.csv').read()); open('/source/a.csv', 'w')"
    (end,) = boxes(step("one", code, Mount("source", "/source", read_only=True)), source=Host(tmp_path / "a.csv"))
    assert b"kept\n" in end.log
    assert (tmp_path / "a.csv").read_text() == "kept"


def test_the_plans_limit_ends_what_nothing_else_does() -> None:
    """A step that has no harness, and ignores every signal that it can."""
    began = time.monotonic()
    ends = boxes(step("one", "import time; time.sleep(300)"), step("two", "print('never')"), seconds=1)
    assert [(end.exit_code, end.late) for end in ends] == [(137, True)]
    assert time.monotonic() - began < 250


def test_memory_is_limited_without_a_word_of_the_step() -> None:
    """Shared memory, which limits of a process do not count; it is held until somebody looks."""
    code = (
        "import mmap, time\n"
        "kept = mmap.mmap(-1, 1 << 29)\n"
        "for at in range(0, 1 << 29, 4096): kept[at] = 1\n"
        "time.sleep(30)\n"
        "print('took it all')"
    )
    (end,) = boxes(step("one", code), memory=1 << 27)
    assert (end.exit_code, end.out_of_memory, end.log) == (137, True, b"")


def test_words_of_a_step_are_cut_as_a_kubelet_cuts_them() -> None:
    """The last 4096 bytes."""
    (end,) = boxes(step("one", "open('/dev/termination-log', 'w').write('a' * 5000 + 'b')"))
    assert end.message == b"a" * 4095 + b"b"
