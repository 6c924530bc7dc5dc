"""What a SandboxProfile binds.

What a profile says is read by the API server from the SandboxProfile itself: every policy of Jobs and pods is
evaluated once for each profile, and what a profile says binds those alone that carry its name as their label. A label
that names no profile would be bound by none, so the operator must hold the verb `use` on the name.
"""

from strategyrun.domain import naming
from strategyrun.domain.admission.clause import Clause, cel
from strategyrun.domain.admission.labels import FALLS_BACK
from strategyrun.domain.admission.shape import ALL_CONTAINERS, each_container

_CLOCKS = ("startSeconds", "loadSeconds", "strategySeconds", "evaluateSeconds")


def profile_variables(pod: str) -> dict[str, str]:
    """Name the pod, whether it is of the profile that is looked at, and what that says."""
    return {
        "fallback": FALLS_BACK,
        "pod": pod,
        "containers": ALL_CONTAINERS,
        "mine": f"object.metadata.?labels[?{cel(naming.PROFILE_LABEL)}].orValue('') == params.metadata.name",
        "image": "variables.fallback ? params.spec.?fallback.?image.orValue('') : params.spec.image",
        "cpu": "quantity(params.spec.limits.cpu)",
        "memory": "quantity(params.spec.limits.memory)",
        "sizes": "{'tmp': params.spec.tmp, 'out': params.spec.out, 'data': params.spec.data}",
        "deadline": " + ".join(f"params.spec.timeouts.{clock}" for clock in _CLOCKS),
    }


def of_profile(clause: Clause) -> Clause:
    """State the same of those alone that carry the name of the profile that is looked at."""
    return clause._replace(expression=f"!variables.mine || ({clause.expression})")


def profile_clauses() -> list[Clause]:
    """State what the profile says of a pod that is made; it stays so, since `run_clauses` lets none of it change."""
    limits, volumes = "c.?resources.?limits", "variables.pod.?volumes.orValue([])"
    sizes = (
        "!has(v.emptyDir) || !(v.name in variables.sizes) || (v.emptyDir.?sizeLimit.hasValue()"
        " && quantity(v.emptyDir.sizeLimit).compareTo(quantity(variables.sizes[v.name])) <= 0"
        " && v.emptyDir.?medium.orValue('') == (v.name == 'data' ? '' : 'Memory'))"
    )
    return [
        Clause(
            "variables.pod.?activeDeadlineSeconds.orValue(0) > 0"
            " && variables.pod.activeDeadlineSeconds <= variables.deadline",
            "activeDeadlineSeconds must be set and not above the sum of the profile's timeouts",
        ),
        Clause(
            "!has(params.spec.allowedNamespaces) || request.namespace in params.spec.allowedNamespaces",
            "runs of this namespace may not use the profile (spec.allowedNamespaces)",
        ),
        Clause(
            "variables.pod.?runtimeClassName.orValue('')"
            " == (variables.fallback ? '' : params.spec.?runtimeClassName.orValue(''))",
            "runtimeClassName must be the profile's (a fallback has none)",
        ),
        Clause(
            "variables.pod.?hostUsers.orValue(true) == params.spec.?hostUsers.orValue(true)",
            "hostUsers must be the profile's: a pod has users of its own where the profile says so",
        ),
        each_container(
            "c.image == variables.image",
            "the image must be the profile's (a fallback's the one of its spec.fallback)",
        ),
        each_container(
            f"{limits}[?'cpu'].hasValue() && {limits}[?'memory'].hasValue()"
            " && quantity(c.resources.limits['cpu']).compareTo(variables.cpu) <= 0"
            " && quantity(c.resources.limits['memory']).compareTo(variables.memory) <= 0"
            " && c.resources.limits.all(name, name in ['cpu', 'memory', 'ephemeral-storage'])",
            "limits of cpu and memory must be set, not above the profile's, and of nothing else",
        ),
        Clause(
            f"{volumes}.all(v, {sizes})",
            "sizeLimit must be set and not above the profile's, tmp and out in memory",
            f"'volume ' + {volumes}.filter(v, !({sizes})).map(v, v.name).join(', ')",
        ),
    ]


def job_deadline() -> Clause:
    """State the last of a run's clocks: a pod's deadline, and once more the time to start."""
    return Clause(
        "object.spec.?activeDeadlineSeconds.orValue(0) > 0 && object.spec.activeDeadlineSeconds"
        " <= variables.deadline + params.spec.timeouts.startSeconds + params.spec.timeouts.loadSeconds",
        "the Job's activeDeadlineSeconds must be set and not above the pod's and the time to start",
    )
