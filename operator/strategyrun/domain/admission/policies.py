"""Every ValidatingAdmissionPolicy and its binding: what each looks at, when, and what it states."""

from typing import Any

from strategyrun.domain import canary, naming
from strategyrun.domain.admission.accounts import (
    INSTALLER_ACCOUNT,
    JOB_CONTROLLERS,
    OPERATOR_ACCOUNT,
    USE,
    installer_clauses,
    known_profile,
    let_in_by_kueue,
    only,
    operator_may_use,
    pod_status_clauses,
)
from strategyrun.domain.admission.canaries import (
    CANARY_LABELS,
    canary_clauses,
    canary_profile_clauses,
    canary_variables,
)
from strategyrun.domain.admission.clause import Clause, cel
from strategyrun.domain.admission.labels import (
    OUR_LABELS,
    is_or_was_ours,
    is_ours,
    labels_differ,
    made_or,
    pins_differ,
    was_ours,
)
from strategyrun.domain.admission.network import network_clauses
from strategyrun.domain.admission.profile import job_deadline, of_profile, profile_clauses, profile_variables
from strategyrun.domain.admission.runs import made_pod_clauses, owned, run_clauses, run_variables, template_labels
from strategyrun.domain.admission.shape import job_clauses
from strategyrun.domain.canary import CANARY_NAMESPACE
from strategyrun.domain.network_policy import POLICY_NAME
from strategyrun.domain.sandbox import PROFILE_KIND, PROFILE_PLURAL
from strategyrun.domain.strategyrun import GROUP, KIND, PLURAL, VERSION

SWITCH_LABEL = f"{GROUP}/admission"
SWITCHED_OFF = "off"
"""A namespace labelled so is left alone; who may label namespaces administers the cluster."""

_POD_PARTS = ("pods", "pods/status", "pods/ephemeralcontainers", "pods/resize")
"""By each of them labels can be changed."""

_POD_NAME = "^[a-z0-9][a-z0-9-]*-[0-9a-f]{12}-[0-9]+-[a-z0-9]{5}$"
_IN_CANARY_NAMESPACE = {"key": "kubernetes.io/metadata.name", "operator": "In", "values": [CANARY_NAMESPACE]}


def policies() -> list[dict[str, Any]]:
    """Build every policy and its binding: all namespaces are held to them but those that are switched off."""
    return [
        *_policy(
            "finlab-sandbox-jobs",
            _rule("batch", "v1", "jobs", "jobs/status", operations=("CREATE", "UPDATE")),
            conditions={
                # Whatever the operator makes, too: without labels it would be nobody's, and bound by nothing.
                "ours": f"request.userInfo.username == {cel(OPERATOR_ACCOUNT)} || "
                + is_or_was_ours("metadata", "spec.template.?metadata"),
                "no-canary": f"request.namespace != {cel(CANARY_NAMESPACE)}",
                "made-or-changed": made_or("object.spec != oldObject.spec", labels_differ(OUR_LABELS)),
            },
            variables=run_variables("object.spec.template.spec"),
            clauses=[
                only((OPERATOR_ACCOUNT,), "makes or changes Jobs of runs", let_in_by_kueue()),
                template_labels(),
                known_profile(),
                *job_clauses(),
                *run_clauses(KIND),
            ],
        ),
        *_policy(
            "finlab-sandbox-profiled-jobs",
            _rule("batch", "v1", "jobs", operations=("CREATE",)),
            conditions={"ours": is_or_was_ours("metadata", "spec.template.?metadata")},
            variables=profile_variables("object.spec.template.spec"),
            clauses=[of_profile(clause) for clause in (job_deadline(), *profile_clauses())],
            profiled=True,
        ),
        *_policy(
            "finlab-sandbox-pods",
            _rule("", "v1", *_POD_PARTS, operations=("CREATE", "UPDATE")),
            conditions={
                "ours": is_or_was_ours("metadata"),
                "made-or-changed": made_or("object.spec != oldObject.spec", labels_differ(OUR_LABELS), pins_differ()),
            },
            variables=run_variables("object.spec"),
            clauses=[
                only(JOB_CONTROLLERS, "makes pods of runs", "request.operation != 'CREATE'"),
                Clause(
                    f"request.operation == 'CREATE' || !({labels_differ(OUR_LABELS)} || {pins_differ()})",
                    "labels and hashes of a run's pod stay what they were when it was made: walls find it by them",
                ),
                Clause(
                    "request.operation != 'CREATE'"
                    f" || object.metadata.?labels[?{cel(naming.PROFILE_LABEL)}].hasValue()",
                    f"a run's pod must carry the label {naming.PROFILE_LABEL}: without it no profile binds it",
                ),
                *made_pod_clauses(),
                *run_clauses("Job"),
            ],
        ),
        *_policy(
            "finlab-sandbox-profiled-pods",
            _rule("", "v1", "pods", operations=("CREATE",)),
            conditions={"ours": is_or_was_ours("metadata")},
            variables=profile_variables("object.spec"),
            clauses=[of_profile(clause) for clause in profile_clauses()],
            profiled=True,
        ),
        *_policy(
            "finlab-sandbox-configmaps",
            _rule("", "v1", "configmaps", operations=("CREATE", "UPDATE")),
            conditions={
                "ours": f"request.userInfo.username == {cel(OPERATOR_ACCOUNT)} || " + is_or_was_ours("metadata"),
                "made-or-changed": made_or(
                    "object.?data != oldObject.?data",
                    "object.?binaryData != oldObject.?binaryData",
                    labels_differ(OUR_LABELS),
                ),
            },
            clauses=[
                only((OPERATOR_ACCOUNT,), "makes or changes snapshots and reports of runs"),
                Clause(
                    is_ours("metadata"),
                    "the operator makes ConfigMaps with the labels of a run alone: others are none of its business",
                ),
                owned(KIND),
            ],
        ),
        *_policy(
            "finlab-sandbox-deletions",
            _rule("batch", "v1", "jobs", operations=("DELETE",)),
            _rule("", "v1", "configmaps", operations=("DELETE",)),
            conditions={"operator": f"request.userInfo.username == {cel(OPERATOR_ACCOUNT)}"},
            clauses=[
                Clause(
                    f"{was_ours('metadata')} || (request.namespace == {cel(CANARY_NAMESPACE)}"
                    f" && oldObject.metadata.?labels[?{cel(canary.ROLE_LABEL)}].hasValue())",
                    "the operator deletes Jobs and ConfigMaps of runs and canaries alone",
                )
            ],
        ),
        *_policy(
            "finlab-sandbox-network",
            _rule("networking.k8s.io", "v1", "networkpolicies", operations=("CREATE", "UPDATE")),
            conditions={
                "ours": f"request.userInfo.username == {cel(OPERATOR_ACCOUNT)}"
                f" || object.metadata.name == {cel(POLICY_NAME)}"
            },
            clauses=network_clauses(),
        ),
        *_policy(
            "finlab-sandbox-status",
            _rule(GROUP, VERSION, f"{PLURAL}/status", f"{PROFILE_PLURAL}/status", operations=("UPDATE",)),
            clauses=[only((OPERATOR_ACCOUNT,), "writes the status of runs and profiles: it is the verdict")],
        ),
        *_policy(
            "finlab-sandbox-job-status",
            _rule("batch", "v1", "jobs/status", operations=("UPDATE",)),
            conditions={"ours": _ours_or_a_canary(), "changed": "object.?status != oldObject.?status"},
            clauses=[only(JOB_CONTROLLERS, "writes the status of Jobs of runs", let_in_by_kueue())],
        ),
        *_policy(
            "finlab-sandbox-pod-status",
            _rule("", "v1", "pods/status", operations=("UPDATE",)),
            conditions={"ours": _ours_or_a_canary(), "changed": "object.?status != oldObject.?status"},
            clauses=pod_status_clauses(),
        ),
        *_policy(
            "finlab-sandbox-canaries",
            _rule("batch", "v1", "jobs", operations=("CREATE", "UPDATE")),
            where=_IN_CANARY_NAMESPACE,
            conditions={"made-or-changed": made_or("object.spec != oldObject.spec")},
            variables=canary_variables("object.spec.template.spec"),
            clauses=canary_clauses(),
        ),
        *_policy(
            "finlab-sandbox-profiled-canaries",
            _rule("batch", "v1", "jobs", operations=("CREATE",)),
            where=_IN_CANARY_NAMESPACE,
            variables=canary_variables("object.spec.template.spec") | profile_variables("object.spec.template.spec"),
            clauses=[of_profile(clause) for clause in canary_profile_clauses()],
            profiled=True,
        ),
        *_policy(
            "finlab-sandbox-pods-of-canaries",
            _rule("", "v1", *_POD_PARTS, operations=("CREATE", "UPDATE")),
            where=_IN_CANARY_NAMESPACE,
            conditions={"made-or-changed": made_or("object.spec != oldObject.spec", labels_differ(CANARY_LABELS))},
            clauses=[
                Clause(
                    f"request.operation == 'CREATE' && request.userInfo.username in {cel(JOB_CONTROLLERS)}",
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
                    f"!{operator_may_use('oldObject.metadata.name')}",
                    f"delete the ClusterRole that lets the operator {USE} it first: "
                    "a Job by the name of a profile that is gone would be bound by none",
                    "oldObject.metadata.name",
                )
            ],
        ),
        *_policy(
            "finlab-sandbox-installer",
            _rule("", "v1", "nodes", operations=("UPDATE",)),
            conditions={"installer": f"request.userInfo.username == {cel(INSTALLER_ACCOUNT)}"},
            clauses=installer_clauses(),
        ),
        *_policy(
            "finlab-sandbox-shells",
            _rule("", "v1", "pods/exec", "pods/attach", "pods/portforward", operations=("CONNECT",)),
            clauses=[
                Clause(
                    f"request.namespace != {cel(CANARY_NAMESPACE)} && !request.name.matches({cel(_POD_NAME)})",
                    "nobody enters the pod of a run or of a canary: who is inside could write its verdict",
                )
            ],
        ),
    ]


def _ours_or_a_canary() -> str:
    return f"request.namespace == {cel(CANARY_NAMESPACE)} || " + is_or_was_ours("metadata")


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
