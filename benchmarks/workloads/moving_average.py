# mypy: ignore-errors
"""Moving averages, in pandas: hold the shares whose fast average is above the slow one, in equal parts."""


def strategy(data, params):
    """Return target weights, date x symbol."""
    close = data.adj_close
    fast = close.rolling(params["fast"]).mean()
    slow = close.rolling(params["slow"]).mean()
    return fast > slow
