"""Thirty honest strategies in the words that people and language models write them in, numpy and pandas alone."""

HONEST = {
    "rolling mean": """
def strategy(data, params):
    close = data.close
    return close > close.rolling(params.get("days", 50)).mean()
""",
    "crossover with types": """
import pandas as pd


def strategy(data, params: dict) -> pd.DataFrame:
    \"\"\"Long while the fast average is above the slow one.\"\"\"
    fast: int = params.get("fast", 20)
    slow: int = params.get("slow", 60)
    close = data["close"]
    signal = close.rolling(window=fast, min_periods=fast).mean() > close.rolling(window=slow).mean()
    return signal.astype(float).div(len(close.columns))
""",
    "exponential crossover": """
def strategy(data, params):
    close = data.adj_close
    fast = close.ewm(span=12, adjust=False).mean()
    slow = close.ewm(span=26, adjust=False).mean()
    return (fast > slow) & close.notna()
""",
    "momentum": """
def strategy(data, params):
    close = data.close
    rise = close.shift(21) / close.shift(252) - 1
    month_end = close.groupby(close.index.to_period("M")).tail(1).index
    return rise.loc[month_end].rank(axis=1, ascending=False) <= 2
""",
    "RSI by hand": """
import numpy as np


def _rsi(close, n=14):
    delta = close.diff()
    gain = delta.clip(lower=0).ewm(alpha=1 / n, adjust=False).mean()
    loss = (-delta.clip(upper=0)).ewm(alpha=1 / n, adjust=False).mean()
    return 100 - 100 / (1 + gain / loss.replace(0, np.nan))


def strategy(data, params):
    rsi = data.close.apply(_rsi)
    enter, leave = rsi < params.get("low", 30), rsi > params.get("high", 55)
    return enter.astype(float).where(enter | leave).ffill().fillna(0) / len(data.symbols)
""",
    "MACD by hand": """
def macd(close, fast=12, slow=26, signal=9):
    line = close.ewm(span=fast, adjust=False).mean() - close.ewm(span=slow, adjust=False).mean()
    return line, line.ewm(span=signal, adjust=False).mean()


def strategy(data, params):
    line, signal = macd(data.close, **params)
    return (line - signal) > 0
""",
    "Donchian channel in a loop": """
import pandas as pd


def strategy(data, params):
    high, low, close = data.high, data.low, data.close
    upper = high.rolling(20).max().shift(1)
    lower = low.rolling(10).min().shift(1)
    weights = pd.DataFrame(0.0, index=close.index, columns=close.columns)
    for symbol in close.columns:
        inside = False
        for i in range(1, len(close)):
            price = close[symbol].iloc[i]
            if not inside and price > upper[symbol].iloc[i]:
                inside = True
            elif inside and price < lower[symbol].iloc[i]:
                inside = False
            weights.loc[close.index[i], symbol] = 1.0 / len(close.columns) if inside else 0.0
    return weights
""",
    "volatility target": """
import numpy as np


def strategy(data, params):
    returns = data.close.pct_change(fill_method=None)
    volatility = returns.rolling(20).std() * np.sqrt(252)
    return (params.get("target", 0.1) / volatility).clip(upper=1.0) / len(data.symbols)
""",
    "pairs": """
import numpy as np
import pandas as pd


def strategy(data, params):
    a, b = data.symbols[:2]
    prices = np.log(data.close[[a, b]])
    spread = prices[a] - prices[b]
    z = (spread - spread.rolling(60).mean()) / spread.rolling(60).std()
    side = pd.Series(np.nan, index=z.index)
    side[z > 2] = -0.5
    side[z < -2] = 0.5
    side[abs(z) < 0.5] = 0.0
    side = side.ffill().fillna(0.0)
    return pd.concat({a: side, b: -side}, axis=1)
""",
    "Bollinger bands": """
def strategy(data, params):
    close = data.close
    middle = close.rolling(20).mean()
    deviation = close.rolling(20).std(ddof=0)
    lower, upper = middle - 2 * deviation, middle + 2 * deviation
    enter = close < lower
    leave = close > middle
    return enter.astype(float).where(enter | leave).ffill().fillna(0.0) / close.shape[1]
""",
    "turtle sizing": """
import numpy as np


def strategy(data, params):
    high, low, close = data.high, data.low, data.close
    previous = close.shift(1)
    true_range = np.maximum(high - low, np.maximum((high - previous).abs(), (low - previous).abs()))
    size = (0.01 / (true_range.rolling(20).mean() / close)).clip(upper=0.2)
    return size.where(close > high.rolling(55).max().shift(1), 0.0)
""",
    "equal weight at month ends": """
import pandas as pd


def strategy(data, params):
    close = data.close
    month_end = close.groupby([close.index.year, close.index.month]).tail(1).index
    return pd.DataFrame(1 / len(close.columns), index=month_end, columns=close.columns)
""",
    "own function in a rolling window": """
import numpy as np


def slope(values):
    x = np.arange(len(values))
    return np.polyfit(x, values, 1)[0]


def strategy(data, params):
    return data.close.tail(120).rolling(20).apply(slope, raw=True) > 0
""",
    "function of Python in a rolling window": """
def strategy(data, params):
    strength = data.close.diff().tail(150).rolling(30).apply(sum, raw=True)
    print("total", sum(params.values()))
    return strength > 0
""",
    "lambda in a rolling window": """
def strategy(data, params):
    strength = data.close.tail(150).rolling(30).apply(lambda window: (window > window.mean()).mean(), raw=True)
    return strength > 0.5
""",
    "drawdown guard": """
def strategy(data, params):
    close = data.close
    fall = close / close.cummax() - 1
    return fall > -params.get("most", 0.2)
""",
    "inverse volatility": """
def strategy(data, params):
    volatility = data.close.pct_change(fill_method=None).rolling(60).std()
    inverse = 1 / volatility
    return inverse.div(inverse.sum(axis=1), axis=0)
""",
    "minimum variance": """
import numpy as np
import pandas as pd


def strategy(data, params):
    returns = data.close.pct_change(fill_method=None)
    orders = {}
    for day in returns.index[252::63]:
        window = returns.loc[:day].tail(252).dropna(axis=1)
        try:
            inverse = np.linalg.inv(window.cov().to_numpy() + 1e-8 * np.eye(window.shape[1]))
        except np.linalg.LinAlgError:
            continue
        weights = inverse.sum(axis=1) / inverse.sum()
        orders[day] = pd.Series(np.clip(weights, 0, 1), index=window.columns)
    return pd.DataFrame.from_dict(orders, orient="index")
""",
    "seasons": """
def strategy(data, params):
    close = data.close
    winter = close.index.month.isin([11, 12, 1, 2, 3, 4])
    weights = close.notna().astype(float) / len(close.columns)
    weights.loc[~winter] = 0.0
    return weights
""",
    "turn of the month": """
import pandas as pd


def strategy(data, params):
    close = data.close
    day = pd.Series(close.index.day, index=close.index)
    held = (day >= 28) | (day <= 3)
    return close.notna().mul(held, axis=0)
""",
    "rank and z-score": """
def strategy(data, params):
    rise = data.close.pct_change(60, fill_method=None)
    z = rise.sub(rise.mean(axis=1), axis=0).div(rise.std(axis=1), axis=0)
    return z.clip(-1, 1) / len(data.symbols)
""",
    "volume filter": """
def strategy(data, params):
    money = data.close * data.volume
    busy = money > money.rolling(20).mean()
    return busy & (data.close > data.open)
""",
    "state machine": """
import pandas as pd

STOP = 0.1


def strategy(data, params):
    close = data.close
    weights = {}
    for name, prices in close.items():
        peak, held, rows = None, 0.0, []
        for price in prices.to_numpy():
            if held and price < peak * (1 - STOP):
                held = 0.0
            elif not held and (peak is None or price > peak):
                held = 1.0
            peak = price if peak is None else max(peak, price)
            rows.append(held / close.shape[1])
        weights[name] = rows
    return pd.DataFrame(weights, index=close.index)
""",
    "script with a frame": """
import pandas as pd

close = data.close
position = pd.DataFrame(0.0, index=close.index, columns=close.columns)
position[close > close.shift(1)] = 0.2
""",
    "guarded script": """
def build(close):
    return close > close.rolling(10).mean()


if __name__ == "__main__":
    positions = build(data.close)
    print(f"{len(positions)} rows, {positions.mean().mean():.2%} held")
""",
    "regression on the market": """
import numpy as np
import pandas as pd


def strategy(data, params):
    returns = data.close.pct_change(fill_method=None).fillna(0.0)
    market = returns.mean(axis=1)
    beta = returns.rolling(120).cov(market).div(market.rolling(120).var(), axis=0)
    return pd.DataFrame(np.where(beta < 1, 0.2, 0.0), index=beta.index, columns=beta.columns)
""",
    "least squares": """
import numpy as np


def strategy(data, params):
    close = np.log(data.close.ffill().bfill())
    x = np.column_stack([np.ones(len(close)), np.arange(len(close))])
    line, *_ = np.linalg.lstsq(x, close.to_numpy(), rcond=None)
    return close < close * 0 + x @ line
""",
    "standard library": """
import itertools
import math
from collections import defaultdict, deque
from statistics import mean

import pandas as pd


def strategy(data, params):
    rows = defaultdict(dict)
    for symbol in data.symbols:
        window = deque(maxlen=10)
        for day, price in data.close[symbol].dropna().items():
            window.append(math.log(price))
            rows[day][symbol] = 0.2 if window[-1] > mean(window) else 0.0
    best = max(itertools.combinations(data.symbols, 2), key=lambda pair: data.close[list(pair)].iloc[-1].sum())
    print("best pair:", *best, sep=" ")
    return pd.DataFrame.from_dict(rows, orient="index").sort_index()
""",
    "weekly, by groups": """
def strategy(data, params):
    close = data.close
    weekly = close.resample("W").last()
    rise = weekly.pct_change(4, fill_method=None)
    return rise.reindex(close.index, method="ffill") > 0
""",
    "aggregations by name": """
import warnings

import numpy as np

warnings.filterwarnings("ignore")


def strategy(data, params):
    close = data.close
    by_year = close.groupby(close.index.year)
    spread = by_year.transform("max") * 0 + by_year.agg(["min", "max"]).max().max()
    with np.errstate(divide="ignore", invalid="ignore"):
        score = np.log(close) - np.log(spread)
    average = close.agg("mean")
    return (score < 0) & (close > average)
""",
    "random portfolio": """
import numpy as np
import pandas as pd


def strategy(data, params):
    rng = np.random.default_rng(params.get("seed", 7))
    weights = rng.uniform(0, 1, size=data.close.shape)
    weights /= weights.sum(axis=1, keepdims=True)
    frame = pd.DataFrame(weights, index=data.dates, columns=data.symbols)
    frame.columns.name = "symbol"
    assert frame.notna().all().all(), "every weight is a number"
    return frame
""",
    "open, high, low, close": """
def strategy(data, params):
    open, high, low, close = data.open, data.high, data.low, data.close
    range_ = (high - low).replace(0, float("nan"))
    strength = (close - open) / range_
    return strength.rolling(5).mean() > 0.1
""",
}
