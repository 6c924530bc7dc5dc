"""What a report is made of, read from the cluster once: the run, and the full report that outlived its pod."""

import asyncio
import hashlib
import os
import re
import zlib
from base64 import b64decode
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from kubernetes.aio import config

from strategyrun.adapters.kube import CONFIG_MAPS, RUNS, ApiError, Kube, RefusedError
from strategyrun.domain.job import REPORT_KEY

UNPACKED_LIMIT = 32 * 1024 * 1024
"""Bytes of a report. The evaluator packs a few megabytes into 384 KiB; what grows more is no report."""

_GZIP = 31  # zlib's number for a gzip stream
_NAME = re.compile(r"[a-z0-9]([-.a-z0-9]*[a-z0-9])?")
_POD_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


@dataclass(frozen=True)
class Fetched:
    """A run as the API server holds it, and its unpacked report; `absent` says why there is none."""

    run: dict[str, Any]
    report: bytes | None
    absent: str


class NotReadError(Exception):
    """The run could not be read; the message is one line that says why."""


class _AbsentError(Exception):
    """The run was read and its full report was not; the message says why."""


def fetch(name: str, namespace: str | None) -> Fetched:
    """Read a run, by default in the namespace of the kubeconfig's context, and its report.

    Raises NoClusterError where nothing says which cluster, and NotReadError.
    """
    return asyncio.run(_fetch(name, namespace))


async def _fetch(name: str, namespace: str | None) -> Fetched:
    async with await Kube.connect() as kube:
        namespace = namespace or _default_namespace()
        try:
            named = _NAME.fullmatch(name) and _NAME.fullmatch(namespace)
            run = await kube.get(RUNS, namespace, name) if named else None
        except RefusedError as error:
            raise NotReadError(
                f"no right to read StrategyRun {name} in namespace {namespace}: {error.message}"
            ) from error
        except ApiError as error:
            raise NotReadError(f"the API server does not give StrategyRun {name}: {error.message}") from error
        except (aiohttp.ClientError, OSError) as error:
            raise NotReadError(f"the API server does not answer: {error or type(error).__name__}") from error
        if run is None:
            raise NotReadError(f"there is no StrategyRun {name} in namespace {namespace}")
        try:
            return Fetched(run, await _report(kube, namespace, run), "")
        except _AbsentError as absent:
            return Fetched(run, None, str(absent))


async def _report(kube: Kube, namespace: str, run: dict[str, Any]) -> bytes:
    reference = (run.get("status") or {}).get("report")
    if not reference:
        raise _AbsentError(_why_none(run))
    name = str(reference.get("configMap"))
    try:
        found = await kube.get(CONFIG_MAPS, namespace, name) if _NAME.fullmatch(name) else None
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


def _default_namespace() -> str:
    """Return the pod's namespace, or that of the kubeconfig's context."""
    if os.environ.get("KUBERNETES_SERVICE_HOST") and _POD_NAMESPACE.is_file():
        return _POD_NAMESPACE.read_text(encoding="utf-8").strip()
    try:
        _, active = config.kube_config.list_kube_config_contexts()  # type: ignore[no-untyped-call]
        return str(active["context"].get("namespace") or "default")
    except (config.ConfigException, KeyError, TypeError):
        return "default"
