"""StrategyRuns from Python: strategies in, typed results and errors by class out."""

from strategyrun.client.asynchronous import AsyncClient
from strategyrun.client.board import Board, Place
from strategyrun.client.errors import (
    ClusterError,
    ForbiddenError,
    LostConnectionError,
    NoRunError,
    NotAskedError,
    NotStartedError,
    PlatformError,
    RefusedRunError,
    RunCancelledError,
    RunError,
    SandboxError,
    StrategyRunError,
    UnreachableError,
    UserError,
)
from strategyrun.client.result import Result
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
