# mypy: ignore-errors
"""Walk-forward regression, by scikit-learn: a model of each month's past predicts which shares to hold."""

import pandas as pd
from sklearn.linear_model import LinearRegression


def strategy(data, params):
    """Return target weights, date x symbol."""
    close, horizon = data.adj_close, params["horizon"]
    daily = close.pct_change(fill_method=None)
    features = {
        "week": close.pct_change(5, fill_method=None),
        "quarter": close.pct_change(63, fill_method=None),
        "year": close.pct_change(252, fill_method=None),
        "risk": daily.rolling(63).std(),
    }
    samples = pd.concat({name: frame.stack() for name, frame in features.items()}, axis=1).dropna()
    ahead = close.pct_change(horizon, fill_method=None).shift(-horizon)  # over `horizon` days after the sample
    target = ahead.stack().reindex(samples.index).to_numpy()
    inputs, symbols = samples.to_numpy(), samples.index.get_level_values(1)
    day_of = close.index.get_indexer(samples.index.get_level_values(0))

    orders = {}
    for day in close.groupby(close.index.to_period("M")).tail(1).index:
        now = close.index.get_loc(day)
        past = (day_of > now - params["train"]) & (day_of <= now - horizon)  # their target has ended by now
        today = day_of == now
        if past.sum() < params["train"] or not today.any():
            continue
        model = LinearRegression().fit(inputs[past], target[past])
        expected = pd.Series(model.predict(inputs[today]), symbols[today])
        best = expected[expected > 0].nlargest(params["top"])
        orders[day] = pd.Series(1 / params["top"], best.index)
    return pd.DataFrame(orders).T.reindex(columns=close.columns).fillna(0.0)
