"""finlab-sandbox: untrusted trading strategies in, trusted metrics out. `Client` is the door for programs."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from strategyrun.client import AsyncClient, Board, Client, Result, RunError, StrategyRunError, Trial

__all__ = ["AsyncClient", "Board", "Client", "Result", "RunError", "StrategyRunError", "Trial"]


def __getattr__(name: str) -> Any:
    """Load the client where it is asked for: the operator and its vetting children do without."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from strategyrun import client  # noqa: PLC0415 - for the reason above

    return getattr(client, name)
