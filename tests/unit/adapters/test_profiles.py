"""What is known of profiles and nodes, in whatever order it is told. tests/contract measures and writes."""

import asyncio
from collections.abc import Callable
from typing import Any

from kubernetes.aio import client

from strategyrun.adapters.kube import PROFILES, Kube
from strategyrun.adapters.profiles import Profiles
from support.builders import NOW
from support.operator import UNSCHEDULABLE

LABEL = UNSCHEDULABLE.profile.seccomp.node_label


def profile(version: int, **spec: Any) -> dict[str, Any]:
    """Build a version of the default profile."""
    meta = {"name": "default", "resourceVersion": str(version), "generation": version}
    return {"metadata": meta, "spec": UNSCHEDULABLE.profile.sandbox.document() | spec}


def node(version: int, ready: str) -> dict[str, Any]:
    """Build a version of a node."""
    return {"metadata": {"name": "a", "resourceVersion": str(version), "labels": {LABEL: ready}}}


def after(tell: Callable[[Profiles], None]) -> tuple[str | None, bool]:
    """Tell of versions; return the image of the default profile, if there is one, and whether its pods could start."""

    async def work() -> tuple[str | None, bool]:
        async with Kube(client.Configuration(host="http://127.0.0.1:1")) as kube:
            profiles = Profiles(kube, UNSCHEDULABLE, resource=PROFILES, clock=lambda: NOW, changed=lambda: None)
            tell(profiles)
            found = profiles.get("default")
            return (found.sandbox.image, found.obstacle is None) if found else (None, False)

    return asyncio.run(work())


def test_an_older_version_of_a_profile_takes_nothing_back() -> None:
    """A page of a list may have been read before what a watch has told since."""

    def tell(profiles: Profiles) -> None:
        profiles.on_profile("MODIFIED", profile(20, image="new"))
        profiles.on_profile(None, profile(10, image="old"))

    assert after(tell)[0] == "new"


def test_a_profile_that_cannot_be_read_is_no_older_one() -> None:
    """Nobody wants what it was before."""

    def tell(profiles: Profiles) -> None:
        profiles.on_profile("MODIFIED", profile(20, image=""))
        profiles.on_profile(None, profile(10, image="old"))

    assert after(tell)[0] is None


def test_a_profile_that_is_made_anew_is_another() -> None:
    """What was known of the deleted one is forgotten, whether a watch or a sweep says that it is gone."""

    def tell(profiles: Profiles) -> None:
        profiles.on_profile("ADDED", profile(20, image="old"))
        profiles.on_profile("DELETED", {"metadata": {"name": "default"}})
        assert profiles.get("default") is None
        profiles.on_profile("ADDED", profile(30, image="new"))

    assert after(tell)[0] == "new"


def test_an_older_version_does_not_bring_back_what_was_deleted() -> None:
    """Runs would begin in a profile that is not there."""

    def tell(profiles: Profiles) -> None:
        profiles.on_profile("ADDED", profile(20, image="old"))
        profiles.on_profile("DELETED", profile(25, image="old"))
        profiles.on_profile(None, profile(20, image="old"))

    assert after(tell)[0] is None


def test_an_older_version_of_a_node_takes_nothing_back() -> None:
    """A run would wait, or turn to the fallback, for a file that is there."""

    def tell(profiles: Profiles) -> None:
        profiles.on_profile("ADDED", profile(1))
        profiles.on_node("MODIFIED", node(20, "ready"))
        profiles.on_node(None, node(10, "no"))

    assert after(tell)[1]
