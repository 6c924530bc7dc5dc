"""StrategyRuns from Python: strategies in, typed results and errors out.

What may go wrong, by who has to act:

StrategyRunError
├── NotAskedError           what was asked for makes no sense; nothing was sent
├── NotFinishedError        the time is over, and some runs go on; it has those that have ended
├── ClusterError            the cluster was not reached, said no, or holds what cannot be read
│   ├── UnreachableError        there is none, or it does not answer
│   ├── ForbiddenError          a right is missing
│   ├── RefusedRunError         the API server refuses the run
│   ├── NoRunError              there is no run of that name
│   ├── NotStartedError         the container has printed nothing: it has not started
│   └── LostConnectionError     it stopped answering; the runs go on
└── RunError                the run ended, and not well; it has the result
    ├── UserError               the strategy
    ├── SandboxError            what was to run it
    ├── PlatformError           the cluster
    └── RunCancelledError       somebody did not want it any more
"""

from strategyrun.client.asynchronous import AsyncClient
from strategyrun.client.board import Board, Place
from strategyrun.client.errors import (
    ClusterError,
    ForbiddenError,
    LostConnectionError,
    NoRunError,
    NotAskedError,
    NotStartedError,
    RefusedRunError,
    StrategyRunError,
    UnreachableError,
)
from strategyrun.client.result import (
    NotFinishedError,
    PlatformError,
    Result,
    RunCancelledError,
    RunError,
    SandboxError,
    UserError,
)
from strategyrun.client.synchronous import Client
from strategyrun.client.trial import Trial

__all__ = [
    "AsyncClient",
    "Board",
    "Client",
    "ClusterError",
    "ForbiddenError",
    "LostConnectionError",
    "NoRunError",
    "NotAskedError",
    "NotFinishedError",
    "NotStartedError",
    "Place",
    "PlatformError",
    "RefusedRunError",
    "Result",
    "RunCancelledError",
    "RunError",
    "SandboxError",
    "StrategyRunError",
    "Trial",
    "UnreachableError",
    "UserError",
]
