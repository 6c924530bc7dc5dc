"""The API server's answers as this client's errors: one line that names what is missing."""

from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp

from strategyrun.adapters import runs
from strategyrun.adapters.kube import ApiError, ExistsError, NoClusterError
from strategyrun.adapters.runs import said
from strategyrun.client.errors import (
    ClusterError,
    ForbiddenError,
    LostConnectionError,
    NoRunError,
    NotStartedError,
    RefusedRunError,
    UnreachableError,
)
from strategyrun.domain.outcomes import Reason

_ADMISSION = ("denied the request", "denied request", "exceeded quota", "ValidatingAdmissionPolicy")
"""How a refusal speaks that is about the object and not about who asks."""


@contextmanager
def asking(what: str, namespace: str) -> Iterator[None]:
    """Raise ClusterError, by its meaning, for what the adapters raise; `what` is a verb and its object."""
    where = f"in namespace {namespace}"
    try:
        yield
    except NoClusterError as error:
        raise UnreachableError(said(error)) from error
    except runs.LostConnectionError as error:
        raise LostConnectionError(f"{error}; the runs go on, ask for them by name") from error
    except ExistsError as error:
        raise RefusedRunError(f"cannot {what} {where}: the name is taken") from error
    except ApiError as error:
        if error.status == 404 and "could not find the requested resource" in error.message:
            raise ClusterError(
                "this cluster has no StrategyRun: the CRD is not installed (make up, or the chart)"
            ) from error
        if error.status == 404:
            raise NoRunError(f"cannot {what} {where}: {said(error)}") from error
        if error.status == 401:
            raise ForbiddenError(f"the API server does not know who asks: {said(error)}; log in again") from error
        if error.status == 403 and not any(mark in error.message for mark in _ADMISSION):
            raise ForbiddenError(f"no right to {what} {where}: {said(error)}") from error
        if error.status == 400 and "is waiting to start" in error.message:
            raise NotStartedError(f"cannot {what} {where}: {said(error)}") from error
        if error.status in (400, 403, 422):
            reason = Reason.POLICY_DENIED if error.status == 403 else Reason.SPEC_INVALID
            raise RefusedRunError(f"cannot {what} {where}: {said(error)}", reason) from error
        raise UnreachableError(f"the API server does not {what} {where}: {said(error)}") from error
    except (aiohttp.ClientError, OSError) as error:
        raise UnreachableError(f"the API server does not answer: {said(error)}") from error
