"""What the program says where its streams are odd: closed ones, and those of an encoding that has not every letter."""

import asyncio
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from support.answering import serving
from support.answers import failed
from support.few_runs import FewRuns

LETTERS = "日本 é 🙂"
KUBECONFIG = """\
clusters: [{name: c, cluster: {server: "SERVER"}}]
users: [{name: u, user: {token: t}}]
contexts: [{name: c, context: {cluster: c, user: u, namespace: research}}]
current-context: c
"""


def typed(folder: Path, words: str, **environment: str) -> "subprocess.CompletedProcess[bytes]":
    """Let a shell run the program on a run whose message has letters of many scripts."""

    async def work() -> "subprocess.CompletedProcess[bytes]":
        runs = FewRuns()
        await runs.put("one", failed("User") | {"message": LETTERS})
        async with serving(runs._handle) as configuration:
            kubeconfig = folder / "kubeconfig"
            kubeconfig.write_text(KUBECONFIG.replace("SERVER", configuration.host))
            return await asyncio.to_thread(
                subprocess.run,
                f"{shlex.quote(sys.executable)} -m strategyrun {words}",
                shell=True,
                env=os.environ | {"KUBECONFIG": str(kubeconfig), "TERM": "dumb"} | environment,
                capture_output=True,
                check=False,
                timeout=120,
            )

    return asyncio.run(work())


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
@pytest.mark.parametrize(("command", "code"), [("list", 0), ("wait one", 10), ("explain one", 0)])
def test_a_stream_that_is_closed_is_no_error(tmp_path: Path, command: str, code: int, closed: str) -> None:
    """As cron and supervisors start programs; the exit code is the answer's."""
    done = typed(tmp_path, f"{command} {closed}")
    assert done.returncode == code, done.stderr
    assert b"Traceback" not in done.stderr


def test_a_letter_that_a_stream_has_not_is_told_by_its_number(tmp_path: Path) -> None:
    """As in a locale of one byte to the letter, and in pipes of Windows."""
    done = typed(tmp_path, "explain one", PYTHONIOENCODING="latin-1")
    assert (done.returncode, done.stderr) == (0, b"")
    assert rb"\u65e5\u672c " + "é".encode("latin-1") + rb" \U0001f642" in done.stdout


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8"])
def test_a_document_is_the_same_in_every_encoding(tmp_path: Path, encoding: str) -> None:
    """Its own escapes stand for the letters that a stream has not: another's are no JSON, and other words in YAML."""
    for form, read in (("json", json.loads), ("yaml", yaml.safe_load)):
        done = typed(tmp_path, f"list -o {form}", PYTHONIOENCODING=encoding)
        assert done.returncode == 0, done.stderr
        assert read(done.stdout.decode())["items"][0]["status"]["message"] == LETTERS
