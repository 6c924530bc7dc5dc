"""The API server's answers as this client's errors: one line that names what is missing."""

from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp

from strategyrun.adapters import runs
from strategyrun.adapters.kube import ApiError, ExistsError, RefusedError
from strategyrun.adapters.kubeconfig import NoClusterError
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
def asking(what: str, namespace: str, *, makes: bool = False) -> Iterator[None]:
    """Raise ClusterError, by its meaning, for what the adapters raise; `what` is a verb and its object.

    Where it `makes` a run, a refusal with whatever code is of that run.
    """
    asked = f"{what} in namespace {namespace}"
    try:
        yield
    except NoClusterError as error:
        raise UnreachableError(said(error)) from error
    except runs.LostConnectionError as error:
        raise LostConnectionError(f"cannot {asked}: {error}; the runs go on, ask for them by name") from error
    except ExistsError as error:
        raise RefusedRunError(f"cannot {asked}: the name is taken") from error
    except ApiError as error:
        raise _meaning(error, asked, makes=makes) from error
    except (aiohttp.ClientError, OSError) as error:
        raise UnreachableError(f"the API server does not answer: {said(error)}") from error


def _meaning(error: ApiError, asked: str, *, makes: bool) -> ClusterError:
    denied = error.status < 500 and any(mark in error.message for mark in _ADMISSION)
    if error.status == 404 and "could not find the requested resource" in error.message:
        return ClusterError("this cluster has no StrategyRun: the CRD is not installed (make up, or the chart)")
    if error.status == 404 and not denied:
        return NoRunError(f"cannot {asked}: {said(error)}")
    if error.status == 401 and not denied:
        return ForbiddenError(f"the API server does not know who asks: {said(error)}; log in again")
    if error.status == 403 and not denied:
        return ForbiddenError(f"no right to {asked}: {said(error)}")
    if error.status == 400 and "is waiting to start" in error.message:
        return NotStartedError(f"cannot {asked}: {said(error)}")
    if denied or error.status in (400, 422) or (makes and isinstance(error, RefusedError) and error.status != 405):
        reason = Reason.POLICY_DENIED if denied and error.status not in (400, 422) else Reason.SPEC_INVALID
        return RefusedRunError(f"cannot {asked}: {said(error)}", reason)
    return UnreachableError(f"the API server does not {asked}: {said(error)}")
