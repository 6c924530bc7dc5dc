"""Isolation that no run can weaken."""

import copy
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given

from strategyrun.domain.hardening import (
    DATASET_UID,
    EVALUATE_UID,
    STRATEGY_UID,
    container_isolation,
    environment,
    pod_isolation,
)
from strategyrun.domain.inputs import build_inputs
from strategyrun.domain.job import INPUT_VARIABLE, job, placement
from strategyrun.domain.strategyrun import Executor
from strategyrun.domain.vetting import Kind
from support.builders import CODE, NONCE, PROFILE, SANDBOX, Document, job_manifest, make_attempt, make_run, specs


def test_a_container_runs_as_its_own_user_without_any_privilege() -> None:
    """Not root, nothing to gain, nothing to write on."""
    assert container_isolation(1000) == {
        "runAsNonRoot": True,
        "runAsUser": 1000,
        "runAsGroup": 1000,
        "privileged": False,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_a_pod_has_no_token_no_names_and_nothing_of_the_host() -> None:
    """The seccomp profile is the node's file, by its hash."""
    pod = pod_isolation({"type": "Localhost", "localhostProfile": "finlab-sandbox/abc.json"})
    assert pod["securityContext"]["seccompProfile"] == {
        "type": "Localhost",
        "localhostProfile": "finlab-sandbox/abc.json",
    }
    assert pod["dnsPolicy"] == "None"
    switched_off = (
        "automountServiceAccountToken",
        "enableServiceLinks",
        "hostNetwork",
        "hostPID",
        "hostIPC",
        "shareProcessNamespace",
    )
    assert {name: pod[name] for name in switched_off} == dict.fromkeys(switched_off, False)


def test_strategy_and_evaluator_are_different_users() -> None:
    """What the strategy leaves behind cannot pretend to be the evaluator, nor change its data."""
    assert len({STRATEGY_UID, EVALUATE_UID, DATASET_UID}) == 3


def without_what_a_run_may_say(manifest: Document) -> Document:
    """Take out the places where a run's words belong: names, hashes, the time limit and the Job's life."""
    manifest = copy.deepcopy(manifest)
    manifest["metadata"] = {}
    spec = manifest["spec"]
    del spec["activeDeadlineSeconds"]
    template = spec["template"]
    template["metadata"] = {}
    pod = template["spec"]
    del pod["activeDeadlineSeconds"]
    pod["volumes"] = [volume for volume in pod["volumes"] if volume["name"] not in ("source", "data")]
    for volume in pod["volumes"]:
        volume.get("configMap", {}).pop("name", None)
    pod["initContainers"] = [container for container in pod["initContainers"] if container["name"] != "dataset"]
    for container in [*pod["initContainers"], *pod["containers"]]:
        mounts = container["volumeMounts"]
        container["volumeMounts"] = [mount for mount in mounts if mount != DATA]
        container["env"] = [each for each in container["env"] if each["name"] != INPUT_VARIABLE]
    return manifest


DATA = {"name": "data", "mountPath": "/data", "readOnly": True}


@given(specs)
def test_only_the_loader_meets_the_source_of_the_data(spec: Document) -> None:
    """It reads one volume, writes another, and is as hardened as the strategy; the others read what it wrote."""
    pod = build(spec)["spec"]["template"]["spec"]
    *loaders, strategy = pod["initContainers"]
    (evaluate,) = pod["containers"]
    builtin = "builtin" in spec.get("datasets", [{"builtin": "us-stocks"}])[0]
    assert len(loaders) == (0 if builtin else 1)
    for reader in (strategy, evaluate):
        assert "source" not in {mount["name"] for mount in reader["volumeMounts"]}
        assert (DATA in reader["volumeMounts"]) is not builtin
    for loader in loaders:
        assert loader["securityContext"] == container_isolation(DATASET_UID)
        assert {name: loader[name] for name in ("image", "resources")} == {
            name: strategy[name] for name in ("image", "resources")
        }
        assert loader["volumeMounts"] == [
            {"name": "source", "mountPath": "/source", "readOnly": True},
            {"name": "data", "mountPath": "/data"},
        ]
        (source,) = [volume for volume in pod["volumes"] if volume["name"] == "source"]
        assert source.get("persistentVolumeClaim", {"readOnly": True})["readOnly"] is True


def strings_in(value: Any) -> set[str]:
    """Return every string of a document, keys included."""
    match value:
        case dict():
            return {text for key, each in value.items() for text in strings_in(key) | strings_in(each)}
        case list():
            return {text for each in value for text in strings_in(each)}
        case str():
            return {value}
        case _:
            return set()


OWN_DATASET = make_run(datasets=[{"name": "prices", "configMapRef": {"name": "prices"}}])


def build(spec: Document, code: str = CODE) -> Document:
    """Build the Job of a spec."""
    run = make_run(**spec)
    inputs = build_inputs(run, code.encode(), Kind.POSITIONS, SANDBOX)
    return job(run, make_attempt(run), inputs=inputs, nonce=NONCE, profile=PROFILE)


@given(specs)
def test_no_spec_changes_anything_of_the_sandbox(spec: Document) -> None:
    """Images, commands, users, mounts, limits, seccomp and environment are the same for every run there can be."""
    assert without_what_a_run_may_say(build(spec)) == without_what_a_run_may_say(job_manifest())


@pytest.mark.parametrize("executor", Executor)
def test_a_profile_may_give_pods_users_of_their_own(executor: Executor) -> None:
    """In the fallback too; where it says nothing, nothing is said to the API server."""
    profile = PROFILE.model_copy(update={"sandbox": PROFILE.sandbox.model_copy(update={"host_users": False})})
    assert placement(profile, executor)["hostUsers"] is False
    assert "hostUsers" not in placement(PROFILE, executor)


@given(specs)
def test_no_word_of_a_spec_is_in_the_job(spec: Document) -> None:
    """Params and source reach the pod as files: every string of the Job is a fixed one, a name or a hash.

    Of a dataset the Job has to say where it is.
    """
    manifest, plain = build(spec), job_manifest(OWN_DATASET)
    derived = {
        manifest["metadata"]["name"],
        *(volume["configMap"]["name"] for volume in _volumes(manifest) if "configMap" in volume),
        *manifest["spec"]["template"]["metadata"]["annotations"].values(),
    }
    dataset = make_run(**spec).spec.datasets[0]
    located = strings_in(dataset.model_dump(exclude={"name", "builtin"})) | {"image", "reference", "pullPolicy"}
    located |= {"persistentVolumeClaim", "claimName", "configMap", "defaultMode", dataset.path}
    assert strings_in(manifest) - strings_in(plain) <= derived | located


@given(specs)
def test_no_spec_outlasts_its_clocks(spec: Document) -> None:
    """The harness's limit ends before the pod's deadline, and that before the Job's."""
    limit = make_run(**spec).spec.timeout_seconds or 300
    manifest = build(spec)["spec"]
    assert limit < manifest["template"]["spec"]["activeDeadlineSeconds"] < manifest["activeDeadlineSeconds"]
    assert manifest["activeDeadlineSeconds"] <= 2 * (120 + 60) + 300 + 30


def _volumes(manifest: Document) -> list[Document]:
    volumes: list[Document] = manifest["spec"]["template"]["spec"]["volumes"]
    return volumes


def test_numbers_are_the_same_on_every_x86_processor() -> None:
    """To the last bit, whatever the processor has beside AVX2: what a pod's environment makes of exp, log and power."""
    program = """\
import hashlib, numpy as np
values = np.arange(1, 4097) / 64
table = np.random.default_rng(0).standard_normal((3000, 60))
found = np.concatenate([np.exp(-values), np.log(values), values**0.3, (table.T @ table).ravel()])
print(hashlib.sha256(found.tobytes()).hexdigest())
"""
    variables = {each["name"]: each["value"] for each in environment()}
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout.strip() == "69e535c89f2a3445f5e0190ef5d3d2606c1c441ad2924998a9e8d56fd0bafeb7"
