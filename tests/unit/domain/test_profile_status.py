"""From what was measured of a profile to its status and to what runs are told."""

from dataclasses import replace
from datetime import timedelta

import pytest

from strategyrun.domain.canary import Finding, Measurement
from strategyrun.domain.outcomes import Reason
from strategyrun.domain.profile_status import Sighting, assess, usable
from strategyrun.domain.sandbox import Network, ProfileConditionType, SandboxProfile, SandboxProfileStatus
from support.builders import NOW, SANDBOX, SECCOMP

RESOURCE = SandboxProfile(name="default", generation=3, spec=SANDBOX)
GOOD = Measurement(
    NOW,
    Network.SECCOMP_ONLY,
    "a pod under deny-all reached api",
    Finding(True, "Started", "a container of it started"),
    Finding(True, "Enforced", "refused every socket"),
)
PULL = Measurement(
    NOW,
    Network.UNKNOWN,
    "no image",
    Finding(False, "ImagePullFailed", "ErrImagePull: no such host"),
    Finding(None, "NotMeasured", "no such host"),
    Reason.IMAGE_PULL_FAILED,
)
OPEN = Measurement(
    NOW,
    Network.SECCOMP_ONLY,
    "a pod under deny-all reached api",
    Finding(True, "Started", "it started"),
    Finding(False, "NotEnforced", "a pod with the seccomp file opened AF_INET"),
    Reason.SECCOMP_PROFILE_MISSING,
)
BLOCKED = Measurement(
    NOW, Network.POLICY_AND_SECCOMP, "cut off", Finding(True, "Started", ""), Finding(True, "Enforced", "")
)


def seen(measured: Measurement | None = GOOD, ready: int = 2, nodes: int = 2, *, file: bool = True) -> Sighting:
    """Build what is known of the profile."""
    return Sighting(RESOURCE, SECCOMP if file else None, ready, nodes, measured)


def states(status: SandboxProfileStatus) -> dict[str, tuple[str, str]]:
    """Return status and reason of each condition."""
    return {each.type.value: (each.status, each.reason) for each in status.conditions}


@pytest.mark.parametrize(
    ("sight", "installed", "image", "network", "ready"),
    [
        pytest.param(
            seen(), ("True", "AllNodes"), ("True", "Started"), ("True", "SeccompOnly"), ("True", "Measured"), id="good"
        ),
        pytest.param(
            seen(BLOCKED, 1, 3),
            ("True", "SomeNodes"),
            ("True", "Started"),
            ("True", "PolicyAndSeccomp"),
            ("True", "Measured"),
            id="some-nodes",
        ),
        pytest.param(
            seen(None),
            ("True", "AllNodes"),
            ("Unknown", "NotMeasured"),
            ("Unknown", "NotMeasured"),
            ("Unknown", "NotMeasured"),
            id="not-yet-measured",
        ),
        pytest.param(
            seen(ready=0),
            ("False", "SeccompProfileMissing"),
            ("True", "Started"),
            ("True", "SeccompOnly"),
            ("False", "SeccompProfileMissing"),
            id="no-node-holds-the-file",
        ),
        pytest.param(
            seen(file=False),
            ("False", "SeccompProfileMissing"),
            ("True", "Started"),
            ("True", "SeccompOnly"),
            ("False", "SeccompProfileMissing"),
            id="no-such-file",
        ),
        pytest.param(
            seen(PULL),
            ("True", "AllNodes"),
            ("False", "ImagePullFailed"),
            ("Unknown", "NotMeasured"),
            ("False", "ImagePullFailed"),
            id="no-image",
        ),
        pytest.param(
            seen(OPEN),
            ("False", "NotEnforced"),
            ("True", "Started"),
            ("False", "SeccompOnly"),
            ("False", "SeccompProfileMissing"),
            id="the-file-is-not-in-force",
        ),
    ],
)
def test_conditions_say_what_was_measured(
    sight: Sighting,
    installed: tuple[str, str],
    image: tuple[str, str],
    network: tuple[str, str],
    ready: tuple[str, str],
) -> None:
    """And never more."""
    assert states(assess(sight, NOW)) == {
        "SeccompInstalled": installed,
        "ImageAvailable": image,
        "NetworkIsolated": network,
        "Ready": ready,
    }


def test_a_condition_keeps_its_time_while_its_status_stays() -> None:
    """The reason may change meanwhile, and nothing else moves: the same sight is the same status."""
    first = assess(seen(), NOW)
    later = NOW + timedelta(minutes=5)
    again = RESOURCE.model_copy(update={"status": first})
    assert assess(Sighting(again, SECCOMP, 2, 2, GOOD), later) == first
    gone = assess(Sighting(again, SECCOMP, 0, 2, GOOD), later)
    times = {each.type: each.last_transition_time for each in gone.conditions}
    assert times[ProfileConditionType.SECCOMP_INSTALLED] == later
    assert times[ProfileConditionType.IMAGE_AVAILABLE] == NOW


def test_a_condition_in_the_future_begins_now() -> None:
    """A clock has gone back, and nobody is to wait until it says the same again."""
    first, earlier = assess(seen(), NOW), NOW - timedelta(hours=1)
    again = assess(Sighting(RESOURCE.model_copy(update={"status": first}), SECCOMP, 2, 2, GOOD), earlier)
    assert {each.last_transition_time for each in again.conditions} == {earlier}


def test_the_status_says_what_it_speaks_of() -> None:
    """Generation, file, network and time of the measurement."""
    document = assess(seen(), NOW).document()
    assert document["observedGeneration"] == 3
    assert document["seccompSHA256"] == SECCOMP.sha256
    assert document["network"] == "SeccompOnly"
    assert document["measuredAt"] == "2026-03-02T09:30:00.000Z"
    assert SandboxProfileStatus.model_validate(document) == assess(seen(), NOW)


@pytest.mark.parametrize(
    ("sight", "reason"),
    [
        (seen(), None),
        (seen(None), None),
        (seen(ready=0), Reason.SECCOMP_PROFILE_MISSING),
        (seen(PULL), Reason.IMAGE_PULL_FAILED),
        (seen(OPEN), Reason.SECCOMP_PROFILE_MISSING),
    ],
    ids=["good", "not-yet-measured", "no-node", "no-image", "not-in-force"],
)
def test_runs_are_held_up_by_what_is_known_to_be_in_the_way(sight: Sighting, reason: Reason | None) -> None:
    """What was not measured yet is no obstacle, and no wall is taken for there that is not."""
    profile = usable(sight, assess(sight, NOW))
    assert profile is not None
    assert (profile.obstacle.reason if profile.obstacle else None) == reason
    assert profile.network == assess(sight, NOW).network
    assert (profile.name, profile.sandbox, profile.seccomp) == ("default", SANDBOX, SECCOMP)


def test_a_profile_without_its_file_cannot_be_used() -> None:
    """There is no pod that could be built of it."""
    sight = seen(file=False)
    assert usable(sight, assess(sight, NOW)) is None


def test_a_restarted_operator_remembers_what_was_measured() -> None:
    """Of the same generation and the same file; anything else is not known until a pod has told."""
    before = assess(seen(), NOW)
    again = Sighting(RESOURCE.model_copy(update={"status": before}), SECCOMP, 2, 2, None)
    assert assess(again, NOW + timedelta(minutes=5)) == before
    edited = Sighting(RESOURCE.model_copy(update={"status": before, "generation": 4}), SECCOMP, 2, 2, None)
    assert assess(edited, NOW).network is Network.UNKNOWN


def test_what_a_later_operator_found_is_measured_anew() -> None:
    """It may have written a reason that this one does not know; a way back from an upgrade must not end the process."""
    stored = assess(seen(), NOW)
    ready = stored.condition(ProfileConditionType.READY)
    assert ready is not None
    unknown = ready.model_copy(update={"status": "False", "reason": "MoonInTheWrongPhase"})
    others = tuple(condition for condition in stored.conditions if condition.type is not ProfileConditionType.READY)
    later = RESOURCE.model_copy(update={"status": stored.model_copy(update={"conditions": (*others, unknown)})})
    sight = Sighting(later, SECCOMP, 2, 2, None)
    status = assess(sight, NOW)
    told = status.condition(ProfileConditionType.READY)
    assert told is not None
    assert (told.status, told.reason) == ("Unknown", "NotMeasured")
    profile = usable(sight, status)
    assert profile is not None
    assert profile.obstacle is None


def test_that_nothing_limits_threads_is_said_where_the_profile_is_ready() -> None:
    """It holds nobody up: the other limits end a pod that has too many."""
    ready = assess(seen(replace(GOOD, threads="nothing limits its threads")), NOW).condition(ProfileConditionType.READY)
    assert ready is not None
    assert ready.status == "True"
    assert ready.message == "a pod in the hardened shape started, and its walls held; nothing limits its threads"


def test_an_image_without_a_digest_is_warned_of_once() -> None:
    """It works, so that nothing is held up; a status that was stored and is read again says it once."""
    pinned = RESOURCE.model_copy(update={"spec": SANDBOX.model_copy(update={"image": "sandbox@sha256:" + "a" * 64})})
    status = assess(seen(), NOW)
    again = assess(replace(seen(None), profile=RESOURCE.model_copy(update={"status": status})), NOW)
    for each in (status, again):
        image = each.condition(ProfileConditionType.IMAGE_AVAILABLE)
        assert image is not None
        assert image.status == "True"
        assert image.message == "a container of it started; it is named without a digest, and another may take its name"
    image = assess(replace(seen(), profile=pinned), NOW).condition(ProfileConditionType.IMAGE_AVAILABLE)
    assert image is not None
    assert image.message == "a container of it started"
