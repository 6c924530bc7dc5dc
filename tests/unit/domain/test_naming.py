"""Names and labels of what the operator creates."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategyrun.domain.naming import SELECTOR, job_name, labels, owner_reference, snapshot_name
from support.builders import RUN_UID, make_run, object_names

DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-_.A-Za-z0-9]*[A-Za-z0-9])?)?")
POD_SUFFIX = "-x7k2p"

hashes = st.text("0123456789abcdef", min_size=64, max_size=64)


@given(object_names, hashes, st.integers(1, 99))
def test_a_job_can_name_its_pod_whatever_the_run_is_called(name: str, inputs_hash: str, attempt: int) -> None:
    """A Job's name with its pod's suffix is a DNS label of at most 63 characters."""
    name = job_name(make_run(name), inputs_hash, attempt) + POD_SUFFIX
    assert len(name) <= 63
    assert DNS_LABEL.fullmatch(name)


@given(object_names, hashes)
def test_a_snapshot_has_a_valid_name(name: str, content_hash: str) -> None:
    """ConfigMaps take DNS labels too."""
    name = snapshot_name(make_run(name), content_hash)
    assert len(name) <= 63
    assert DNS_LABEL.fullmatch(name)


@given(object_names)
def test_labels_are_valid_whatever_the_run_is_called(name: str) -> None:
    """A label's value has at most 63 characters and ends in a letter or digit."""
    for value in labels(make_run(name)).values():
        assert len(value) <= 63
        assert LABEL_VALUE.fullmatch(value)


def test_names_are_functions_of_uid_inputs_and_attempt() -> None:
    """The same three always give the same name, on every Python and in every process."""
    assert job_name(make_run("momentum"), "a" * 64, 1) == "momentum-0a207d3eebf5-1"
    assert snapshot_name(make_run("momentum"), "a" * 64) == "momentum-0a207d3eebf5"


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(job_name(make_run("momentum"), "a" * 64, 2), id="attempt"),
        pytest.param(job_name(make_run("momentum"), "b" * 64, 1), id="inputs"),
        pytest.param(job_name(make_run("momentum", uid=RUN_UID[:-1] + "f"), "a" * 64, 1), id="uid"),
    ],
)
def test_a_difference_in_any_of_them_is_another_name(other: str) -> None:
    """A run that is deleted and made again under its name has names of its own."""
    assert other != job_name(make_run("momentum"), "a" * 64, 1)


def test_long_names_that_begin_alike_stay_apart() -> None:
    """What is cut off is still in the digest, by the UID."""
    first, second = make_run("m" * 200 + "a", uid="1"), make_run("m" * 200 + "b", uid="2")
    assert job_name(first, "a" * 64, 1) != job_name(second, "a" * 64, 1)


def test_dots_and_cuts_leave_a_readable_name() -> None:
    """Somebody who lists Jobs recognises the run."""
    assert job_name(make_run("research.momentum"), "a" * 64, 1).startswith("research-momentum-")
    assert job_name(make_run("x" * 29 + "-y"), "a" * 64, 1).startswith("x" * 29 + "-0")


def test_the_operator_selects_what_it_labels() -> None:
    """Its watches see everything that it makes, and the labels say whose it is."""
    run = make_run("momentum")
    wanted = dict(pair.split("=") for pair in SELECTOR.split(","))
    assert wanted.items() <= labels(run).items()
    assert not wanted.items() <= labels(run, "report").items(), "reports only lie there"
    assert labels(run)["finlab-sandbox.dev/run-uid"] == run.uid
    assert labels(run)["finlab-sandbox.dev/run"] == "momentum"


def test_the_run_owns_but_never_blocks() -> None:
    """Deleting the run deletes its children, without waiting for anybody."""
    assert owner_reference(make_run("momentum")) == {
        "apiVersion": "finlab-sandbox.dev/v1alpha1",
        "kind": "StrategyRun",
        "name": "momentum",
        "uid": RUN_UID,
        "controller": True,
        "blockOwnerDeletion": False,
    }
