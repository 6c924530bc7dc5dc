"""StrategyRuns as the people who ask for them need them: made, changed, read, and watched without a gap."""

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
from kubernetes.aio import client

from strategyrun.adapters.kube import (
    PAGE,
    TROUBLE,
    ApiError,
    ConflictError,
    ExistsError,
    Kube,
    NotFoundError,
    RefusedError,
    read_document,
    refusal,
)
from strategyrun.adapters.kubeconfig import context_namespace
from strategyrun.domain.naming import OBJECT_NAME
from strategyrun.domain.strategyrun import KIND
from strategyrun.domain.text import clean

FIELD_MANAGER = "strategyrun"
PATIENCE = 300.0
"""Seconds for which an API server that does not answer is asked again."""

_POD_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_WATCH_SECONDS = 240
_WATCH_QUIET = 100  # seconds; the API server sends a bookmark every minute: a line that is silent for longer is dead
_LOG_QUIET = 330  # longer than a strategy may be silent
_SAID_LIMIT, _HEAD, _TAIL = 1 << 20, 120, 300
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0


class Seen(NamedTuple):
    """A run as it is now; `body` is None where it is gone."""

    name: str
    body: dict[str, Any] | None


class LostConnectionError(Exception):
    """The API server has not answered for longer than anybody waits; what was asked for goes on there."""


@dataclass(frozen=True)
class Selection:
    """The runs of a namespace that somebody follows: by labels, by one name, or all."""

    namespace: str
    labels: str = ""
    name: str = ""

    def query(self) -> dict[str, Any]:
        """Return the selectors as the API server takes them."""
        return {"labelSelector": self.labels, "fieldSelector": f"metadata.name={self.name}" if self.name else ""}


class Patience:
    """How long an API server that does not answer is asked again, and how often."""

    def __init__(self, api: "RunsApi") -> None:
        self._api = api
        self._now = asyncio.get_running_loop().time
        self._since: float | None = None
        self._pause = _FIRST_PAUSE

    def renew(self) -> None:
        """It has answered."""
        self._since, self._pause = None, _FIRST_PAUSE

    async def after(self, error: Exception) -> None:
        """Pause before the next try.

        Raises the error itself where trying again cannot help, and LostConnectionError after `patience` seconds. A
        conflict is another request's: what is made at the same time may count on the same quota.
        """
        refused = isinstance(error, ApiError) and error.status < 500 and error.status not in (410, 429)
        if (refused and not isinstance(error, ConflictError)) or not self._api.reached:
            raise error
        self._since = self._since or self._now()
        if self._now() - self._since > self._api.patience:
            raise LostConnectionError(f"no answer for {self._api.patience:g} s: {said(error)}") from error
        await asyncio.sleep(self._pause)
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)


class RunsApi(Kube):
    """A connection for people's requests: the rights are theirs, and so is the field manager's name."""

    def __init__(self, configuration: client.Configuration, **resource: Any) -> None:
        super().__init__(configuration, **resource)
        self.patience = PATIENCE
        self.reached = False
        """Whether this connection has ever had an answer: nobody waits for a server that is not there."""

    async def exchange(self, method: str, path: str, **rest: Any) -> bytes:
        """Send one request, and take note that somebody answers."""
        try:
            answer = await super().exchange(method, path, **rest)
        except ApiError as error:
            self.reached = self.reached or error.status < 500
            raise
        self.reached = True
        return answer

    def manifest(self, meta: dict[str, Any], spec: dict[str, Any]) -> dict[str, Any]:
        """Put a StrategyRun together, of the group and version that this connection speaks of."""
        version = f"{self.runs.group}/{self.runs.version}"
        return {"apiVersion": version, "kind": KIND, "metadata": meta, "spec": spec}

    async def submit(self, manifest: dict[str, Any], heard: Callable[[], dict[str, Any] | None]) -> dict[str, Any]:
        """Make a run, once, and return it; a field that the schema does not know is refused.

        A POST whose answer is lost is repeated, and its labels tell whether it had arrived: some should be nobody
        else's. So they do where the repeat is refused, for the run may have taken the last place of a quota. What the
        caller has `heard` of the run meanwhile is as good as the answer: a run that somebody has deleted since is not
        made again. Raises ExistsError where the name is taken and RefusedError with the API server's words.
        """
        query = {"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict"}
        meta = manifest["metadata"]
        patience, lost = Patience(self), False
        while True:
            try:
                try:
                    return await self.send("POST", self.runs.path(meta["namespace"]), query=query, body=manifest)
                except (ExistsError, RefusedError):
                    if not (lost and (body := await self._made(meta))):
                        raise
                    return body
            except TROUBLE as error:
                lost = lost or not isinstance(error, ApiError) or error.status >= HTTPStatus.INTERNAL_SERVER_ERROR
                await patience.after(error)
                if body := heard():
                    return body

    async def _made(self, meta: dict[str, Any]) -> dict[str, Any] | None:
        """Read the run of this name, if it has these labels; a policy may have added others."""
        body = await self.read(meta["namespace"], meta["name"])
        labels = meta.get("labels") or {}
        there = body["metadata"].get("labels") or {} if body else {}
        return body if labels and labels.items() <= there.items() else None

    async def change(self, namespace: str, name: str, patch: dict[str, Any]) -> dict[str, Any]:
        """Merge a patch into a run and return it. Raises NotFoundError as `remove` does."""
        _require_possible(namespace, name)
        query = {"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict"}
        path = self.runs.path(namespace, name)
        return await self.send("PATCH", path, query=query, body=patch, content="application/merge-patch+json")

    async def remove(self, namespace: str, name: str) -> None:
        """Delete a run and what it owns. Raises NotFoundError where there is none of that name, or can be none."""
        _require_possible(namespace, name)
        await self.send("DELETE", self.runs.path(namespace, name), body={"propagationPolicy": "Background"})

    async def read(self, namespace: str, name: str) -> dict[str, Any] | None:
        """Read a run; None where there is none, and where there can be none of that name."""
        if not _is_possible(namespace, name):
            return None
        return await self.get(self.runs, namespace, name)

    async def may(self, verb: str, group: str, resource: str, namespace: str, subresource: str = "") -> bool:
        """Ask the API server whether whoever asks may do something."""
        attributes = {"verb": verb, "group": group, "resource": resource, "namespace": namespace}
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes | {"subresource": subresource}},
        }
        answer = await self.send("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body=review)
        return bool(answer["status"].get("allowed"))

    async def follow(self, selection: Selection, known: set[str]) -> AsyncGenerator[Seen, None]:
        """Yield the selected runs as they are, then each change, without end and without a gap.

        `known` are names that the caller has reason to think are there: it is told where they are not, and the set is
        kept up to date. A broken watch begins again with a list, so that what happened in between is told; a run may
        be told of twice. Raises ApiError where the API server says no for good, and LostConnectionError where it has
        not answered for `patience` seconds.
        """
        patience = Patience(self)
        while True:
            try:
                gone, since = {*known}, ""
                async for page in self._pages(selection):
                    patience.renew()
                    since = since or page["metadata"]["resourceVersion"]
                    for item in page["items"] or []:
                        known.add(name := item["metadata"]["name"])
                        gone.discard(name)
                        yield Seen(name, item)
                for name in gone:  # a list may be older than the run: ask for it by its name
                    if (body := await self.read(selection.namespace, name)) is None:
                        known.discard(name)
                    yield Seen(name, body)
                async with aclosing(self._watch(selection, since)) as changes:
                    async for seen in changes:
                        (known.discard if seen.body is None else known.add)(seen.name)
                        yield seen
            except TROUBLE as error:
                await patience.after(error)

    async def _pages(self, selection: Selection) -> AsyncIterator[dict[str, Any]]:
        token = ""
        while True:
            query = selection.query() | {"limit": PAGE, "continue": token}
            page = await self.send("GET", self.runs.path(selection.namespace), query=query)
            yield page
            token = page["metadata"].get("continue", "")
            if not token:
                return

    async def _watch(self, selection: Selection, since: str) -> AsyncGenerator[Seen, None]:
        """Yield changes until the API server ends the watch or no longer knows where it began."""
        query = selection.query() | {
            "watch": "true",
            "resourceVersion": since,
            "timeoutSeconds": _WATCH_SECONDS,
            "allowWatchBookmarks": "true",
        }
        async with self._stream(self.runs.path(selection.namespace), query, _WATCH_QUIET) as lines:
            async for line in lines:
                change = read_document(line)
                body = change["object"]
                if change["type"] == "ERROR":
                    return
                if change["type"] != "BOOKMARK":
                    yield Seen(body["metadata"]["name"], None if change["type"] == "DELETED" else body)

    async def log_lines(self, namespace: str, pod: str, container: str, *, follow: bool) -> AsyncGenerator[str, None]:
        """Yield what a container prints, line by line.

        Raises NotFoundError where the pod is gone, RefusedError where the container has not started.
        """
        query = {"container": container, "follow": "true" if follow else ""}
        path = f"/api/v1/namespaces/{namespace}/pods/{pod}/log"
        async with self._stream(path, query, _LOG_QUIET) as lines:
            async for line in lines:
                yield line.decode(errors="replace")

    @asynccontextmanager
    async def _stream(self, path: str, query: dict[str, Any], quiet: float) -> AsyncIterator[AsyncIterator[bytes]]:
        parameters = [(key, value) for key, value in query.items() if value != ""]
        request = await self._api.param_serialize(
            "GET", path, query_params=parameters, header_params={"Accept": "*/*"}, auth_settings=["BearerToken"]
        )
        limits = aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=quiet)
        response = (await self._api.call_api(*request, _request_timeout=limits)).response
        try:
            if response.status >= 300:
                raise refusal(response.status, await response.read())
            yield _lines(response.content)
        finally:
            response.close()


def _is_possible(namespace: str, name: str) -> bool:
    """Whether a run may have this name: as a part of a path another one might mean another thing, or all."""
    return bool(OBJECT_NAME.fullmatch(name) and OBJECT_NAME.fullmatch(namespace))


def _require_possible(namespace: str, name: str) -> None:
    if not _is_possible(namespace, name):
        raise NotFoundError(HTTPStatus.NOT_FOUND, f"there can be no StrategyRun {name} in namespace {namespace}")


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Split by lines of any length: a run in a watch is one line, and can be a megabyte."""
    rest = b""
    async for chunk in content.iter_any():
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line
    if rest:
        yield rest


def said(error: Exception) -> str:
    """Say in one line what an API server, or the way to it, answered; of a long answer the beginning and the end.

    The API server repeats the whole object before it says what is wrong with it.
    """
    words = clean(error.message if isinstance(error, ApiError) else str(error), _SAID_LIMIT)
    if len(words) > _HEAD + _TAIL:
        words = f"{words[:_HEAD]} … {words[-_TAIL:]}"
    return words or type(error).__name__


def default_namespace() -> str:
    """Return the pod's namespace, or that of the kubeconfig's context."""
    if os.environ.get("KUBERNETES_SERVICE_HOST") and _POD_NAMESPACE.is_file():
        return _POD_NAMESPACE.read_text(encoding="utf-8").strip()
    return context_namespace()
