"""Sources that are no strategy function: scripts that leave positions, report their own numbers, or only print."""

import pytest

from support.cluster import STRATEGY_RUN, Cluster, Kind
from support.runs import strategy_run, wait_finished

# The 252 closes that TA-Lib's own regression test computes on (ta-lib, src/tools/ta_regtest/test_data.c).
TA_LIB_CLOSES = """
91.5 94.815 94.375 95.095 93.78 94.625 92.53 92.75 90.315 92.47 96.125 97.25 98.5 89.875 91 92.815 89.155 89.345
91.625 89.875 88.375 87.625 84.78 83 83.5 81.375 84.44 89.25 86.375 86.25 85.25 87.125 85.815 88.97 88.47 86.875
86.815 84.875 84.19 83.875 83.375 85.5 89.19 89.44 91.095 90.75 91.44 89 91 90.5 89.03 88.815 84.28 83.5 82.69 84.75
85.655 86.19 88.94 89.28 88.625 88.5 91.97 91.5 93.25 93.5 93.155 91.72 90 89.69 88.875 85.19 83.375 84.875 85.94
97.25 99.875 104.94 106 102.5 102.405 104.595 106.125 106 106.065 104.625 108.625 109.315 110.5 112.75 123 119.625
118.75 119.25 117.94 116.44 115.19 111.875 110.595 118.125 116 116 112 113.75 112.94 116 120.5 116.62 117 115.25
114.31 115.5 115.87 120.69 120.19 120.75 124.75 123.37 122.94 122.56 123.12 122.56 124.62 129.25 131 132.25 131
132.81 134 137.38 137.81 137.88 137.25 136.31 136.25 134.63 128.25 129 123.87 124.81 123 126.25 128.38 125.37 125.69
122.25 119.37 118.5 123.19 123.5 122.19 119.31 123.31 121.12 123.37 127.37 128.5 123.87 122.94 121.75 124.44 122
122.37 122.94 124 123.19 124.56 127.25 125.87 128.86 132 130.75 134.75 135 132.38 133.31 131.94 130 125.37 130.13
127.12 125.19 122 125 123 123.5 120.06 121 117.75 119.87 122 119.19 116.37 113.5 114.25 110 105.06 107 107.87 107
107.12 107 91 93.94 93.87 95.5 93 94.94 98.25 96.75 94.81 94.37 91.56 90.25 93.94 93.62 97 95 95.87 94.06 94.62 93.75
98 103.94 107.87 106.06 104.5 105 104.19 103.06 103.42 105.27 111.87 116 116.62 118.28 113.37 109 109.7 109.25 107
109.19 110 109.2 110.12 108 108.62 109.75 109.81 109 108.75 107.87
"""
TA_LIB_EXPECTED = {  # what test_rsi.c, test_macd.c, test_ma.c, test_stddev.c and ta_test_func's ROCR expect
    "rsi14@14": 49.14,
    "rsi14@15": 52.32,
    "rsi14@16": 46.07,
    "rsi14@251": 49.63,
    "macd@33": -1.9738,
    "signal@33": -2.7071,
    "hist@33": 0.7333,
    "ema2@1": 93.15,
    "ema2@2": 93.96,
    "ema2@251": 108.21,
    "stddev5@4": 1.2856,
    "stddev5@5": 0.4462,
    "stddev5@251": 0.7144,
    "rocr14@14": 0.994536,
    "rocr14@251": 0.989633,
}
# To the digits that they have. Those of RSI and EMA are cut, not rounded.
TA_LIB_DIGITS = {"rsi14": 2, "macd": 4, "signal": 4, "hist": 4, "ema2": 2, "stddev5": 4, "rocr14": 6}
TA_LIB = """\
import json

import numpy as np
import talib

closes = np.array(params["closes"], dtype=float)
macd, signal, hist = talib.MACD(closes, 12, 26, 9)
values = {
    "rsi14": talib.RSI(closes, 14),
    "macd": macd,
    "signal": signal,
    "hist": hist,
    "ema2": talib.EMA(closes, 2),
    "stddev5": talib.STDDEV(closes, 5),
    "rocr14": talib.ROCR(closes, 14),
}
wanted = (name.partition("@") for name in params["wanted"])
print("RESULT " + json.dumps({f"{name}@{at}": values[name][int(at)] for name, _, at in wanted}))
"""

COLUMNS = ("Phase", "Reason", "Executor", "Sharpe", "Return%", "MaxDD%", "Trades")


def test_ta_lib_of_the_image_computes_what_ta_lib_expects_of_itself(cluster: Cluster, namespace: str) -> None:
    """The values of its own regression test, through the wheel in the image, to all the digits that they have."""
    closes = [float(close) for close in TA_LIB_CLOSES.split()]
    assert len(closes) == 252
    params = {"closes": closes, "wanted": list(TA_LIB_EXPECTED)}
    cluster.create(strategy_run(namespace=namespace, source=TA_LIB, params=params))
    status = wait_finished(cluster, namespace)["status"]
    assert (status["phase"], status["reason"], status["kind"]) == ("Succeeded", "SelfReported", "Result")
    values = status["selfReported"]["values"]
    assert values.keys() == TA_LIB_EXPECTED.keys()
    for name, expected in TA_LIB_EXPECTED.items():
        assert values[name] == pytest.approx(expected, rel=0, abs=10 ** -TA_LIB_DIGITS[name.partition("@")[0]]), name


def test_numbers_of_a_script_stand_in_no_column(cluster: Cluster, namespace: str) -> None:
    """A script can print any Sharpe ratio; it does not rank with those that were computed."""
    cluster.create(strategy_run(namespace=namespace, source='print(\'RESULT {"sharpe": 99, "note": "trust me"}\')'))
    status = wait_finished(cluster, namespace)["status"]
    assert status["selfReported"] == {"source": "SelfReported", "values": {"sharpe": 99}}
    assert any("note" in warning for warning in status["warnings"])
    assert "metrics" not in status
    assert status["summary"]["sharpe"] == ""
    columns = dict(zip(COLUMNS, _cells(cluster, namespace), strict=False))
    assert columns == {"Phase": "Succeeded", "Reason": "SelfReported", "Executor": "Sandbox"} | dict.fromkeys(
        ("Sharpe", "Return%", "MaxDD%", "Trades"), ""
    )


def test_a_file_in_the_result_folder_is_a_result_too(cluster: Cluster, namespace: str) -> None:
    """For those who print much else."""
    source = """\
        import json, os
        with open(os.path.join(os.environ["RESULT_DIR"], "result.json"), "w") as file:
            json.dump({"trades": 7, "sharpe": float("nan")}, file)
        """
    cluster.create(strategy_run(namespace=namespace, source=source))
    status = wait_finished(cluster, namespace)["status"]
    assert status["selfReported"]["values"] == {"trades": 7}
    assert any("sharpe" in warning for warning in status["warnings"])


def test_a_plain_script_keeps_its_output(cluster: Cluster, namespace: str) -> None:
    """It reads the dataset and prints; the tail is the answer."""
    source = "print(data.symbols)\nprint('days', len(data.close))"
    cluster.create(strategy_run(namespace=namespace, source=source))
    status = wait_finished(cluster, namespace)["status"]
    assert (status["phase"], status["reason"], status["kind"]) == ("Succeeded", "ScriptCompleted", "Script")
    assert status["output"] == ["['AAPL', 'FB', 'GOOG', 'IBM', 'MSFT']", "days 3270"]


def test_a_script_that_leaves_positions_is_scored(cluster: Cluster, namespace: str) -> None:
    """As the same rules in a function are, to the last digit."""
    rules = "data.close > data.close.rolling(50).mean()"
    cluster.create(strategy_run("script", namespace, source=f"positions = {rules}"))
    cluster.create(strategy_run("function", namespace, source=f"def strategy(data, params):\n    return {rules}"))
    script, function = (wait_finished(cluster, namespace, name)["status"] for name in ("script", "function"))
    assert script["kind"] == function["kind"] == "Positions"
    assert script["metrics"] == function["metrics"]
    assert script["provenance"]["positionsSHA256"] == function["provenance"]["positionsSHA256"]


@pytest.mark.parametrize(
    ("source", "reason", "words"),
    [
        pytest.param(
            "import os\nprint('RESULT {}', flush=True)\nos._exit(0)",
            "ResultInvalid",
            "what follows RESULT has no finite number by name",
            id="result-of-nothing",
        ),
        pytest.param("import os\nos._exit(0)", "ResultMissing", "the script ended without a word", id="nothing-at-all"),
    ],
)
def test_a_script_that_leaves_nothing_is_no_success(
    cluster: Cluster, namespace: str, source: str, reason: str, words: str
) -> None:
    """Exit code 0 alone is no result."""
    cluster.create(strategy_run(namespace=namespace, source=source))
    status = wait_finished(cluster, namespace)["status"]
    assert (status["phase"], status["reason"]) == ("Failed", reason)
    assert words in status["message"]


def _cells(cluster: Cluster, namespace: str) -> list[object]:
    kind: Kind = STRATEGY_RUN
    (row,) = cluster.table(kind, namespace)["rows"]
    cells: list[object] = row["cells"]
    return cells[1:]
