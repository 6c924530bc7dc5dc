"""What Jobs and pods that measure profiles are, in a namespace that has no others."""

from strategyrun.domain import canary, naming
from strategyrun.domain.admission.accounts import OPERATOR_ACCOUNT, known_profile, only
from strategyrun.domain.admission.clause import Clause, cel
from strategyrun.domain.admission.example import canary_containers
from strategyrun.domain.admission.labels import labels_alike
from strategyrun.domain.admission.shape import (
    asks_nobody,
    container_clauses,
    container_variables,
    each_container,
    job_clauses,
    pod_clauses,
)

CANARY_LABELS = (
    naming.MANAGED_BY_LABEL,
    naming.COMPONENT_LABEL,
    naming.PROFILE_LABEL,
    canary.ROLE_LABEL,
    canary.SERIAL_LABEL,
)


def canary_variables(pod: str) -> dict[str, str]:
    """Name the pod, its role, and what its container must be."""
    return {
        "pod": pod,
        "role": f"object.metadata.?labels[?{cel(canary.ROLE_LABEL)}].orValue('')",
        "filtered": f"variables.role == {cel(canary.Role.SANDBOX)}",
        **container_variables(canary_containers()),
    }


def canary_clauses() -> list[Clause]:
    """State what may be measured with: one program of the image, in the shape that `canary_job` builds, and no more."""
    nameless = "!variables.pod.?dnsConfig.hasValue() && variables.pod.?hostAliases.orValue([]).size() == 0"
    return [
        only((OPERATOR_ACCOUNT,), "makes Jobs of this namespace"),
        known_profile(),
        Clause(
            f"variables.role in {cel(tuple(canary.Role))} && {labels_alike(CANARY_LABELS)}",
            "a canary and its pod must carry the same labels, with its role: walls find it by them",
        ),
        Clause(
            "variables.pod.containers.map(c, c.name) == variables.commands.map(name, name)"
            " && variables.pod.?initContainers.orValue([]).size() == 0"
            " && variables.containers.all(c, !has(c.restartPolicy))",
            "a canary is one container",
        ),
        Clause("variables.pod.?volumes.orValue([]).size() == 0", "a canary has no volumes"),
        Clause(
            f"variables.filtered ? {asks_nobody()} : {nameless}",
            "a canary asks the cluster's resolver; one with the seccomp file nobody",
        ),
        Clause(
            "object.spec.?activeDeadlineSeconds.orValue(0) > 0"
            f" && object.spec.activeDeadlineSeconds <= {canary.DEADLINE_SECONDS}",
            f"activeDeadlineSeconds of a canary must be set and not above {canary.DEADLINE_SECONDS}",
        ),
        *job_clauses(),
        *pod_clauses(),
        *container_clauses(),
        each_container(
            "!has(c.envFrom) && c.?env.orValue([]).all(e, !has(e.valueFrom)"
            f" && (e.name == {cel(canary.ROLE_VARIABLE)} ? e.?value.orValue('') == variables.role"
            f" : e.name == {cel(canary.PEER_VARIABLE)} && isIP(e.?value.orValue(''))))",
            "env of a canary is its role and its peer's address",
        ),
    ]


def canary_profile_clauses() -> list[Clause]:
    """State what the profile says of the canary that measures it."""
    limits = "c.?resources.?limits"
    return [
        each_container("c.image == params.spec.image", "a canary's image must be the profile's"),
        Clause(
            "variables.pod.?runtimeClassName.orValue('')"
            " == (variables.filtered ? params.spec.?runtimeClassName.orValue('') : '')",
            "runtimeClassName of a canary must be the profile's where it has the seccomp file",
        ),
        each_container(
            f"{limits}[?'cpu'].hasValue() && {limits}[?'memory'].hasValue()"
            " && quantity(c.resources.limits['cpu']).compareTo(variables.cpu) <= 0"
            f" && quantity(c.resources.limits['memory']).compareTo(quantity({cel(canary.MEMORY)})) <= 0"
            " && c.resources.limits.all(name, name in ['cpu', 'memory'])",
            f"limits of a canary must be set, not above the profile's CPU and {canary.MEMORY}, and of nothing else",
        ),
    ]
