"""By which labels an object is ours, and what of an object has changed."""

from strategyrun.domain import naming
from strategyrun.domain.admission.clause import cel
from strategyrun.domain.job import PINNED_ANNOTATIONS
from strategyrun.domain.strategyrun import Executor

OUR_LABELS = (
    naming.MANAGED_BY_LABEL,
    naming.COMPONENT_LABEL,
    naming.RUN_UID_LABEL,
    naming.RUN_NAME_LABEL,
    naming.PROFILE_LABEL,
    naming.EXECUTOR_LABEL,
)
"""Those of a run's Job and its pods."""

_COMPONENTS = ("strategy", "report")
FALLS_BACK = f"object.metadata.?labels[?{cel(naming.EXECUTOR_LABEL)}].orValue('') == {cel(Executor.FALLBACK.lower())}"
"""Says that a Job or pod is of a run in the fallback."""


def is_ours(*paths: str) -> str:
    """Say that an object is ours by the labels of one of these metadata."""
    return _ours("object", paths)


def was_ours(*paths: str) -> str:
    """Say that it was before the request."""
    return _ours("oldObject", paths)


def is_or_was_ours(*paths: str) -> str:
    """Say that an object is ours, or was before the request."""
    return f"{is_ours(*paths)} || (oldObject != null && ({was_ours(*paths)}))"


def _ours(which: str, paths: tuple[str, ...]) -> str:
    return " || ".join(_marked(f"{which}.{path}.?labels") for path in paths)


def _marked(labels: str) -> str:
    return (
        f"{labels}[?{cel(naming.RUN_UID_LABEL)}].hasValue()"
        f" || ({labels}[?{cel(naming.MANAGED_BY_LABEL)}].orValue('') == {cel(naming.MANAGED_BY)}"
        f" && {labels}[?{cel(naming.COMPONENT_LABEL)}].orValue('') in {cel(_COMPONENTS)})"
    )


def made_or(*changes: str) -> str:
    """Say that an object is made, or changed in one of these ways."""
    return " || ".join(("request.operation == 'CREATE'", *changes))


def labels_differ(labels: tuple[str, ...]) -> str:
    """Say that one of these labels is not what it was before the request."""
    return f"{cel(labels)}.exists(key, object.metadata.?labels[?key] != oldObject.metadata.?labels[?key])"


def labels_alike(labels: tuple[str, ...]) -> str:
    """Say that a Job and its pods have the same of these labels."""
    template = "object.spec.template.?metadata.?labels[?key]"
    return f"{cel(labels)}.all(key, object.metadata.?labels[?key] == {template})"


def pins_differ() -> str:
    """Say that a hash that the Job pins is not what it was before the request."""
    keys = cel(tuple(PINNED_ANNOTATIONS.values()))
    return f"{keys}.exists(key, object.metadata.?annotations[?key] != oldObject.metadata.?annotations[?key])"
