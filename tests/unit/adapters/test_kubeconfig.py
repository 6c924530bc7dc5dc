"""Tokens of a kubeconfig that expire, with the real library, plugin programs and an HTTP server."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from kubernetes.aio import client

from strategyrun.adapters import kubeconfig
from strategyrun.adapters.kube import CONFIG_MAPS, Kube
from strategyrun.adapters.kubeconfig import NoClusterError
from strategyrun.adapters.runs import default_namespace
from support.answering import serving

COUNTING = """#!/bin/sh
echo x >> {runs}
printf '{{"apiVersion": "v1", "kind": "ExecCredential", "status": {{"token": "t%d" {expiry}}}}}' $(wc -l < {runs})
"""
"""A plugin that gives another token each time."""

At = Callable[[float], Awaitable[None]]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a home with no kubeconfig yet, outside of any cluster."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.delenv("KUBECONFIG", raising=False)
    (tmp_path / ".kube").mkdir()
    return tmp_path


def write(path: Path, user: dict[str, Any], server: str = "http://127.0.0.1:1", namespace: str = "research") -> None:
    """Write a kubeconfig of one user."""
    context = {"cluster": "c", "user": "u", "namespace": namespace}
    path.write_text(
        json.dumps(
            {
                "current-context": "c",
                "clusters": [{"name": "c", "cluster": {"server": server}}],
                "contexts": [{"name": "c", "context": context}],
                "users": [{"name": "u", "user": user}],
            }
        )
    )


def plugin(folder: Path, script: str) -> dict[str, Any]:
    """Write a plugin, and return the user that has it."""
    path = folder / "plugin"
    path.write_text(script)
    path.chmod(0o755)
    return {"exec": {"apiVersion": "v1", "command": str(path)}}


def counting(folder: Path, expiry: str = "") -> dict[str, Any]:
    """Return the user of a plugin whose tokens, t1 and so on, expire then."""
    written = f', "expirationTimestamp": "{expiry}"' if expiry else ""
    return plugin(folder, COUNTING.format(runs=folder / "runs", expiry=written))


def shown(home: Path, user: dict[str, Any], work: Callable[[At], Awaitable[None]]) -> list[str]:
    """Return what the API server was shown with each request, which `work` sends at a second of its choice."""
    seen: list[str] = []
    now = 0.0

    async def handle(request: web.Request) -> web.Response:
        seen.append(request.headers.get("Authorization", "nothing"))
        return web.json_response({})

    async def all_of_it() -> None:
        async with serving(handle) as server:
            write(home / ".kube/config", user, server.host)
            configuration = client.Configuration()
            await kubeconfig.load(configuration, steady=lambda: now)
            async with Kube(configuration) as kube:

                async def at(second: float) -> None:
                    nonlocal now
                    now = second
                    await kube.get(CONFIG_MAPS, "a", "b")

                await work(at)

    asyncio.run(all_of_it())
    return seen


def at_each(*seconds: float) -> Callable[[At], Awaitable[None]]:
    """Send one request after another."""

    async def work(at: At) -> None:
        for second in seconds:
            await at(second)

    return work


def test_a_plugin_is_asked_again_for_a_token_that_has_expired(home: Path) -> None:
    """At most once a second, however many ask."""
    user = counting(home, "2020-01-01T00:00:00Z")

    async def work(at: At) -> None:
        await at_each(0, 0.9, 1.1)(at)
        await asyncio.gather(*(at(9) for _ in range(5)))

    assert shown(home, user, work) == [f"Bearer t{run}" for run in (1, 1, 2, 3, 3, 3, 3, 3)]


def test_a_plugin_is_left_alone_while_its_token_lives(home: Path) -> None:
    """For the library it expires five minutes before it does."""
    assert shown(home, counting(home, "2999-01-01T00:00:00Z"), at_each(0, 1e3, 1e6)) == ["Bearer t1"] * 3


def test_a_plugin_that_names_no_expiry_is_asked_twice_a_minute(home: Path) -> None:
    """Nobody else can tell how long its token lives."""
    assert shown(home, counting(home), at_each(0, 29, 31, 32)) == [f"Bearer t{run}" for run in (1, 1, 2, 2)]


def test_a_plugin_that_fails_later_leaves_the_token_as_it_is(home: Path) -> None:
    """The API server says what that is worth, and the plugin is asked again."""
    user = counting(home, "2020-01-01T00:00:00Z")
    program = home / "plugin"
    works = program.read_text()

    async def work(at: At) -> None:
        await at(0)
        program.write_text("#!/bin/sh\nexit 1\n")
        await at(10)
        program.write_text(works)
        await at(20)

    assert shown(home, user, work) == ["Bearer t1", "Bearer t1", "Bearer t2"]


def test_a_file_with_a_token_is_read_once_a_minute(home: Path) -> None:
    """One that is missing or empty meanwhile does no harm, nor does the end of its line."""
    token = home / "token"
    token.write_text("a\n")

    async def work(at: At) -> None:
        await at(0)
        token.write_text("b\n")
        await at(59)
        await at(61)
        token.unlink()
        await at(130)
        token.write_text("")
        await at(200)
        token.write_text("c")
        await at(270)

    assert shown(home, {"tokenFile": str(token)}, work) == [f"Bearer {text}" for text in "aabbbc"]


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (
            '#!/bin/sh\necho "it\'s over:\nlog in anew" >&2\nexit 3\n',
            "exec: process returned 3: it's over: log in anew",
        ),
        ("#!/bin/sh\nexit 1\n", "exec: process returned 1"),
        ('#!/bin/sh\necho \'{"apiVersion": "v1", "kind": "K", "status": {}}\'\n', "neither a token nor"),
        ("#!/nonexistent\n", "No such file or directory"),
    ],
    ids=["words", "silent", "empty", "missing"],
)
def test_a_plugin_that_fails_is_told_in_its_own_words(home: Path, script: str, words: str) -> None:
    """Nothing is asked as nobody."""
    write(home / ".kube/config", plugin(home, script))
    with pytest.raises(NoClusterError, match="the kubeconfig's plugin gave no credentials: ") as caught:
        asyncio.run(Kube.connect())
    assert words in str(caught.value)


def test_a_user_with_a_token_besides_needs_no_plugin(home: Path) -> None:
    """As the library has it."""
    user = plugin(home, "#!/bin/sh\nexit 1\n") | {"token": "t"}
    assert shown(home, user, at_each(0, 31)) == ["Bearer t"] * 2


def test_a_token_that_stands_in_the_kubeconfig_is_for_good(home: Path) -> None:
    """Nor is anything read again for a user who has none."""
    assert shown(home, {"token": "t"}, at_each(0, 1e6)) == ["Bearer t"] * 2
    assert shown(home, {"client-certificate-data": ""}, at_each(0)) == ["nothing"]


def test_the_environment_names_the_kubeconfig_when_it_is_read(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that is set after the import counts, and an empty one is none, as for kubectl."""

    async def server() -> str:
        async with await Kube.connect() as kube:
            return (await kube.credentials()).server

    write(home / ".kube/config", {"token": "t"}, "http://127.0.0.1:2", "default-one")
    write(home / "other", {"token": "t"}, "http://127.0.0.1:3", "other-one")
    for value, port, namespace in ((home / "other", 3, "other-one"), ("", 2, "default-one")):
        monkeypatch.setenv("KUBECONFIG", str(value))
        assert asyncio.run(server()) == f"http://127.0.0.1:{port}"
        assert default_namespace() == namespace
