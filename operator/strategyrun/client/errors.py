"""What may go wrong, by who has to act.

StrategyRunError
├── NotAskedError           what was asked for makes no sense; nothing was sent
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

from typing import TYPE_CHECKING

from strategyrun.domain.outcomes import Reason

if TYPE_CHECKING:
    from strategyrun.client.result import Result


class StrategyRunError(Exception):
    """Anything that this client raises; the message is one line."""


class NotAskedError(StrategyRunError):
    """What was asked for makes no sense; nothing was sent anywhere."""


class ClusterError(StrategyRunError):
    """The cluster was not reached, said no, or holds what this version cannot read."""


class UnreachableError(ClusterError):
    """There is no cluster, or its API server does not answer."""


class ForbiddenError(ClusterError):
    """Whoever asks has not the right; the message names it."""


class RefusedRunError(ClusterError):
    """The API server refuses the run: a field does not fit, the name is taken, or a policy or quota says no."""

    def __init__(self, message: str, reason: Reason = Reason.SPEC_INVALID) -> None:
        super().__init__(message)
        self.reason = reason


class NoRunError(ClusterError):
    """There is no run of that name."""


class NotStartedError(ClusterError):
    """A container whose log is asked for has not started yet, or never will."""


class LostConnectionError(ClusterError):
    """The API server stopped answering. The runs go on: ask for their results by name."""


class RunError(StrategyRunError):
    """A run ended, and not well."""

    def __init__(self, result: "Result") -> None:
        super().__init__(f"{result.name}: {result.reason}: {result.message}")
        self.result = result


class UserError(RunError):
    """The strategy is at fault."""


class SandboxError(RunError):
    """What was to run the strategy is at fault."""


class PlatformError(RunError):
    """The cluster is at fault."""


class RunCancelledError(RunError):
    """Somebody did not want the run any more."""


BY_CLASS: dict[str, type[RunError]] = {
    "User": UserError,
    "Sandbox": SandboxError,
    "Platform": PlatformError,
    "Cancelled": RunCancelledError,
}
"""The error of each way in which a run may end and not succeed."""
