# mypy: ignore-errors
"""RSI and MACD, by TA-Lib: enter while momentum is up and not overbought, leave when either has gone."""

import numpy as np
import pandas as pd
import talib


def strategy(data, params):
    """Return target weights, date x symbol."""
    weights = {}
    for symbol, close in data.adj_close.items():
        values = close.to_numpy()
        rsi = talib.RSI(values, timeperiod=params["rsi"])
        _, _, histogram = talib.MACD(values, fastperiod=12, slowperiod=26, signalperiod=9)
        enter = (histogram > 0) & (rsi > params["low"]) & (rsi < params["high"])
        leave = (rsi >= params["high"]) | ((histogram < 0) & (rsi < params["low"]))
        state = np.where(leave, 0.0, np.where(enter, 1.0, np.nan))
        weights[symbol] = pd.Series(state, close.index).ffill().fillna(0.0) / len(data.symbols)
    return pd.DataFrame(weights)
