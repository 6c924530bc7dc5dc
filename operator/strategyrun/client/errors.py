"""What may go wrong on the way to an answer; the errors of a run that has one stand beside its result."""

from strategyrun.domain.outcomes import Reason


class StrategyRunError(Exception):
    """Anything that this client raises; the message is one line."""


class NotAskedError(StrategyRunError):
    """What was asked for makes no sense, and nothing was sent anywhere; or the Client is closed."""


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
