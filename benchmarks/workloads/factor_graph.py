# mypy: ignore-errors
"""A graph of correlations, by scipy and networkx: the less central a share, the more of it, ordered monthly."""

import networkx as nx
import numpy as np
import pandas as pd
from scipy.sparse.csgraph import minimum_spanning_tree


def strategy(data, params):
    """Return target weights, date x symbol."""
    close = data.adj_close
    returns = close.pct_change(fill_method=None)
    month_end = close.groupby(close.index.to_period("M")).tail(1).index
    orders = {}
    for day in month_end:
        recent = returns.loc[:day].tail(params["window"])
        recent = recent.dropna(axis=1)
        if len(recent) == params["window"] and recent.shape[1] >= 2:
            orders[day] = uncrowded(recent)
    return pd.DataFrame(orders).T.reindex(columns=close.columns).fillna(0.0)


def uncrowded(returns):
    """Return weights from a window of returns, date x symbol."""
    correlation = returns.corr().to_numpy()
    distance = np.sqrt(np.clip(0.5 * (1 - correlation), 1e-9, None))
    np.fill_diagonal(distance, 0.0)
    tree = nx.from_scipy_sparse_array(minimum_spanning_tree(distance))
    centrality = np.array([score for _, score in sorted(nx.closeness_centrality(tree, distance="weight").items())])
    weight = 1 / centrality / returns.std().to_numpy()
    return pd.Series(weight / weight.sum(), returns.columns)
