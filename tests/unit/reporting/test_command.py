"""`strategyrun report`, as a process, against an API server of its own on the loopback interface."""

import base64
import gzip
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple

import pytest
import yaml
from typer.testing import CliRunner

from strategyrun.adapters.reports import UNPACKED_LIMIT
from strategyrun.cli.program import application
from support.cluster import CHECKOUT

RUN = "/apis/finlab-sandbox.dev/v1alpha1/namespaces/{}/strategyruns/{}"
MAP = "/api/v1/namespaces/{}/configmaps/{}"


class Server(ThreadingHTTPServer):
    """Answers with the objects that it was given, and 404 else."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[str, tuple[int, dict[str, Any]]] = {}

    def put(self, path: str, document: dict[str, Any], status: int = 200) -> None:
        """Answer so from now on."""
        self.answers[path] = status, document


class Handler(BaseHTTPRequestHandler):
    """One request."""

    def do_GET(self) -> None:
        """Look the path up."""
        assert isinstance(self.server, Server)
        missing = 404, {"kind": "Status", "reason": "NotFound", "message": "not found", "code": 404}
        status, document = self.server.answers.get(self.path.partition("?")[0], missing)
        content = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name that it has
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    """A server that knows nothing yet."""
    with Server() as started:
        Thread(target=started.serve_forever, daemon=True).start()
        yield started
        started.shutdown()


class Done(NamedTuple):
    """How the command ended."""

    returncode: int
    stdout: str
    stderr: str


Report = Callable[..., Done]
Body = Callable[..., dict[str, Any]]


@pytest.fixture
def kubeconfig(server: Server, tmp_path: Path) -> Path:
    """A kubeconfig whose context names the namespace research."""
    path = tmp_path / "kubeconfig"
    context = {"cluster": "here", "user": "me", "namespace": "research"}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "it",
        "clusters": [{"name": "here", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
        "users": [{"name": "me", "user": {}}],
        "contexts": [{"name": "it", "context": context}],
    }
    path.write_text(yaml.safe_dump(document))
    return path


@pytest.fixture
def process(kubeconfig: Path) -> Report:
    """The command as a process."""

    def work(*arguments: str, **environment: str) -> Done:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("KUBE")}
        done = subprocess.run(
            [sys.executable, "-m", "strategyrun", "report", *arguments],
            cwd=CHECKOUT,
            env=clean | {"KUBECONFIG": str(kubeconfig), "COLUMNS": "120", "TERM": "dumb"} | environment,
            capture_output=True,
            encoding="utf-8",
            check=False,
            timeout=120,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    return work


@pytest.fixture
def report(kubeconfig: Path, monkeypatch: pytest.MonkeyPatch) -> Report:
    """The command in this process, which saves the seconds that its imports take."""
    # The client reads the environment once, as it is imported.
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv("COLUMNS", "120")

    def work(*arguments: str) -> Done:
        done = CliRunner().invoke(application(), ["report", *arguments], catch_exceptions=False)
        return Done(done.exit_code, done.stdout, done.stderr)

    return work


def keep(server: Server, body: dict[str, Any], content: bytes, namespace: str = "research") -> dict[str, Any]:
    """Let the server have a run and the report that it refers to; return the run."""
    body["status"]["report"] = {"configMap": "kept", "sha256": hashlib.sha256(content).hexdigest()}
    server.put(RUN.format(namespace, body["metadata"]["name"]), body)
    packed = {"report.json.gz": base64.b64encode(content).decode()}
    server.put(MAP.format(namespace, "kept"), {"kind": "ConfigMap", "binaryData": packed})
    return body


def packed(document: dict[str, Any]) -> bytes:
    """Pack a report as the evaluator does."""
    return gzip.compress(json.dumps(document).encode(), mtime=0)


def test_it_shows_a_run_and_its_report(server: Server, process: Report, run_of: Body, thirteen_years: Any) -> None:
    """The namespace is the context's."""
    keep(server, run_of(thirteen_years), packed(thirteen_years.document))
    done = process("trend-follower")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("trend-follower\n")
    assert "Best trades" in done.stdout
    assert "full report is not here" not in done.stdout
    assert "\x1b" not in done.stdout


def test_it_writes_each_kind_of_file(
    server: Server, report: Report, run_of: Body, thirteen_years: Any, tmp_path: Path
) -> None:
    """By the suffix of the name, and in the namespace that it is told."""
    keep(server, run_of(thirteen_years), packed(thirteen_years.document), "other")
    for suffix, begins in ((".txt", b"trend-follower\n"), (".png", b"\x89PNG"), (".html", b"<!DOCTYPE html>")):
        path = tmp_path / f"report{suffix}"
        done = report("trend-follower", "-n", "other", "--output", str(path))
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        assert path.read_bytes().startswith(begins)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"no gzip", "report.json.gz of ConfigMap kept is no gzip file"),
        (gzip.compress(b"{}", mtime=0)[:-4], "is not one whole gzip file"),
        (gzip.compress(b"{}", mtime=0) + b"more", "is not one whole gzip file"),
        (gzip.compress(bytes(UNPACKED_LIMIT + 1), mtime=0), f"holds more than {UNPACKED_LIMIT} bytes"),
        (packed({"schema": 2}), "the report has schema 2; this version reads 1"),
    ],
    ids=["not gzip", "cut", "trailing", "bomb", "schema"],
)
def test_a_report_that_cannot_be_read_leaves_the_status(
    server: Server, report: Report, run_of: Body, thirteen_years: Any, content: bytes, said: str
) -> None:
    """The run is shown from its status, with the reason."""
    keep(server, run_of(thirteen_years), content)
    done = report("trend-follower")
    assert done.returncode == 0, done.stderr
    assert said in done.stdout
    assert "48 points" in done.stdout


def test_a_report_that_was_changed_is_not_shown(
    server: Server, report: Report, run_of: Body, thirteen_years: Any
) -> None:
    """Whoever may write ConfigMaps cannot change what a run reports."""
    body = keep(server, run_of(thirteen_years), packed(thirteen_years.document))
    body["status"]["report"]["sha256"] = "0" * 64
    assert "ConfigMap kept does not hold what status.report.sha256 says" in report("trend-follower").stdout


def test_a_report_that_is_nowhere(server: Server, report: Report, run_of: Body, thirteen_years: Any) -> None:
    """Deleted, forbidden, empty, discarded, or lost on its way: each says so."""
    body = keep(server, run_of(thirteen_years), packed(thirteen_years.document))
    path = MAP.format("research", "kept")
    server.put(path, {"kind": "ConfigMap", "data": {}})
    assert "ConfigMap kept has no report.json.gz" in report("trend-follower").stdout
    server.put(path, {"reason": "Forbidden", "message": "not yours"}, 403)
    assert "ConfigMap kept cannot be read: not yours" in report("trend-follower").stdout
    del server.answers[path]
    assert "ConfigMap kept is gone" in report("trend-follower").stdout
    del body["status"]["report"]
    assert "the run kept none" in report("trend-follower").stdout
    body["spec"]["report"] = "Discard"
    assert "spec.report is Discard" in report("trend-follower").stdout
    body["status"]["warnings"] = ["report: the log was cut"]
    assert "The full report is not here: the log was cut." in report("trend-follower").stdout


def test_no_run_of_that_name(report: Report) -> None:
    """One line that says where it looked; a name that cannot be one asks for nothing else."""
    for name in ("missing", "../secrets", "UPPER"):
        done = report(name)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == f"error: there is no StrategyRun {name} in namespace research\n"


def test_no_right_to_read(server: Server, report: Report) -> None:
    """One line with the API server's own words."""
    server.put(RUN.format("research", "secret"), {"reason": "Forbidden", "message": "user me cannot get"}, 403)
    done = report("secret")
    assert (done.returncode, done.stdout) == (2, "")
    said = "error: no right to read StrategyRun secret in namespace research: user me cannot get\n"
    assert done.stderr == said


def test_nobody_answers(server: Server, process: Report) -> None:
    """One line, no traceback."""
    server.shutdown()
    server.server_close()
    done = process("x")
    assert (done.returncode, done.stdout) == (69, "")
    assert done.stderr.startswith("error: the API server does not answer: ")
    assert done.stderr.count("\n") == 1


def test_no_cluster(process: Report) -> None:
    """Neither a service account nor a kubeconfig."""
    done = process("x", KUBECONFIG="/nonexistent")
    assert done.returncode == 69
    assert done.stderr.splitlines()[-1].startswith("error: no service account, and no kubeconfig")


def test_a_run_that_is_not_finished(server: Server, report: Report, run_of: Body, tmp_path: Path) -> None:
    """On the terminal it says what it does; a file is not written."""
    body = run_of(phase="Running", reason="StrategyRunning", message="the strategy runs")
    server.put(RUN.format("research", "trend-follower"), body)
    done = report("trend-follower")
    assert done.returncode == 0
    assert "Running (StrategyRunning): the strategy runs" in done.stdout
    path = tmp_path / "x.html"
    done = report("trend-follower", "--output", str(path))
    assert done.returncode == 2
    assert done.stderr == "error: trend-follower is not finished: it is Running (StrategyRunning)\n"
    assert not path.exists()


def test_a_kind_of_file_that_it_cannot_write(process: Report) -> None:
    """Said before anything is asked of a cluster."""
    done = process("x", "--output", "report.pdf", KUBECONFIG="/nonexistent")
    assert done.returncode == 2
    assert done.stderr == "error: report.pdf: the name must end in .txt, .png, .html\n"


def test_a_place_that_cannot_be_written(
    server: Server, report: Report, run_of: Body, thirteen_years: Any, tmp_path: Path
) -> None:
    """One line with the file's name."""
    keep(server, run_of(thirteen_years), packed(thirteen_years.document))
    done = report("trend-follower", "--output", str(tmp_path / "nowhere" / "x.txt"))
    assert done.returncode == 2
    assert "nowhere/x.txt" in done.stderr
    assert done.stderr.count("\n") == 1


def test_without_matplotlib_it_names_the_extra(
    server: Server, process: Report, run_of: Body, thirteen_years: Any, tmp_path: Path
) -> None:
    """Text needs none; a picture says what to install."""
    keep(server, run_of(thirteen_years), packed(thirteen_years.document))
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    (blocked / "matplotlib.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'matplotlib'\", name='matplotlib')\n"
    )
    done = process("trend-follower", "--output", str(tmp_path / "x.png"), PYTHONPATH=str(blocked))
    assert done.returncode == 2
    assert done.stderr == (
        "error: pictures need matplotlib: install the extra, pip install '.[report]' in a checkout\n"
    )
    assert process("trend-follower", PYTHONPATH=str(blocked)).returncode == 0


def test_a_terminal_that_knows_ascii_only(server: Server, process: Report, run_of: Body, thirteen_years: Any) -> None:
    """Gets question marks for blocks, not a traceback."""
    keep(server, run_of(thirteen_years), packed(thirteen_years.document))
    done = process("trend-follower", PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert "Sharpe ratio" in done.stdout
