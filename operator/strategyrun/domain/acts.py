"""What a decision can ask for: things to make, to take away, and to look up where the cache cannot tell."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class Vet:
    """Fetch the source and check it in a limited child process."""


@dataclass(frozen=True)
class Create:
    """POST an object; that it exists already is no error."""

    manifest: dict[str, Any]


@dataclass(frozen=True)
class DeleteJob:
    """Delete a Job and its pod, if it still is that one."""

    name: str
    uid: str


@dataclass(frozen=True)
class StopJob:
    """Delete a Job under which a strategy may run or start, unless the API server shows an ended pod of it that stays,
    or news of the Job has come meanwhile.

    Another operator may have answered of a pod whose end is no news here yet; its log is kept as long as any other.
    """

    name: str
    uid: str


@dataclass(frozen=True)
class DeleteSnapshot:
    """Delete the ConfigMap of inputs that nobody will read again."""

    name: str


@dataclass(frozen=True)
class ConfirmJob:
    """Read a Job from the API server itself: absence in a cache proves nothing."""

    name: str
    uid: str | None
    """None where any Job of that name is meant."""
    pod_uid: str | None = None
    """Of a deleted pod for which the Job is to answer."""


@dataclass(frozen=True)
class FindPod:
    """Read the pods of an ended Job from the API server itself, for the same reason."""

    job_uid: str


@dataclass(frozen=True)
class FindTrouble:
    """Read the events of a Job or pod that does not start."""

    uid: str


@dataclass(frozen=True)
class KeepReport:
    """Read the full report from the log of a pod's evaluator, and keep it in a ConfigMap."""

    job_uid: str
    pod_name: str
    sha256: str
    until: datetime
    """What may pass is waited for until then."""


@dataclass(frozen=True)
class DeleteReport:
    """Delete the ConfigMap of a report that no status speaks of any more."""

    name: str


Act = (
    Vet | Create | DeleteJob | StopJob | DeleteSnapshot | ConfirmJob | FindPod | FindTrouble | KeepReport | DeleteReport
)


def needs_current_run(act: Act) -> bool:
    """Whether an act makes or takes away what a run stands on: it is for the run that was seen, not for a newer one."""
    takes_away = isinstance(act, DeleteJob | StopJob | DeleteSnapshot)
    return takes_away or (isinstance(act, Create) and act.manifest["kind"] == "Job")
