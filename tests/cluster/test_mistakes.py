"""The gallery of mistakes, applied as a user does: each comes to what its annotation and its page say."""

from collections.abc import Iterator
from typing import NamedTuple

import pytest

from support.cluster import CHECKOUT, Cluster
from support.mistakes import EXPECTED, MANIFESTS, entries, others
from support.namespaces import temporary_namespace
from support.runs import condition, strategy_run, wait_finished


class Other(NamedTuple):
    """A mistake in a line of the page's table: its code, the reason that it comes to, a part of what the run says."""

    row: str
    code: str
    reason: str
    words: str = ""


RETURNS = "def strategy(data, params):\n    {}\n    return data.close.notna()\n"
DEEPER = "def deeper(n):\n    return deeper(n + 1) + 1\ndeeper(0)\nposition = data.close > 0\n"
OTHERS = {
    "input": Other('`input("days? ")`', RETURNS.format('input("days? ")'), "CodeRejected", "standard input is closed"),
    "os-exit": Other(
        "`os._exit(0)`, or `sys.exit()` before the `return`", RETURNS.format("import os; os._exit(0)"), "ResultMissing"
    ),
    "sys-exit": Other(
        "`os._exit(0)`, or `sys.exit()` before the `return`", RETURNS.format("import sys; sys.exit()"), "ResultMissing"
    ),
    "no-return": Other(
        "no `return` at all",
        "def strategy(data, params):\n    data.close.notna()\n",
        "ResultInvalid",
        "strategy returned None",
    ),
    "time-zone": Other(
        "an index with a time zone",
        "position = (data.close > 0).tz_localize('UTC')\n",
        "ResultInvalid",
        "take it off with .tz_localize(None)",
    ),
    "no-such-symbol": Other(
        '`data.close[["AAPL", "TSLA"]]`, a symbol that is not there',
        'position = data.close[["AAPL", "TSLA"]] > 0\n',
        "StrategyError",
        "KeyError: \"['TSLA'] not in index\"",
    ),
    "recursion": Other("endless recursion", DEEPER, "StrategyError", "RecursionError"),
    "file-beside": Other(
        "writing files", "open('notes.txt', 'w').write('x')\nposition = data.close > 0\n", "Evaluated"
    ),
    "file-elsewhere": Other(
        "writing files", "open('/opt/notes.txt', 'w')\nposition = data.close > 0\n", "StrategyError"
    ),
    "n-jobs": Other(
        "`n_jobs=-1`",
        """\
        from joblib import cpu_count
        from sklearn.ensemble import RandomForestRegressor

        assert cpu_count() == 1
        close = data.close.dropna()
        RandomForestRegressor(n_estimators=4, n_jobs=-1, random_state=0).fit(close, close.mean(axis=1))
        position = data.close > 0
        """,
        "Evaluated",
    ),
    "prints": Other(
        "a million lines of `print`",
        "for number in range(1_000_000):\n    print(number)\nposition = data.close > 0\n",
        "Evaluated",
    ),
    "network": Other(
        "`urllib` or `requests` in a loop or behind an `if`",
        "import urllib.request\nif data.symbols:\n    urllib.request.urlopen('http://example.com')\n"
        "position = data.close > 0\n",
        "StrategyError",
        "URLError",
    ),
}


@pytest.fixture(scope="module")
def namespace(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[str]:
    """Apply all of them at once."""
    with temporary_namespace(cluster, f"{request.node.nodeid}::mistakes") as name:
        cluster.kubectl("apply", "--namespace", name, "--filename", str(CHECKOUT / "manifests" / "mistakes"))
        yield name


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_mistake_comes_to_what_its_page_says(cluster: Cluster, namespace: str, name: str) -> None:
    """Phase, reason and class are those of the page, the texts hold what it quotes, and nothing is tried twice."""
    run = wait_finished(cluster, namespace, name)
    status, told = run["status"], entries()[name].status
    failure = status.get("failure", {})
    assert f"{status['phase']}/{status['reason']}" == MANIFESTS[name]["metadata"]["annotations"][EXPECTED], status
    assert (failure.get("class"), failure.get("reason")) == (
        told.get("class"),
        told["reason"] if status["phase"] == "Failed" else None,
    )
    assert told.get("message", "") in status["message"]
    assert told.get("warning", "") in "\n".join(status.get("warnings", []))
    assert status.get("selfReported", {}).get("values") == told.get("selfReported")
    assert condition(run, "LookAheadClean") == told.get("lookAheadClean", "Unknown")
    assert ("metrics" in status) is (status["reason"] == "Evaluated")
    assert len(status.get("attempts", [])) == (0 if told["reason"] in ("CodeRejected", "VendorAuthRequired") else 1)


def test_each_line_of_the_others_is_caused() -> None:
    """The table has a line for each of these, and these cause each of its lines."""
    assert {other.row for other in OTHERS.values()} == others().keys()


@pytest.mark.parametrize("name", OTHERS)
def test_another_mistake_comes_to_what_its_line_says(cluster: Cluster, namespace: str, name: str) -> None:
    """The reason and the words are those of the line, and the run's; what works is scored."""
    row, code, reason, words = OTHERS[name]
    name = f"other-{name}"
    cluster.create(strategy_run(name, namespace, source=code, evaluation={"lookAhead": {"action": "Off"}}))
    status = wait_finished(cluster, namespace, name)["status"]
    assert status["reason"] == reason, status
    told = others()[row].replace("`", "")
    assert ("works" if reason == "Evaluated" else reason) in told
    assert words in told
    findings = "".join(finding["hint"] for finding in status.get("failure", {}).get("findings", []))
    assert words in f"{status['message']} {findings}"
