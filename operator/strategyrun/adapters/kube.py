"""The API server as the controller needs it: raw documents, few verbs, errors by meaning."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from kubernetes.aio import client, config

from strategyrun.domain.strategyrun import GROUP, PLURAL, VERSION

FIELD_MANAGER = "finlab-sandbox-operator"
_PAGE = 500
_TIMEOUT_SECONDS = 30


@dataclass(frozen=True)
class Resource:
    """A kind of object and where the API server keeps it."""

    prefix: str
    plural: str

    def path(self, namespace: str | None = None, name: str | None = None) -> str:
        """Return the path of all objects, of a namespace's, or of one."""
        parts = [self.prefix, *(["namespaces", namespace] if namespace else []), self.plural]
        return "/".join([*parts, name] if name else parts)


RUNS = Resource(f"/apis/{GROUP}/{VERSION}", PLURAL)
JOBS = Resource("/apis/batch/v1", "jobs")
PODS = Resource("/api/v1", "pods")
CONFIG_MAPS = Resource("/api/v1", "configmaps")
NETWORK_POLICIES = Resource("/apis/networking.k8s.io/v1", "networkpolicies")

BY_KIND = {"ConfigMap": CONFIG_MAPS, "Job": JOBS, "NetworkPolicy": NETWORK_POLICIES}


class ApiError(Exception):
    """The API server answered, and not as asked."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message


class ConflictError(ApiError):
    """The object exists already, or is newer than the one that was read."""


class NotFoundError(ApiError):
    """There is no such object."""


class RefusedError(ApiError):
    """Admission or validation refused the object; asking again will not help."""


_MEANING = {404: NotFoundError, 409: ConflictError, 403: RefusedError, 422: RefusedError}


class Kube:
    """A connection to the API server."""

    def __init__(self, api: client.ApiClient) -> None:
        self._api = api

    @classmethod
    async def connect(cls) -> Self:
        """Use the pod's service account, or the kubeconfig where there is none."""
        configuration = client.Configuration()
        try:
            config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        except config.ConfigException:
            await config.load_kube_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        return cls(client.ApiClient(configuration=configuration))

    async def __aenter__(self) -> Self:
        """Give the open connection."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection."""
        await self._api.close()  # type: ignore[no-untyped-call]

    async def list(
        self, resource: Resource, *, selector: str = "", metadata_only: bool = False
    ) -> AsyncIterator[dict[str, Any]]:
        """Yield every object of a kind in all namespaces, page by page."""
        accept = "application/json"
        if metadata_only:
            accept += ";as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
        token = ""
        while True:
            query = {"limit": _PAGE, "labelSelector": selector, "continue": token}
            page = await self._call("GET", resource.path(), query=query, accept=accept)
            for item in page["items"]:
                yield item
            token = page["metadata"].get("continue", "")
            if not token:
                return

    async def get(self, resource: Resource, namespace: str, name: str) -> dict[str, Any] | None:
        """Read one object from the API server itself; None where there is none."""
        try:
            return await self._call("GET", resource.path(namespace, name))
        except NotFoundError:
            return None

    async def create(self, manifest: dict[str, Any]) -> dict[str, Any]:
        """POST an object and return it as stored.

        Raises ConflictError where the name is taken and RefusedError where admission says no.
        """
        resource = BY_KIND[manifest["kind"]]
        query = {"fieldManager": FIELD_MANAGER}
        return await self._call("POST", resource.path(manifest["metadata"]["namespace"]), query=query, body=manifest)

    async def delete(self, resource: Resource, namespace: str, name: str, *, uid: str | None = None) -> None:
        """Delete an object and what it owns, if it still is the one with that uid; absence is success."""
        body: dict[str, Any] = {"propagationPolicy": "Background"}
        if uid:
            body["preconditions"] = {"uid": uid}
        try:
            await self._call("DELETE", resource.path(namespace, name), body=body)
        except (NotFoundError, ConflictError):
            return

    async def apply_status(self, document: dict[str, Any]) -> dict[str, Any]:
        """Apply a run's whole status; metadata.resourceVersion says which version it was computed from.

        Raises ConflictError where the run has changed since, NotFoundError where it is gone.
        """
        meta = document["metadata"]
        path = f"{RUNS.path(meta['namespace'], meta['name'])}/status"
        query = {"fieldManager": FIELD_MANAGER, "force": "true"}
        return await self._call("PATCH", path, query=query, body=document, content="application/apply-patch+yaml")

    async def _call(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, Any] | None = None,
        body: dict[str, Any] | None = None,
        content: str = "application/json",
        accept: str = "application/json",
    ) -> dict[str, Any]:
        parameters = [(key, value) for key, value in (query or {}).items() if value != ""]
        request = await self._api.param_serialize(
            method,
            path,
            query_params=parameters,
            header_params={"Accept": accept, "Content-Type": content},
            body=body,
            auth_settings=["BearerToken"],
        )
        response = await self._api.call_api(*request, _request_timeout=_TIMEOUT_SECONDS)
        content_bytes = await response.read()  # type: ignore[no-untyped-call]
        if response.status >= 300:
            raise _MEANING.get(response.status, ApiError)(response.status, _message(content_bytes))
        document: dict[str, Any] = json.loads(content_bytes)
        return document


def _message(content: bytes) -> str:
    try:
        return str(json.loads(content)["message"])
    except (ValueError, KeyError, TypeError):
        return content[:300].decode(errors="replace")
