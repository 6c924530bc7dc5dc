"""From what was seen and measured of a profile to what its status says, and to what runs are told of it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from strategyrun.domain.canary import Finding, Measurement
from strategyrun.domain.outcomes import Reason
from strategyrun.domain.sandbox import (
    Network,
    Obstacle,
    Profile,
    ProfileCondition,
    ProfileConditionType,
    SandboxProfile,
    SandboxProfileStatus,
    SeccompProfile,
)

_BY_NAME = "it is named without a digest, and another may take its name"
_UNMEASURED = Finding(None, "NotMeasured", "no pod has measured it yet")


@dataclass(frozen=True)
class Sighting:
    """All that is known of a profile at one moment."""

    profile: SandboxProfile
    seccomp: SeccompProfile | None
    """The file that it names; None where the operator has no such file."""
    nodes_ready: int
    nodes: int
    measured: Measurement | None = None


def assess(seen: Sighting, now: datetime) -> SandboxProfileStatus:
    """Say what holds. A condition keeps its time while its status stays, unless that lies in the future."""
    measured, stored = seen.measured, _stored(seen)
    installed = _installed(seen)
    image = measured.image if measured else _remembered(stored, ProfileConditionType.IMAGE_AVAILABLE)
    image = _by_name(seen.profile, image)
    network = _isolated(measured) if measured else _remembered(stored, ProfileConditionType.NETWORK_ISOLATED)
    findings = {
        ProfileConditionType.SECCOMP_INSTALLED: installed,
        ProfileConditionType.IMAGE_AVAILABLE: image,
        ProfileConditionType.NETWORK_ISOLATED: network,
        ProfileConditionType.READY: _ready(seen, installed, image),
    }
    return SandboxProfileStatus(
        observed_generation=seen.profile.generation,
        seccomp_sha256=seen.seccomp.sha256 if seen.seccomp else None,
        network=measured.network if measured else stored.network if stored else Network.UNKNOWN,
        measured_at=measured.at if measured else stored.measured_at if stored else None,
        conditions=tuple(_condition(seen.profile, kind, finding, now) for kind, finding in findings.items()),
    )


def usable(seen: Sighting, status: SandboxProfileStatus) -> Profile | None:
    """Return the profile as runs see it; None where it names a seccomp file that is nowhere.

    Only what is known to be in the way is an obstacle. What was not measured yet is not.
    """
    if seen.seccomp is None:
        return None
    ready = status.condition(ProfileConditionType.READY)
    obstacle = None
    if ready and ready.status == "False":
        obstacle = Obstacle(reason=Reason(ready.reason), message=ready.message, since=ready.last_transition_time)
    return Profile(
        name=seen.profile.name,
        sandbox=seen.profile.spec,
        seccomp=seen.seccomp,
        network=status.network.value,
        obstacle=obstacle,
    )


def _installed(seen: Sighting) -> Finding:
    if seen.seccomp is None:
        message = f"the operator has no file {seen.profile.spec.seccomp_profile}"
        return Finding(False, Reason.SECCOMP_PROFILE_MISSING, message)
    held = f"{seen.nodes_ready} of {seen.nodes} nodes"
    if seen.nodes_ready == 0:
        return Finding(False, Reason.SECCOMP_PROFILE_MISSING, held)
    if seen.measured and seen.measured.seccomp.holds is False:
        return Finding(False, seen.measured.seccomp.reason, seen.measured.seccomp.message)
    return Finding(True, "AllNodes" if seen.nodes_ready == seen.nodes else "SomeNodes", held)


def _stored(seen: Sighting) -> SandboxProfileStatus | None:
    """Return what was measured before this operator, if it speaks of the same profile and the same file."""
    status = seen.profile.status
    sha = seen.seccomp.sha256 if seen.seccomp else None
    if status is None or (status.observed_generation, status.seccomp_sha256) != (seen.profile.generation, sha):
        return None
    return status if status.measured_at else None


def _remembered(stored: SandboxProfileStatus | None, kind: ProfileConditionType) -> Finding:
    condition = stored.condition(kind) if stored else None
    if condition is None:
        return _UNMEASURED
    return Finding({"True": True, "False": False}.get(condition.status), condition.reason, condition.message)


def _by_name(profile: SandboxProfile, image: Finding) -> Finding:
    """Warn of an image whose name can come to mean another one."""
    if not image.holds or "@sha256:" in profile.spec.image or image.message.endswith(_BY_NAME):
        return image
    return Finding(True, image.reason, f"{image.message}; {_BY_NAME}")


def _isolated(measured: Measurement) -> Finding:
    if measured.network is Network.UNKNOWN:
        return Finding(None, "NotMeasured", measured.network_message)
    if measured.network is Network.POLICY_AND_SECCOMP:
        return Finding(True, "PolicyAndSeccomp", measured.network_message)
    return Finding(measured.seccomp.holds, "SeccompOnly", f"{measured.network_message}; {measured.seccomp.message}")


def _ready(seen: Sighting, installed: Finding, image: Finding) -> Finding:
    measured = seen.measured
    if seen.seccomp is None or seen.nodes_ready == 0:
        return Finding(False, Reason.SECCOMP_PROFILE_MISSING, _missing_file(seen))
    if measured and measured.trouble:
        blamed = image if image.holds is False else installed
        message = blamed.message if blamed.holds is False else measured.seccomp.message
        return Finding(False, measured.trouble, message)
    if measured is None:
        told = _remembered(_stored(seen), ProfileConditionType.READY)
        known = told.holds is not False or told.reason in {*Reason}  # a later operator may have written it
        return told if known else _UNMEASURED
    if measured.seccomp.holds is None:
        return Finding(None, "NotMeasured", measured.seccomp.message)
    held = "a pod in the hardened shape started, and its walls held"
    return Finding(True, "Measured", "; ".join(filter(None, (held, measured.threads))))


def _missing_file(seen: Sighting) -> str:
    name = seen.profile.spec.seccomp_profile
    if seen.seccomp is None:
        return f"the operator has no file {name}"
    return f"no node is known to hold {name} as {seen.seccomp.localhost_profile}: is the installer there?"


def _condition(
    profile: SandboxProfile, kind: ProfileConditionType, finding: Finding, now: datetime
) -> ProfileCondition:
    status = _STATUS[finding.holds]
    before = profile.status.condition(kind) if profile.status else None
    since = min(before.last_transition_time, now) if before and before.status == status else now
    return ProfileCondition(
        type=kind,
        status=status,
        reason=str(finding.reason),
        message=finding.message,
        observed_generation=profile.generation,
        last_transition_time=since,
    )


_STATUS: dict[bool | None, Literal["True", "False", "Unknown"]] = {True: "True", False: "False", None: "Unknown"}
