"""The gallery of mistakes and its page say the same; what they come to in the cluster is tests/cluster's matter."""

import pytest

from strategyrun.domain.outcomes import FAILURES, Reason
from strategyrun.domain.strategyrun import StrategyRun
from strategyrun.domain.vetting import VENDOR_RULE, vet
from support.mistakes import EXPECTED, MANIFESTS, Entry, entries

BEFORE_ANY_POD = (Reason.CODE_REJECTED.value, Reason.VENDOR_AUTH_REQUIRED.value)


def test_the_page_has_the_twelve_mistakes() -> None:
    """No mistake is without its section, and none is left of a mistake that is gone."""
    assert sorted(entries()) == list(MANIFESTS)
    assert len(MANIFESTS) == 12


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_section_is_that_of_its_manifest(name: str) -> None:
    """Its code is the manifest's to the letter, so that the lines are the same, and its status the expected one."""
    manifest, entry = MANIFESTS[name], entries()[name]
    assert manifest["metadata"]["name"] == name
    assert entry.code == manifest["spec"]["source"]["inline"]
    assert manifest["metadata"]["annotations"][EXPECTED] == f"{entry.status['phase']}/{entry.status['reason']}"
    failure = FAILURES.get(Reason(entry.status["reason"]))
    assert entry.status.get("class") == (failure.class_ if failure else None)


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_manifest_fits_the_schema(name: str) -> None:
    """The API server takes it: the mistake is in the strategy alone."""
    made = {"namespace": "default", "uid": "1", "resourceVersion": "1", "creationTimestamp": "2026-01-01T00:00:00Z"}
    run = StrategyRun.parse(MANIFESTS[name] | {"metadata": MANIFESTS[name]["metadata"] | made})
    assert run.unreadable is None


@pytest.mark.parametrize(("name", "entry"), entries().items())
def test_what_can_never_work_is_found_before_any_pod(name: str, entry: Entry) -> None:
    """Exactly those sections tell of a rejection whose code has a flaw, and the message is that flaw's."""
    flaws = vet(entry.code.encode()).flaws
    assert bool(flaws) is (entry.status["reason"] in BEFORE_ANY_POD), name
    for flaw in flaws[:1]:
        assert entry.status["message"] == f"line {flaw.line}: {flaw.hint} [{flaw.rule}]"
        assert (flaw.rule == VENDOR_RULE) is (entry.status["reason"] == Reason.VENDOR_AUTH_REQUIRED)


@pytest.mark.parametrize(("name", "entry"), entries().items())
def test_what_to_write_instead_has_no_flaw(name: str, entry: Entry) -> None:
    """Nobody is sent from one rejection into the next."""
    assert vet(entry.instead.encode()).flaws == (), name
    assert entry.instead != entry.code
