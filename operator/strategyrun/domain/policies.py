"""The ValidatingAdmissionPolicies that hold every Job and pod with our labels to the shape that `job` builds.

What a container may be is read off the Job that the operator's own code builds, so that it is said once.

What a profile says is read by the API server from the SandboxProfile itself: every policy of Jobs and pods is
evaluated once for each profile, and what a profile says binds those alone that carry its name as their label. A label
that names no profile would be bound by none, so the operator must hold the verb `use` on the name.

Only fields that Kubernetes 1.32 knows are looked at.
"""

import json
from datetime import UTC, datetime
from typing import Any, NamedTuple

from strategyrun.domain import canary, naming
from strategyrun.domain.hardening import STRATEGY_UID, pod_isolation
from strategyrun.domain.inputs import Inputs
from strategyrun.domain.job import (
    DATASET_PATH_VARIABLE,
    EXECUTOR_VARIABLE,
    INPUT_VARIABLE,
    LOST_NODE_SECONDS,
    LOST_NODE_TAINTS,
    NONCE_VARIABLE,
    PINNED_ANNOTATIONS,
    job,
)
from strategyrun.domain.network_policy import POLICY_NAME, deny_all
from strategyrun.domain.sandbox import (
    NODE_LABEL_PREFIX,
    NODE_READY,
    PROFILE_KIND,
    PROFILE_PLURAL,
    FallbackImage,
    Profile,
    Resources,
    Sandbox,
    SeccompProfile,
    Timeouts,
)
from strategyrun.domain.strategyrun import (
    GROUP,
    KIND,
    KUEUE_LABEL,
    PLURAL,
    VERSION,
    Executor,
    StrategyRun,
    StrategyRunSpec,
)

OPERATOR_NAMESPACE = "finlab-sandbox-system"
OPERATOR_NAME = "finlab-sandbox-operator"
OPERATOR_ACCOUNT = f"system:serviceaccount:{OPERATOR_NAMESPACE}:{OPERATOR_NAME}"
KUEUE_ACCOUNT = "system:serviceaccount:kueue-system:kueue-controller-manager"
INSTALLER_ACCOUNT = "system:serviceaccount:finlab-sandbox-installer:finlab-sandbox-installer"
JOB_CONTROLLERS = ("system:serviceaccount:kube-system:job-controller", "system:kube-controller-manager")
"""The job controller's account, and its name where controllers share one."""

CONTROL_PLANE = ("system:kube-scheduler", "system:kube-controller-manager")
CONTROLLERS_GROUP = "system:serviceaccounts:kube-system"
NODES_GROUP = "system:nodes"

CANARY_NAMESPACE = "finlab-sandbox-canary"
USE = "use"
"""The verb on a SandboxProfile that lets an account make Jobs of it."""

SWITCH_LABEL = f"{GROUP}/admission"
SWITCHED_OFF = "off"
"""A namespace labelled so is left alone; who may label namespaces administers the cluster."""

_OUR_LABELS = (
    naming.MANAGED_BY_LABEL,
    naming.COMPONENT_LABEL,
    naming.RUN_UID_LABEL,
    naming.RUN_NAME_LABEL,
    naming.PROFILE_LABEL,
    naming.EXECUTOR_LABEL,
)
_FALLBACK = Executor.FALLBACK.lower()
_FALLS_BACK = f"object.metadata.?labels[?{json.dumps(naming.EXECUTOR_LABEL)}].orValue('') == {json.dumps(_FALLBACK)}"
_ALL_CONTAINERS = "variables.pod.?initContainers.orValue([]) + variables.pod.containers"
_COMPONENTS = ("strategy", "report")
_CANARY_LABELS = (
    naming.MANAGED_BY_LABEL,
    naming.COMPONENT_LABEL,
    naming.PROFILE_LABEL,
    canary.ROLE_LABEL,
    canary.SERIAL_LABEL,
)
_POD_PARTS = ("pods", "pods/status", "pods/ephemeralcontainers", "pods/resize")
"""By each of them labels can be changed."""

_IN_CANARY_NAMESPACE = {"key": "kubernetes.io/metadata.name", "operator": "In", "values": [CANARY_NAMESPACE]}
_POD_NAME = "^[a-z0-9][a-z0-9-]*-[0-9a-f]{12}-[0-9]+-[a-z0-9]{5}$"
_FREE_VARIABLES = (NONCE_VARIABLE, DATASET_PATH_VARIABLE, INPUT_VARIABLE)


class Clause(NamedTuple):
    """What must be true, and what is said where it is not."""

    expression: str
    message: str
    found: str = ""
    """A CEL expression of what offends, to stand before the message."""

    def document(self) -> dict[str, str]:
        """Return the validation."""
        said = {"messageExpression": f"{self.found} + {_cel(': ' + self.message)}"} if self.found else {}
        return {"expression": self.expression, "message": self.message, **said, "reason": "Forbidden"}


def policies() -> list[dict[str, Any]]:
    """Build every policy and its binding: all namespaces are held to them but those that are switched off."""
    return [
        *_policy(
            "finlab-sandbox-jobs",
            _rule("batch", "v1", "jobs", "jobs/status", operations=("CREATE", "UPDATE")),
            conditions={
                # Whatever the operator makes, too: without labels it would be nobody's, and bound by nothing.
                "ours": f"request.userInfo.username == {_cel(OPERATOR_ACCOUNT)} || "
                + _either_or(_ours("metadata"), _ours("spec.template.?metadata")),
                "no-canary": f"request.namespace != {_cel(CANARY_NAMESPACE)}",
                "made-or-changed": _made_or("object.spec != oldObject.spec", _labels_differ()),
            },
            variables=_variables("object.spec.template.spec"),
            clauses=[
                _by((OPERATOR_ACCOUNT,), "makes or changes Jobs of runs", _let_in_by_kueue()),
                _template_labels(),
                _known_profile(),
                *_job_clauses(),
                *_shape(KIND),
            ],
        ),
        *_policy(
            "finlab-sandbox-profiled-jobs",
            _rule("batch", "v1", "jobs", operations=("CREATE",)),
            conditions={"ours": _either_or(_ours("metadata"), _ours("spec.template.?metadata"))},
            variables=_profile_variables("object.spec.template.spec"),
            clauses=[_of_profile(clause) for clause in (_job_deadline(), *_profile_clauses())],
            profiled=True,
        ),
        *_policy(
            "finlab-sandbox-pods",
            _rule("", "v1", *_POD_PARTS, operations=("CREATE", "UPDATE")),
            conditions={
                "ours": _either_or(_ours("metadata")),
                "made-or-changed": _made_or("object.spec != oldObject.spec", _labels_differ(), _pins_differ()),
            },
            variables=_variables("object.spec"),
            clauses=[
                _by(JOB_CONTROLLERS, "makes pods of runs", "request.operation != 'CREATE'"),
                Clause(
                    f"request.operation == 'CREATE' || !({_labels_differ()} || {_pins_differ()})",
                    "labels and hashes of a run's pod stay what they were when it was made: walls find it by them",
                ),
                Clause(
                    "request.operation != 'CREATE'"
                    f" || object.metadata.?labels[?{_cel(naming.PROFILE_LABEL)}].hasValue()",
                    f"a run's pod must carry the label {naming.PROFILE_LABEL}: without it no profile binds it",
                ),
                *_made_pod_clauses(),
                *_shape("Job"),
            ],
        ),
        *_policy(
            "finlab-sandbox-profiled-pods",
            _rule("", "v1", "pods", operations=("CREATE",)),
            conditions={"ours": _either_or(_ours("metadata"))},
            variables=_profile_variables("object.spec"),
            clauses=[_of_profile(clause) for clause in _profile_clauses()],
            profiled=True,
        ),
        *_policy(
            "finlab-sandbox-configmaps",
            _rule("", "v1", "configmaps", operations=("CREATE", "UPDATE")),
            conditions={
                "ours": f"request.userInfo.username == {_cel(OPERATOR_ACCOUNT)} || " + _either_or(_ours("metadata")),
                "made-or-changed": _made_or(
                    "object.?data != oldObject.?data", "object.?binaryData != oldObject.?binaryData", _labels_differ()
                ),
            },
            clauses=[
                _by((OPERATOR_ACCOUNT,), "makes or changes snapshots and reports of runs"),
                Clause(
                    _now(_ours("metadata")),
                    "the operator makes ConfigMaps with the labels of a run alone: others are none of its business",
                ),
                _owned(KIND),
            ],
        ),
        *_policy(
            "finlab-sandbox-deletions",
            _rule("batch", "v1", "jobs", operations=("DELETE",)),
            _rule("", "v1", "configmaps", operations=("DELETE",)),
            conditions={"operator": f"request.userInfo.username == {_cel(OPERATOR_ACCOUNT)}"},
            clauses=[
                Clause(
                    f"{_before(_ours('metadata'))} || (request.namespace == {_cel(CANARY_NAMESPACE)}"
                    f" && oldObject.metadata.?labels[?{_cel(canary.ROLE_LABEL)}].hasValue())",
                    "the operator deletes Jobs and ConfigMaps of runs and canaries alone",
                )
            ],
        ),
        *_policy(
            "finlab-sandbox-network",
            _rule("networking.k8s.io", "v1", "networkpolicies", operations=("CREATE", "UPDATE")),
            conditions={
                "ours": f"request.userInfo.username == {_cel(OPERATOR_ACCOUNT)}"
                f" || object.metadata.name == {_cel(POLICY_NAME)}"
            },
            clauses=_network_clauses(),
        ),
        *_policy(
            "finlab-sandbox-status",
            _rule(GROUP, VERSION, f"{PLURAL}/status", f"{PROFILE_PLURAL}/status", operations=("UPDATE",)),
            clauses=[_by((OPERATOR_ACCOUNT,), "writes the status of runs and profiles: it is the verdict")],
        ),
        *_policy(
            "finlab-sandbox-job-status",
            _rule("batch", "v1", "jobs/status", operations=("UPDATE",)),
            conditions={"ours": _ours_or_a_canary(), "changed": "object.?status != oldObject.?status"},
            clauses=[_by(JOB_CONTROLLERS, "writes the status of Jobs of runs", _let_in_by_kueue())],
        ),
        *_policy(
            "finlab-sandbox-pod-status",
            _rule("", "v1", "pods/status", operations=("UPDATE",)),
            conditions={"ours": _ours_or_a_canary(), "changed": "object.?status != oldObject.?status"},
            clauses=_pod_status_clauses(),
        ),
        *_policy(
            "finlab-sandbox-canaries",
            _rule("batch", "v1", "jobs", operations=("CREATE", "UPDATE")),
            where=_IN_CANARY_NAMESPACE,
            conditions={"made-or-changed": _made_or("object.spec != oldObject.spec")},
            variables=_canary_variables("object.spec.template.spec"),
            clauses=_canary_clauses(),
        ),
        *_policy(
            "finlab-sandbox-profiled-canaries",
            _rule("batch", "v1", "jobs", operations=("CREATE",)),
            where=_IN_CANARY_NAMESPACE,
            variables=_canary_variables("object.spec.template.spec") | _profile_variables("object.spec.template.spec"),
            clauses=[_of_profile(clause) for clause in _canary_profile_clauses()],
            profiled=True,
        ),
        *_policy(
            "finlab-sandbox-pods-of-canaries",
            _rule("", "v1", *_POD_PARTS, operations=("CREATE", "UPDATE")),
            where=_IN_CANARY_NAMESPACE,
            conditions={"made-or-changed": _made_or("object.spec != oldObject.spec", _differ(_CANARY_LABELS))},
            clauses=[
                Clause(
                    f"request.operation == 'CREATE' && request.userInfo.username in {_cel(JOB_CONTROLLERS)}",
                    "pods of this namespace are made by the job controller, and stay what they were",
                    "request.userInfo.username",
                )
            ],
        ),
        *_policy(
            "finlab-sandbox-profiles",
            _rule(GROUP, VERSION, PROFILE_PLURAL, operations=("DELETE",)),
            clauses=[
                Clause(
                    f"!{_operator_may_use('oldObject.metadata.name')}",
                    f"take the name out of the ClusterRole that lets the operator {USE} it first: "
                    "a Job by the name of a profile that is gone would be bound by none",
                    "oldObject.metadata.name",
                )
            ],
        ),
        *_policy(
            "finlab-sandbox-installer",
            _rule("", "v1", "nodes", operations=("UPDATE",)),
            conditions={"installer": f"request.userInfo.username == {_cel(INSTALLER_ACCOUNT)}"},
            clauses=_installer_clauses(),
        ),
        *_policy(
            "finlab-sandbox-shells",
            _rule("", "v1", "pods/exec", "pods/attach", "pods/portforward", operations=("CONNECT",)),
            clauses=[
                Clause(
                    f"request.namespace != {_cel(CANARY_NAMESPACE)} && !request.name.matches({_cel(_POD_NAME)})",
                    "nobody enters the pod of a run or of a canary: who is inside could write its verdict",
                )
            ],
        ),
    ]


def _policy(
    name: str,
    *rules: dict[str, Any],
    clauses: list[Clause],
    conditions: dict[str, str] | None = None,
    variables: dict[str, str] | None = None,
    profiled: bool = False,
    where: dict[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """Build a policy and its binding; one that is `profiled` is evaluated for every SandboxProfile.

    Where there is none it refuses all that it matches, before its conditions are asked. So it matches alone what
    carries the label of a profile, when it is made: nothing of anybody else's, and nothing that is on its way out.
    """
    version = "admissionregistration.k8s.io/v1"
    kind = {"apiVersion": f"{GROUP}/{VERSION}", "kind": PROFILE_KIND}
    labelled = {"key": naming.PROFILE_LABEL, "operator": "Exists"}
    every: dict[str, Any] = {"selector": {}, "parameterNotFoundAction": "Deny"}
    where = where or {"key": SWITCH_LABEL, "operator": "NotIn", "values": [SWITCHED_OFF]}
    return [
        {
            "apiVersion": version,
            "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": name},
            "spec": {
                "failurePolicy": "Fail",
                **({"paramKind": kind} if profiled else {}),
                "matchConstraints": {
                    "matchPolicy": "Equivalent",
                    "resourceRules": list(rules),
                    **({"objectSelector": {"matchExpressions": [labelled]}} if profiled else {}),
                },
                **_named("matchConditions", conditions or {}),
                **_named("variables", variables or {}),
                "validations": [clause.document() for clause in clauses],
            },
        },
        {
            "apiVersion": version,
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": name},
            "spec": {
                "policyName": name,
                **({"paramRef": every} if profiled else {}),
                "validationActions": ["Deny"],
                "matchResources": {"namespaceSelector": {"matchExpressions": [where]}},
            },
        },
    ]


def _canary_clauses() -> list[Clause]:
    """State what may be measured with: one program of the image, in the shape that `canary_job` builds, and no more."""
    nameless = "!variables.pod.?dnsConfig.hasValue() && variables.pod.?hostAliases.orValue([]).size() == 0"
    return [
        _by((OPERATOR_ACCOUNT,), "makes Jobs of this namespace"),
        _known_profile(),
        Clause(
            f"variables.role in {_cel(tuple(canary.Role))} && {_alike(_CANARY_LABELS)}",
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
            f"variables.filtered ? {_nameless()} : {nameless}",
            "a canary asks the cluster's resolver; one with the seccomp file nobody",
        ),
        Clause(
            "object.spec.?activeDeadlineSeconds.orValue(0) > 0"
            f" && object.spec.activeDeadlineSeconds <= {canary.DEADLINE_SECONDS}",
            f"activeDeadlineSeconds of a canary must be set and not above {canary.DEADLINE_SECONDS}",
        ),
        *_job_clauses(),
        *_pod_clauses(),
        *_container_clauses(),
        _each(
            "!has(c.envFrom) && c.?env.orValue([]).all(e, !has(e.valueFrom)"
            f" && (e.name == {_cel(canary.ROLE_VARIABLE)} ? e.?value.orValue('') == variables.role"
            f" : e.name == {_cel(canary.PEER_VARIABLE)} && isIP(e.?value.orValue(''))))",
            "env of a canary is its role and its peer's address",
        ),
    ]


def _canary_variables(pod: str) -> dict[str, str]:
    container = canary.canary_job(_PROFILE, canary.Role.PEER, namespace="any", serial="any")["spec"]["template"]["spec"]
    return {
        "pod": pod,
        "role": f"object.metadata.?labels[?{_cel(canary.ROLE_LABEL)}].orValue('')",
        "filtered": f"variables.role == {_cel(canary.Role.SANDBOX)}",
        **_container_variables(container["containers"]),
    }


def _canary_profile_clauses() -> list[Clause]:
    limits = "c.?resources.?limits"
    return [
        _each("c.image == params.spec.image", "a canary's image must be the profile's"),
        Clause(
            "variables.pod.?runtimeClassName.orValue('')"
            " == (variables.filtered ? params.spec.?runtimeClassName.orValue('') : '')",
            "runtimeClassName of a canary must be the profile's where it has the seccomp file",
        ),
        _each(
            f"{limits}[?'cpu'].hasValue() && {limits}[?'memory'].hasValue()"
            " && quantity(c.resources.limits['cpu']).compareTo(variables.cpu) <= 0"
            f" && quantity(c.resources.limits['memory']).compareTo(quantity({_cel(canary.MEMORY)})) <= 0"
            " && c.resources.limits.all(name, name in ['cpu', 'memory'])",
            f"limits of a canary must be set, not above the profile's CPU and {canary.MEMORY}, and of nothing else",
        ),
    ]


def _network_clauses() -> list[Clause]:
    """State what carries the name that the operator takes for its deny-all policy, and that it makes no other."""
    spec = deny_all("any")["spec"]
    selector, types = _cel(spec["podSelector"]["matchLabels"]), _cel(spec["policyTypes"])
    return [
        Clause(
            f"object.metadata.name == {_cel(POLICY_NAME)}",
            f"the operator makes no NetworkPolicy but {POLICY_NAME}: others could let something through",
        ),
        Clause(
            f"object.spec.?podSelector.?matchLabels.orValue({{}}) == {selector}"
            " && object.spec.?podSelector.?matchExpressions.orValue([]).size() == 0"
            f" && object.spec.?policyTypes.orValue([]) == {types}"
            " && object.spec.?ingress.orValue([]).size() == 0 && object.spec.?egress.orValue([]).size() == 0",
            f"{POLICY_NAME} must select every pod of runs and let nothing in or out: runs rely on its name",
        ),
    ]


def _pod_status_clauses() -> list[Clause]:
    """State who tells what becomes of a pod: the evaluator's answer and every failure is read there."""
    groups, user = "request.userInfo.?groups.orValue([])", "request.userInfo.username"
    fields = ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses")
    same = " && ".join(f"object.?status.?{field} == oldObject.?status.?{field}" for field in fields)
    by_node = f"{_cel(NODES_GROUP)} in {groups}"
    return [
        Clause(
            f"{by_node} || {_cel(CONTROLLERS_GROUP)} in {groups} || {user} in {_cel(CONTROL_PLANE)}",
            "only its node and the cluster's controllers write the status of a run's pod",
            user,
        ),
        Clause(f"{by_node} || ({same})", "only its node says what became of a container: the verdict is there", user),
    ]


def _installer_clauses() -> list[Clause]:
    claim = "request.userInfo.?extra[?'authentication.kubernetes.io/node-name'].orValue([])"
    ours = f"key.startsWith({_cel(NODE_LABEL_PREFIX)})"
    old, new = "oldObject.metadata.?labels.orValue({})", "object.metadata.?labels.orValue({})"
    return [
        Clause(f"{claim} == [request.name]", "an installer labels the node that it runs on", f"{claim}.join(', ')"),
        Clause(
            f"{new}.all(key, {ours} ? {new}[key] == {_cel(NODE_READY)} : {old}[?key] == optional.of({new}[key]))"
            f" && {old}.all(key, {ours} || key in {new})",
            f"an installer sets and removes labels {NODE_LABEL_PREFIX}... with the value {NODE_READY}, and no others",
        ),
        Clause(
            "object.spec == oldObject.spec && object.metadata.?annotations == oldObject.metadata.?annotations"
            " && object.metadata.?finalizers == oldObject.metadata.?finalizers"
            " && object.metadata.?ownerReferences == oldObject.metadata.?ownerReferences",
            "an installer changes nothing of a node but labels",
        ),
    ]


def _named(field: str, expressions: dict[str, str]) -> dict[str, Any]:
    listed = [{"name": name, "expression": expression} for name, expression in expressions.items()]
    return {field: listed} if listed else {}


def _rule(group: str, version: str, *resources: str, operations: tuple[str, ...]) -> dict[str, Any]:
    return {
        "apiGroups": [group],
        "apiVersions": [version],
        "operations": list(operations),
        "resources": list(resources),
    }


def _ours(path: str) -> str:
    labels = f"{{}}.{path}.?labels"
    return (
        f"{labels}[?{_cel(naming.RUN_UID_LABEL)}].hasValue()"
        f" || ({labels}[?{_cel(naming.MANAGED_BY_LABEL)}].orValue('') == {_cel(naming.MANAGED_BY)}"
        f" && {labels}[?{_cel(naming.COMPONENT_LABEL)}].orValue('') in {_cel(_COMPONENTS)})"
    )


def _either_or(*ours: str) -> str:
    """Say that an object is ours by one of the marks, or was before the request."""
    return f"{_now(*ours)} || (oldObject != null && ({_before(*ours)}))"


def _now(*ours: str) -> str:
    return " || ".join(each.replace("{}", "object") for each in ours)


def _before(*ours: str) -> str:
    return " || ".join(each.replace("{}", "oldObject") for each in ours)


def _ours_or_a_canary() -> str:
    return f"request.namespace == {_cel(CANARY_NAMESPACE)} || " + _either_or(_ours("metadata"))


def _made_or(*changes: str) -> str:
    return " || ".join(("request.operation == 'CREATE'", *changes))


def _differ(labels: tuple[str, ...]) -> str:
    return f"{_cel(labels)}.exists(key, object.metadata.?labels[?key] != oldObject.metadata.?labels[?key])"


def _labels_differ() -> str:
    return _differ(_OUR_LABELS)


def _alike(labels: tuple[str, ...]) -> str:
    """Say that a Job and its pods have the same of these labels."""
    template = "object.spec.template.?metadata.?labels[?key]"
    return f"{_cel(labels)}.all(key, object.metadata.?labels[?key] == {template})"


def _pins_differ() -> str:
    keys = _cel(tuple(PINNED_ANNOTATIONS.values()))
    return f"{keys}.exists(key, object.metadata.?annotations[?key] != oldObject.metadata.?annotations[?key])"


def _by(accounts: tuple[str, ...], does: str, *otherwise: str) -> Clause:
    allowed = f"request.userInfo.username in {_cel(accounts)}"
    return Clause(" || ".join((*otherwise, allowed)), f"only {accounts[0]} {does}", "request.userInfo.username")


def _let_in_by_kueue() -> str:
    """Say that Kueue suspends or resumes a Job of its queue, and chooses its nodes; the shape is looked at as ever."""
    queued = f"object.metadata.?labels[?{_cel(KUEUE_LABEL)}].hasValue()"
    return f"(request.operation == 'UPDATE' && request.userInfo.username == {_cel(KUEUE_ACCOUNT)} && {queued})"


def _template_labels() -> Clause:
    return Clause(
        f"{_cel(_OUR_LABELS)}.all(key, object.metadata.?labels[?key].hasValue()) && {_alike(_OUR_LABELS)}",
        "a Job and its pods must carry the same labels of the run: walls find pods by them",
    )


def _known_profile() -> Clause:
    profile = f"object.metadata.?labels[?{_cel(naming.PROFILE_LABEL)}].orValue('')"
    return Clause(
        f"{profile} != '' && {_operator_may_use(profile)}",
        f"label {naming.PROFILE_LABEL} must name a profile that the operator may use: a name of none is bound by none",
        f"{profile} + ' '",
    )


def _operator_may_use(profile: str) -> str:
    operator = f"authorizer.serviceAccount({_cel(OPERATOR_NAMESPACE)}, {_cel(OPERATOR_NAME)})"
    asked = f"{operator}.group({_cel(GROUP)}).resource({_cel(PROFILE_PLURAL)}).name({profile}).check({_cel(USE)})"
    return f"{asked}.allowed()"


def _variables(pod: str) -> dict[str, str]:
    """Name the pod, what its containers must be, and what its profile says."""
    before = pod.replace("object", "oldObject")
    return {
        "fallback": _FALLS_BACK,
        "filtered": "!variables.fallback",
        "pod": pod,
        **_container_variables(_containers()),
        "before": f"{before}.?initContainers.orValue([]) + {before}.containers",
        "environments": _cel({each["name"]: _environment_of(each) for each in _containers(Executor.FALLBACK)}),
    }


def _container_variables(containers: list[dict[str, Any]]) -> dict[str, str]:
    """Name the containers of the pod, and what each of these must be."""
    return {
        "containers": _ALL_CONTAINERS,
        "users": _cel({each["name"]: each["securityContext"]["runAsUser"] for each in containers}),
        "commands": _cel({each["name"]: each["command"] for each in containers}),
        "words": _cel({each["name"]: _words_of(each) for each in containers}),
        "mounts": _cel({each["name"]: _mounts_of(each) for each in containers}),
    }


_CLOCKS = ("startSeconds", "loadSeconds", "strategySeconds", "evaluateSeconds")


def _profile_variables(pod: str) -> dict[str, str]:
    """Name the pod, whether it is of the profile that is looked at, and what that says."""
    return {
        "fallback": _FALLS_BACK,
        "pod": pod,
        "containers": _ALL_CONTAINERS,
        "mine": f"object.metadata.?labels[?{_cel(naming.PROFILE_LABEL)}].orValue('') == params.metadata.name",
        "image": "variables.fallback ? params.spec.?fallback.?image.orValue('') : params.spec.image",
        "cpu": "quantity(params.spec.limits.cpu)",
        "memory": "quantity(params.spec.limits.memory)",
        "sizes": "{'tmp': params.spec.tmp, 'out': params.spec.out, 'data': params.spec.data}",
        "deadline": " + ".join(f"params.spec.timeouts.{clock}" for clock in _CLOCKS),
    }


def _containers(executor: Executor = Executor.SANDBOX) -> list[dict[str, Any]]:
    pod = _example(executor)["spec"]["template"]["spec"]
    return [*pod["initContainers"], *pod["containers"]]


def _words_of(container: dict[str, Any]) -> str:
    default = {"terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File"}
    said = default | container
    return f"{said['terminationMessagePath']} {said['terminationMessagePolicy']}"


def _environment_of(container: dict[str, Any]) -> dict[str, str]:
    variables = container["env"]
    return {each["name"]: "" if each["name"] in _FREE_VARIABLES else each["value"] for each in variables}


def _mounts_of(container: dict[str, Any]) -> dict[str, str]:
    return {
        mount["mountPath"]: mount["name"] + (" read-only" if mount.get("readOnly") else "")
        for mount in container.get("volumeMounts", ())
    }


_PROFILE = Profile(
    name="any",
    sandbox=Sandbox(
        image="any",
        seccomp_profile="any.json",
        limits=Resources(cpu="1", memory="1Gi"),
        requests=Resources(cpu="1", memory="1Gi"),
        tmp="1Gi",
        out="1Gi",
        data="1Gi",
        timeouts=Timeouts(strategy_seconds=1, start_seconds=10, load_seconds=5, evaluate_seconds=5),
        fallback=FallbackImage(image="any"),
    ),
    seccomp=SeccompProfile.of(b""),
)


def _example(executor: Executor) -> dict[str, Any]:
    """Build a Job with every container that there is; its names, sizes and clocks stand for no run's."""
    run = StrategyRun(
        api_version=f"{GROUP}/{VERSION}",
        name="any",
        namespace="any",
        uid="any",
        generation=1,
        resource_version="1",
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        deleting=False,
        rerun=None,
        spec=StrategyRunSpec.model_validate(
            {
                "source": {"inline": "any"},
                "datasets": [{"name": "any", "configMapRef": {"name": "any", "key": "any"}}],
            }
        ),
        status=None,
    )
    return job(
        run,
        inputs_hash="any",
        inputs=Inputs(code=b"", input=b"", evaluation=b""),
        attempt=1,
        nonce="any",
        profile=_PROFILE,
        executor=executor,
    )


def _shape(owner: str) -> list[Clause]:
    """State the hardened shape of a run's pod."""
    return [_kept(), _owned(owner), *_pod_clauses(), *_step_clauses(), *_container_clauses(), *_volume_clauses()]


def _kept() -> Clause:
    fields = ("c.image", "c.?resources.?limits.orValue({})")
    same = (f"variables.containers.map(c, {field}) == variables.before.map(c, {field})" for field in fields)
    return Clause(
        f"request.operation == 'CREATE' || ({' && '.join(same)})",
        "image and limits stay what they were when it was made: the profile was looked at then",
    )


def _owned(owner: str) -> Clause:
    return Clause(
        "object.metadata.?ownerReferences.orValue([])"
        f".exists(owner, owner.?controller.orValue(false) && owner.kind == {_cel(owner)})",
        f"a {owner} must own it, so that it goes with the run",
    )


def _nameless() -> str:
    """Say that a pod asks nobody for names."""
    resolver = _cel(pod_isolation({})["dnsConfig"]["nameservers"])
    return (
        "variables.pod.?dnsPolicy.orValue('') == 'None'"
        f" && variables.pod.?dnsConfig.?nameservers.orValue([]) == {resolver}"
        " && variables.pod.?hostAliases.orValue([]).size() == 0"
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
            _nameless(),
            "dnsPolicy must be None with a resolver that nobody answers at, and no hostAliases: names leak data",
        ),
        _each(
            "!has(c.envFrom) && c.?env.orValue([]).all(e, !has(e.valueFrom) && e.name in variables.environments[c.name]"
            f" && (variables.fallback || e.name != {_cel(EXECUTOR_VARIABLE)})"
            f" && (e.name in {_cel(_FREE_VARIABLES)}"
            " || e.?value.orValue('') == variables.environments[c.name][e.name]))",
            "env must be the step's own: neither another variable nor a value from a Secret or ConfigMap",
        ),
    ]


def _job_clauses() -> list[Clause]:
    """State what a Job of ours is: one pod, once, where and how the cluster places and counts what it knows nothing of.

    Of a pod the cluster may add to some of it by itself: pull secrets of the account, tolerations, a priority.
    """
    return [
        Clause(
            "object.spec.?parallelism.orValue(1) == 1 && object.spec.?completions.orValue(1) == 1"
            " && object.spec.?backoffLimit.orValue(6) == 0",
            "parallelism and completions must be 1, and backoffLimit 0: one pod, once",
        ),
        Clause(
            "!object.spec.?manualSelector.orValue(false) && !has(object.spec.managedBy)"
            " && !has(object.spec.podFailurePolicy) && !has(object.spec.successPolicy)",
            "manualSelector, managedBy, podFailurePolicy and successPolicy must be absent: "
            "the cluster's own controller makes the pod, and counts no other",
        ),
        Clause("!has(variables.pod.nodeName)", "nodeName must be absent: the scheduler, with its taints, decides"),
        Clause(
            "variables.pod.?schedulerName.orValue('default-scheduler') == 'default-scheduler'",
            "schedulerName must be the cluster's default: another knows no taints",
        ),
        Clause(
            "variables.pod.?tolerations.orValue([]).all(t, t.?effect.orValue('') == 'NoExecute'"
            f" && t.?key.orValue('') in {_cel(LOST_NODE_TAINTS)}"
            f" && t.?tolerationSeconds.orValue({LOST_NODE_SECONDS + 1}) <= {LOST_NODE_SECONDS})"
            f" || {_let_in_by_kueue()}",
            "tolerations must be of lost nodes, for a short time: the nodes of others stay theirs",
        ),
        Clause(
            "variables.pod.?priorityClassName.orValue('') == ''",
            "priorityClassName must be absent: a strategy displaces nobody",
        ),
        Clause(
            "variables.pod.?imagePullSecrets.orValue([]).size() == 0",
            "imagePullSecrets must be absent: those of the namespace's account are enough",
        ),
    ]


def _made_pod_clauses() -> list[Clause]:
    """State the same of a pod, as far as nothing but a Job or a person brings it about."""
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


def _pod_clauses() -> list[Clause]:
    """State what every pod of ours is, that of a canary too."""
    context = "variables.pod.?securityContext"
    grace = pod_isolation({})["terminationGracePeriodSeconds"]
    return [
        Clause(
            f"{context}.?runAsNonRoot.orValue(false) && {context}.?runAsUser.orValue(0) == {STRATEGY_UID}"
            f" && {context}.?runAsGroup.orValue(0) == {STRATEGY_UID}",
            f"the pod must runAsNonRoot as user and group {STRATEGY_UID}",
        ),
        Clause(
            f"!{context}.?fsGroup.hasValue() && {context}.?supplementalGroups.orValue([]).size() == 0"
            f" && {context}.?sysctls.orValue([]).size() == 0",
            "fsGroup, supplementalGroups and sysctls must be absent: steps share neither a group nor a kernel setting",
        ),
        Clause(
            f"variables.filtered ? {context}.?seccompProfile.?type.orValue('') == 'Localhost' && "
            f"{context}.?seccompProfile.?localhostProfile.orValue('').matches('^finlab-sandbox/[0-9a-f]{{12}}[.]json$')"
            f" : {context}.?seccompProfile.?type.orValue('') == 'RuntimeDefault'",
            "the pod's seccompProfile must be Localhost, below finlab-sandbox/: it is the wall to the kernel "
            "(that of a fallback, or of a canary of the network, must be RuntimeDefault)",
        ),
        Clause(
            f"variables.containers.all(c, !has(c.securityContext.seccompProfile) && {_unset('seLinuxOptions')}"
            f" && {_unset('appArmorProfile')} && {_unset('windowsOptions')}) && !{context}.?seLinuxOptions.hasValue()"
            f" && !{context}.?appArmorProfile.hasValue() && !{context}.?windowsOptions.hasValue()",
            "no container may have a seccomp, AppArmor or SELinux profile of its own: it would replace the pod's",
        ),
        Clause(
            "variables.pod.?automountServiceAccountToken.orValue(true) == false",
            "automountServiceAccountToken must be false: strategies get no credentials",
        ),
        Clause(
            "variables.pod.?serviceAccountName.orValue('default') in ['', 'default']",
            "serviceAccountName must be default: strategies are nobody",
        ),
        Clause(
            "variables.pod.?enableServiceLinks.orValue(true) == false",
            "enableServiceLinks must be false: strategies need not know what runs beside them",
        ),
        Clause(
            "!variables.pod.?hostNetwork.orValue(false) && !variables.pod.?hostPID.orValue(false)"
            " && !variables.pod.?hostIPC.orValue(false) && !variables.pod.?shareProcessNamespace.orValue(false)",
            "hostNetwork, hostPID, hostIPC and shareProcessNamespace must be false",
        ),
        Clause(
            "variables.pod.?restartPolicy.orValue('') == 'Never'",
            "restartPolicy must be Never: a step that ran again could differ",
        ),
        Clause(
            f"variables.pod.?terminationGracePeriodSeconds.orValue(30) <= {grace}",
            f"terminationGracePeriodSeconds must be {grace} at most: who is to end ends",
        ),
        Clause(
            "variables.pod.?resourceClaims.orValue([]).size() == 0"
            " && variables.containers.all(c, c.?resources.?claims.orValue([]).size() == 0)",
            "resourceClaims must be absent: strategies get no devices",
        ),
    ]


def _unset(field: str) -> str:
    return f"!has(c.securityContext.{field})"


def _container_clauses() -> list[Clause]:
    context = "c.?securityContext"
    return [
        _each(
            "c.?command.orValue([]) == variables.commands[c.name] && !has(c.args) && !has(c.workingDir)",
            "command must be the step's own, without args and workingDir",
        ),
        _each(
            f"{context}.?runAsNonRoot.orValue(false) && {context}.?runAsUser.orValue(0) == variables.users[c.name]"
            f" && {context}.?runAsGroup.orValue(0) == variables.users[c.name]",
            "must runAsNonRoot as the step's own user and group: steps cannot touch each other",
        ),
        _each(
            f"!{context}.?privileged.orValue(false) && {context}.?procMount.orValue('Default') == 'Default'",
            "privileged must be false, and procMount the default",
        ),
        _each(
            f"{context}.?allowPrivilegeEscalation.orValue(true) == false",
            "allowPrivilegeEscalation must be false: there is nothing to gain",
        ),
        _each(
            f"{context}.?readOnlyRootFilesystem.orValue(false)",
            "readOnlyRootFilesystem must be true: programs stay what they are",
        ),
        _each(
            f"{context}.?capabilities.?drop.orValue([]) == ['ALL']"
            f" && {context}.?capabilities.?add.orValue([]).size() == 0",
            "capabilities must drop ALL and add none",
        ),
        _each("c.?ports.orValue([]).size() == 0", "ports and hostPorts must be absent: there is no network"),
        _each(
            "!has(c.lifecycle) && !has(c.livenessProbe) && !has(c.readinessProbe) && !has(c.startupProbe)",
            "lifecycle hooks and probes must be absent: they run commands of another's",
        ),
        _each(
            "!c.?stdin.orValue(false) && !c.?tty.orValue(false)",
            "stdin and tty must be false: nobody talks to a strategy",
        ),
        _each(
            "c.?terminationMessagePath.orValue('') + ' ' + c.?terminationMessagePolicy.orValue('')"
            " == variables.words[c.name]",
            "terminationMessagePath and terminationMessagePolicy must be the step's own: the verdict leaves by them",
        ),
        _each(
            "!has(c.volumeDevices) && c.?volumeMounts.orValue([]).all(m,"
            " m.mountPath in variables.mounts[c.name]"
            " && m.name + (m.?readOnly.orValue(false) ? ' read-only' : '') == variables.mounts[c.name][m.mountPath]"
            " && !has(m.subPath) && !has(m.subPathExpr) && !has(m.mountPropagation))",
            "volumeMounts must be the step's own: the evaluator's are read-only, and none shows the data's source",
        ),
    ]


def _profile_clauses() -> list[Clause]:
    """State what the profile says of a pod that is made; it stays so, since `_shape` lets none of it change."""
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
        _each(
            "c.image == variables.image",
            "the image must be the profile's (a fallback's the one of its spec.fallback)",
        ),
        _each(
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


def _job_deadline() -> Clause:
    """State the last of a run's clocks: a pod's deadline, and once more the time to start."""
    return Clause(
        "object.spec.?activeDeadlineSeconds.orValue(0) > 0 && object.spec.activeDeadlineSeconds"
        " <= variables.deadline + params.spec.timeouts.startSeconds + params.spec.timeouts.loadSeconds",
        "the Job's activeDeadlineSeconds must be set and not above the pod's and the time to start",
    )


def _of_profile(clause: Clause) -> Clause:
    return clause._replace(expression=f"!variables.mine || ({clause.expression})")


def _each(condition: str, message: str) -> Clause:
    return Clause(
        f"variables.containers.all(c, {condition})",
        message,
        f"'container ' + variables.containers.filter(c, !({condition})).map(c, c.name).join(', ')",
    )


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


def _cel(value: object) -> str:
    """Write a value as a CEL literal; JSON is one."""
    return json.dumps(value)
