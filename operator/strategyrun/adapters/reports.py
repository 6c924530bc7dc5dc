"""The full report that outlived its pod, read from the cluster without trust in its size and content."""

import hashlib
import zlib
from base64 import b64decode
from typing import Any

import aiohttp

from strategyrun.adapters.kube import CONFIG_MAPS, ApiError, Kube
from strategyrun.domain.job import REPORT_KEY
from strategyrun.domain.naming import OBJECT_NAME

UNPACKED_LIMIT = 32 * 1024 * 1024
"""Bytes of a report. The evaluator packs a few megabytes into 384 KiB; what grows more is no report."""

_GZIP = 31  # zlib's number for a gzip stream


class _AbsentError(Exception):
    """The full report was not read; the message says why."""


async def kept_report(kube: Kube, run: dict[str, Any]) -> tuple[bytes | None, str]:
    """Return the unpacked report of a run as the API server holds it, or why there is none."""
    try:
        return await _report(kube, str(run["metadata"]["namespace"]), run), ""
    except _AbsentError as absent:
        return None, str(absent)


async def _report(kube: Kube, namespace: str, run: dict[str, Any]) -> bytes:
    reference = (run.get("status") or {}).get("report")
    if not reference:
        raise _AbsentError(_why_none(run))
    name = str(reference.get("configMap"))
    try:
        found = await kube.get(CONFIG_MAPS, namespace, name) if OBJECT_NAME.fullmatch(name) else None
    except ApiError as error:
        raise _AbsentError(f"ConfigMap {name} cannot be read: {error.message}") from error
    except (aiohttp.ClientError, OSError) as error:
        raise _AbsentError(f"ConfigMap {name} cannot be read: {error or type(error).__name__}") from error
    if found is None:
        raise _AbsentError(f"ConfigMap {name} is gone")
    try:
        content = b64decode((found.get("binaryData") or {})[REPORT_KEY], validate=True)
    except (KeyError, ValueError) as error:
        raise _AbsentError(f"ConfigMap {name} has no {REPORT_KEY}") from error
    if hashlib.sha256(content).hexdigest() != reference.get("sha256"):
        raise _AbsentError(f"ConfigMap {name} does not hold what status.report.sha256 says; somebody has changed it")
    return _unpack(content, name)


def _why_none(run: dict[str, Any]) -> str:
    """Say why a run refers to no report, as far as the run itself tells."""
    for warning in (run.get("status") or {}).get("warnings") or ():
        topic, _, reason = str(warning).partition(": ")
        if topic == "report":
            return reason
    if (run.get("spec") or {}).get("report") == "Discard":
        return "spec.report is Discard"
    return "the run kept none"


def _unpack(content: bytes, name: str) -> bytes:
    """Decompress one gzip stream that may be a bomb."""
    stream = zlib.decompressobj(_GZIP)
    try:
        unpacked = stream.decompress(content, UNPACKED_LIMIT + 1)
    except zlib.error as error:
        raise _AbsentError(f"{REPORT_KEY} of ConfigMap {name} is no gzip file") from error
    if len(unpacked) > UNPACKED_LIMIT:
        raise _AbsentError(f"{REPORT_KEY} of ConfigMap {name} holds more than {UNPACKED_LIMIT} bytes")
    if not stream.eof or stream.unused_data:
        raise _AbsentError(f"{REPORT_KEY} of ConfigMap {name} is not one whole gzip file")
    return unpacked
