"""Failures that strategies cause for real, and what the status says of each."""

import re
from typing import Any, NamedTuple

import pytest

from strategyrun.domain.outcomes import FAILURES, Reason, named
from support.cluster import CONFIG_MAP, STRATEGY_RUN, Cluster, RefusedError
from support.runs import condition, strategy_run, wait_finished
from support.waiting import wait_until


class Failing(NamedTuple):
    """A strategy and the failure it ends in; message and line are regular expressions to be found."""

    source: str
    reason: Reason
    message: str
    line: str = ""
    exit_code: int | None = None
    signal: str | None = None
    spec: dict[str, Any] = {}  # noqa: RUF012 - nobody writes to it


FAILING = {
    "raises": Failing(
        """\
        def strategy(data, params):
            print("looking for the price of", params["symbol"])
            return data["close"][params["symbol"]]
        """,
        Reason.STRATEGY_ERROR,
        r"^KeyError: 'TSLA' \(strategy\.py line 3\)$",
        r'^looking for the price of TSLA\n(.*\n)*  File "strategy\.py", line 3, in strategy\n'
        r'    return data\["close"\]\[params\["symbol"\]\]\nKeyError: \'TSLA\'$',
        exit_code=1,
        spec={"params": {"symbol": "TSLA"}},
    ),
    "exits with a code": Failing(
        """\
        import sys
        def strategy(data, params):
            print("no luck today")
            sys.exit(3)
        """,
        Reason.STRATEGY_ERROR,
        r"^sys\.exit\(3\) \(strategy\.py line 4\)$",
        r"^no luck today$",
        exit_code=3,
    ),
    "raises at import": Failing(
        """\
        import nowhere
        def strategy(data, params):
            return data["close"]
        """,
        Reason.STRATEGY_ERROR,
        r"^ModuleNotFoundError: No module named 'nowhere' \(strategy\.py line 1\)$",
        exit_code=1,
    ),
    "runs too long": Failing(
        """\
        def strategy(data, params):
            print("round and round")
            while True:
                pass
        """,
        Reason.TIMEOUT,
        r"^ran longer than the limit of 30 s$",
        # Where it was, it says in the moment before it is killed, if the machine gives it a turn.
        r"^round and round(\n(.*\n)*.*strategy\.py\", line [34] in strategy|$)",
        signal="SIGKILL",
        spec={"timeoutSeconds": 30},
    ),
    "exits without a word": Failing(
        """\
        import os
        def strategy(data, params):
            os._exit(0)
        """,
        Reason.RESULT_MISSING,
        r"^the process ended with exit code 0 before it had returned positions$",
        exit_code=0,
    ),
    "returns None": Failing(
        """\
        def strategy(data, params):
            data["close"].rolling(20).mean()
        """,
        Reason.RESULT_INVALID,
        r"^strategy returned None; ",
        exit_code=1,
    ),
    "returns symbols that are none": Failing(
        """\
        def strategy(data, params):
            return data["close"].rename(columns={"IBM": "DOGE"}).notna()
        """,
        Reason.RESULT_INVALID,
        r"'DOGE' are no symbols of the dataset; it has 'AAPL', 'FB', 'GOOG', 'IBM', 'MSFT'",
        exit_code=1,
    ),
    "returns infinite weights": Failing(
        """\
        def strategy(data, params):
            weights = data["close"] * 0.0
            weights.iloc[7, 3] = float("inf")
            return weights
        """,
        Reason.RESULT_INVALID,
        r"1 weights are infinite; the first is IBM on 2000-03-10",
        exit_code=1,
    ),
    "returns too much": Failing(
        """\
        import pandas as pd
        def strategy(data, params):
            return pd.DataFrame(0.0, index=range(3_000_000), columns=["AAPL", "IBM", "MSFT"])
        """,
        Reason.RESULT_TOO_LARGE,
        r"^positions of 3000000 x 3 make 84000028 bytes, more than 67108864$",
        exit_code=1,
    ),
    "crashes": Failing(
        """\
        import ctypes
        def strategy(data, params):
            print("into the void")
            ctypes.string_at(0)
        """,
        Reason.CRASHED,
        r"^killed by SIGSEGV$",
        r"^into the void\nFatal Python error: Segmentation fault\n(.*\n)*.*strategy\.py\", line 4 in strategy",
        signal="SIGSEGV",
    ),
    "makes a forbidden system call": Failing(
        """\
        import ctypes
        def strategy(data, params):
            print("who else is there?")
            ctypes.CDLL(None).ptrace(16, 1, 0, 0)
        """,
        Reason.SYSCALL_VIOLATION,
        r"^killed by SIGSYS: ",
        r"^who else is there\?",
        signal="SIGSYS",
    ),
    "fills its disk": Failing(
        """\
        import os
        def strategy(data, params):
            with open("/tmp/full", "wb") as file:
                os.posix_fallocate(file.fileno(), 0, (1 << 30) + 1)
        """,
        Reason.DISK_LIMIT,
        r"^OSError: \[Errno 27\] File too large \(strategy\.py line 4\)$",
        exit_code=1,
    ),
    "asks for data that is not there": Failing(
        """\
        def strategy(data, params):
            return data["pe"] < 15
        """,
        Reason.DATA_MISSING,
        r"'pe'; it has open, high, low, close, adj_close, volume \(strategy\.py line 2\)$",
        exit_code=1,
    ),
}


def hint(reason: Reason, namespace: str) -> str:
    """Return what the run named `run` is told to do, in its own names."""
    return named(FAILURES[reason].hint, namespace=namespace, run="run", pod="no pod is named")


@pytest.mark.parametrize("failing", FAILING.values(), ids=FAILING)
def test_failure_of_a_strategy_is_named_and_final(cluster: Cluster, namespace: str, failing: Failing) -> None:
    """Class, reason, exit code, signal, message, last lines and hint are the failure's own; nothing is retried."""
    cluster.create(strategy_run(namespace=namespace, source=failing.source, **failing.spec))
    run = wait_finished(cluster, namespace)
    status, failure = run["status"], run["status"]["failure"]
    assert {key: failure.get(key) for key in ("class", "reason", "exitCode", "signal")} == {
        "class": "User",
        "reason": failing.reason,
        "exitCode": failing.exit_code,
        "signal": failing.signal,
    }, failure
    assert re.search(failing.message, failure["message"])
    assert re.search(failing.line, "\n".join(failure["lastLines"]))
    assert (status["phase"], status["reason"], status["hint"]) == (
        "Failed",
        failing.reason,
        hint(failing.reason, namespace),
    )
    assert status["message"] == failure["message"]
    assert "metrics" not in status
    assert [condition(run, kind) for kind in ("Accepted", "Started", "Finished", "Succeeded")] == [
        "True",
        "True",
        "True",
        "False",
    ]
    assert [(each["number"], each["reason"]) for each in status["attempts"]] == [(1, failing.reason)]


def test_memory_beyond_the_limit_ends_the_strategy(cluster: Cluster, namespace: str) -> None:
    """More than 2 GiB is OutOfMemory, whether the kernel ends the process (cgroup v1) or the container (v2)."""
    source = """\
        import numpy as np
        def strategy(data, params):
            print("hungry")
            return np.ones(3 << 27)
        """
    cluster.create(strategy_run(namespace=namespace, source=source))
    status = wait_finished(cluster, namespace)["status"]
    failure = status["failure"]
    assert (failure["class"], failure["reason"], failure["signal"]) == ("User", "OutOfMemory", "SIGKILL")
    assert failure.get("exitCode") in (None, 137)
    assert failure["lastLines"] == ["hungry"]
    assert (status["hint"], len(status["attempts"])) == (hint(Reason.OUT_OF_MEMORY, namespace), 1)


def test_every_line_that_can_never_work_is_named(cluster: Cluster, namespace: str) -> None:
    """Calls that the sandbox cannot serve are found before any pod, each with its line, rule and hint."""
    source = """\
        import requests
        import yfinance as yf
        def strategy(data, params):
            prices = yf.download("AAPL")
            requests.get("http://example.com")
            return input("weights?")
        """
    cluster.create(strategy_run(namespace=namespace, source=source))
    run = wait_finished(cluster, namespace)
    findings = run["status"]["failure"]["findings"]
    assert [(each["line"], each["rule"]) for each in findings] == [(4, "network"), (5, "network"), (6, "interactive")]
    assert [condition(run, kind) for kind in ("Accepted", "Started", "Finished", "Succeeded")] == [
        "False",
        "False",
        "True",
        "False",
    ]


def test_broken_manifest_is_refused_at_apply(cluster: Cluster, namespace: str) -> None:
    """kubectl says which field is wrong and why, and nothing is stored."""
    broken = """\
        apiVersion: finlab-sandbox.dev/v1alpha1
        kind: StrategyRun
        metadata: {name: run}
        spec:
          source: {inline: "pass", configMapRef: {name: other}}
          timeoutSeconds: 301
          evaluation: {feesBps: -1}
        """
    with pytest.raises(RefusedError) as refused:
        cluster.kubectl("apply", "--namespace", namespace, "--filename", "-", stdin=broken)
    for complaint in (
        "spec.timeoutSeconds: Invalid value: 301",
        "spec.evaluation.feesBps: Invalid value: -1",
        "only one of inline and configMapRef may be set, found both",
    ):
        assert complaint in refused.value.message
    assert cluster.list(STRATEGY_RUN, namespace) == []


def test_source_may_appear_after_the_run(cluster: Cluster, namespace: str) -> None:
    """A run whose ConfigMap is missing says so while it waits, and goes on when the ConfigMap is there."""
    cluster.create(strategy_run(namespace=namespace, source={"configMapRef": {"name": "mine", "key": "code.py"}}))
    waiting = wait_until(
        "the run says what it waits for",
        lambda: cluster.get(STRATEGY_RUN, "run", namespace),
        lambda run: run.get("status", {}).get("reason") == "SourceMissing",
    )
    assert waiting["status"]["phase"] == "Queued"
    assert waiting["status"]["message"] == f"there is no ConfigMap mine in namespace {namespace}"
    assert waiting["status"]["hint"] == hint(Reason.SOURCE_MISSING, namespace)

    source = "def strategy(data, params):\n    return data.close.notna()\n"
    metadata = {"name": "mine", "namespace": namespace}
    cluster.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"code.py": source}})
    run = wait_finished(cluster, namespace)
    assert (run["status"]["phase"], len(run["status"]["attempts"])) == ("Succeeded", 1)
    assert "hint" not in run["status"]
    assert cluster.get(CONFIG_MAP, "mine", namespace)["data"] == {"code.py": source}
