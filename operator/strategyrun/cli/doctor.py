"""`doctor`: whether a cluster can run strategies for whoever asks, a line for each part."""

from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Any

import typer
from rich.text import Text

from strategyrun.adapters.kube import TROUBLE, ApiError, Resource
from strategyrun.adapters.runs import RunsApi, said
from strategyrun.cli import output
from strategyrun.cli.exits import Exit
from strategyrun.cli.output import Format, Output, console
from strategyrun.cli.session import Namespace, ask
from strategyrun.client import AsyncClient, UnreachableError
from strategyrun.domain.crd import crd
from strategyrun.domain.network_policy import POLICY_NAME, denies_all
from strategyrun.domain.sandbox import PROFILE_PLURAL
from strategyrun.domain.strategyrun import GROUP, PLURAL

OPERATOR_LABEL = "app.kubernetes.io/name=finlab-sandbox-operator"
ENFORCE_LABEL = "pod-security.kubernetes.io/enforce"
_NAMESPACES = Resource("", "v1", "namespaces")
_DEPLOYMENTS = Resource("apps", "v1", "deployments")
_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}
_INSTALL = "install it: make up in a checkout, or the chart"


@dataclass(frozen=True)
class Finding:
    """What was looked at, how it stands (ok, warn or fail), in words, and the fix where one is needed."""

    part: str
    level: str
    said: str
    fix: str = ""


Check = Callable[[RunsApi, str], Awaitable[list[Finding]]]


def doctor(namespace: Namespace = None, form: Output = None) -> None:
    """Look whether this cluster can run strategies for you; exit 20 if something that is needed fails."""
    found = ask(namespace, examine)
    if form in (Format.JSON, Format.YAML):
        output.document([asdict(each) for each in found], form)
    else:
        screen = console()
        for each in found:
            fix = f" -> {each.fix}" if each.fix else ""
            mark = (f"{each.level:<5}", _STYLES[each.level])
            screen.print(Text.assemble(mark, (f"{each.part:<12}", "bold"), each.said, (fix, "cyan")), soft_wrap=True)
    raise typer.Exit(Exit.SANDBOX if any(each.level == "fail" for each in found) else Exit.SUCCEEDED)


async def examine(client: AsyncClient) -> list[Finding]:
    """Make all checks; without an API server the first is the only one."""
    try:
        api = await client.api()
        found = await _reachable(api, client.namespace)
    except UnreachableError as error:
        return [Finding("cluster", "fail", str(error), "set KUBECONFIG, or start a cluster: make up")]
    except TROUBLE as error:
        return [Finding("cluster", "fail", f"the API server does not answer: {said(error)}", "is the cluster up?")]
    for part, check in CHECKS.items():
        try:
            found += await check(api, client.namespace)
        except TROUBLE as error:
            refused = isinstance(error, ApiError) and error.status in (401, 403)
            fix = "ask an administrator; it may be well all the same" if refused else ""
            found.append(Finding(part, "warn", f"cannot be seen: {said(error)}", fix))
    return found


async def _reachable(api: RunsApi, namespace: str) -> list[Finding]:
    version = await api.send("GET", "/version")
    where = (await api.credentials()).server
    return [Finding("cluster", "ok", f"Kubernetes {version.get('gitVersion')} at {where}, namespace {namespace}")]


async def _definition(api: RunsApi, _: str) -> list[Finding]:
    try:
        served = await api.send("GET", f"/apis/{api.runs.group}/{api.runs.version}")
    except ApiError as error:
        if error.status != 404:
            raise
        served = {"resources": []}
    if PLURAL not in {each["name"] for each in served["resources"]}:
        return [Finding("crd", "fail", f"the API server has no {PLURAL}.{api.runs.group}", _INSTALL)]
    path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{PLURAL}.{api.runs.group}"
    installed = await api.send("GET", path)
    if installed["spec"]["versions"][0]["schema"] != crd()["spec"]["versions"][0]["schema"]:
        fix = "use the program and the CRD of one version"
        return [Finding("crd", "warn", "the CRD is of another version than this program", fix)]
    return [Finding("crd", "ok", f"{PLURAL}.{api.runs.group}, as this program knows it")]


async def _namespace(api: RunsApi, namespace: str) -> list[Finding]:
    return [held(await api.send("GET", _NAMESPACES.path(name=namespace)))]


def held(namespace: dict[str, Any]) -> Finding:
    """Say whether Kubernetes' own Pod Security holds a namespace's pods too, whoever makes them."""
    meta = namespace["metadata"]
    if (meta.get("labels") or {}).get(ENFORCE_LABEL) == "restricted":
        return Finding("namespace", "ok", f"pods in {meta['name']} are held to Pod Security restricted")
    return Finding(
        "namespace",
        "warn",
        f"no label holds pods in {meta['name']} to Pod Security restricted: others' may get nearer to the node",
        f"kubectl label namespace {meta['name']} --overwrite {ENFORCE_LABEL}=restricted"
        " (docs/operations.md#namespaces-of-runs)",
    )


async def _operator(api: RunsApi, _: str) -> list[Finding]:
    found = [each async for each in api.list(_DEPLOYMENTS, selector=OPERATOR_LABEL)]
    if not found:
        return [Finding("operator", "fail", f"no namespace has a Deployment labelled {OPERATOR_LABEL}", _INSTALL)]
    return [readiness(each) for each in found]


def readiness(deployment: dict[str, Any]) -> Finding:
    """Say whether an operator works, in whatever namespace it was installed."""
    name, namespace = deployment["metadata"]["name"], deployment["metadata"]["namespace"]
    if not (deployment.get("status") or {}).get("readyReplicas", 0):
        fix = f"kubectl logs -n {namespace} deployment/{name}"
        return Finding("operator", "fail", f"no pod of {name} in {namespace} is ready", fix)
    image = deployment["spec"]["template"]["spec"]["containers"][0]["image"]
    return Finding("operator", "ok", f"{name} in {namespace} is ready, {image}")


async def _permissions(api: RunsApi, namespace: str) -> list[Finding]:
    found = []
    for verbs, resource, level, need in _RIGHTS:
        name, _, sub = resource.partition("/")
        group = api.runs.group if name == PLURAL else ""
        missing = [verb for verb in verbs if not await api.may(verb, group, name, namespace, sub)]
        if missing:
            fix = f"ask for the role edit in namespace {namespace}"
            found.append(Finding("permissions", level, f"you may not {', '.join(missing)} {resource}: {need}", fix))
    return found or [Finding("permissions", "ok", f"you may submit, watch, cancel and read in {namespace}")]


_RIGHTS = (
    (("create", "get", "list", "watch"), PLURAL, "fail", "needed to submit and to wait"),
    (("patch",), PLURAL, "warn", "needed to cancel and to rerun"),
    (("delete",), PLURAL, "warn", "needed to delete"),
    (("get",), "configmaps", "warn", "needed for full reports"),
    (("get",), "pods/log", "warn", "needed for logs"),
)

_CONDITIONS = {
    "SeccompInstalled": ("seccomp", "fail", "the seccomp profile is not on the nodes: install the DaemonSet"),
    "NetworkIsolated": ("network", "warn", "the canary saw no NetworkPolicy at work: use a CNI that enforces them"),
    "ImageAvailable": ("image", "fail", "the sandbox image cannot be had: check its name and the registry"),
}


async def _profile(api: RunsApi, namespace: str) -> list[Finding]:
    try:
        profiles = (await api.send("GET", f"/apis/{GROUP}/{api.runs.version}/{PROFILE_PLURAL}"))["items"]
    except ApiError as error:
        if error.status != 404:
            raise
        return [
            Finding("profile", "warn", "this cluster has no SandboxProfile kind", "renew the installation: make up")
        ]
    if not profiles:
        return [Finding("profile", "fail", "there is no SandboxProfile", "restart the operator; it makes `default`")]
    return [finding for profile in profiles if _is_for(profile, namespace) for finding in measured(profile)]


def _is_for(profile: dict[str, Any], namespace: str) -> bool:
    """Whether runs of a namespace may use a profile: what others have is nothing to mend here."""
    allowed = (profile.get("spec") or {}).get("allowedNamespaces")
    return allowed is None or namespace in allowed


def measured(profile: dict[str, Any]) -> list[Finding]:
    """Return what the operator has measured of a profile, a finding for each condition."""
    name = profile["metadata"]["name"]
    conditions = {each["type"]: each for each in (profile.get("status") or {}).get("conditions") or ()}
    found = [Finding("profile", "ok", f"{name}, image {(profile.get('spec') or {}).get('image', 'unnamed')}")]
    for kind, (part, level, fix) in _CONDITIONS.items():
        seen = conditions.get(kind, {"status": "Unknown", "reason": "NotMeasured", "message": "not measured yet"})
        told = f"{name}: {seen.get('reason', '')}{': ' + seen['message'] if seen.get('message') else ''}"
        if seen["status"] == "True":
            found.append(Finding(part, "ok", told))
        else:
            found.append(Finding(part, level if seen["status"] == "False" else "warn", told, fix))
    return found


async def _policy(api: RunsApi, namespace: str) -> list[Finding]:
    found = await api.send("GET", f"/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies")
    return [isolation({each["metadata"]["name"]: each for each in found["items"]}, namespace)]


def isolation(policies: dict[str, dict[str, Any]], namespace: str) -> Finding:
    """Say whether the policy that runs rely on is what its name says; `policies` are the namespace's by name."""
    if POLICY_NAME not in policies:
        return Finding("network", "ok", f"no NetworkPolicy {POLICY_NAME} in {namespace} yet; the first run makes it")
    if denies_all(policies[POLICY_NAME]):
        return Finding("network", "ok", f"NetworkPolicy {POLICY_NAME} is in {namespace}")
    wrong = f"NetworkPolicy {POLICY_NAME} in {namespace} does not deny all traffic of all runs"
    fix = f"kubectl delete networkpolicy {POLICY_NAME} -n {namespace}; the next run makes it anew"
    return Finding("network", "warn", wrong, fix)


CHECKS: dict[str, Check] = {
    "crd": _definition,
    "permissions": _permissions,
    "namespace": _namespace,
    "operator": _operator,
    "profile": _profile,
    "network": _policy,
}
"""The checks after the first one, in the order of their lines."""
