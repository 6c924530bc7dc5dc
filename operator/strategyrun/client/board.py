"""A leaderboard: runs in the order of a metric, those whose numbers do not compare left out or marked."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Self

from strategyrun.client.display import Line, leaderboard
from strategyrun.client.errors import NotAskedError
from strategyrun.client.result import Result
from strategyrun.domain.strategyrun import Metrics

METRICS = tuple(field.alias or name for name, field in Metrics.model_fields.items())
"""The evaluator's metrics, by their names in the API."""

LESS_IS_BETTER = frozenset({"volatility", "turnover"})


@dataclass(frozen=True)
class Place:
    """A line of the board: `rank` counts those that compare, and is None for the others."""

    rank: int | None
    value: float
    result: Result


@dataclass(frozen=True)
class Board:
    """The places, best first, and how many runs were left out, by why."""

    metric: str
    places: tuple[Place, ...]
    left_out: dict[str, int]

    @classmethod
    def of(cls, results: Iterable[Result], metric: str, *, everything: bool = False) -> Self:
        """Rank the finished runs. Raises NotAskedError for a metric that there is not."""
        require(metric)
        left_out: Counter[str] = Counter()
        valued = []
        for result in results:
            value = result.value(metric)
            if value is None:
                left_out[_why_no_value(result, metric)] += 1
            elif result.ranks or everything:
                valued.append((value, result))
            else:
                left_out[" ".join(result.marks) or "NotEvaluated"] += 1
        valued.sort(key=lambda pair: (pair[0] if metric in LESS_IS_BETTER else -pair[0], pair[1].name))
        places, rank = [], 0
        for value, result in valued:
            rank += result.ranks
            places.append(Place(rank if result.ranks else None, value, result))
        return cls(metric, tuple(places), dict(left_out))

    def __iter__(self) -> Iterator[Place]:
        return iter(self.places)

    def _repr_html_(self) -> str:
        lines = (Line(at.rank, at.result.name, at.value, at.result.marks, at.result.equity) for at in self.places)
        return leaderboard(self.metric, lines, self.left_out)


def require(metric: str) -> None:
    """Raise NotAskedError for a metric that there is not."""
    if metric not in METRICS:
        raise NotAskedError(f"metric {metric!r}: must be one of {', '.join(METRICS)}")


def _why_no_value(result: Result, metric: str) -> str:
    if not result.finished:
        return "unfinished"
    return f"without {metric}" if result.succeeded else result.phase.lower()
