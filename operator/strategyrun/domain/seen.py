"""All that is known of a run when its next step is decided."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from strategyrun.domain.observation import JobObservation, PodObservation
from strategyrun.domain.sandbox import Profile
from strategyrun.domain.slots import Place
from strategyrun.domain.strategyrun import ReportReference, StrategyRun
from strategyrun.domain.verdict import Fault, Pending, Trouble
from strategyrun.domain.vetting import Flaw, Kind, Reading

_UNREAD = Reading(Kind.SCRIPT)
_VETTING = timedelta(minutes=2)
"""A vetting takes less, its turn and all."""
NOWHERE = Place(1, "waiting for a free slot")


@dataclass(frozen=True)
class Vetted:
    """The source of the current inputs: its bytes and what reading them told, or what of the inputs cannot be had."""

    inputs_hash: str
    at: datetime
    """When it was asked for; of what cannot be had, when that was answered."""
    code: bytes = b""
    reading: Reading = _UNREAD
    gate: tuple[Flaw, ...] = ()
    """What keeps it out of the fallback."""
    missing: Fault | None = None


@dataclass(frozen=True)
class Vain:
    """The last vetting of some inputs that came to nothing, and how many did in a row."""

    inputs_hash: str
    times: int
    at: datetime
    pause: timedelta
    """So long it is not tried again."""
    why: str

    def lasts(self, now: datetime) -> bool:
        """Whether it is being tried still: a run that was suspended since may find the trouble over."""
        return timedelta(0) <= now - self.at < self.pause + _VETTING

    def holds(self, inputs_hash: str, now: datetime) -> bool:
        """Whether that is being tried for these inputs."""
        return self.inputs_hash == inputs_hash and self.lasts(now)


@dataclass(frozen=True)
class Kept:
    """What became of the full report of a Job's pod: where it is, or why it is nowhere."""

    job_uid: str
    reference: ReportReference | None = None
    lost: str | None = None


@dataclass(frozen=True)
class Seen:
    """All that is known of a run at one moment."""

    run: StrategyRun
    jobs: tuple[JobObservation, ...] = ()
    pods: tuple[PodObservation, ...] = ()
    snapshots: frozenset[str] = frozenset()
    profile: Profile | None = None
    """The sandbox that the run names, if there is one of that name."""
    vetted: Vetted | None = None
    vain: Vain | None = None
    place: Place = NOWHERE
    nonce: str = ""
    """A fresh unguessable word, for the Job that may be created now."""
    gone: frozenset[str] = frozenset()
    """UIDs of Jobs that a direct read of the API server did not find, and names of which it found none."""
    podless: frozenset[str] = frozenset()
    """UIDs of ended Jobs of which a direct read of the API server found no pod."""
    answered_for: frozenset[str] = frozenset()
    """UIDs of deleted pods since whose deletion their Job was read from the API server itself."""
    reason_since: datetime | None = None
    """Since when its status gives its reason, as far as this process has seen."""
    kept: Kept | None = None
    refused: Fault | None = None
    """Why the Job or its snapshot cannot be made, if so."""
    hindered: Pending | None = None
    """Why it could not be made just now."""
    trouble: Trouble | None = None
    in_contact_since: datetime | None = None
    """Since when the API server has been heard without a silence."""

    def waited_since(self, moment: datetime) -> datetime:
        """Return from when on a wait counts that began at that moment: in a silence nobody can do anything."""
        return max(moment, self.in_contact_since) if self.in_contact_since else moment
