"""Every reason a run can carry: who has to act, what it means, what to do next.

docs/outcomes.md is generated from this table.
"""

import re
from enum import StrEnum

from strategyrun.domain.model import Model
from strategyrun.domain.strategyrun import FailureClass


class Reason(StrEnum):
    """Names of outcomes and of what a run waits for."""

    EVALUATED = "Evaluated"
    SELF_REPORTED = "SelfReported"
    SCRIPT_COMPLETED = "ScriptCompleted"

    VETTING = "Vetting"
    WAITING_FOR_SLOT = "WaitingForSlot"
    STARTING = "PodStarting"
    RUNNING = "StrategyRunning"
    RETRYING = "Retrying"
    FALLING_BACK = "FallingBack"
    SUSPENDED = "Suspended"
    CANCELLED = "Cancelled"

    SPEC_INVALID = "SpecInvalid"
    SOURCE_MISSING = "SourceMissing"
    CODE_REJECTED = "CodeRejected"
    STRATEGY_ERROR = "StrategyError"
    TIMEOUT = "Timeout"
    OUT_OF_MEMORY = "OutOfMemory"
    DISK_LIMIT = "DiskLimit"
    PROCESS_LIMIT = "ProcessLimit"
    SYSCALL_VIOLATION = "SyscallViolation"
    CRASHED = "Crashed"
    RESULT_MISSING = "ResultMissing"
    RESULT_INVALID = "ResultInvalid"
    RESULT_TOO_LARGE = "ResultTooLarge"
    DATA_MISSING = "DataMissing"
    DATA_INVALID = "DataInvalid"
    LOOK_AHEAD_DETECTED = "LookAheadDetected"
    VENDOR_AUTH_REQUIRED = "VendorAuthRequired"
    PROFILE_DENIED = "ProfileDenied"

    PROFILE_MISSING = "ProfileMissing"
    SECCOMP_PROFILE_MISSING = "SeccompProfileMissing"
    IMAGE_PULL_FAILED = "ImagePullFailed"
    IMAGE_INVALID = "ImageInvalid"
    RUNTIME_CLASS_MISSING = "RuntimeClassMissing"
    MOUNT_FAILED = "MountFailed"
    CONTAINER_CONFIG_ERROR = "ContainerConfigError"
    START_TIMEOUT = "StartTimeout"
    TAMPERED = "Tampered"

    UNSCHEDULABLE = "Unschedulable"
    POD_SANDBOX_FAILED = "PodSandboxFailed"
    QUOTA_EXCEEDED = "QuotaExceeded"
    POLICY_DENIED = "PolicyDenied"
    EVICTED = "Evicted"
    NODE_LOST = "NodeLost"
    JOB_VANISHED = "JobVanished"
    NAME_CONFLICT = "NameConflict"
    EVALUATOR_FAILED = "EvaluatorFailed"
    LOADER_FAILED = "LoaderFailed"


class Outcome(Model):
    """One row of the taxonomy of failures."""

    reason: Reason
    class_: FailureClass
    meaning: str
    hint: str
    """What to do. `named` puts the run's own NAMESPACE, RUN and POD in."""

    @property
    def commands(self) -> tuple[str, ...]:
        """What of the hint can be typed."""
        return tuple(_COMMAND.findall(self.hint))


_COMMAND = re.compile("`((?:kubectl|strategyrun) [^`]+)`")


def named(text: str, *, namespace: str, run: str, pod: str) -> str:
    """Write a run's own names, which have no capitals, into a hint or a command."""
    return text.replace("NAMESPACE", namespace).replace("RUN", run).replace("POD", pod)


_LOGS = "See `strategyrun logs RUN -n NAMESPACE`;"
_POD_EVENTS = "`kubectl get events -n NAMESPACE --field-selector involvedObject.name=POD`"
"""They outlive the pod, which goes with its Job when it has not started in time."""
_AGAIN = "`kubectl annotate --overwrite -n NAMESPACE srun RUN finlab-sandbox.dev/rerun=$(date +%s)`."


def _rows(class_: FailureClass, *rows: tuple[Reason, str, str]) -> list[Outcome]:
    return [Outcome(reason=reason, class_=class_, meaning=meaning, hint=hint) for reason, meaning, hint in rows]


_FAILURES = [
    *_rows(
        FailureClass.USER,
        (
            Reason.SPEC_INVALID,
            "The object does not fit this operator's schema.",
            "Compare the fields with `kubectl explain strategyrun.spec` and apply the manifest again.",
        ),
        (
            Reason.SOURCE_MISSING,
            "The ConfigMap or the key that should hold the source was not there.",
            "Run `kubectl get configmaps -n NAMESPACE`; when it is there, `strategyrun rerun RUN -n NAMESPACE`.",
        ),
        (
            Reason.CODE_REJECTED,
            "The source cannot work in the sandbox; no pod was started.",
            "Mend the lines named in status.failure.findings until `strategyrun lint FILE` is content.",
        ),
        (
            Reason.STRATEGY_ERROR,
            "The strategy raised an exception or exited with an error.",
            "Read the traceback with `strategyrun logs RUN -n NAMESPACE`; the line numbers are those of your source.",
        ),
        (
            Reason.TIMEOUT,
            "The strategy used up its wall-clock limit.",
            (
                "Make it faster (vectorise loops; try `strategyrun run FILE`); if spec.timeoutSeconds is below the "
                "profile's limit, raise it and rerun."
            ),
        ),
        (
            Reason.OUT_OF_MEMORY,
            "The strategy used more memory than the sandbox has; files in /tmp count as memory.",
            f"{_LOGS} work on fewer columns at once, avoid copies, delete files in /tmp.",
        ),
        (
            Reason.DISK_LIMIT,
            "The strategy filled /tmp.",
            f"{_LOGS} write less, /tmp lies in memory and is gone after the run.",
        ),
        (
            Reason.PROCESS_LIMIT,
            "The strategy started more threads than the sandbox allows.",
            f"{_LOGS} work in one thread (n_jobs=1, no multiprocessing).",
        ),
        (
            Reason.SYSCALL_VIOLATION,
            "The strategy used a system call that no honest strategy needs, and was killed.",
            f"{_LOGS} remove what touches the kernel directly (ctypes, ptrace, mounts).",
        ),
        (
            Reason.CRASHED,
            "A signal ended the strategy's process.",
            f"{_LOGS} SIGSEGV is mostly endless recursion or misuse of a native library.",
        ),
        (
            Reason.RESULT_MISSING,
            "The strategy ended without handing over positions, a result or any output.",
            f"{_LOGS} return positions from strategy(data, params), or leave them in `positions`.",
        ),
        (
            Reason.RESULT_INVALID,
            "What the strategy returned is not a frame of target weights.",
            f"{_LOGS} return a DataFrame of finite weights, dates by symbols of the data; NaN rows hold.",
        ),
        (
            Reason.RESULT_TOO_LARGE,
            "The positions are larger than the hand-over allows.",
            f"{_LOGS} return at most the dates and symbols of the dataset.",
        ),
        (
            Reason.DATA_MISSING,
            "The dataset is not there, or it has no such table, symbol or file.",
            "See the message for what there is; when the data is in its place, `strategyrun rerun RUN -n NAMESPACE`.",
        ),
        (
            Reason.DATA_INVALID,
            "The dataset's tables cannot be read.",
            "Mend the file, row and column that the message names, then `strategyrun rerun RUN -n NAMESPACE`.",
        ),
        (
            Reason.LOOK_AHEAD_DETECTED,
            "Earlier positions change with later prices, and evaluation.lookAhead.action is Fail.",
            "Run `strategyrun report RUN -n NAMESPACE` for the first date; use shift(1) and rolling windows.",
        ),
        (
            Reason.VENDOR_AUTH_REQUIRED,
            "The source calls what needs the vendor's authorisation over the network, such as finlab.backtest.sim.",
            "Leave the frame in `position` and take the call out until `strategyrun lint FILE` is content.",
        ),
        (
            Reason.PROFILE_DENIED,
            "The SandboxProfile that the run names is not for its namespace.",
            "Run `kubectl get sandboxprofiles`, name another one in spec.profile, or ask its administrator.",
        ),
    ),
    *_rows(
        FailureClass.SANDBOX,
        (
            Reason.PROFILE_MISSING,
            "There is no SandboxProfile of the name in spec.profile, or the operator cannot use it.",
            f"Run `kubectl get sandboxprofiles`; apply the missing one, then {_AGAIN}",
        ),
        (
            Reason.SECCOMP_PROFILE_MISSING,
            "The node does not hold the seccomp profile, so the container may not start.",
            "Run `kubectl get daemonset -n finlab-sandbox-installer`; the installer puts the profile on every node.",
        ),
        (
            Reason.IMAGE_PULL_FAILED,
            "The sandbox image could not be pulled.",
            "Run `kubectl get sandboxprofile -o wide` for the image; check the registry and the node's access to it.",
        ),
        (
            Reason.IMAGE_INVALID,
            "The sandbox image started but is not what the operator expects.",
            "Run `strategyrun doctor -n NAMESPACE`; rebuild the image from image/ at the operator's version.",
        ),
        (
            Reason.RUNTIME_CLASS_MISSING,
            "The cluster or the node does not have the runtime class of the profile.",
            "Run `kubectl get runtimeclass`; install the runtime, or take runtimeClassName out of the profile.",
        ),
        (
            Reason.MOUNT_FAILED,
            "A volume of the pod could not be mounted.",
            f"Run {_POD_EVENTS}; the kubelet's events name the volume.",
        ),
        (
            Reason.CONTAINER_CONFIG_ERROR,
            "The node's runtime refused the container.",
            f"Read status.message, the runtime's own, and {_POD_EVENTS}.",
        ),
        (
            Reason.START_TIMEOUT,
            "The pod was on a node but its strategy did not start in time.",
            f"Run {_POD_EVENTS}; they say what took so long.",
        ),
        (
            Reason.TAMPERED,
            "The inputs or the report are not this run's: nonce or hashes differ from what the Job's template pins.",
            "Run `kubectl get rolebindings -n NAMESPACE -o wide`; find out who can write pods and Jobs there.",
        ),
    ),
    *_rows(
        FailureClass.PLATFORM,
        (
            Reason.UNSCHEDULABLE,
            "No node had room for the pod in time.",
            "Run `kubectl describe nodes`; add nodes, or lower maxActiveRuns in config/operator.yaml.",
        ),
        (
            Reason.POD_SANDBOX_FAILED,
            "The node could not make the pod's sandbox: its network plugin or its container runtime failed.",
            f"Run {_POD_EVENTS}, and look at that node.",
        ),
        (
            Reason.QUOTA_EXCEEDED,
            "The namespace's ResourceQuota has no room for the pod, its Job or another object; the run waits for it.",
            (
                "Run `kubectl describe resourcequota -n NAMESPACE`; it goes on by itself when there is room. Where a "
                "count of configmaps or jobs is spent, delete old runs: their reports are ConfigMaps."
            ),
        ),
        (
            Reason.POLICY_DENIED,
            (
                "The API server refused the run's Job, status or source: a policy, right, webhook, limit, schema, or a "
                "namespace that ends."
            ),
            "Read status.message, the API server's own, and `kubectl get events -n NAMESPACE`.",
        ),
        (
            Reason.EVICTED,
            "The node or an administrator took the pod away before it ended.",
            f"Nothing to mend in the strategy: {_AGAIN}",
        ),
        (
            Reason.NODE_LOST,
            "The node was lost while the run was on it.",
            f"Run `kubectl get nodes`, then {_AGAIN}",
        ),
        (
            Reason.JOB_VANISHED,
            "Somebody deleted the Job or its pod before the answer was read.",
            f"Repeat it: {_AGAIN}",
        ),
        (
            Reason.NAME_CONFLICT,
            "An object with the name of the run's Job, snapshot or NetworkPolicy exists and is not what the run needs.",
            (
                "Run `kubectl get jobs,configmaps,networkpolicies -n NAMESPACE` and delete the object that "
                "status.message names."
            ),
        ),
        (
            Reason.EVALUATOR_FAILED,
            "The trusted evaluator ended without a report.",
            "A defect of the sandbox image or the node; read `kubectl logs -n NAMESPACE POD -c evaluate`.",
        ),
        (
            Reason.LOADER_FAILED,
            "The trusted loader of the dataset ended without a word.",
            "A defect of the sandbox image or the node; read `kubectl logs -n NAMESPACE POD -c dataset`.",
        ),
    ),
]

ENDS: dict[str, str] = {
    Reason.EVALUATED: "It succeeded; the numbers are the trusted evaluator's.",
    Reason.SELF_REPORTED: "The script ended well; it printed numbers of its own, which nobody has checked.",
    Reason.SCRIPT_COMPLETED: "The script ended well; it handed over no positions, so nothing was scored.",
    Reason.CANCELLED: "Somebody cancelled it; nothing of it goes on.",
}
"""The ends that are no failure."""

FAILURES: dict[Reason, Outcome] = {row.reason: row for row in _FAILURES}
"""The failure reasons, in the order of the documentation."""

STARTS_FALLBACK: frozenset[str] = frozenset(
    {
        Reason.SECCOMP_PROFILE_MISSING,
        Reason.IMAGE_PULL_FAILED,
        Reason.CONTAINER_CONFIG_ERROR,
    }
)
"""What keeps a strategy's first instruction from running, and nothing that a strategy or its author could bring about.

No volume is among it: who may delete a snapshot or name a claim could choose the weaker place, and the fallback has
the same volumes. Nor is what events alone tell: who may write events could tell it.
"""

SAID_BY_HARNESS: frozenset[str] = frozenset(
    {
        Reason.STRATEGY_ERROR,
        Reason.TIMEOUT,
        Reason.OUT_OF_MEMORY,
        Reason.DISK_LIMIT,
        Reason.PROCESS_LIMIT,
        Reason.SYSCALL_VIOLATION,
        Reason.CRASHED,
        Reason.RESULT_MISSING,
        Reason.RESULT_INVALID,
        Reason.RESULT_TOO_LARGE,
        Reason.DATA_MISSING,
        Reason.VENDOR_AUTH_REQUIRED,
    }
)
"""Failures of the strategy that its own container may name.

`ImageInvalid` and `Tampered` are the harness's own words before it loads any of the strategy.
"""
