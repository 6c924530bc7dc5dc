"""Every reason a run can carry: who has to act, what it means, what to do next.

docs/outcomes.md is generated from this table.
"""

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


_AGAIN = "`kubectl annotate --overwrite -n NAMESPACE srun NAME finlab-sandbox.dev/rerun=again`."
"""A status shows the run's own names."""


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
            "Create it with `kubectl create configmap NAME --from-file=strategy.py`, then set the rerun annotation.",
        ),
        (
            Reason.CODE_REJECTED,
            "The source cannot work in the sandbox; no pod was started.",
            "Mend the lines named in status.failure.findings, and submit or run it again.",
        ),
        (
            Reason.STRATEGY_ERROR,
            "The strategy raised an exception or exited with an error.",
            "Read the traceback in status.failure.lastLines; the line numbers are those of your source.",
        ),
        (
            Reason.TIMEOUT,
            "The strategy used up its wall-clock limit.",
            "Make it faster (vectorise loops), or raise spec.timeoutSeconds up to its ceiling and rerun it.",
        ),
        (
            Reason.OUT_OF_MEMORY,
            "The strategy used more memory than the sandbox has; files in /tmp count as memory.",
            "Work on fewer columns at once, avoid copies, delete files in /tmp.",
        ),
        (
            Reason.DISK_LIMIT,
            "The strategy filled /tmp.",
            "Write less; /tmp lies in memory and is gone after the run.",
        ),
        (
            Reason.PROCESS_LIMIT,
            "The strategy started more threads than the sandbox allows.",
            "Work in one thread (n_jobs=1, no multiprocessing): the sandbox has half a CPU.",
        ),
        (
            Reason.SYSCALL_VIOLATION,
            "The strategy used a system call that no honest strategy needs, and was killed.",
            "Remove what touches the kernel directly (ctypes, ptrace, namespaces, mounts).",
        ),
        (
            Reason.CRASHED,
            "A signal ended the strategy's process.",
            "See status.failure.signal; SIGSEGV is mostly endless recursion or misuse of a native library.",
        ),
        (
            Reason.RESULT_MISSING,
            "The strategy ended without handing over positions, a result or any output.",
            "Return positions from strategy(data, params), or leave them in `positions`; do not call os._exit.",
        ),
        (
            Reason.RESULT_INVALID,
            "What the strategy returned is not a frame of target weights.",
            "Return a DataFrame of finite weights, dates of the data by symbols of the data; NaN rows hold.",
        ),
        (
            Reason.RESULT_TOO_LARGE,
            "The positions are larger than the hand-over allows.",
            "Return at most the dates and symbols of the dataset.",
        ),
        (
            Reason.DATA_MISSING,
            "The dataset is not there, or it has no such table, symbol or file.",
            "See the message for what there is; set the rerun annotation when the data is in its place.",
        ),
        (
            Reason.DATA_INVALID,
            "The dataset's tables cannot be read.",
            "Mend the file, row and column that the message names; docs/datasets.md has the formats.",
        ),
        (
            Reason.LOOK_AHEAD_DETECTED,
            "Earlier positions change with later prices, and evaluation.lookAhead.action is Fail.",
            "See status.lookAhead for the first date; use rolling windows and shift(1), never shift(-1) or bfill.",
        ),
        (
            Reason.VENDOR_AUTH_REQUIRED,
            "The source calls what needs the vendor's authorisation over the network, such as finlab.backtest.sim.",
            "Leave the frame in `position` and take the call out; the sandbox scores the positions itself.",
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
            "There is no SandboxProfile of the name in spec.profile.",
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
            "Rebuild the image from image/ at the operator's version.",
        ),
        (
            Reason.RUNTIME_CLASS_MISSING,
            "The cluster or the node does not have the runtime class of the profile.",
            "Run `kubectl get runtimeclass`; install the runtime, or take runtimeClassName out of the profile.",
        ),
        (
            Reason.MOUNT_FAILED,
            "A volume of the pod could not be mounted.",
            "Run `kubectl describe pod -n NAMESPACE POD`; the kubelet's events name the volume.",
        ),
        (
            Reason.CONTAINER_CONFIG_ERROR,
            "The node's runtime refused the container.",
            "Read status.message; it is the runtime's own.",
        ),
        (
            Reason.START_TIMEOUT,
            "The pod was on a node but its strategy did not start in time.",
            "Run `kubectl describe pod -n NAMESPACE POD`; its events say what took so long.",
        ),
        (
            Reason.TAMPERED,
            "The inputs or the report are not this run's: nonce or hashes differ from what the Job's template pins.",
            "Find out who can write pods, Jobs or ConfigMaps in the namespace.",
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
            Reason.QUOTA_EXCEEDED,
            "The namespace's ResourceQuota has no room for the pod; the run waits for it.",
            "Run `kubectl describe resourcequota -n NAMESPACE`; it goes on by itself when there is room.",
        ),
        (
            Reason.POLICY_DENIED,
            "The API server refused the Job or the status: by a policy, a limit, a schema, or a namespace that ends.",
            "Read status.message; it is the API server's own.",
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
            "An object with the name of the run's Job or snapshot exists and is not the run's.",
            "Run `kubectl get jobs,configmaps -n NAMESPACE` and delete the object that status.message names.",
        ),
        (
            Reason.EVALUATOR_FAILED,
            "The trusted evaluator ended without a report.",
            "This is a defect of the sandbox image or the node; read `kubectl logs` of container evaluate.",
        ),
        (
            Reason.LOADER_FAILED,
            "The trusted loader of the dataset ended without a word.",
            "This is a defect of the sandbox image or the node; read `kubectl logs` of container dataset.",
        ),
    ),
]

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
the same volumes.
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
"""Failures of the strategy that its own container may name: no other failure can be feigned."""
