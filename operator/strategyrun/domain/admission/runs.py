"""What Jobs and pods of runs are, beyond the shape that a canary's have as well."""

from typing import Any

from strategyrun.domain.admission.clause import Clause, cel
from strategyrun.domain.admission.example import run_containers
from strategyrun.domain.admission.labels import FALLS_BACK, OUR_LABELS, labels_alike
from strategyrun.domain.admission.shape import (
    asks_nobody,
    container_clauses,
    container_variables,
    each_container,
    pod_clauses,
)
from strategyrun.domain.job import DATASET_PATH_VARIABLE, EXECUTOR_VARIABLE, INPUT_VARIABLE, NONCE_VARIABLE
from strategyrun.domain.strategyrun import Executor

_FREE_VARIABLES = (NONCE_VARIABLE, DATASET_PATH_VARIABLE, INPUT_VARIABLE)


def run_variables(pod: str) -> dict[str, str]:
    """Name the pod, what its containers must be, and what they were before the request."""
    before = pod.replace("object", "oldObject")
    return {
        "fallback": FALLS_BACK,
        "filtered": "!variables.fallback",
        "pod": pod,
        **container_variables(run_containers()),
        "before": f"{before}.?initContainers.orValue([]) + {before}.containers",
        "environments": cel({each["name"]: _environment_of(each) for each in run_containers(Executor.FALLBACK)}),
    }


def _environment_of(container: dict[str, Any]) -> dict[str, str]:
    variables = container["env"]
    return {each["name"]: "" if each["name"] in _FREE_VARIABLES else each["value"] for each in variables}


def template_labels() -> Clause:
    """State that a Job and its pods carry the labels of a run, and the same ones."""
    return Clause(
        f"{cel(OUR_LABELS)}.all(key, object.metadata.?labels[?key].hasValue()) && {labels_alike(OUR_LABELS)}",
        "a Job and its pods must carry the same labels of the run: walls find pods by them",
    )


def run_clauses(owner: str) -> list[Clause]:
    """State the hardened shape of a run's pod."""
    return [_kept(), owned(owner), *pod_clauses(), *_step_clauses(), *container_clauses(), *_volume_clauses()]


def made_pod_clauses() -> list[Clause]:
    """State of a pod what `job_clauses` state of a Job, as far as nothing but a Job or a person brings it about."""
    return [
        Clause(
            "request.operation != 'CREATE' || !has(variables.pod.nodeName)",
            "nodeName must be absent: the scheduler, with its taints, decides",
        ),
        Clause(
            "request.operation == 'CREATE' || object.spec.?tolerations == oldObject.spec.?tolerations",
            "tolerations stay what they were when it was made: the nodes of others stay theirs",
        ),
        Clause(
            "!variables.pod.?priorityClassName.orValue('').startsWith('system-')",
            "priorityClassName must be absent: a strategy displaces nobody",
        ),
    ]


def owned(owner: str) -> Clause:
    """State that an object goes with its owner, a run or its Job."""
    return Clause(
        "object.metadata.?ownerReferences.orValue([])"
        f".exists(owner, owner.?controller.orValue(false) && owner.kind == {cel(owner)})",
        f"a {owner} must own it, so that it goes with the run",
    )


def _kept() -> Clause:
    fields = ("c.image", "c.?resources.?limits.orValue({})")
    same = (f"variables.containers.map(c, {field}) == variables.before.map(c, {field})" for field in fields)
    return Clause(
        f"request.operation == 'CREATE' || ({' && '.join(same)})",
        "image and limits stay what they were when it was made: the profile was looked at then",
    )


def _step_clauses() -> list[Clause]:
    """State what a pod of a run has to be beyond what every pod of ours is."""
    return [
        Clause(
            "variables.pod.?initContainers.orValue([]).map(c, c.name) in [['strategy'], ['dataset', 'strategy']]"
            " && variables.pod.containers.map(c, c.name) == ['evaluate']"
            " && variables.containers.all(c, !has(c.restartPolicy))",
            "the containers must be the steps of a run alone (dataset, strategy, then evaluate): "
            "anything else runs beside the evaluator",
            "variables.containers.map(c, c.name).join(', ')",
        ),
        Clause(
            "variables.pod.?ephemeralContainers.orValue([]).size() == 0",
            "ephemeralContainers must be absent: who is inside could write the verdict",
        ),
        Clause(
            asks_nobody(),
            "dnsPolicy must be None with a resolver that nobody answers at, and no hostAliases: names leak data",
        ),
        each_container(
            "!has(c.envFrom) && c.?env.orValue([]).all(e, !has(e.valueFrom) && e.name in variables.environments[c.name]"
            f" && (variables.fallback || e.name != {cel(EXECUTOR_VARIABLE)})"
            f" && (e.name in {cel(_FREE_VARIABLES)}"
            " || e.?value.orValue('') == variables.environments[c.name][e.name]))",
            "env must be the step's own: neither another variable nor a value from a Secret or ConfigMap",
        ),
    ]


def _volume_clauses() -> list[Clause]:
    volumes = "variables.pod.?volumes.orValue([])"
    kinds = (
        "v.name in ['code', 'inputs'] ? has(v.configMap) : v.name in ['tmp', 'out', 'data'] ? has(v.emptyDir)"
        " : v.name == 'source' && (has(v.configMap) || has(v.image)"
        " || (has(v.persistentVolumeClaim) && v.persistentVolumeClaim.?readOnly.orValue(false)))"
    )
    return [
        Clause(
            f"{volumes}.all(v, {kinds})",
            "volumes must be those of a run: ConfigMaps, emptyDirs, and a source that is a ConfigMap, an image "
            "or a read-only claim; never hostPath, secret or projected",
            f"'volume ' + {volumes}.filter(v, !({kinds})).map(v, v.name).join(', ')",
        ),
    ]
