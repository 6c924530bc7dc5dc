"""A real cluster as the tests see it: raw documents in, raw documents out."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from time import sleep
from typing import Any, NamedTuple

import kubernetes
import urllib3
import yaml

from support.waiting import StillNotError, wait_until

Manifest = dict[str, Any]

CHECKOUT = Path(__file__).parents[2]
FIELD_MANAGER = "finlab-sandbox-tests"
_WHILE_ETCD_STANDS = (1, 2, 5, 10)
"""Seconds between tries. It gives up a write after seven that a stalled disk or machine takes, and then says so."""
_DESCRIBED = 20


class Kind(NamedTuple):
    """What a manifest says of itself."""

    api_version: str
    kind: str

    @classmethod
    def of(cls, manifest: Manifest) -> "Kind":
        """Read it from a manifest."""
        return cls(manifest["apiVersion"], manifest["kind"])


NAMESPACE = Kind("v1", "Namespace")
SERVICE_ACCOUNT = Kind("v1", "ServiceAccount")
CONFIG_MAP = Kind("v1", "ConfigMap")
RESOURCE_QUOTA = Kind("v1", "ResourceQuota")
POD = Kind("v1", "Pod")
NODE = Kind("v1", "Node")
EVENT = Kind("v1", "Event")
JOB = Kind("batch/v1", "Job")
DEPLOYMENT = Kind("apps/v1", "Deployment")
NETWORK_POLICY = Kind("networking.k8s.io/v1", "NetworkPolicy")
CUSTOM_RESOURCE_DEFINITION = Kind("apiextensions.k8s.io/v1", "CustomResourceDefinition")
STRATEGY_RUN = Kind("finlab-sandbox.dev/v1alpha1", "StrategyRun")
SANDBOX_PROFILE = Kind("finlab-sandbox.dev/v1alpha1", "SandboxProfile")


class NoClusterError(AssertionError):
    """There is no cluster to test against; that is a failure, never a reason to skip."""


class RefusedError(Exception):
    """The API server's no: its HTTP code and its message."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


def refusal(attempt: Callable[[], object]) -> str:
    """Return the API server's no; empty where it said yes."""
    try:
        attempt()
    except RefusedError as error:
        return str(error)
    return ""


def nothing(said: str) -> bool:
    """Say whether there was no refusal."""
    return not said


@dataclass
class Cluster:
    """A client that adds nothing to what the API server says."""

    kubeconfig: Path
    _api: Any
    _resources: dict[Kind, tuple[str, bool]] = field(default_factory=dict)

    @classmethod
    def connect(cls) -> "Cluster":
        """Connect to the cluster of KUBECONFIG_FINLAB or of `make up`.

        Raises NoClusterError, saying what was tried, when no API server answers.
        """
        kubeconfig = _kubeconfig()
        if not kubeconfig.is_file():
            raise NoClusterError(f"no cluster: there is no {kubeconfig}; `make up` creates one")
        api = kubernetes.config.new_client_from_config(str(kubeconfig))  # type: ignore[no-untyped-call]
        cluster = cls(kubeconfig, api)
        try:
            wait_until("the API server is ready", lambda: refusal(lambda: cluster.request("GET", "/readyz")), nothing)
        except (StillNotError, urllib3.exceptions.HTTPError) as error:
            host = api.configuration.host
            raise NoClusterError(f"no cluster answers at {host} ({kubeconfig}); try `make up`: {error}") from error
        return cluster

    def create(self, manifest: Manifest, *, dry_run: bool = False) -> Manifest:
        """POST a manifest; a field that the schema does not know is refused."""
        query = {"fieldValidation": "Strict", **({"dryRun": "All"} if dry_run else {})}
        return self._json("POST", self._path(Kind.of(manifest), _namespace(manifest)), query, manifest)

    def apply(self, manifest: Manifest, *, dry_run: bool = False) -> Manifest:
        """Apply a manifest on the server's side, as the tests' field manager."""
        query = {"fieldValidation": "Strict", "fieldManager": FIELD_MANAGER, "force": "true"}
        return self._json(
            "PATCH",
            self._path(Kind.of(manifest), _namespace(manifest), manifest["metadata"]["name"]),
            query | ({"dryRun": "All"} if dry_run else {}),
            manifest,
            content_type="application/apply-patch+yaml",
        )

    def merge(
        self, kind: Kind, name: str, namespace: str | None, patch: Manifest, *, subresource: str = ""
    ) -> Manifest:
        """Merge a patch into an object or into one of its subresources."""
        return self._json(
            "PATCH",
            self._path(kind, namespace, name, subresource),
            {"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict"},
            patch,
            content_type="application/merge-patch+json",
        )

    def get(self, kind: Kind, name: str, namespace: str | None = None) -> Manifest:
        """Read an object; raises RefusedError (404) when it is not there."""
        return self._json("GET", self._path(kind, namespace, name))

    def find(self, kind: Kind, name: str, namespace: str | None = None) -> Manifest | None:
        """Read an object, or None."""
        try:
            return self.get(kind, name, namespace)
        except RefusedError as error:
            if error.code == 404:
                return None
            raise

    def list(self, kind: Kind, namespace: str | None = None, *, labels: str = "", fields: str = "") -> list[Manifest]:
        """Read the objects that the selectors select."""
        query = {"labelSelector": labels, "fieldSelector": fields}
        items: list[Manifest] = self._json("GET", self._path(kind, namespace), query)["items"]
        return items

    def version(self, kind: Kind, namespace: str | None = None) -> str:
        """Read the resource version from which a watch sees all that happens from now on."""
        version: str = self._json("GET", self._path(kind, namespace), {"limit": "1"})["metadata"]["resourceVersion"]
        return version

    def watch(
        self, kind: Kind, namespace: str | None = None, *, since: str, seconds: int, bookmarks: bool = False
    ) -> Iterator[tuple[str, Manifest]]:
        """Yield each change after a resource version, as its type and the object, for so many seconds.

        Bookmarks are objects with a version alone, up to which all has been told.
        Raises RefusedError (410) where the API server no longer knows the version it is to begin at.
        """
        query = {"watch": "true", "resourceVersion": since, "timeoutSeconds": str(seconds)}
        query |= {"allowWatchBookmarks": "true"} if bookmarks else {}
        with closing(self._open("GET", self._path(kind, namespace), query, timeout=seconds + 30).response) as lines:
            for line in lines:
                change = json.loads(line)
                if change["type"] == "ERROR":
                    raise RefusedError(change["object"].get("code", 0), change["object"].get("message", ""))
                yield change["type"], change["object"]

    def table(self, kind: Kind, namespace: str | None = None) -> Manifest:
        """Read a list as the rows and columns that kubectl prints."""
        accept = "application/json;as=Table;v=v1;g=meta.k8s.io"
        table: Manifest = json.loads(self.request("GET", self._path(kind, namespace), accept=accept))
        return table

    def delete(self, kind: Kind, name: str, namespace: str | None = None) -> None:
        """Ask for the deletion of an object; what it owns follows in the background."""
        self._json("DELETE", self._path(kind, namespace, name), {"propagationPolicy": "Background"})

    def resources(self, api_version: str) -> dict[str, Manifest]:
        """Discover the resources of a group and version, by name."""
        found = self._json("GET", f"/{_root(api_version)}/{api_version}")["resources"]
        return {resource["name"]: resource for resource in found}

    def logs(self, pod: str, container: str, namespace: str) -> str:
        """Read what a container has printed."""
        return self.request("GET", self._path(POD, namespace, pod, "log"), {"container": container})

    def kubectl(self, *arguments: str, stdin: str | None = None, seconds: float = 120) -> str:
        """Run the real kubectl and return what it prints; raises RefusedError with its complaint."""
        done = subprocess.run(
            [self._kubectl, "--kubeconfig", str(self.kubeconfig), *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
        )
        if done.returncode:
            raise RefusedError(done.returncode, done.stderr.strip())
        return done.stdout

    def request(
        self,
        method: str,
        path: str,
        query: dict[str, str] | None = None,
        body: Manifest | None = None,
        *,
        content_type: str = "application/json",
        accept: str = "application/json, */*",
        timeout: float = 60,
    ) -> str:
        """Send one request and return the answer's text; raises RefusedError for a no."""
        opened = self._open(method, path, query, body, content_type=content_type, accept=accept, timeout=timeout)
        text: str = opened.read().decode()
        return text

    def _open(
        self,
        method: str,
        path: str,
        query: dict[str, str] | None = None,
        body: Manifest | None = None,
        *,
        content_type: str = "application/json",
        accept: str = "application/json, */*",
        timeout: float,
    ) -> Any:
        headers = {"Accept": accept, "Content-Type": content_type}
        prepared = self._api.param_serialize(
            method, path, query_params=query or {}, header_params=headers, body=body, auth_settings=["BearerToken"]
        )
        for seconds in (*_WHILE_ETCD_STANDS, None):
            response = self._api.call_api(*prepared, _request_timeout=timeout)
            if response.status < 400:
                return response
            no = RefusedError(response.status, _message(response.read().decode()))
            if seconds is None or no.code < 500 or "etcdserver" not in no.message:
                raise no
            sleep(seconds)
        raise AssertionError("unreachable")

    def _json(
        self,
        method: str,
        path: str,
        query: dict[str, str] | None = None,
        body: Manifest | None = None,
        *,
        content_type: str = "application/json",
    ) -> Manifest:
        document: Manifest = json.loads(self.request(method, path, query, body, content_type=content_type))
        return document

    def _path(self, kind: Kind, namespace: str | None, name: str = "", subresource: str = "") -> str:
        resource, namespaced = self._resource(kind)
        inside = ["namespaces", namespace] if namespaced and namespace else []
        return "/" + "/".join(
            filter(None, [_root(kind.api_version), kind.api_version, *inside, resource, name, subresource])
        )

    def _resource(self, kind: Kind) -> tuple[str, bool]:
        if kind not in self._resources:
            for name, resource in self.resources(kind.api_version).items():
                if "/" not in name:
                    known = Kind(kind.api_version, resource["kind"])
                    self._resources[known] = (name, resource["namespaced"])
        if kind not in self._resources:
            raise RefusedError(404, f"the API server has no {kind.kind} in {kind.api_version}")
        return self._resources[kind]

    @cached_property
    def _kubectl(self) -> str:
        beside = self.kubeconfig.parent / "bin"
        found = shutil.which("kubectl", path=f"{beside}{os.pathsep}{os.environ['PATH']}")
        if found is None:
            raise NoClusterError(f"there is no kubectl, neither in {beside} nor in PATH; `make up` fetches it")
        return found


def describe(cluster: Cluster, namespace: str, runs: Kind = STRATEGY_RUN) -> str:
    """Say what stands in a namespace and happened there, the last of each kind, for the report of a failed test."""
    parts = []
    for kind in (runs, JOB, POD):
        try:
            found = cluster.list(kind, namespace)
        except RefusedError as error:
            parts.append(f"{kind.kind}: {error}")
            continue
        for each in found[-_DESCRIBED:]:
            parts.append(f"{kind.kind} {each['metadata']['name']}\n{yaml.safe_dump(each.get('status'), width=110)}")
    parts += [
        f"{event.get('lastTimestamp')} {event['involvedObject']['kind']}/{event['involvedObject'].get('name')} "
        f"{event.get('reason')}: {event.get('message')}"
        for event in sorted(cluster.list(EVENT, namespace), key=lambda e: str(e.get("lastTimestamp")))[-_DESCRIBED:]
    ]
    return "\n".join(parts)


def _kubeconfig() -> Path:
    if path := os.environ.get("KUBECONFIG_FINLAB"):
        return Path(path)
    asked = subprocess.run(
        ["make", "-s", "kubeconfig"], cwd=CHECKOUT, capture_output=True, text=True, check=False, timeout=60
    )
    if asked.returncode or not asked.stdout.strip():
        raise NoClusterError(f"`make -s kubeconfig` names no cluster: {asked.stderr.strip()}")
    return Path(asked.stdout.strip())


def _root(api_version: str) -> str:
    return "apis" if "/" in api_version else "api"


def _namespace(manifest: Manifest) -> str | None:
    namespace: str | None = manifest["metadata"].get("namespace")
    return namespace


def _message(text: str) -> str:
    """Read a refusal the way kubectl prints it: the causes in full, where there are any."""
    try:
        status = json.loads(text)
    except ValueError:
        return text
    causes = status.get("details", {}).get("causes", [])
    return "\n".join(f"{cause.get('field')}: {cause.get('message')}" for cause in causes) or str(status["message"])
