"""The API server as the controller needs it: raw documents, few verbs, errors by meaning."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

import aiohttp
from kubernetes.aio import client, config
from kubernetes.aio.client.api_client import RequestSerialized

from strategyrun.adapters import deep_json, kubeconfig
from strategyrun.adapters.budget import Budget
from strategyrun.adapters.clock import ServerClock
from strategyrun.adapters.contact import Contact
from strategyrun.domain.sandbox import PROFILE_PLURAL
from strategyrun.domain.strategyrun import GROUP, PLURAL, VERSION

FIELD_MANAGER = "finlab-sandbox-operator"
PAGE = 100
"""Objects in one answer of a list. A StrategyRun can be a megabyte, and a page of them is in memory at once."""

_APPLY = "application/apply-patch+yaml; charset=utf-8"  # the library writes the body of the bare type by itself
_BEYOND_ASCII = re.compile("[\x7f-\uffff]")
_TIMEOUT = aiohttp.ClientTimeout(total=30)
_NOT_NOW = (HTTPStatus.UNAUTHORIZED, HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.GONE, HTTPStatus.TOO_MANY_REQUESTS)
"""What may have another answer the next time, or when it is asked anew. All else that is the asker's fault will not."""
_NOBODY_THERE = (HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT)
"""What stands before an API server, or before its etcd, answers in its place."""
_TRIES = 5
_LONGEST_PAUSE_SECONDS = 10.0
"""Shorter than what a lease may go without being renewed (`adapters.lease`)."""
_PAGE_PAUSES = (0.5, 2.0)

Answered = Callable[[str, str, str, float], None]
"""What is told of each request: method, path, the answer's code (empty: none came), seconds."""


@dataclass(frozen=True)
class Resource:
    """A kind of object and where the API server keeps it."""

    group: str
    version: str
    plural: str

    def path(self, namespace: str | None = None, name: str | None = None) -> str:
        """Return the path of all objects, of a namespace's, or of one."""
        root = ["/apis", self.group, self.version] if self.group else ["/api", self.version]
        inside = ["namespaces", namespace] if namespace else []
        return "/".join([*root, *inside, self.plural, *([name] if name else [])])


RUNS = Resource(GROUP, VERSION, PLURAL)
PROFILES = Resource(GROUP, VERSION, PROFILE_PLURAL)
JOBS = Resource("batch", "v1", "jobs")
PODS = Resource("", "v1", "pods")
EVENTS = Resource("", "v1", "events")
NODES = Resource("", "v1", "nodes")
CONFIG_MAPS = Resource("", "v1", "configmaps")
NETWORK_POLICIES = Resource("networking.k8s.io", "v1", "networkpolicies")
LEASES = Resource("coordination.k8s.io", "v1", "leases")

BY_KIND = {
    "ConfigMap": CONFIG_MAPS,
    "Event": EVENTS,
    "Job": JOBS,
    "Lease": LEASES,
    "NetworkPolicy": NETWORK_POLICIES,
}


class ApiError(Exception):
    """The API server answered, and not as asked."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message


class ExistsError(ApiError):
    """The name is taken."""


class ConflictError(ApiError):
    """The object is newer than the one that was read, or another one."""


class NotFoundError(ApiError):
    """There is no such object."""


class RefusedError(ApiError):
    """Admission, validation or the lack of a right is in the way; asking again will not help.

    Whatever the code: for a webhook that names none the API server says 400 or 403, and a policy may choose others.
    """


TROUBLE = (ApiError, aiohttp.ClientError, OSError)
"""What any request may raise, and what passes: no answer (OSError has the time-outs) or not the one asked for."""


@dataclass(frozen=True)
class Credentials:
    """Where the API server is and what to show it. Files are named by their paths."""

    server: str
    ca: str | None
    scheme: str | None
    token: str | None
    certificate: str | None
    key: str | None
    insecure: bool
    proxy: str | None


class Kube:
    """A connection to the API server. `runs` is where it keeps the StrategyRuns."""

    def __init__(
        self, configuration: client.Configuration, *, runs: Resource = RUNS, clock: ServerClock | None = None
    ) -> None:
        self._configuration = configuration
        self._api = client.ApiClient(configuration=configuration)
        self._budget, self._budget_of_events, self._budget_of_leases = Budget(), Budget(), Budget()
        self.clock = clock or ServerClock()
        self.contact = Contact(self.clock)
        self.runs = runs
        self.answered: Answered | None = None

    @classmethod
    async def connect(cls) -> Self:
        """Use the pod's service account, or the kubeconfig where there is none.

        Raises NoClusterError where there is neither, and where the kubeconfig is none or its plugin fails.
        """
        configuration = client.Configuration()
        try:
            config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        except config.ConfigException:
            await kubeconfig.load(configuration)
        return cls(configuration)

    async def credentials(self) -> Credentials:
        """Return what this connection uses now; a token that is renewed is read again."""
        settings = self._configuration
        bearer = (await settings.auth_settings()).get("BearerToken", {}).get("value") or ""
        scheme, _, token = bearer.partition(" ")
        return Credentials(
            server=settings.host,
            ca=settings.ssl_ca_cert,
            scheme=scheme or None,
            token=token.strip() or None,
            certificate=settings.cert_file,
            key=settings.key_file,
            insecure=not settings.verify_ssl,
            proxy=settings.proxy,
        )

    async def __aenter__(self) -> Self:
        """Give the open connection."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection."""
        await self._api.close()  # type: ignore[no-untyped-call]

    async def list(
        self,
        resource: Resource,
        *,
        namespace: str | None = None,
        selector: str = "",
        fields: str = "",
        metadata_only: bool = False,
    ) -> AsyncIterator[dict[str, Any]]:
        """Yield every object of a kind, in all namespaces or in one, page by page."""
        accept = "application/json"
        if metadata_only:
            accept += ";as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
        token = ""
        while True:
            query = {"limit": PAGE, "labelSelector": selector, "fieldSelector": fields, "continue": token}
            page = await self._page(resource.path(namespace), query, accept)
            for item in page["items"] or []:
                yield item
            token = page["metadata"].get("continue", "")
            if not token:
                return

    async def _page(self, path: str, query: dict[str, Any], accept: str) -> dict[str, Any]:
        """Read a page; again where no answer came, for one of hundreds would void them all."""
        for seconds in _PAGE_PAUSES:
            try:
                return await self.send("GET", path, query=query, accept=accept)
            except TROUBLE as error:
                if isinstance(error, ApiError) and error.status < 500:
                    raise
                await asyncio.sleep(seconds)
        return await self.send("GET", path, query=query, accept=accept)

    async def get(
        self, resource: Resource, namespace: str, name: str, *, metadata_only: bool = False
    ) -> dict[str, Any] | None:
        """Read one object from the API server itself; None where there is none."""
        accept = "application/json"
        if metadata_only:
            accept += ";as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
        try:
            return await self.send("GET", resource.path(namespace, name), accept=accept)
        except NotFoundError:
            return None

    async def log(self, namespace: str, pod: str, container: str, *, limit_bytes: int) -> bytes:
        """Read the beginning of what a container printed.

        Raises NotFoundError where the pod is gone, RefusedError where its container has not started, ApiError where
        its node has no log of it.
        """
        query = {"container": container, "limitBytes": limit_bytes}
        return await self.exchange("GET", f"{PODS.path(namespace, pod)}/log", query=query, accept="*/*")

    async def create(self, manifest: dict[str, Any]) -> dict[str, Any]:
        """POST an object and return it as stored.

        Raises ExistsError where the name is taken and RefusedError where admission says no.
        """
        resource = BY_KIND[manifest["kind"]]
        query = {"fieldManager": FIELD_MANAGER}
        return await self.send("POST", resource.path(manifest["metadata"]["namespace"]), query=query, body=manifest)

    async def replace(self, manifest: dict[str, Any]) -> dict[str, Any]:
        """PUT an object in the place of the version that its metadata names, and return it as stored.

        Raises ConflictError where it has changed since, NotFoundError where it is gone.
        """
        meta = manifest["metadata"]
        path = BY_KIND[manifest["kind"]].path(meta["namespace"], meta["name"])
        return await self.send("PUT", path, query={"fieldManager": FIELD_MANAGER}, body=manifest)

    async def delete(self, resource: Resource, namespace: str, name: str, *, uid: str | None = None) -> None:
        """Delete an object and what it owns, if it still is the one with that uid; absence is success."""
        body: dict[str, Any] = {"propagationPolicy": "Background"}
        if uid:
            body["preconditions"] = {"uid": uid}
        try:
            await self.send("DELETE", resource.path(namespace, name), body=body)
        except (NotFoundError, ConflictError):
            return

    async def apply_status(self, document: dict[str, Any]) -> dict[str, Any]:
        """Apply a run's whole status; metadata.resourceVersion says which version it was computed from.

        Raises ConflictError where the run has changed since, NotFoundError where it is gone.
        """
        meta = document["metadata"]
        return await self.apply(f"{self.runs.path(meta['namespace'], meta['name'])}/status", document)

    async def apply(self, path: str, document: dict[str, Any]) -> dict[str, Any]:
        """Apply a document by the server, as the one manager of its fields, and return the object as stored."""
        query = {"fieldManager": FIELD_MANAGER, "force": "true"}
        return await self.send("PATCH", path, query=query, body=for_yaml(document), content=_APPLY)

    async def send(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, Any] | None = None,
        body: dict[str, Any] | str | None = None,
        content: str = "application/json",
        accept: str = "application/json",
    ) -> dict[str, Any]:
        """Send one request and return the answer's document.

        Raises ApiError, by its meaning, where the API server says no, and the rest of TROUBLE where it says nothing.
        """
        answer = await self.exchange(method, path, query=query, body=body, content=content, accept=accept)
        return read_document(answer)

    async def exchange(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, Any] | None = None,
        body: dict[str, Any] | str | None = None,
        content: str = "application/json",
        accept: str = "application/json",
    ) -> bytes:
        """Send one request and return the answer's bytes; raises as `send` does.

        A server that is too busy is asked again when it says, unless the request creates something: that
        is for whoever knows what became of it. Nothing else is sent twice.
        """
        parameters = [(key, value) for key, value in (query or {}).items() if value != ""]
        request = await self._api.param_serialize(
            method,
            path,
            query_params=parameters,
            header_params={"Accept": accept, "Content-Type": content},
            body=body,
            auth_settings=["BearerToken"],
        )
        budget = self._budget_for(path)
        for tries_left in reversed(range(_TRIES)):
            async with budget.place():
                status, headers, answer = await self._ask(method, path, request)
            if status != HTTPStatus.TOO_MANY_REQUESTS:
                break
            budget.pause(_retry_after(headers))
            if method == "POST" or not tries_left:
                break
        if status >= 300:
            raise refusal(status, answer)
        return answer

    def _budget_for(self, path: str) -> Budget:
        """Return that of all requests, but for two that clusters throttle apart from the rest."""
        if path.endswith(f"/{EVENTS.plural}"):
            return self._budget_of_events  # nobody is to wait for those
        if path.startswith(f"/apis/{LEASES.group}/"):
            return self._budget_of_leases  # it is lost if it waits for the others
        return self._budget

    async def _ask(self, method: str, path: str, request: RequestSerialized) -> tuple[int, Mapping[str, str], bytes]:
        steady, code = self.clock.steady, ""
        began = steady()
        try:
            response = await self._api.call_api(*request, _request_timeout=_TIMEOUT)
            answer: bytes = await response.read()  # type: ignore[no-untyped-call]
            code = str(response.status)
            self.clock.heard(response.headers.get("Date", ""), began, steady())
            return response.status, response.headers, answer
        finally:
            if code and int(code) not in _NOBODY_THERE:
                self.contact.heard()
            else:
                self.contact.missed()
            if self.answered:
                self.answered(method, path, code, steady() - began)


def read_document(answer: bytes) -> dict[str, Any]:
    """Read what the API server answers. Raises ApiError, as of a bad gateway, where it is no object: a proxy's page."""
    try:
        document = deep_json.read(answer)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise refusal(HTTPStatus.BAD_GATEWAY, answer)
    return document


def for_yaml(document: dict[str, Any]) -> str:
    """Write JSON that is YAML too, in which the API server reads what is applied.

    JSON escapes a character beyond the first 65,536 as two halves, and YAML knows no halves.
    """
    return _BEYOND_ASCII.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(document, ensure_ascii=False))


def _retry_after(headers: Mapping[str, str]) -> float:
    """Return the seconds for which a server wants to be left alone, within reason."""
    asked = headers.get("Retry-After", "")
    return min(float(asked), _LONGEST_PAUSE_SECONDS) if asked.isdecimal() else 1.0


def refusal(status: int, content: bytes) -> ApiError:
    """Read the API server's no: an error by its meaning, with its words or what it sent in their place."""
    try:
        answer = json.loads(content)
        reason, message = answer.get("reason", ""), str(answer["message"])
    except (ValueError, KeyError, TypeError, AttributeError):
        reason, message = "", content[:300].decode(errors="replace")
    return _meaning(status, reason)(status, message)


def _meaning(status: int, reason: str) -> type[ApiError]:
    match status:
        case HTTPStatus.CONFLICT:
            return ExistsError if reason == "AlreadyExists" else ConflictError
        case HTTPStatus.NOT_FOUND:
            return NotFoundError
        case _ if 400 <= status < 500 and status not in _NOT_NOW:
            return RefusedError
    return ApiError
