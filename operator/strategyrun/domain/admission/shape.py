"""The hardened shape of every Job and pod of ours, a run's or a canary's."""

from typing import Any

from strategyrun.domain.admission.accounts import let_in_by_kueue
from strategyrun.domain.admission.clause import Clause, cel
from strategyrun.domain.hardening import STRATEGY_UID, pod_isolation
from strategyrun.domain.job import LOST_NODE_SECONDS, LOST_NODE_TAINTS

ALL_CONTAINERS = "variables.pod.?initContainers.orValue([]) + variables.pod.containers"


def container_variables(containers: list[dict[str, Any]]) -> dict[str, str]:
    """Name the containers of the pod, and what each of these must be."""
    return {
        "containers": ALL_CONTAINERS,
        "users": cel({each["name"]: each["securityContext"]["runAsUser"] for each in containers}),
        "commands": cel({each["name"]: each["command"] for each in containers}),
        "words": cel({each["name"]: _words_of(each) for each in containers}),
        "mounts": cel({each["name"]: _mounts_of(each) for each in containers}),
    }


def _words_of(container: dict[str, Any]) -> str:
    default = {"terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File"}
    said = default | container
    return f"{said['terminationMessagePath']} {said['terminationMessagePolicy']}"


def _mounts_of(container: dict[str, Any]) -> dict[str, str]:
    return {
        mount["mountPath"]: mount["name"] + (" read-only" if mount.get("readOnly") else "")
        for mount in container.get("volumeMounts", ())
    }


def job_clauses() -> list[Clause]:
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
            f" && t.?key.orValue('') in {cel(LOST_NODE_TAINTS)}"
            f" && t.?tolerationSeconds.orValue({LOST_NODE_SECONDS + 1}) <= {LOST_NODE_SECONDS})"
            f" || {let_in_by_kueue()}",
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


def pod_clauses() -> list[Clause]:
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


def asks_nobody() -> str:
    """Say that a pod asks nobody for names."""
    resolver = cel(pod_isolation({})["dnsConfig"]["nameservers"])
    return (
        "variables.pod.?dnsPolicy.orValue('') == 'None'"
        f" && variables.pod.?dnsConfig.?nameservers.orValue([]) == {resolver}"
        " && variables.pod.?hostAliases.orValue([]).size() == 0"
    )


def container_clauses() -> list[Clause]:
    """State what every container of ours is."""
    context = "c.?securityContext"
    return [
        each_container(
            "c.?command.orValue([]) == variables.commands[c.name] && !has(c.args) && !has(c.workingDir)",
            "command must be the step's own, without args and workingDir",
        ),
        each_container(
            f"{context}.?runAsNonRoot.orValue(false) && {context}.?runAsUser.orValue(0) == variables.users[c.name]"
            f" && {context}.?runAsGroup.orValue(0) == variables.users[c.name]",
            "must runAsNonRoot as the step's own user and group: steps cannot touch each other",
        ),
        each_container(
            f"!{context}.?privileged.orValue(false) && {context}.?procMount.orValue('Default') == 'Default'",
            "privileged must be false, and procMount the default",
        ),
        each_container(
            f"{context}.?allowPrivilegeEscalation.orValue(true) == false",
            "allowPrivilegeEscalation must be false: there is nothing to gain",
        ),
        each_container(
            f"{context}.?readOnlyRootFilesystem.orValue(false)",
            "readOnlyRootFilesystem must be true: programs stay what they are",
        ),
        each_container(
            f"{context}.?capabilities.?drop.orValue([]) == ['ALL']"
            f" && {context}.?capabilities.?add.orValue([]).size() == 0",
            "capabilities must drop ALL and add none",
        ),
        each_container("c.?ports.orValue([]).size() == 0", "ports and hostPorts must be absent: there is no network"),
        each_container(
            "!has(c.lifecycle) && !has(c.livenessProbe) && !has(c.readinessProbe) && !has(c.startupProbe)",
            "lifecycle hooks and probes must be absent: they run commands of another's",
        ),
        each_container(
            "!c.?stdin.orValue(false) && !c.?tty.orValue(false)",
            "stdin and tty must be false: nobody talks to a strategy",
        ),
        each_container(
            "c.?terminationMessagePath.orValue('') + ' ' + c.?terminationMessagePolicy.orValue('')"
            " == variables.words[c.name]",
            "terminationMessagePath and terminationMessagePolicy must be the step's own: the verdict leaves by them",
        ),
        each_container(
            "!has(c.volumeDevices) && c.?volumeMounts.orValue([]).all(m,"
            " m.mountPath in variables.mounts[c.name]"
            " && m.name + (m.?readOnly.orValue(false) ? ' read-only' : '') == variables.mounts[c.name][m.mountPath]"
            " && !has(m.subPath) && !has(m.subPathExpr) && !has(m.mountPropagation))",
            "volumeMounts must be the step's own: the evaluator's are read-only, and none shows the data's source",
        ),
    ]


def each_container(condition: str, message: str) -> Clause:
    """State what is true of each container `c`, and name those of which it is not."""
    return Clause(
        f"variables.containers.all(c, {condition})",
        message,
        f"'container ' + variables.containers.filter(c, !({condition})).map(c, c.name).join(', ')",
    )
