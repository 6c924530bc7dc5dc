"""Who may what: the accounts that the policies know, and what is asked of whoever sends a request."""

from strategyrun.domain import naming
from strategyrun.domain.admission.clause import Clause, cel
from strategyrun.domain.sandbox import NODE_LABEL_PREFIX, NODE_READY, PROFILE_PLURAL
from strategyrun.domain.strategyrun import GROUP, KUEUE_LABEL

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

USE = "use"
"""The verb on a SandboxProfile that lets an account make Jobs of it."""


def only(accounts: tuple[str, ...], does: str, *otherwise: str) -> Clause:
    """State that nobody else does this, unless one of the expressions `otherwise` is true."""
    allowed = f"request.userInfo.username in {cel(accounts)}"
    return Clause(" || ".join((*otherwise, allowed)), f"only {accounts[0]} {does}", "request.userInfo.username")


def let_in_by_kueue() -> str:
    """Say that Kueue suspends or resumes a Job of its queue, and chooses its nodes; the shape is looked at as ever."""
    queued = f"object.metadata.?labels[?{cel(KUEUE_LABEL)}].hasValue()"
    return f"(request.operation == 'UPDATE' && request.userInfo.username == {cel(KUEUE_ACCOUNT)} && {queued})"


def known_profile() -> Clause:
    """State that a Job carries the name of a profile of which the operator may make Jobs."""
    profile = f"object.metadata.?labels[?{cel(naming.PROFILE_LABEL)}].orValue('')"
    return Clause(
        f"{profile} != '' && {operator_may_use(profile)}",
        f"label {naming.PROFILE_LABEL} must name a profile that the operator may use: a name of none is bound by none",
        f"{profile} + ' '",
    )


def operator_may_use(profile: str) -> str:
    """Say that the operator holds the verb on the profile of this name."""
    operator = f"authorizer.serviceAccount({cel(OPERATOR_NAMESPACE)}, {cel(OPERATOR_NAME)})"
    asked = f"{operator}.group({cel(GROUP)}).resource({cel(PROFILE_PLURAL)}).name({profile}).check({cel(USE)})"
    return f"{asked}.allowed()"


def pod_status_clauses() -> list[Clause]:
    """State who tells what becomes of a pod: the evaluator's answer and every failure is read there."""
    groups, user = "request.userInfo.?groups.orValue([])", "request.userInfo.username"
    fields = ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses")
    same = " && ".join(f"object.?status.?{field} == oldObject.?status.?{field}" for field in fields)
    by_node = f"{cel(NODES_GROUP)} in {groups}"
    return [
        Clause(
            f"{by_node} || {cel(CONTROLLERS_GROUP)} in {groups} || {user} in {cel(CONTROL_PLANE)}",
            "only its node and the cluster's controllers write the status of a run's pod",
            user,
        ),
        Clause(f"{by_node} || ({same})", "only its node says what became of a container: the verdict is there", user),
    ]


def installer_clauses() -> list[Clause]:
    """State what an installer may change of nodes: our labels, on its own."""
    claim = "request.userInfo.?extra[?'authentication.kubernetes.io/node-name'].orValue([])"
    ours = f"key.startsWith({cel(NODE_LABEL_PREFIX)})"
    old, new = "oldObject.metadata.?labels.orValue({})", "object.metadata.?labels.orValue({})"
    return [
        Clause(f"{claim} == [request.name]", "an installer labels the node that it runs on", f"{claim}.join(', ')"),
        Clause(
            f"{new}.all(key, {ours} ? {new}[key] == {cel(NODE_READY)} : {old}[?key] == optional.of({new}[key]))"
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
