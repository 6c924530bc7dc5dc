"""The taxonomy of failures."""

import re
import shlex

import pytest

from strategyrun.domain.outcomes import FAILURES, SAID_BY_HARNESS, STARTS_FALLBACK, Reason, named
from strategyrun.domain.strategyrun import FailureClass

NOT_FAILURES = {
    Reason.EVALUATED,
    Reason.SELF_REPORTED,
    Reason.SCRIPT_COMPLETED,
    Reason.VETTING,
    Reason.WAITING_FOR_SLOT,
    Reason.STARTING,
    Reason.RUNNING,
    Reason.RETRYING,
    Reason.FALLING_BACK,
    Reason.SUSPENDED,
    Reason.CANCELLED,
}


def test_every_reason_is_a_failure_or_a_stage() -> None:
    """No reason is without a row that says what to do about it."""
    assert set(FAILURES) == set(Reason) - NOT_FAILURES


@pytest.mark.parametrize("reason", FAILURES, ids=str)
def test_every_failure_says_who_has_to_act_and_how(reason: Reason) -> None:
    """Each row has a class, and two sentences that end as sentences do."""
    outcome = FAILURES[reason]
    assert outcome.reason is reason
    assert outcome.class_ in FailureClass
    for sentence in (outcome.meaning, outcome.hint):
        assert sentence[0].isupper()
        assert sentence.endswith(".")
        assert "|" not in sentence


@pytest.mark.parametrize("reason", FAILURES, ids=str)
def test_every_failure_names_the_next_command(reason: Reason) -> None:
    """Something to type, for this very run: whoever reads a hint has a terminal."""
    command, *_ = FAILURES[reason].commands
    typed = shlex.split(named(command, namespace="research", run="momentum", pod="momentum-1-x"))
    assert typed[0] in ("kubectl", "strategyrun")
    assert not re.search("NAMESPACE|RUN|POD", " ".join(typed))


def test_no_hint_asks_for_a_pod_that_is_gone() -> None:
    """One that did not start in time is deleted with its Job as the answer is written, and its events stay; one that
    has ended stays for a while.
    """
    asking = {reason for reason, outcome in FAILURES.items() if re.search(r"(pod|logs)\b[^`]* POD", outcome.hint)}
    assert asking == {Reason.EVALUATOR_FAILED, Reason.LOADER_FAILED}
    for reason in (Reason.MOUNT_FAILED, Reason.CONTAINER_CONFIG_ERROR, Reason.START_TIMEOUT):
        assert FAILURES[reason].commands == (
            "kubectl get events -n NAMESPACE --field-selector involvedObject.name=POD",
        )


def test_no_two_reasons_have_the_same_name() -> None:
    """Programs switch on them."""
    assert len({reason.value for reason in Reason}) == len(Reason)


def test_a_strategy_can_only_blame_itself() -> None:
    """What its container says can name a failure of the strategy and no other: nothing to be gained by lying."""
    assert {FAILURES[Reason(reason)].class_ for reason in SAID_BY_HARNESS} == {FailureClass.USER}
    assert not SAID_BY_HARNESS & {Reason.CODE_REJECTED, Reason.SOURCE_MISSING, Reason.SPEC_INVALID}


def test_only_a_sandbox_that_cannot_start_leads_to_the_fallback() -> None:
    """A closed list: nothing that a strategy could bring about by itself is on it."""
    assert {FAILURES[Reason(reason)].class_ for reason in STARTS_FALLBACK} == {FailureClass.SANDBOX}
    assert not STARTS_FALLBACK & SAID_BY_HARNESS
    assert not STARTS_FALLBACK & {Reason.MOUNT_FAILED, Reason.RUNTIME_CLASS_MISSING}
    assert not STARTS_FALLBACK & {Reason.IMAGE_INVALID, Reason.START_TIMEOUT, Reason.TAMPERED, Reason.EVICTED}
