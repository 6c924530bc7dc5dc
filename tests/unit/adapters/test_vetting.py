"""The child that reads hostile source: a real process each time."""

import asyncio
import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from strategyrun.adapters import vetting_child
from strategyrun.adapters.vetting import AT_ONCE, StarvedError, Vetter
from strategyrun.domain.vetting import SIZE_LIMIT_BYTES, Kind, Reading, too_complex
from support.cluster import CHECKOUT
from support.interpreters import stand_in
from support.waiting import wait_until

HONEST = b"def strategy(data, params):\n    return data['close'].notna()\n"
CHILD = Path(vetting_child.__file__)

ROWS = SIZE_LIMIT_BYTES // 2 - 100
BOMBS = {
    "nested-parentheses": b"x = " + b"(" * 60_000 + b")" * 60_000,
    "nested-lists": b"x = " + b"[" * 150 + b"]" * 150 + b"\ny = " + b"-" * 100_000 + b"1",
    "long-sum": b"x = 1" + b"+1" * ROWS,
    "long-comparison": b"x = 1" + b"<1" * ROWS,
    "deep-attributes": b"x = a" + b".b" * ROWS,
    "deep-calls": b"x = a" + b"()" * ROWS,
    "deep-blocks": b"".join(b" " * depth + b"if 1:\n" for depth in range(99)) + b" " * 99 + b"pass\n",
    "f-strings": b"x = f'" + b"{1}" * 40_000 + b"'",
}


LONG = 600
"""Seconds, for a child that has not all of a processor."""


def vet(source: bytes, **options: float) -> Reading:
    """Vet one source."""

    async def work() -> Reading:
        return (await Vetter(**{"wall_seconds": LONG, **options}).vet(source))[0]  # type: ignore[arg-type]

    return asyncio.run(work())


def test_an_honest_source_has_no_flaws() -> None:
    """Nothing to say is nothing said."""
    assert vet(HONEST) == Reading(Kind.POSITIONS)


def test_a_syntax_error_has_its_line() -> None:
    """What the domain finds comes back whole."""
    (flaw,) = vet(b"def strategy(data, params):\n    return (\n").flaws
    assert (flaw.line, flaw.rule) == (2, "syntax")


@pytest.mark.parametrize("source", BOMBS.values(), ids=BOMBS)
def test_a_bomb_ends_as_a_verdict(source: bytes) -> None:
    """Whatever it costs to parse, there is an answer in seconds, and this process has not paid for it."""
    assert len(source) <= SIZE_LIMIT_BYTES
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    flaws = vet(source).flaws
    assert flaws
    assert {flaw.rule for flaw in flaws} <= {"complexity", "syntax", "entrypoint"}
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024


def test_twelve_megabytes_start_no_child(monkeypatch: pytest.MonkeyPatch) -> None:
    """The size alone is the verdict; nothing is copied to anybody."""
    monkeypatch.setattr(sys, "executable", "/nonexistent")
    (flaw,) = vet(b"#" * 12_000_000).flaws
    assert flaw.rule == "size"
    assert "12000000" in flaw.hint


def test_a_child_that_gets_no_time_is_no_fault_of_the_source() -> None:
    """On a node that has no CPU to give, the wall clock runs out for every source."""
    with pytest.raises(StarvedError, match=r"did not end within 0\.001 s"):
        vet(HONEST, wall_seconds=0.001)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["out-of-memory-killer", "shutdown"])
def test_a_child_that_is_killed_is_no_fault_of_the_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    """Whoever needs its memory takes it, whatever it reads; it is read again later."""
    monkeypatch.setattr(sys, "executable", stand_in(tmp_path, f"import os; os.kill(os.getpid(), {number.value})"))
    with pytest.raises(StarvedError):
        vet(HONEST)


@pytest.mark.parametrize("number", [signal.SIGXCPU, signal.SIGSEGV, signal.SIGABRT], ids=lambda number: number.name)
def test_a_child_that_dies_of_its_source_gives_a_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    """Its CPU limit, or a parser at the end of its stack: the next child would die of it too."""
    monkeypatch.setattr(sys, "executable", stand_in(tmp_path, f"import os; os.kill(os.getpid(), {number.value})"))
    assert vet(HONEST) == too_complex()


def test_the_cpu_limit_says_that_it_was_the_cpu_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its signal comes before the one that the kernel sends for want of memory."""
    script = "import resource; resource.setrlimit(resource.RLIMIT_CPU, (0, 2))\nwhile True: pass"
    monkeypatch.setattr(sys, "executable", stand_in(tmp_path, script))
    assert vet(HONEST) == too_complex()


def test_the_operators_memory_has_room_for_its_children() -> None:
    """All at their limits leave it 320 MiB: the kernel has no reason to kill one."""
    documents = yaml.safe_load_all((CHECKOUT / "manifests/base/deployment.yaml").read_text(encoding="utf-8"))
    (deployment,) = (each for each in documents if each["kind"] == "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    limit = int(container["resources"]["limits"]["memory"].removesuffix("Mi")) * 1024 * 1024
    assert limit - AT_ONCE * vetting_child.MEMORY_BYTES >= 320 * 1024 * 1024


PROBE = """
import json, os, resource, runpy, sys
namespace = runpy.run_path({child!r})
namespace["main"].__globals__["json"] = type("J", (), {{"dump": staticmethod(lambda *_: None)}})
namespace["main"]()
print(json.dumps({{
    "cpu": resource.getrlimit(resource.RLIMIT_CPU),
    "memory": resource.getrlimit(resource.RLIMIT_AS),
    "file": resource.getrlimit(resource.RLIMIT_FSIZE),
    "core": resource.getrlimit(resource.RLIMIT_CORE),
    "modules": sorted(name.partition(".")[0] for name in sys.modules),
}}))
"""


def test_the_child_has_limits_and_imports_nothing_of_ours_but_the_rules() -> None:
    """CPU, memory and files are bounded, and no client library is there to be misused."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", PROBE.format(child=str(CHILD))],
        input=HONEST,
        capture_output=True,
        check=True,
        env={},
    )
    seen = json.loads(done.stdout)
    assert seen["cpu"] == [vetting_child.CPU_SECONDS, vetting_child.CPU_SECONDS + vetting_child.GRACE_SECONDS]
    assert seen["memory"] == [vetting_child.MEMORY_BYTES] * 2
    assert seen["file"] == seen["core"] == [0, 0]
    assert not {"kubernetes", "kopf", "aiohttp", "pydantic", "socket", "yaml"} & set(seen["modules"])


def test_the_environment_is_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No token, no proxy and no path of the operator reaches the child."""
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    script = (
        "import json, os; flaw = {'line': 1, 'rule': 'env', 'hint': ' '.join(sorted(os.environ))}; "
        "print(json.dumps({'kind': 'Script', 'flaws': [flaw], 'gate': []}))"
    )
    monkeypatch.setattr(sys, "executable", stand_in(tmp_path, script))
    (flaw,) = vet(HONEST).flaws
    assert flaw.hint in ("", "LC_CTYPE"), "Python itself sets LC_CTYPE where there is no locale"


def test_a_child_that_does_not_work_is_no_fault_of_the_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broken installation must not reject everybody's code."""
    monkeypatch.setattr(sys, "executable", stand_in(tmp_path, "raise SystemExit('no module named strategyrun')"))
    with pytest.raises(RuntimeError, match="no module named strategyrun"):
        vet(HONEST)


def test_a_cancelled_vetting_leaves_no_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator that is stopped takes its children along."""
    mark = tmp_path / "pid"
    script = f"import os, signal; open({str(mark)!r}, 'w').write(str(os.getpid())); signal.pause()"
    monkeypatch.setattr(sys, "executable", stand_in(tmp_path, script))

    async def work() -> None:
        vetting = asyncio.create_task(Vetter(wall_seconds=LONG).vet(HONEST))
        await asyncio.to_thread(
            wait_until, "the child runs", lambda: mark.read_text() if mark.exists() else "", lambda text: text
        )
        vetting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await vetting

    asyncio.run(work())
    with pytest.raises(ProcessLookupError):
        os.kill(int(mark.read_text()), 0)


def test_few_children_run_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred runs that are applied together do not become a hundred processes together."""
    running = tmp_path / "running"
    running.mkdir()
    script = f"""
import os, pathlib
mine = pathlib.Path({str(running)!r}, str(os.getpid()))
mine.touch()
count = max(len(os.listdir(mine.parent)) for _ in range(10_000))
mine.unlink()
print('{{"kind": "Script", "flaws": [{{"line": %d, "rule": "count", "hint": ""}}], "gate": []}}' % count)
"""
    monkeypatch.setattr(sys, "executable", stand_in(tmp_path, script))

    async def work() -> list[Reading]:
        vetter = Vetter(at_once=2, wall_seconds=LONG)
        answers = await asyncio.gather(*(vetter.vet(HONEST + b"#" * number) for number in range(8)))
        return [reading for reading, _ in answers]

    assert max(reading.flaws[0].line for reading in asyncio.run(work())) <= 2


def test_nobody_waits_behind_the_burst_of_another_namespace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A source comes next after those that are being read, however many another namespace has sent before."""
    monkeypatch.setattr(
        sys, "executable", stand_in(tmp_path, """print('{"kind": "Script", "flaws": [], "gate": []}')""")
    )
    ended: list[str] = []

    async def work() -> None:
        vetter = Vetter(at_once=1, wall_seconds=LONG)

        async def one(namespace: str, number: int) -> None:
            await vetter.vet(HONEST + b"#" * number, namespace)
            ended.append(namespace)

        await asyncio.gather(*(one("burst", number) for number in range(6)), one("calm", 6))

    asyncio.run(work())
    assert ended.index("calm") <= 2


def test_a_source_that_was_read_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A loop that sends one source with a hundred params costs one child."""
    calls = tmp_path / "calls"
    script = f"""
with open({str(calls)!r}, "a") as file: file.write("x")
print('{{"kind": "Positions", "flaws": [], "gate": []}}')
"""
    monkeypatch.setattr(sys, "executable", stand_in(tmp_path, script))

    async def work() -> None:
        vetter = Vetter(wall_seconds=LONG)
        await asyncio.gather(*(vetter.vet(HONEST) for _ in range(5)))
        await vetter.vet(HONEST)

    asyncio.run(work())
    assert len(calls.read_text()) <= 2, "as many as may run at once"
