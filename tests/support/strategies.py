"""Well-known rules as frames of target weights, written plainly. They know the past alone, and the engine lags them."""

import numpy as np
import pandas as pd


def moving_average_cross(close: pd.DataFrame) -> pd.DataFrame:
    """All in while the mean of 20 closes is above that of 50."""
    return (close.rolling(20).mean() > close.rolling(50).mean()).astype(float)


def momentum(close: pd.DataFrame) -> pd.DataFrame:
    """On the last day of each month, a fifth in each of the five best of the year before the last month."""
    signal = (close.shift(21) / close.shift(252) - 1).loc[month_ends(close)].dropna()
    best = signal.rank(axis=1, ascending=False) <= 5
    return best.astype(float) * 0.2


def donchian(bars: pd.DataFrame) -> pd.DataFrame:
    """Long from a close above the highs of 20 days to one below the lows of 10 days."""
    weight = pd.Series(np.nan, bars.index)
    weight[bars["Close"] > bars["High"].rolling(20).max().shift(1)] = 1.0
    weight[bars["Close"] < bars["Low"].rolling(10).min().shift(1)] = 0.0
    return weight.ffill().fillna(0.0).to_frame("Adj Close")


def volatility_target(close: pd.DataFrame) -> pd.DataFrame:
    """What brings the deviation of 20 days to 10 % a year, all of the capital at most."""
    deviation = close.pct_change().rolling(20).std() * np.sqrt(252)
    weights: pd.DataFrame = (0.10 / deviation).clip(upper=1.0)
    return weights


def equal_weight(close: pd.DataFrame) -> pd.DataFrame:
    """Equal parts, put back on the last day of each month."""
    return pd.DataFrame(1 / len(close.columns), month_ends(close), close.columns)


def month_ends(close: pd.DataFrame) -> pd.DatetimeIndex:
    """The last row of each calendar month."""
    return pd.DatetimeIndex(close.groupby(pd.DatetimeIndex(close.index).to_period("M")).tail(1).index)
