"""What pods that try a profile's walls are, and what their answers mean."""

import json
from typing import Any

import pytest

from strategyrun.domain import naming
from strategyrun.domain.canary import (
    DEADLINE_SECONDS,
    ROLE_LABEL,
    Canary,
    Measurement,
    Role,
    canary_job,
    conclude,
    observe_canary,
)
from strategyrun.domain.network_policy import deny_all
from strategyrun.domain.outcomes import Reason
from strategyrun.domain.sandbox import Network
from support.builders import NOW, PROFILE, terminated, waiting

Document = dict[str, Any]


def pod(role: Role, state: Document, *, phase: str = "Running", conditions: list[Document] | None = None) -> Canary:
    """Build a canary's pod as the API server returns it."""
    return observe_canary(
        {
            "metadata": {"labels": {ROLE_LABEL: role.value}},
            "status": {
                "phase": phase,
                "podIP": "10.244.0.9",
                "conditions": conditions or [],
                "containerStatuses": [{"name": "canary", "state": state, "imageID": "sha256:feed"}],
            },
        }
    )


def answer(role: Role, **said: object) -> Canary:
    """Build a canary that ended well with an answer."""
    return pod(role, terminated(message=json.dumps(said)), phase="Succeeded")


FREE = answer(Role.FREE, reached=["api", "peer"])
CUT_OFF = answer(Role.BOUND, reached=[], seconds=2.1)
LEAKS = answer(Role.BOUND, reached=["api"], seconds=12.0)
HOLDS = answer(Role.SANDBOX, opened=[], filtered=True)


def measured(*pods: Canary, refused: str = "") -> Measurement:
    """Conclude now."""
    return conclude(pods, NOW, refused=refused)


def selected(job: Document) -> bool:
    """Whether the deny-all policy selects a Job's pod."""
    wanted = deny_all("any")["spec"]["podSelector"]["matchLabels"].items()
    return bool(wanted <= job["spec"]["template"]["metadata"]["labels"].items())


def made(role: Role, peer: str = "") -> Document:
    """Build the Job of a role."""
    return canary_job(PROFILE, role, namespace="canaries", serial="0a1b2c3d", peer=peer)


def test_free_and_bound_differ_in_the_label_of_the_policy_alone() -> None:
    """So that what one reaches and the other does not, the policy took."""
    free, bound = made(Role.FREE, "10.0.0.1"), made(Role.BOUND, "10.0.0.1")
    assert (selected(free), selected(bound)) == (False, True)
    text = json.dumps(bound["spec"]["template"]["spec"]).replace('"bound"', '"free"')
    assert json.loads(text) == free["spec"]["template"]["spec"]
    assert free["spec"]["template"]["spec"]["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}


def test_the_sandbox_role_has_the_shape_of_a_strategys_pod() -> None:
    """Its seccomp file, its runtime class, and a node that holds the file."""
    spec = made(Role.SANDBOX)["spec"]["template"]["spec"]
    assert spec["securityContext"]["seccompProfile"]["localhostProfile"] == PROFILE.seccomp.localhost_profile
    required = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert PROFILE.seccomp.node_label in json.dumps(required)
    assert "runtimeClassName" not in spec
    gvisor = PROFILE.model_copy(update={"sandbox": PROFILE.sandbox.model_copy(update={"runtime_class_name": "gvisor"})})
    job = canary_job(gvisor, Role.SANDBOX, namespace="canaries", serial="0a1b2c3d")
    assert job["spec"]["template"]["spec"]["runtimeClassName"] == "gvisor"


@pytest.mark.parametrize("role", Role)
def test_no_canary_passes_for_a_run(role: Role) -> None:
    """The operator watches the pods of runs by their labels, and these are none."""
    labels = made(role)["metadata"]["labels"]
    assert naming.RUN_UID_LABEL not in labels
    assert labels[naming.COMPONENT_LABEL] == "canary"
    assert made(role)["spec"]["activeDeadlineSeconds"] == DEADLINE_SECONDS
    assert len(made(role)["metadata"]["name"]) <= 63


@pytest.mark.parametrize(
    ("pods", "network", "says"),
    [
        pytest.param((FREE, CUT_OFF), Network.POLICY_AND_SECCOMP, "cut off from api, peer after 2.1 s", id="enforced"),
        pytest.param((FREE, LEAKS), Network.SECCOMP_ONLY, "under deny-all reached api", id="not-enforced"),
        pytest.param(
            (answer(Role.FREE, reached=[]), CUT_OFF),
            Network.UNKNOWN,
            "would prove nothing",
            id="nobody-reaches-anything",
        ),
        pytest.param((CUT_OFF,), Network.UNKNOWN, "would prove nothing", id="no-twin"),
        pytest.param((FREE,), Network.UNKNOWN, "did not answer", id="no-labelled-pod"),
        pytest.param(
            (FREE, pod(Role.BOUND, terminated(1))), Network.UNKNOWN, "ended with exit code 1", id="labelled-pod-fails"
        ),
        pytest.param(
            (FREE, pod(Role.BOUND, terminated(message="[1, 2]"))), Network.UNKNOWN, "did not answer", id="no-document"
        ),
        pytest.param((answer(Role.FREE, reached="api"), CUT_OFF), Network.UNKNOWN, "would prove nothing", id="no-list"),
        pytest.param(
            (pod(Role.FREE, waiting("ErrImagePull", "no such host")),), Network.UNKNOWN, "no such host", id="no-image"
        ),
    ],
)
def test_the_network_is_isolated_by_what_was_measured(pods: tuple[Canary, ...], network: Network, says: str) -> None:
    """A policy counts where the labelled pod was cut off from what its twin reached; nothing counts for nothing."""
    found = measured(*pods)
    assert found.network is network
    assert says in found.network_message


def test_what_only_the_twin_can_reach_is_no_proof_of_a_leak() -> None:
    """A cluster without DNS: nobody reaches it, and it says nothing of the policy."""
    free = answer(Role.FREE, reached=["api"])
    odd = answer(Role.BOUND, reached=["dns"], seconds=12.0)
    assert measured(free, odd).network is Network.POLICY_AND_SECCOMP


@pytest.mark.parametrize(
    ("state", "reason", "image", "seccomp"),
    [
        pytest.param(HOLDS, None, True, True, id="holds"),
        pytest.param(
            answer(Role.SANDBOX, opened=["AF_INET"], filtered=True),
            Reason.SECCOMP_PROFILE_MISSING,
            True,
            False,
            id="socket",
        ),
        pytest.param(
            answer(Role.SANDBOX, opened=[], filtered=False), Reason.SECCOMP_PROFILE_MISSING, True, False, id="no-filter"
        ),
        pytest.param(
            pod(Role.SANDBOX, waiting("CreateContainerError", "cannot load seccomp profile: no such file")),
            Reason.SECCOMP_PROFILE_MISSING,
            None,
            False,
            id="file-missing",
        ),
        pytest.param(
            pod(Role.SANDBOX, waiting("ImagePullBackOff", "back-off")),
            Reason.IMAGE_PULL_FAILED,
            False,
            None,
            id="image",
        ),
        pytest.param(
            pod(Role.SANDBOX, waiting("CreateContainerConfigError", "bad")),
            Reason.CONTAINER_CONFIG_ERROR,
            None,
            False,
            id="configuration",
        ),
        pytest.param(pod(Role.SANDBOX, waiting("ContainerCreating")), None, None, None, id="still-waiting"),
    ],
)
def test_the_hardened_pod_says_whether_its_walls_hold(
    state: Canary, reason: Reason | None, image: bool | None, seccomp: bool | None
) -> None:
    """And if it does not start, why: runs would not start for the same reason."""
    found = measured(state)
    assert (found.trouble, found.image.holds, found.seccomp.holds) == (reason, image, seccomp)


def test_a_refusal_of_the_api_server_is_told() -> None:
    """Nothing was measured, and the message says why."""
    found = measured(refused="exceeded quota")
    assert (found.network, found.image.holds, found.seccomp.holds, found.trouble) == (Network.UNKNOWN, None, None, None)
    assert found.network_message == "exceeded quota"


def test_a_pod_that_no_node_takes_has_not_answered() -> None:
    """Its message is the scheduler's."""
    conditions = [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}]
    lost = pod(Role.FREE, {}, phase="Pending", conditions=conditions)
    assert not lost.answered
    assert measured(lost).network_message == "0/1 nodes"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"threads": 251}, "it had 251 threads when one was refused"),
        ({"threads": None}, "nothing limits its threads: set podPidsLimit for the kubelets"),
        ({}, ""),
        ({"threads": "many"}, ""),
    ],
)
def test_a_limit_of_threads_is_told(said: Document, told: str) -> None:
    """Only a kubelet can set it, so that it is measured and not assumed."""
    assert measured(answer(Role.SANDBOX, opened=[], filtered=True, **said)).threads == told
