"""The StrategyRun resource: what a user may ask for, and what the operator answers.

The CRD is generated from these models (`domain.crd`), so a constraint or a description
written here is what the API server enforces and what `kubectl explain` prints.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, JsonValue, StringConstraints, ValidationError

from strategyrun.domain.model import Model, Timestamp, complaint
from strategyrun.domain.nesting import NESTING_LIMIT, depth, held_to_limit
from strategyrun.domain.vetting import SIZE_LIMIT_BYTES, Kind

GROUP = "finlab-sandbox.dev"
VERSION = "v1alpha1"
KIND = "StrategyRun"
PLURAL = "strategyruns"
RERUN_ANNOTATION = f"{GROUP}/rerun"
RERUN_LIMIT = 64
"""Characters of the annotation's value that a status repeats."""
TIMEOUT_CEILING_SECONDS = 300
"""What no profile lets a strategy go beyond."""
KUEUE_LABEL = "kueue.x-k8s.io/queue-name"
"""Kueue's own label: a run that carries it is let in by Kueue."""
KUEUE_PRIORITY_LABEL = "kueue.x-k8s.io/priority-class"
"""Kueue's own label, too: the WorkloadPriorityClass of a run in its queue."""

HISTORY_LIMIT = 5

DnsLabel = Annotated[str, StringConstraints(max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
ObjectName = Annotated[str, StringConstraints(max_length=253, pattern=r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$")]


def _validations(*rules: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Say CEL rules in the schema of a model or field.

    Each has a reason, because the server's answer for the usual one repeats the whole value.
    """
    return {"x-kubernetes-validations": [*rules]}


class ConfigMapKeyRef(Model):
    """A key of a ConfigMap in the run's namespace."""

    name: ObjectName = Field(description="Name of the ConfigMap.")
    key: Annotated[str, StringConstraints(max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")] = Field(
        default="strategy.py", description="Key that holds the strategy's source."
    )


class Source(Model):
    """Where the strategy's Python source comes from: exactly one of the fields, at most 128 KiB."""

    model_config = ConfigDict(
        json_schema_extra=_validations(
            {
                "rule": "has(self.inline) || has(self.configMapRef)",
                "message": "one of inline and configMapRef must be set, found neither",
                "reason": "FieldValueRequired",
            },
            {
                "rule": "!has(self.inline) || !has(self.configMapRef)",
                "message": "only one of inline and configMapRef may be set, found both",
                "reason": "FieldValueForbidden",
            },
        )
    )

    # Not maxLength: that counts characters, and its message does not say what was found.
    inline: Annotated[str, StringConstraints(min_length=1)] | None = Field(
        default=None,
        description="The source itself: Python that defines strategy(data, params), or leaves a frame named "
        "positions or position.",
        json_schema_extra=_validations(
            {
                "rule": f"size(bytes(self)) <= {SIZE_LIMIT_BYTES}",
                # format, for the cost of a sum with string() is over the server's budget.
                "messageExpression": f"'must be at most {SIZE_LIMIT_BYTES} bytes in UTF-8, found %d'"
                ".format([size(bytes(self))])",
                "reason": "FieldValueForbidden",
            }
        ),
    )
    config_map_ref: ConfigMapKeyRef | None = Field(
        default=None,
        description="A ConfigMap that holds the source. It is read once, when the evaluation starts; "
        "for changed content give the ConfigMap another name, or set the rerun annotation.",
    )


FilePath = Annotated[
    str,
    StringConstraints(
        min_length=1, max_length=512, pattern=r"^([^./][^/]*|[.][^./][^/]*)(/([^./][^/]*|[.][^./][^/]*))*$"
    ),
]
"""A relative path without `.` or `..`."""


class ConfigMapDataset(Model):
    """Tables in a ConfigMap of the run's namespace, in data or binaryData."""

    name: ObjectName = Field(description="Name of the ConfigMap.")
    key: Annotated[str, StringConstraints(max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")] | None = Field(
        default=None, description="Key that holds the table. Absent: every key is a file of the dataset."
    )


class VolumeClaimDataset(Model):
    """Tables in a PersistentVolumeClaim of the run's namespace, mounted read-only."""

    claim_name: ObjectName = Field(description="Name of the PersistentVolumeClaim.")
    path: FilePath | None = Field(default=None, description="File or folder in the volume. Absent: its root.")


class ImageDataset(Model):
    """Tables in an OCI image or artifact, mounted read-only (Kubernetes 1.35 or later)."""

    reference: Annotated[str, StringConstraints(min_length=1, max_length=512, pattern=r"^[^\s]+$")] = Field(
        description="The image, as a container would name it; a digest pins the content."
    )
    path: FilePath | None = Field(default=None, description="File or folder in the image. Absent: its root.")


_DATASET_SOURCES = ("builtin", "configMapRef", "persistentVolumeClaim", "image")
_SOURCES_SET = " + ".join(f"(has(self.{source}) ? 1 : 0)" for source in _DATASET_SOURCES)
_NAMES_OF_SOURCES = f"{', '.join(_DATASET_SOURCES[:-1])} and {_DATASET_SOURCES[-1]}"


class Dataset(Model):
    """A table of prices that the strategy and the evaluator read: from exactly one of the sources."""

    model_config = ConfigDict(
        json_schema_extra=_validations(
            {
                "rule": f"{_SOURCES_SET} >= 1",
                "message": f"one of {_NAMES_OF_SOURCES} must be set, found none",
                "reason": "FieldValueRequired",
            },
            {
                "rule": f"{_SOURCES_SET} <= 1",
                "message": f"only one of {_NAMES_OF_SOURCES} may be set, found several",
                "reason": "FieldValueForbidden",
            },
        )
    )

    name: DnsLabel = Field(description="Name of the dataset in the run.")
    builtin: Literal["us-stocks"] | None = Field(
        default=None,
        description="A dataset that the sandbox image carries. us-stocks: AAPL, FB, GOOG, IBM and MSFT, "
        "daily open, high, low, close, adj_close and volume, 2000-03-01 to 2013-03-01.",
    )
    config_map_ref: ConfigMapDataset | None = None
    persistent_volume_claim: VolumeClaimDataset | None = None
    image: ImageDataset | None = None

    @property
    def path(self) -> str:
        """File or folder within the source; empty for all of it."""
        if self.config_map_ref:
            return self.config_map_ref.key or ""
        mounted = self.persistent_volume_claim or self.image
        return (mounted.path if mounted else None) or ""


class PriceField(StrEnum):
    """Which prices the evaluator values positions with."""

    AUTO = "Auto"
    ADJ_CLOSE = "AdjClose"
    CLOSE = "Close"


class Rebalance(StrEnum):
    """Which rows of the positions are orders."""

    EVERY_ROW = "EveryRow"
    ON_CHANGE = "OnChange"


class LookAheadAction(StrEnum):
    """What becomes of a run whose earlier positions change with later prices."""

    WARN = "Warn"
    FAIL = "Fail"
    OFF = "Off"


class LookAhead(Model):
    """The look-ahead guard: the strategy runs again on data whose values after a date are others."""

    samples: Annotated[int, Field(ge=1, le=20)] = Field(default=5, description="Dates after which the data is changed.")
    action: LookAheadAction = Field(
        default=LookAheadAction.WARN,
        description="Warn: the condition LookAheadClean is False. Fail: the run fails with LookAheadDetected. "
        "Off: no check.",
    )


EQUAL_WEIGHT = "EqualWeight"

Bps = Annotated[float, Field(ge=0, le=10_000)]


class Evaluation(Model):
    """How positions are scored. Weights known at the close of a day earn the next day's return."""

    initial_capital: Annotated[float, Field(gt=0, le=1e15)] = Field(
        default=1_000_000.0, description="Equity on the first day, in the currency of the prices."
    )
    fees_bps: Bps = Field(default=10.0, description="Fee on the traded value of each side, in basis points (1/10000).")
    sell_tax_bps: Bps = Field(default=0.0, description="Tax on the value sold, in basis points.")
    slippage_bps: Bps = Field(default=0.0, description="Slippage on the traded value of each side, in basis points.")
    price: PriceField = Field(
        default=PriceField.AUTO,
        description="Prices that value the positions. Auto: adj_close where the dataset has it, else close.",
    )
    rebalance: Rebalance = Field(
        default=Rebalance.EVERY_ROW,
        description="EveryRow: each row that is not all NaN is an order. OnChange: only a row that differs "
        "from the row before it.",
    )
    allow_leverage: bool = Field(
        default=False,
        description="Keep rows whose sum of absolute weights is above 1 instead of scaling to 1.",
    )
    periods_per_year: Annotated[int, Field(ge=1, le=366)] = Field(
        default=252, description="Trading periods in a year, for annualised metrics."
    )
    risk_free_rate: Annotated[float, Field(gt=-1, le=1)] = Field(
        default=0.0, description="Annual risk-free rate as a fraction (0.02 is 2 %)."
    )
    benchmark: Annotated[str, StringConstraints(min_length=1, max_length=64)] = Field(
        default=EQUAL_WEIGHT,
        description="What alpha and beta compare with: a symbol of the dataset, or EqualWeight for the mean return "
        "of all its symbols.",
    )
    look_ahead: LookAhead = LookAhead()


class ReportPolicy(StrEnum):
    """Whether the full report of a run outlives its pod."""

    KEEP = "Keep"
    DISCARD = "Discard"


class Retry(Model):
    """How often a run is repeated after a failure of the platform. A strategy's failure never is."""

    limit: Annotated[int, Field(ge=0, le=5)] = Field(
        default=2, description="Further attempts after a failure of class Platform."
    )


class FallbackPolicy(StrEnum):
    """Whether vetted code may run outside the sandbox image when the sandbox itself cannot start."""

    ON_SANDBOX_UNAVAILABLE = "OnSandboxUnavailable"
    NEVER = "Never"


class Fallback(Model):
    """What happens where the sandbox provably could not start, so that no line of the strategy has run."""

    policy: FallbackPolicy = Field(
        default=FallbackPolicy.ON_SANDBOX_UNAVAILABLE,
        description="OnSandboxUnavailable: source that passes the strict gate runs in the profile's fallback image. "
        "Never: the run fails.",
    )


DEFAULT_PROFILE = "default"


class StrategyRunSpec(Model):
    """One evaluation of one strategy. A change of source, params, datasets, evaluation or profile starts a new one."""

    source: Source
    params: Annotated[dict[str, Any], Field(max_length=128), AfterValidator(held_to_limit)] = Field(
        default={},
        description="Parameters of the strategy: any JSON values, of 64 KiB at most and nested at most 64 deep. "
        "They reach it as the argument params.",
    )
    datasets: Annotated[tuple[Dataset, ...], Field(min_length=1, max_length=1)] = Field(
        default=(Dataset(name="prices", builtin="us-stocks"),),
        description="The dataset that the strategy reads and the evaluator scores on.",
    )
    evaluation: Evaluation = Evaluation()
    timeout_seconds: Annotated[int, Field(ge=1, le=TIMEOUT_CEILING_SECONDS)] | None = Field(
        default=None,
        description="Wall-clock limit of the strategy itself; waiting does not count. Default and ceiling "
        "come from the sandbox configuration (300).",
    )
    profile: ObjectName = Field(default=DEFAULT_PROFILE, description="The SandboxProfile that the strategy runs in.")
    retry: Retry = Retry()
    fallback: Fallback = Fallback()
    suspend: bool = Field(
        default=False,
        description="Hold the run back; one that is under way is stopped and begins anew when it is resumed.",
    )
    cancel: bool = Field(
        default=False, description="End the run where it stands. That is final; the rerun annotation begins anew."
    )
    priority: Annotated[int, Field(ge=-1000, le=1000)] = Field(
        default=0, description="Order among the waiting runs of the same namespace: higher first, then by age."
    )
    report: ReportPolicy = Field(
        default=ReportPolicy.KEEP,
        description="Keep: equity curve, orders and trades stay in a ConfigMap that lives as long as the run "
        "(some 50 KB each). Discard: the status alone stays.",
    )
    ttl_seconds_after_finished: Annotated[int, Field(ge=0, le=604_800)] = Field(
        default=3600,
        description="How long the finished Job and its pod stay after the answer, which stays on the StrategyRun.",
    )


class Phase(StrEnum):
    """Where a run stands; the last three are final for the same inputs."""

    QUEUED = "Queued"
    STARTING = "Starting"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    CANCELLED = "Cancelled"

    @property
    def active(self) -> bool:
        """Whether a run in this phase has a pod, or is about to."""
        return self in (Phase.STARTING, Phase.RUNNING)

    @property
    def final(self) -> bool:
        """Whether a run in this phase has its answer."""
        return self in (Phase.SUCCEEDED, Phase.FAILED, Phase.CANCELLED)


FINAL = frozenset(phase for phase in Phase if phase.final)


class ConditionType(StrEnum):
    """The conditions of a run, in the order in which they come true."""

    ACCEPTED = "Accepted"
    STARTED = "Started"
    FINISHED = "Finished"
    SUCCEEDED = "Succeeded"
    LOOK_AHEAD_CLEAN = "LookAheadClean"
    FALLBACK_USED = "FallbackUsed"
    READY = "Ready"
    STALLED = "Stalled"


class Condition(Model):
    """A fact about the run that a program can wait for."""

    type: ConditionType = Field(
        description="Accepted, Started, Finished (True at every end), Succeeded, LookAheadClean (where it was "
        "checked), FallbackUsed (where the sandbox could not start), and for GitOps Ready and Stalled."
    )
    status: Literal["True", "False", "Unknown"] = Field(description="True, False or Unknown.")
    reason: str = Field(description="One word for programs.")
    message: str = Field(default="", description="One sentence for people.")
    observed_generation: int = Field(description="The metadata.generation that the condition speaks of.")
    last_transition_time: Timestamp = Field(description="When the condition's status changed last.")


class Metrics(Model):
    """Results of the trusted evaluator. A metric that is undefined for the run is absent, never 0."""

    total_return: float | None = Field(default=None, description="Growth of equity over all days, a fraction.")
    total_return_before_costs: float | None = Field(
        default=None, description="The same positions without fees, tax and slippage."
    )
    cagr: float | None = Field(default=None, description="Compound annual growth rate, a fraction.")
    volatility: float | None = Field(default=None, description="Annualised standard deviation of returns.")
    sharpe: float | None = Field(default=None, description="Annualised Sharpe ratio of daily excess returns.")
    sharpe_lag2: float | None = Field(
        default=None, description="Sharpe ratio when every order is filled one day later."
    )
    sortino: float | None = Field(default=None, description="Annualised Sortino ratio.")
    calmar: float | None = Field(default=None, description="cagr over the absolute maximum drawdown.")
    max_drawdown: float | None = Field(
        default=None, description="Largest fall of equity from its peak: a fraction, 0 or negative."
    )
    alpha: float | None = Field(
        default=None, description="Return a year that beta times the benchmark's does not explain, a fraction."
    )
    beta: float | None = Field(default=None, description="Return for a unit of the benchmark's return.")
    turnover: float | None = Field(default=None, description="Traded value over equity, both sides, a year.")
    exposure: float | None = Field(default=None, description="Share of days with any position.")
    trades: int | None = Field(default=None, description="Closed round trips, all symbols.")
    win_rate_days: float | None = Field(default=None, description="Days with a gain among days with a change.")
    win_rate_trades: float | None = Field(default=None, description="Round trips with a gain among all.")
    days: int | None = Field(default=None, description="Daily returns that were scored.")
    final_equity: float | None = Field(default=None, description="Equity on the last day.")


class Summary(Model):
    """Rounded metrics as texts: what kubectl shows in columns and sorts by. Programs read metrics."""

    sharpe: str = Field(default="", description="Sharpe ratio, two decimals.")
    total_return: str = Field(default="", description="Growth of equity, in percent, one decimal.")
    max_drawdown: str = Field(default="", description="Largest fall of equity, in percent, one decimal.")
    trades: str = Field(default="", description="Closed round trips.")
    duration: str = Field(default="", description="From the acceptance of the inputs to the answer.")


class SelfReported(Model):
    """Numbers that a script printed of itself. Nobody checked them; they never stand beside metrics."""

    source: Literal["SelfReported"] = Field(default="SelfReported", description="Who says so: the script itself.")
    values: dict[str, float] = Field(description="The numbers, by the names that the script gave them.")


class LookAheadFound(Model):
    """What the look-ahead guard found."""

    samples: int = Field(description="Dates that were to be tried.")
    checked: int = Field(description="Dates that were tried.")
    changed: int = Field(description="Dates up to which the positions changed with the prices after them.")
    first_date: str | None = Field(default=None, description="First date whose position changed.")
    symbol: str | None = Field(default=None, description="Symbol of that position.")
    note: str | None = Field(default=None, description="Why fewer dates were tried than asked for.")
    deterministic: bool = Field(
        default=True, description="False where two runs on the same data differed: then nothing can be said."
    )


class Equity(Model):
    """The equity curve, thinned out to what fits in a status."""

    first_day: str = Field(alias="from", description="Date of the first value.")
    last_day: str = Field(alias="to", description="Date of the last value.")
    values: tuple[float, ...] = Field(description="Multiples of the initial capital, evenly spaced in days.")


class ReportReference(Model):
    """Where the full report is kept."""

    config_map: str = Field(description="ConfigMap in the run's namespace; binaryData has report.json.gz.")
    sha256: str = Field(description="Hash of the gzip file.")


class FailureClass(StrEnum):
    """Who has to act on a failure."""

    USER = "User"
    SANDBOX = "Sandbox"
    PLATFORM = "Platform"


class Finding(Model):
    """A place in the source that can never work in the sandbox."""

    line: int = Field(description="Line of the source, from 1.")
    rule: str = Field(description="Name of the rule that the line breaks.")
    hint: str = Field(description="What to write instead.")


class Failure(Model):
    """Why the run failed."""

    class_: FailureClass = Field(alias="class", description="Who has to act: User, Sandbox or Platform.")
    reason: str = Field(description="One word for programs; docs/outcomes.md lists them.")
    message: str = Field(description="What happened, with the numbers or names that matter.")
    exit_code: int | None = Field(default=None, description="Exit code of the strategy's process.")
    signal: str | None = Field(default=None, description="Signal that ended the strategy's process.")
    last_lines: tuple[str, ...] = Field(default=(), description="Last lines that the strategy printed; untrusted text.")
    findings: tuple[Finding, ...] = Field(default=(), description="Why the source was rejected, line by line.")


class Executor(StrEnum):
    """What runs a strategy."""

    SANDBOX = "Sandbox"
    FALLBACK = "Fallback"


class Attempt(Model):
    """One Job for the current inputs."""

    number: int = Field(description="Count of the attempt, from 1.")
    executor: Executor = Field(default=Executor.SANDBOX, description="What the attempt ran in: Sandbox or Fallback.")
    job_name: str = Field(description="Name of the attempt's Job.")
    job_uid: str | None = Field(default=None, alias="jobUID", description="UID of the Job, once it was created.")
    pod_name: str | None = Field(default=None, description="Name of the Job's pod; it lives as long as the Job.")
    node: str | None = Field(default=None, description="Node that the pod was on.")
    created_at: Timestamp = Field(description="When the operator decided on the attempt.")
    started_at: Timestamp | None = Field(default=None, description="When the strategy began.")
    finished_at: Timestamp | None = Field(default=None, description="When the attempt ended.")
    reason: str | None = Field(default=None, description="How the attempt ended.")
    message: str | None = Field(default=None, description="What ended the attempt, in words.")


class FallbackStatus(Model):
    """What became of a run whose sandbox could not start."""

    used: bool = Field(description="Whether the strategy ran in the fallback.")
    trigger: str = Field(description="The reason for which the sandbox could not start.")
    message: str = Field(default="", description="That reason in words.")
    findings: tuple[Finding, ...] = Field(
        default=(), description="What the strict gate found; source with findings does not run in the fallback."
    )


class QueueStatus(Model):
    """What a run waits for."""

    position: int = Field(
        description="Place among the waiting, 1 is next. Beyond 10 it is renewed only when it has halved."
    )
    reason: str = Field(description="Why nobody moves up.")


class Timings(Model):
    """Seconds that each stage took. Kubernetes stamps whole seconds; strategy and evaluation are measured inside."""

    queued: float | None = Field(default=None, description="From the acceptance of the inputs to the Job.")
    scheduled: float | None = Field(default=None, description="From the pod to a node.")
    started: float | None = Field(default=None, description="From the node to the strategy's first instruction.")
    strategy: float | None = Field(default=None, description="The strategy, imports included.")
    look_ahead: float | None = Field(default=None, description="The look-ahead guard.")
    evaluated: float | None = Field(default=None, description="The trusted evaluation, process start excluded.")


class Isolation(Model):
    """The walls this run stood behind."""

    seccomp: str = Field(description="Name of the seccomp profile on the node.")
    network_policy: str = Field(description="What keeps the pod off the network.")
    runtime_class: str | None = Field(
        default=None, description="RuntimeClass of the pod; absent for the node's default."
    )
    landlock: int | None = Field(
        default=None,
        description="Version of Landlock's ABI that bound the strategy, as its harness found; absent where the kernel "
        "has none. All other walls held, or nothing was run.",
    )


class Provenance(Model):
    """What exactly was evaluated, by what, where."""

    code_sha256: str | None = Field(default=None, alias="codeSHA256", description="Hash of the source that ran.")
    params_sha256: str | None = Field(
        default=None, alias="paramsSHA256", description="Hash of the params that the strategy got."
    )
    dataset_sha256: str | None = Field(default=None, alias="datasetSHA256", description="Hash of the prices.")
    positions_sha256: str | None = Field(
        default=None, alias="positionsSHA256", description="Hash of the positions that were scored."
    )
    seccomp_sha256: str | None = Field(default=None, alias="seccompSHA256", description="Hash of the seccomp profile.")
    image_id: str | None = Field(
        default=None, alias="imageID", description="Image that ran, as the node's runtime names it."
    )
    evaluator: str | None = Field(default=None, description="Version of the evaluator.")
    node: str | None = Field(default=None, description="Node that the pod was on.")
    isolation: Isolation | None = None


class PastOutcome(Model):
    """The answer to earlier inputs of the same run."""

    inputs_hash: str = Field(description="The inputs that were evaluated.")
    phase: Phase = Field(description="How the evaluation ended.")
    reason: str = Field(description="Why it ended so.")
    finished_at: Timestamp | None = Field(default=None, description="When it ended.")
    summary: Summary = Summary()
    report: ReportReference | None = None


NOT_SEEN: dict[str, JsonValue] = {
    "observedGeneration": -1,
    "reason": "NotSeen",
    "message": "no operator has seen it yet",
}
"""What stands in for the status of a run until an operator writes one."""


def written_status(body: dict[str, Any]) -> dict[str, Any] | None:
    """Return the status that an operator wrote of a run, as the API server holds it; None where none has."""
    match body.get("status"):
        case {"observedGeneration": int(generation)} if generation < 0:
            return None
        case status:
            return status or None


class StrategyRunStatus(Model):
    """The operator's answer. Until there is one, the reason is NotSeen and observedGeneration negative."""

    observed_generation: int = Field(description="The metadata.generation that the status speaks of.")
    observed_rerun: str | None = Field(
        default=None,
        description="The value of the rerun annotation that the status answers, its first "
        f"{RERUN_LIMIT} characters; absent where there is none.",
    )
    phase: Phase = Field(
        description="Where the run stands; Succeeded, Failed and Cancelled are final for the same inputs."
    )
    reason: str = Field(description="One word: why the run is where it is; docs/outcomes.md lists them.")
    message: str = Field(default="", description="The reason in a sentence.")
    hint: str | None = Field(default=None, description="What to do about a failure.")
    executor: Executor | None = Field(default=None, description="What runs the strategy: Sandbox or Fallback.")
    kind: Kind | None = Field(
        default=None,
        description="What the source is: Positions (scored), Result (a script that reports numbers of its own) or "
        "Script.",
    )
    inputs_hash: str = Field(
        description="Hash of source, params, datasets, evaluation, profile and rerun annotation: what was evaluated."
    )
    conditions: tuple[Condition, ...] = Field(
        default=(),
        description="Facts to wait for: kubectl wait --for=condition=Finished --timeout=10m.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
    metrics: Metrics | None = None
    summary: Summary | None = None
    warnings: tuple[str, ...] = Field(
        default=(), description="What to know about the metrics, such as why one is absent."
    )
    look_ahead: LookAheadFound | None = None
    equity: Equity | None = None
    report: ReportReference | None = None
    self_reported: SelfReported | None = None
    output: tuple[str, ...] = Field(default=(), description="Last lines that a script printed; untrusted text.")
    failure: Failure | None = None
    fallback: FallbackStatus | None = None
    queue: QueueStatus | None = None
    attempts: tuple[Attempt, ...] = Field(
        default=(),
        description="The Jobs for the current inputs, the last few; more than one after failures of the platform, "
        "a suspension or the fallback.",
    )
    timings: Timings | None = None
    provenance: Provenance | None = None
    accepted_at: Timestamp | None = Field(default=None, description="When the operator first saw these inputs.")
    finished_at: Timestamp | None = Field(default=None, description="When the current inputs got their answer.")
    history: Annotated[tuple[PastOutcome, ...], Field(max_length=HISTORY_LIMIT)] = Field(
        default=(), description="Answers to earlier inputs, the latest first."
    )

    @property
    def final(self) -> bool:
        """Whether the inputs that this status speaks of have their answer."""
        return self.phase.final


class Unreadable(Model):
    """A spec that the API server let pass and this operator cannot read.

    The two are of different versions, or it breaks a limit that no schema can express.
    """

    spec: dict[str, Any]
    """In place of params that are too deep to be written again it has their depth."""
    complaint: str


def shown_rerun(asked: str | None) -> str | None:
    """Write a value of the rerun annotation as a status repeats it: cut, and else to the letter, for it is compared."""
    return None if asked is None else asked[:RERUN_LIMIT]


class StrategyRun(Model):
    """One object as the API server holds it."""

    api_version: str
    name: str
    namespace: str
    uid: str
    generation: int
    resource_version: str
    created_at: datetime
    deleting: bool
    rerun: str | None
    kueue_queue: str | None = None
    kueue_priority: str | None = None
    spec: StrategyRunSpec
    unreadable: Unreadable | None = None
    """Set where `spec` is only a stand-in."""
    status: StrategyRunStatus | None

    @property
    def rerun_shown(self) -> str | None:
        """The value of the rerun annotation as a status repeats it."""
        return shown_rerun(self.rerun)

    @classmethod
    def parse(cls, body: dict[str, Any]) -> "StrategyRun":
        """Read the API server's document.

        Raises pydantic.ValidationError where the status does not fit the model.
        """
        meta = body["metadata"]
        labels = meta.get("labels") or {}
        try:
            spec, unreadable = StrategyRunSpec.model_validate(body["spec"]), None
        except ValidationError as error:
            spec = StrategyRunSpec(source=Source())
            unreadable = Unreadable(spec=_writable(body["spec"]), complaint=f"spec.{complaint(error)}")
        return cls(
            api_version=body["apiVersion"],
            name=meta["name"],
            namespace=meta["namespace"],
            uid=meta["uid"],
            generation=meta.get("generation", 0),
            resource_version=meta["resourceVersion"],
            created_at=meta["creationTimestamp"],
            deleting="deletionTimestamp" in meta,
            rerun=(meta.get("annotations") or {}).get(RERUN_ANNOTATION),
            kueue_queue=labels.get(KUEUE_LABEL),
            kueue_priority=labels.get(KUEUE_PRIORITY_LABEL),
            spec=spec,
            unreadable=unreadable,
            status=written_status(body),
        )


def _writable(spec: dict[str, Any]) -> dict[str, Any]:
    found = depth(spec.get("params"))
    return spec if found <= NESTING_LIMIT else spec | {"params": found}
