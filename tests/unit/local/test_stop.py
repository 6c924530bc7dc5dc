"""How whoever runs a plan hears that nobody waits for it any more."""

import subprocess
import threading

import pytest

from strategyrun.local.stop import Stop, StoppedError


def sleeping() -> subprocess.Popen[bytes]:
    """Start what ends by itself only long after the test."""
    return subprocess.Popen(["sleep", "600"], stdout=subprocess.PIPE)


def test_what_is_waited_for_is_ended() -> None:
    """By another thread, while the first one waits."""
    stop, process = Stop(), sleeping()
    asking = threading.Timer(0, stop.ask)
    asking.start()
    with pytest.raises(StoppedError), stop.ends(process):
        process.communicate()
    assert process.returncode == -15


def test_what_begins_after_the_word_ends_at_once() -> None:
    """The word is not lost between two steps."""
    stop, process = Stop(), sleeping()
    stop.ask()
    with pytest.raises(StoppedError), stop.ends(process):
        process.communicate()
    with pytest.raises(StoppedError):
        stop.check()
    with pytest.raises(StoppedError):
        stop.wait(600)


def test_an_error_leaves_no_process() -> None:
    """An interrupt comes as one."""
    process = sleeping()
    with pytest.raises(KeyboardInterrupt), Stop().ends(process):
        raise KeyboardInterrupt
    assert process.returncode == -15


def test_what_ends_by_itself_is_left_alone() -> None:
    """And is not known any more when somebody asks."""
    stop, process = Stop(), subprocess.Popen(["true"])
    with stop.ends(process):
        process.communicate()
    stop.ask()
    assert process.returncode == 0
