"""What a script leaves that was killed, or whose program failed, does not keep the next one from its work."""

import fcntl
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from support.bare_machine import BareMachine, written
from support.cluster import CHECKOUT

PYTHON = """
case $* in
*" venv .venv") mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
*" pip "*) [ ! -e ending ] || . ./ending ;;
esac
"""
LOCAL_PYTHON = """
case $* in
*" venv "*) for folder; do :; done; mkdir -p $folder/bin && cp "$0" $folder/bin/python ;;
*" --python "*) exec 8>writing && flock 8 ;;
*" pip "*) [ -e mended ] ;;
esac
"""
BUILT = """
case $1 in
version) echo v1.2.3 ;;
*)
    for name in kubeadm kube-apiserver kube-controller-manager kube-scheduler kube-proxy etcd pause; do
        cp "$0" $1/$name
    done
    ;;
esac
"""
KIND = """
case $1 in create | delete) ;; *) exit ;; esac
while [ $# -gt 0 ]; do [ "$1" != --kubeconfig ] || KUBECONFIG=$2; shift; done
[ ! -e "$KUBECONFIG.lock" ]
"""


@pytest.fixture
def machine(tmp_path: Path) -> BareMachine:
    """Return one with a Python that makes environments of nothing."""
    machine = BareMachine.at(tmp_path)
    for name in ("requirements-dev.lock", "pyproject.toml", "tests/data/requirements.lock"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).touch()
    machine.program("python3", PYTHON)
    return machine


@pytest.fixture
def kept(machine: BareMachine) -> Path:
    """Finish .venv, and write a file into it, which a new one will not have."""
    assert machine.run("venv.sh").returncode == 0
    kept = machine.checkout / ".venv" / "kept"
    kept.touch()
    return kept


def test_an_unfinished_environment_is_made_anew(machine: BareMachine) -> None:
    """It has a Python, but nobody knows what else; a shell that works in it finds that Python first."""
    folder = machine.checkout / ".venv" / "bin"
    folder.mkdir(parents=True)
    written(folder / "python", "exit 1")
    written(folder / "python3", "exit 0")
    machine.program("python3", "exit 1")
    machine.program("python3.12", PYTHON)
    done = machine.run("venv.sh", PATH=f"{folder}:{machine.checkout / 'programs'}")
    assert done.returncode == 0, done.stderr
    assert machine.run("venv.sh").stderr == ""


def test_an_outdated_environment_is_kept(machine: BareMachine, kept: Path) -> None:
    """Pip changes what it was made of."""
    (machine.checkout / "requirements-dev.lock").write_text("another")
    done = machine.run("venv.sh")
    assert (done.returncode, kept.exists()) == (0, True), done.stderr
    assert machine.run("venv.sh").stderr == ""


@pytest.mark.parametrize(("ending", "code"), [("kill -9 $$", 137), ("kill -9 $PPID", -9)], ids=["pip", "all"])
def test_an_environment_that_pip_was_killed_in_is_unfinished(
    machine: BareMachine, kept: Path, ending: str, code: int
) -> None:
    """Even if it had been finished before, and what is wanted is again what it had been made of."""
    (machine.checkout / "requirements-dev.lock").write_text("another")
    (machine.checkout / "ending").write_text(ending)
    assert machine.run("venv.sh").returncode == code
    (machine.checkout / "ending").unlink()
    (machine.checkout / "requirements-dev.lock").write_text("")
    done = machine.run("venv.sh")
    assert (done.returncode, kept.exists()) == (0, False), done.stderr


def test_an_environment_in_the_making_is_waited_for(machine: BareMachine, kept: Path) -> None:
    """And not made twice."""
    stamp = kept.with_name("finlab-sandbox").rename(kept.with_name("unfinished"))
    with (machine.cache / "venv.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with machine.start("venv.sh") as second:
            assert second.stderr is not None
            assert "waiting for another make: venv" in second.stderr.readline()
            stamp.rename(kept.with_name("finlab-sandbox"))
            lock.close()
            assert (second.wait(), second.stderr.read(), kept.exists()) == (0, "", True)


@pytest.fixture
def asked(machine: BareMachine) -> Path:
    """Install a docker that has nothing and can pull nothing, and return what it was asked."""
    machine.program("docker", 'echo "$*" >>asked; [ "$1" = import ]')
    return machine.checkout / "asked"


def test_half_a_base_becomes_no_image(machine: BareMachine, asked: Path) -> None:
    """The next one would take it for good."""
    machine.program("mmdebstrap", "for archive; do :; done; [ $archive = - ] || : >$archive; exit 1")
    done = machine.run("base-image.sh")
    assert (done.returncode, done.stdout) == (1, "")
    assert "mmdebstrap failed" in done.stderr
    assert "import" not in asked.read_text()


def test_a_whole_base_becomes_an_image(machine: BareMachine, asked: Path) -> None:
    """And nothing else of it stays."""
    machine.program("mmdebstrap", "for archive; do :; done; echo whole >$archive")
    done = machine.run("base-image.sh")
    assert (done.returncode, done.stdout[:20]) == (0, "finlab-sandbox/base:"), done.stderr
    assert asked.read_text().splitlines()[-1].endswith(f".tar {done.stdout.strip()}")
    assert {each.name for each in machine.cache.iterdir()} == {"bin", "mmdebstrap.log", "pull.log"}


@pytest.fixture
def dockerd(machine: BareMachine) -> Iterator["subprocess.Popen[str]"]:
    """Let root have started an engine, which answers when it is asked for the fourth time."""
    machine.program("id", "echo 0")
    for name in ("iptables", "setsid", "systemctl"):
        machine.program(name, "exit 0")
    machine.program("docker", '[ "$1" = info ] && echo again >>asked && [ "$(cat asked)" = "$(cat enough)" ]')
    (machine.checkout / "enough").write_text("again\n" * 4)
    program = shutil.copy(machine.checkout / "programs" / "bash", machine.checkout / "programs" / "dockerd")
    with subprocess.Popen([program, "-c", "read -r"], stdin=subprocess.PIPE, text=True) as dockerd:
        (machine.cache / "dockerd.pid").write_text(str(dockerd.pid))
        yield dockerd
        dockerd.kill()


def test_an_engine_that_is_starting_is_waited_for(machine: BareMachine, dockerd: "subprocess.Popen[str]") -> None:
    """A second one would die of the pidfile of the first."""
    done = machine.run("engine.sh", "up")
    assert (done.returncode, dockerd.poll()) == (0, None), done.stderr
    assert "starting" not in done.stderr


def test_an_engine_that_was_just_about_to_start_is_waited_for(
    machine: BareMachine, dockerd: "subprocess.Popen[str]"
) -> None:
    """The first one writes its pidfile when the second has begun, which therefore ends."""
    pidfile = machine.cache / "dockerd.pid"
    machine.program("setsid", f"echo {dockerd.pid} >{pidfile}; exit 1")
    pidfile.unlink()
    done = machine.run("engine.sh", "up")
    assert (done.returncode, dockerd.poll()) == (0, None), done.stderr


def test_an_engine_is_ended(machine: BareMachine, dockerd: "subprocess.Popen[str]") -> None:
    """With its pidfile."""
    with ThreadPoolExecutor(1) as threads:
        ending = threads.submit(machine.run, "engine.sh", "down")
        assert dockerd.wait() == -signal.SIGTERM
        assert ending.result().returncode == 0
    assert not (machine.cache / "dockerd.pid").exists()


@pytest.fixture
def cluster_machine(machine: BareMachine) -> BareMachine:
    """Return one with a kind that finds nothing amiss, unless the kubeconfig is locked."""
    shutil.copytree(CHECKOUT / "config", machine.checkout / "config")
    machine.program("kind", KIND)
    for name in ("docker", "kubectl"):
        machine.program(name, "exit 0")
    return machine


@pytest.mark.parametrize("verb", ["up", "down"])
def test_a_lock_of_kind_is_no_hindrance(cluster_machine: BareMachine, verb: str) -> None:
    """It is a file, which a kind that was killed leaves; the next could neither delete nor create a cluster."""
    lock = cluster_machine.cache / "kubeconfig.lock"
    lock.touch()
    done = cluster_machine.run("cluster.sh", verb, NODE_IMAGE="kindest/node")
    assert (done.returncode, lock.exists()) == (0, False), done.stderr


def test_a_second_cluster_has_a_lock_of_its_own(cluster_machine: BareMachine) -> None:
    """The first one's is in use where `make up` runs at that time."""
    (cluster_machine.checkout / ".venv" / "bin").mkdir(parents=True)
    written(cluster_machine.checkout / ".venv" / "bin" / "pytest", "exit 0")
    first, second = (cluster_machine.cache / f"{name}kubeconfig.lock" for name in ("", "finlab-sandbox-second."))
    first.touch()
    second.touch()
    done = cluster_machine.run("installation.sh")
    assert (done.returncode, first.exists(), second.exists()) == (0, True, False), done.stderr


def test_an_installation_that_goes_on_is_waited_for(machine: BareMachine) -> None:
    """Where the one pip fails the other still writes: beside it nothing is removed or installed."""
    for name in ("requirements-local.lock", "image/requirements.lock"):
        (machine.checkout / name).parent.mkdir(exist_ok=True)
        (machine.checkout / name).touch()
    machine.program("python3", LOCAL_PYTHON)
    machine.program("bwrap", "exit 0")
    with (machine.checkout / "writing").open("w") as writing:
        fcntl.flock(writing, fcntl.LOCK_EX)
        assert machine.run("local.sh").returncode == 1
        (machine.checkout / "mended").touch()
        with machine.start("local.sh") as second:
            assert second.stderr is not None
            said = second.stderr.readline()
            writing.close()
            assert "waiting for another make: local" in said
            said = second.stderr.read()
            assert (second.wait(), "ready" in said) == (0, True), said


def test_what_a_build_tags_is_known_to_down(machine: BareMachine, asked: Path) -> None:
    """A build that is killed does not come to remove it."""
    machine.program("docker", 'echo "$*" >>asked; [ "$1" != save ] || kill -9 $PPID')
    machine.program("mmdebstrap", 'while [ "$2" ]; do shift; case $1 in *.tar) tar -cf $1 -T /dev/null ;; esac; done')
    written(machine.checkout / "hack" / "kind-node" / "programs.sh", BUILT)
    assert machine.run("kind-node/build.sh", "finlab-sandbox/kind-node:new").returncode == -9
    built = [line for line in asked.read_text().splitlines() if line.startswith("import")]
    assert len(built) == 6
    asked.unlink()
    assert machine.run("down.sh").returncode == 0
    label = re.search("--filter label=(.*)", asked.read_text())
    assert label is not None
    assert [line for line in built if f"--change LABEL {label[1]}=" not in line] == []
