"""The manifests of one attempt, whole, as a reviewer sees them."""

import json
from pathlib import Path

import pytest
import yaml

from strategyrun.domain.job import is_snapshot, report, snapshot
from support.builders import CODE, Document, job_manifest, make_attempt, make_inputs, make_run

GOLDEN = Path(__file__).parent / "golden"
RUN = make_run("momentum", params={"fast": 20}, timeoutSeconds=60)
WITH_DATASET = make_run(
    "taiwan", datasets=[{"name": "prices", "persistentVolumeClaim": {"claimName": "prices", "path": "daily/2024"}}]
)

IN_A_QUEUE = make_run("momentum").model_copy(update={"kueue_queue": "team-a", "kueue_priority": "urgent"})


@pytest.mark.parametrize(
    ("file", "manifest"),
    [
        pytest.param("job.yaml", job_manifest(RUN), id="job"),
        pytest.param("job-in-a-queue.yaml", job_manifest(IN_A_QUEUE), id="job-in-a-queue"),
        pytest.param("job-with-dataset.yaml", job_manifest(WITH_DATASET), id="job-with-dataset"),
        pytest.param("snapshot.yaml", snapshot(RUN, make_inputs(RUN)), id="snapshot"),
        pytest.param("report.yaml", report(RUN, "f" * 64, b"the report"), id="report"),
    ],
)
def test_the_manifest_is_the_golden_one(file: str, manifest: Document) -> None:
    """A change of what is created is a change of a file that somebody reads in review."""
    assert manifest == yaml.safe_load((GOLDEN / file).read_text(encoding="utf-8"))


def test_a_job_names_the_snapshot_that_it_reads() -> None:
    """Both volumes come from the one ConfigMap, by its name."""
    name = snapshot(RUN, make_inputs(RUN))["metadata"]["name"]
    volumes = job_manifest(RUN)["spec"]["template"]["spec"]["volumes"]
    assert [volume["configMap"]["name"] for volume in volumes if "configMap" in volume] == [name, name]


def test_the_same_name_of_a_snapshot_means_the_same_content() -> None:
    """A time limit that is changed between two attempts makes another snapshot: neither attempt reads the other's."""
    changed = make_run("momentum", params={"fast": 20}, timeoutSeconds=61)
    ours, theirs = snapshot(RUN, make_inputs(RUN)), snapshot(changed, make_inputs(changed))
    assert ours["metadata"]["name"] != theirs["metadata"]["name"]
    assert ours["data"] != theirs["data"]


def test_attempts_share_a_snapshot_and_not_a_job() -> None:
    """A second attempt reads the very same documents."""
    first, second = (job_manifest(RUN, make_attempt(RUN, number)) for number in (1, 2))
    assert first["metadata"]["name"] != second["metadata"]["name"]
    assert first["spec"] == second["spec"]


def test_a_snapshot_that_was_there_is_known_by_owner_content_and_finality() -> None:
    """Who was there first with something else, or with what can still be changed, is not taken for the operator."""
    ours = snapshot(RUN, make_inputs(RUN))
    stranger = ours | {"metadata": {"name": ours["metadata"]["name"]}}
    assert is_snapshot(ours, ours)
    assert not is_snapshot(stranger, ours)
    assert not is_snapshot(ours | {"immutable": False}, ours)
    assert not is_snapshot({key: value for key, value in ours.items() if key != "immutable"}, ours)
    assert not is_snapshot(ours | {"data": ours["data"] | {"strategy.py": "print()"}}, ours)
    assert not is_snapshot(snapshot(make_run(uid="another"), make_inputs(RUN)), ours)


def test_the_harness_is_told_what_it_must_read() -> None:
    """By the Job's template, which nobody changes; the input names the hash of the code in its turn."""
    inputs = make_inputs(RUN)
    template = job_manifest(RUN)["spec"]["template"]
    (strategy,) = template["spec"]["initContainers"]
    told = {each["name"]: each["value"] for each in strategy["env"]}
    assert told["FINLAB_INPUT_SHA256"] == inputs.hashes["input"]
    assert json.loads(inputs.input)["codeSHA256"] == inputs.hashes["code"]


def test_only_the_evaluator_knows_the_nonce() -> None:
    """The strategy's container has neither the word nor the evaluation's rules."""
    pod = job_manifest(RUN, nonce="a-secret-word")["spec"]["template"]["spec"]
    assert "a-secret-word" in str(pod["containers"])
    assert "a-secret-word" not in str(pod["initContainers"])
    (strategy,) = pod["initContainers"]
    assert {mount["mountPath"]: mount.get("readOnly", False) for mount in strategy["volumeMounts"]} == {
        "/code": True,
        "/tmp": False,
        "/out": False,
    }
    code = next(volume for volume in pod["volumes"] if volume["name"] == "code")
    assert [item["key"] for item in code["configMap"]["items"]] == ["strategy.py", "input.json"]


def test_the_evaluator_writes_nowhere() -> None:
    """Everything that it mounts is read-only."""
    (evaluate,) = job_manifest(RUN)["spec"]["template"]["spec"]["containers"]
    assert all(mount["readOnly"] for mount in evaluate["volumeMounts"])


def test_a_snapshot_is_immutable_and_holds_the_code() -> None:
    """Nobody changes what a pod is about to read."""
    manifest = snapshot(RUN, make_inputs(RUN))
    assert manifest["immutable"] is True
    assert manifest["data"]["strategy.py"] == CODE


def test_kueues_labels_are_the_jobs_alone() -> None:
    """Its pods carry none, and without a queue there is nothing to have a priority in."""
    job, plain = job_manifest(IN_A_QUEUE), job_manifest(make_run("momentum"))
    assert job["metadata"]["labels"] == plain["metadata"]["labels"] | {
        "kueue.x-k8s.io/queue-name": "team-a",
        "kueue.x-k8s.io/priority-class": "urgent",
    }
    assert job["spec"] == {"suspend": True} | plain["spec"]
    unqueued = make_run("momentum").model_copy(update={"kueue_priority": "urgent"})
    assert job_manifest(unqueued) == plain
