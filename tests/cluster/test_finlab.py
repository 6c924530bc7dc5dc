"""Strategies as users of finlab write them, in the real image, on the run's dataset and without the vendor."""

import math
import re
from typing import NamedTuple

import pytest

from support.cluster import Cluster
from support.runs import condition, strategy_run, wait_finished


class Pair(NamedTuple):
    """A strategy in the words of finlab, and the same in those of pandas and TA-Lib."""

    finlab: str
    plain: str


PAIRS = {
    "moving averages": Pair(
        """\
        from finlab import data

        close = data.get('price:收盤價')
        sma20 = close.average(20)
        sma60 = close.average(60)
        position = (close > sma20) & (sma20 > sma60)
        """,
        """\
        def strategy(data, params):
            fast = data.close.rolling(20, min_periods=10).mean()
            slow = data.close.rolling(60, min_periods=30).mean()
            return (data.close > fast) & (fast > slow)
        """,
    ),
    "momentum of the strongest": Pair(
        """\
        from finlab import data
        from finlab.dataframe import FinlabDataFrame

        adj = data.get('etl:adj_close')
        assert isinstance(adj, FinlabDataFrame) and adj.index.tz is None
        momentum = adj / adj.shift(120)
        position = momentum[adj.rise(20)].is_largest(2) & ~adj.is_smallest(1)
        """,
        """\
        def strategy(data, params):
            momentum = (data.adj_close / data.adj_close.shift(120)).where(data.adj_close > data.adj_close.shift(20))
            cheapest = data.adj_close.rank(axis=1, method="first") <= 1
            return (momentum.rank(axis=1, ascending=False, method="first") <= 2) & ~cheapest
        """,
    ),
    "an indicator on adjusted prices": Pair(
        """\
        import finlab.data as fd

        def strategy(data, params):
            rsi = fd.indicator('RSI', adjust_price=True, timeperiod=params["days"])
            volume = fd.get('price:成交股數')
            return (rsi < 45) & (volume > volume.average(20))
        """,
        """\
        import pandas as pd
        import talib

        def strategy(data, params):
            prices = data.adj_close.ffill()
            rsi = prices.apply(lambda series: pd.Series(talib.RSI(series, timeperiod=params["days"]), series.index))
            return (rsi < 45) & (data.volume > data.volume.rolling(20, min_periods=10).mean())
        """,
    ),
    "above the median for three days": Pair(
        """\
        from finlab import data

        change = data.get('price:收盤價').pct_change(60)
        position = (change > change.quantile_row(0.5)).sustain(3)
        """,
        """\
        def strategy(data, params):
            change = data.close.pct_change(60)
            return change.gt(change.quantile(0.5, axis=1), axis=0).rolling(3).sum() >= 3
        """,
    ),
    "a weekly indicator beside daily prices": Pair(
        """\
        from finlab import data

        rsi = data.indicator('RSI', resample='W', timeperiod=9)
        close = data.get('price:收盤價')
        position = (rsi > 55) & (close > close.average(50))
        """,
        """\
        import talib

        def strategy(data, params):
            weekly = data.close.resample("W").last().ffill()
            strong = weekly.apply(lambda series: talib.RSI(series, timeperiod=9)) > 55
            strong = strong.reindex(data.close.index, method="ffill").eq(True)
            return strong & (data.close > data.close.rolling(50, min_periods=25).mean())
        """,
    ),
    "in and out": Pair(
        """\
        from finlab import data

        close, high, low = (data.get(f'price:{name}') for name in ('收盤價', '最高價', '最低價'))
        entries = close > high.rolling(20).max().shift(1)
        exits = close < low.rolling(10).min().shift(1)
        position = entries.hold_until(exits)
        """,
        """\
        import numpy as np

        def strategy(data, params):
            entries = (data.close > data.high.rolling(20).max().shift(1)).to_numpy()
            exits = (data.close < data.low.rolling(10).min().shift(1)).to_numpy()
            held = np.zeros_like(entries)
            for day in range(1, len(held)):
                held[day] = (held[day - 1] | entries[day]) & ~exits[day]
            position = data.close.notna()
            position[:] = held
            return position
        """,
    ),
    "from a fall until it is over": Pair(
        """\
        from finlab import data

        close = data.get('price:收盤價')
        position = close.fall(10).exit_when(close > close.average(20))
        """,
        """\
        import numpy as np
        import pandas as pd

        def strategy(data, params):
            falls = data.close < data.close.shift(10)
            before = falls.shift(fill_value=False)
            recovered = data.close > data.close.rolling(20, min_periods=10).mean()
            held = pd.DataFrame(np.nan, data.dates, data.symbols)
            held[falls & ~before] = 1.0
            held[(before & ~falls) | recovered] = 0.0
            return held.ffill() == 1.0
        """,
    ),
    "a week from each breakdown": Pair(
        """\
        from finlab import data

        close = data.get('price:收盤價')
        position = (close > close.average(20)).is_exit().rolling(5).max() > 0
        """,
        """\
        def strategy(data, params):
            above = data.close > data.close.rolling(20, min_periods=10).mean()
            return (~above & above.shift(fill_value=False)).rolling(5).max() > 0
        """,
    ),
    "an indicator of three frames": Pair(
        """\
        from finlab import data

        macd, signal, histogram = data.indicator('MACD', fastperiod=12, slowperiod=26, signalperiod=9)
        position = (macd > signal) & histogram.rise()
        """,
        """\
        import pandas as pd
        import talib

        def strategy(data, params):
            closes = data.close.ffill()
            lines = {name: talib.MACD(closes[name], 12, 26, 9) for name in closes}
            macd, signal, histogram = (pd.DataFrame({name: lines[name][at] for name in closes}) for at in range(3))
            return (macd > signal) & (histogram > histogram.shift(1))
        """,
    ),
    "tables by the day that they were published": Pair(
        """\
        from finlab import data

        close = data.get('price:收盤價')
        position = close.index_str_to_date() > close.deadline().average(50)
        """,
        """\
        def strategy(data, params):
            return data.close > data.close.rolling(50, min_periods=25).mean()
        """,
    ),
}


@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
def test_a_strategy_in_finlabs_words_scores_as_the_same_in_others(cluster: Cluster, namespace: str, pair: Pair) -> None:
    """Every metric is equal, no line of the future is seen, and finlab needs no network for it."""
    for name, source in pair._asdict().items():
        cluster.create(strategy_run(name, namespace, source=source, params={"days": 14}))
    finlab, plain = (wait_finished(cluster, namespace, name)["status"] for name in pair._fields)
    for status in (finlab, plain):
        assert (status["phase"], status["reason"]) == ("Succeeded", "Evaluated"), status
        assert (status["kind"], status["lookAhead"]["changed"]) == ("Positions", 0)
        assert all(math.isfinite(value) for value in status["metrics"].values())
    assert finlab["lookAhead"]["checked"] > 0
    assert finlab["metrics"]["trades"] > 10
    assert finlab["metrics"] == pytest.approx(plain["metrics"], rel=1e-12)


LEAKS = {
    "a table": "close = data.get('price:收盤價')\nposition = close.shift(-1) > close\n",
    "an adjusted table": "close = data.get('etl:adj_close')\nposition = close.shift(-1) > close\n",
    "an indicator": "rsi = data.indicator('RSI', timeperiod=14)\nposition = rsi.shift(-5) > rsi\n",
    "a weekly indicator": "rsi = data.indicator('RSI', resample='W', timeperiod=9)\nposition = rsi.shift(-1) > rsi\n",
}


@pytest.mark.parametrize("source", LEAKS.values(), ids=LEAKS)
def test_a_look_into_the_future_of_finlabs_tables_is_found(cluster: Cluster, namespace: str, source: str) -> None:
    """They are of the other future as much as `data` is."""
    cluster.create(strategy_run(namespace=namespace, source=f"from finlab import data\n{source}"))
    run = wait_finished(cluster, namespace)
    assert run["status"]["lookAhead"]["changed"] > 0, run["status"]
    assert condition(run, "LookAheadClean") == "False"


def test_the_largest_and_smallest_are_those_that_finlab_chooses(cluster: Cluster, namespace: str) -> None:
    """Ours is faster than the method that it stands in for, and equal on ties, gaps, infinities and rows of nothing."""
    source = """\
        import numpy as np
        from finlab import data

        close = data.get('price:收盤價')
        generator = np.random.default_rng(7)
        values = generator.integers(-2, 3, close.shape).astype(float)
        values[generator.random(close.shape) < 0.3] = np.nan
        values[generator.random(close.shape) < 0.1] = np.inf
        values[generator.random(close.shape) < 0.1] = -np.inf
        values[:20] = np.nan
        values[20:40] = 1.0
        odd = (close * 0 + 1).fillna(1.0).iloc[:200] * values[:200]
        for name in ('is_largest', 'is_smallest'):
            ours = getattr(type(odd), name)
            (finlabs,) = (cell.cell_contents for cell in ours.__closure__ if callable(cell.cell_contents))
            for n in (1, 2, 5, 9):
                assert ours(odd, n).equals(finlabs(odd, n)), (name, n)
        position = close.is_largest(2)
        """
    cluster.create(strategy_run(namespace=namespace, source=source))
    status = wait_finished(cluster, namespace)["status"]
    assert (status["phase"], status["reason"]) == ("Succeeded", "Evaluated"), status


NEEDS_A_TABLE = {
    "set_universe": ("data.set_universe('TSE')\nposition = close > 0\n", "security_categories"),
    "groupby_category": ("position = close.groupby_category().mean() > 0\n", "security_categories"),
    "industry_rank": ("position = close.industry_rank() > 0.5\n", "security_industry_themes"),
    "deadline": (
        "close.index = close.index.to_period('Q').strftime('%Y-Q%q')\nposition = close.deadline() > 0\n",
        "etl:financial_statements_deadline",
    ),
}


@pytest.mark.parametrize(("source", "table"), NEEDS_A_TABLE.values(), ids=NEEDS_A_TABLE)
def test_what_needs_a_table_of_the_vendors_is_data_missing(
    cluster: Cluster, namespace: str, source: str, table: str
) -> None:
    """Which companies are of which industry, and when a quarter was published, no prices tell."""
    whole = f"from finlab import data\nclose = data.get('price:收盤價')\n{source}"
    cluster.create(strategy_run(namespace=namespace, source=whole))
    failure = wait_finished(cluster, namespace)["status"]["failure"]
    assert (failure["class"], failure["reason"]) == ("User", "DataMissing"), failure
    assert f"there is no table '{table}'" in failure["message"]


def test_stops_and_ranks_of_hold_until_work(cluster: Cluster, namespace: str) -> None:
    """The prices for them come from the dataset."""
    source = """\
        from finlab import data

        close = data.get('price:收盤價')
        position = (close > close.average(20)).hold_until(
            close < close.average(60), nstocks_limit=2, rank=-close, stop_loss=0.1, take_profit=0.5
        )
        """
    cluster.create(strategy_run(namespace=namespace, source=source))
    status = wait_finished(cluster, namespace)["status"]
    assert (status["phase"], status["reason"]) == ("Succeeded", "Evaluated"), status
    assert status["metrics"]["trades"] > 10


def test_another_table_of_the_dataset_is_a_table_of_finlab(cluster: Cluster, namespace: str) -> None:
    """By the name of its column; what it does not have is DataMissing with what there is."""
    rows = ["date,symbol,close,monthly_revenue:當月營收"]
    for month in range(1, 13):
        for day in (3, 10, 20):
            revenue = 100 + month if day == 10 else ""
            rows += [f"2021-{month:02d}-{day:02d},2330,{500 + month * day},{revenue}"]
            rows += [f"2021-{month:02d}-{day:02d},2317,{100 + month},"]
    metadata = {"name": "prices", "namespace": namespace}
    cluster.create(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"prices.csv": "\n".join(rows) + "\n"}}
    )
    datasets = [{"name": "prices", "configMapRef": {"name": "prices"}}]
    grows = """\
        from finlab import data

        revenue = data.get('monthly_revenue:當月營收')
        assert len(revenue) == 12
        position = (revenue > revenue.shift(1)) & (data.get('price:收盤價') > 0)
        """
    lacks = "from finlab import data\nposition = data.get('price:開盤價') > 0\n"
    for name, source in (("grows", grows), ("lacks", lacks)):
        cluster.create(strategy_run(name, namespace, source=source, datasets=datasets))
    status = wait_finished(cluster, namespace, "grows")["status"]
    assert (status["phase"], status["reason"]) == ("Succeeded", "Evaluated"), status
    failure = wait_finished(cluster, namespace, "lacks")["status"]["failure"]
    assert failure["reason"] == "DataMissing"
    assert "there are price:收盤價, etl:adj_close, monthly_revenue:當月營收 (strategy.py line 2)" in failure["message"]


def test_a_missing_table_names_those_that_there_are(cluster: Cluster, namespace: str) -> None:
    """DataMissing, with the line that asked for it."""
    source = """\
        from finlab import data

        pb = data.get('price_earning_ratio:股價淨值比')
        position = pb.is_smallest(10)
        """
    cluster.create(strategy_run(namespace=namespace, source=source))
    failure = wait_finished(cluster, namespace)["status"]["failure"]
    assert (failure["class"], failure["reason"]) == ("User", "DataMissing")
    assert "no table 'price_earning_ratio:股價淨值比'; there are price:開盤價, price:最高價" in failure["message"]
    assert failure["message"].endswith("etl:adj_close (strategy.py line 3)")


CALLS_THE_VENDOR = {
    "backtest": (
        """\
        from finlab import backtest, data

        close = data.get('price:收盤價')
        position = close > close.average(20)
        try:
            report = backtest.sim(position, resample='M', upload=False)
        except Exception as error:
            print("never mind", error)
        """,
        r"^finlab\.backtest\.sim: .*leave the frame in `position`.* \(strategy\.py line 6\)$",
    ),
    "login": (
        """\
        import finlab

        def strategy(data, params):
            if params.get("token") is None:
                finlab.login("a token")
            return data.close.notna()
        """,
        r"^finlab\.login: .*take this call out.* \(strategy\.py line 5\)$",
    ),
    "the catalogue": (
        """\
        from finlab import data

        for table in data.search("營收"):
            print(table)
        position = data.get('price:收盤價') > 0
        """,
        r"^finlab, in a request to its vendor .* \(strategy\.py line 3\)$",
    ),
}


@pytest.mark.parametrize(("source", "message"), CALLS_THE_VENDOR.values(), ids=CALLS_THE_VENDOR)
def test_a_call_of_the_vendor_ends_the_run_at_once(cluster: Cluster, namespace: str, source: str, message: str) -> None:
    """VendorAuthRequired with the line; no question, no wait for a network, and no handler goes on without it."""
    cluster.create(strategy_run(namespace=namespace, source=source))
    run = wait_finished(cluster, namespace)
    failure = run["status"]["failure"]
    assert (failure["class"], failure["reason"]) == ("User", "VendorAuthRequired"), failure
    assert re.search(message, failure["message"])
    assert "never mind" not in "\n".join(failure["lastLines"])
    assert condition(run, "Started") == "True"


def test_a_plain_backtest_is_refused_before_any_pod(cluster: Cluster, namespace: str) -> None:
    """It stands in the source for all to see."""
    source = """\
        from finlab import data
        from finlab.backtest import sim

        close = data.get('price:收盤價')
        position = close > close.average(20)
        sim(position, resample='M')
        """
    cluster.create(strategy_run(namespace=namespace, source=source))
    run = wait_finished(cluster, namespace)
    assert run["status"]["reason"] == "VendorAuthRequired"
    assert condition(run, "Started") == "False"
