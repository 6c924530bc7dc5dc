"""The kubeconfig: where the API server is, and a token that is read anew before it expires.

The library reads a kubeconfig once, and one of its tokens may live for minutes.
"""

import ast
import asyncio
import logging
import os
import re
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import yaml
from kubernetes.aio import client, config
from kubernetes.aio.config.exec_provider import ExecProvider

from strategyrun.domain.text import clean

log = logging.getLogger(__name__)

MALFORMED = (yaml.YAMLError, OSError, ValueError, TypeError, KeyError, AttributeError)
"""What the library raises for a kubeconfig that is no YAML, or whose parts are not as they should be."""

_DEFAULT = "~/.kube/config"
_ASK_SECONDS = 30.0  # the library asks a plugin anew from five minutes before the expiry, which may be always
_ASK_EXPIRED_SECONDS = 1.0
_FILE_SECONDS = 60.0  # as long as the library trusts a service account's file
_STDERR = re.compile(r"(exec: process returned -?\d+)\. (b['\"].*)", re.DOTALL)


class NoClusterError(Exception):
    """Nothing says where the API server is, or what to show it."""


async def load(configuration: client.Configuration, *, steady: Callable[[], float] = time.monotonic) -> None:
    """Read the kubeconfig into a configuration, which from then on reads anew what may expire.

    Raises NoClusterError where there is none, where it is none, and where its plugin gives nothing to show.
    """
    try:
        loader = await config.load_kube_config(config_file=_path(), client_configuration=configuration)  # type: ignore[no-untyped-call]
    except config.ConfigException as error:
        raise NoClusterError(f"no service account, and no kubeconfig: {error}") from error
    except MALFORMED as error:
        raise NoClusterError(f"the kubeconfig cannot be read: {error}") from error
    if "exec" in (loader._user or ()) and not (configuration.api_key or configuration.cert_file):
        raise NoClusterError(f"the kubeconfig's plugin gave no credentials: {await _words(loader)}")
    if configuration.api_key:
        configuration.api_key["BearerToken"] = loader.token.strip()
        configuration.refresh_api_key_hook = _renewing(loader, steady)  # type: ignore[assignment]


def context_namespace() -> str:
    """Return the namespace of the kubeconfig's context."""
    try:
        _, active = config.kube_config.list_kube_config_contexts(_path())  # type: ignore[no-untyped-call]
        return str(active["context"].get("namespace") or "default")
    except (config.ConfigException, *MALFORMED):
        return "default"


def _path() -> str:
    """Return what the environment says now, as kubectl reads it; the library looks when it is imported."""
    return os.environ.get("KUBECONFIG") or _DEFAULT


async def _words(loader: Any) -> str:
    """Ask a plugin that has failed once more, for its words: the library has kept them to its log."""
    try:
        await ExecProvider(loader._user["exec"]).run()  # type: ignore[no-untyped-call]
    except (config.ConfigException, *MALFORMED) as error:
        said = str(error)
        if found := _STDERR.fullmatch(said):
            said = f"{found[1]}: {ast.literal_eval(found[2]).decode(errors='replace')}"
        return clean(said)
    return "neither a token nor a certificate with its key"


def _renewing(loader: Any, steady: Callable[[], float]) -> Callable[[client.Configuration], Awaitable[None]] | None:
    """Return what the library is to await before each request; None where the token is for good.

    One of OpenID is not renewed: the library does not verify the certificate of whom it would send its secrets to.
    """
    read: Callable[[], Awaitable[Any]]
    pause: Callable[[], float]
    if "exec" in loader._user:
        read, pause = loader.load_from_exec_plugin, lambda: _until_asked(loader)
    elif "tokenFile" in loader._user:
        read, pause = lambda: asyncio.to_thread(loader._load_user_token), lambda: _FILE_SECONDS
    else:
        return None
    turn, due = asyncio.Lock(), steady() + pause()

    async def renew(configuration: client.Configuration) -> None:
        nonlocal due
        async with turn:
            if steady() < due:
                return
            try:
                await read()
            except (config.ConfigException, *MALFORMED) as error:
                log.warning("the kubeconfig's token could not be renewed: %s", error)
            configuration.api_key["BearerToken"] = loader.token.strip()
            due = steady() + pause()

    return renew


def _until_asked(loader: Any) -> float:
    """Return the seconds for which a plugin is left alone: not past the expiry of what it gave."""
    expiry = getattr(loader, "exec_plugin_expiry", None)
    left = (expiry - datetime.now(UTC)).total_seconds() if expiry else _ASK_SECONDS
    return min(max(left, _ASK_EXPIRED_SECONDS), _ASK_SECONDS)
