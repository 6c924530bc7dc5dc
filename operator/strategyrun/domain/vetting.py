"""What can be said of a strategy's source without running it.

The standard library alone, because a limited child process imports nothing else. A finding means
"this can never work in the sandbox": it saves a pod and a minute. It is no wall; the walls stand
round the pod.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass

SIZE_LIMIT_BYTES = 128 * 1024
NODE_LIMIT = 50_000
FINDINGS_LIMIT = 20

_NETWORK = "the sandbox has no network; use the dataset of the run, it is the argument `data`"
_NO_INPUT = "nobody can answer: standard input is closed; pass values by spec.params"
_NEVER_WORKS = {
    "input": ("interactive", _NO_INPUT),
    "socket.socket": ("network", _NETWORK),
    "socket.create_connection": ("network", _NETWORK),
    "urllib.request.urlopen": ("network", _NETWORK),
    "urllib.request.urlretrieve": ("network", _NETWORK),
    "requests.get": ("network", _NETWORK),
    "requests.post": ("network", _NETWORK),
    "requests.request": ("network", _NETWORK),
    "requests.Session": ("network", _NETWORK),
    "yfinance.download": ("network", _NETWORK),
    "yfinance.Ticker": ("network", _NETWORK),
    "yfinance.Tickers": ("network", _NETWORK),
    "finlab.login": ("network", _NETWORK),
}


@dataclass(frozen=True)
class Flaw:
    """A line of the source, the rule that it breaks and what to do about it."""

    line: int
    rule: str
    hint: str


def vet(source: bytes) -> list[Flaw]:
    """Return what can never work, at most 20 flaws, in the order of lines."""
    if len(source) > SIZE_LIMIT_BYTES:
        return [Flaw(1, "size", f"the source has {len(source)} bytes; the limit is {SIZE_LIMIT_BYTES}")]
    try:
        text = source.decode("utf-8")
    except UnicodeDecodeError as error:
        line = source.count(b"\n", 0, error.start) + 1
        return [Flaw(line, "encoding", f"the source must be UTF-8; byte {error.start} is not")]
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        return [Flaw(error.lineno or 1, "syntax", f"Python cannot read this line: {error.msg}")]
    except ValueError as error:
        return [Flaw(1, "syntax", f"Python cannot read the source: {error}")]
    except (RecursionError, MemoryError):
        return [too_complex()]
    if sum(1 for _ in ast.walk(tree)) > NODE_LIMIT:
        return [too_complex()]
    try:
        flaws = [*_entrypoint(tree), *_impossible_calls(tree)]
    except RecursionError:
        return [too_complex()]
    return sorted(flaws, key=lambda flaw: flaw.line)[:FINDINGS_LIMIT]


def too_complex() -> Flaw:
    """Describe a source that costs more to read than a strategy may."""
    return Flaw(1, "complexity", "the source is nested too deeply or too long to be checked; split it up")


def _entrypoint(tree: ast.Module) -> Iterator[Flaw]:
    for statement in tree.body:
        match statement:
            case ast.FunctionDef(name="strategy", args=arguments, lineno=line):
                positional = [*arguments.posonlyargs, *arguments.args]
                required = len(positional) - len(arguments.defaults)
                mandatory = sum(default is None for default in arguments.kw_defaults)
                accepts = len(positional) >= 2 or arguments.vararg is not None
                if required > 2 or mandatory or not accepts:
                    yield Flaw(line, "signature", "strategy is called with two arguments: strategy(data, params)")
                return
            case ast.AsyncFunctionDef(name="strategy", lineno=line):
                yield Flaw(line, "signature", "strategy must be a plain function, not async")
                return
            case ast.Assign(targets=targets) if any(_is_strategy(target) for target in targets):
                return
            case ast.ImportFrom(names=names) if any((n.asname or n.name) == "strategy" for n in names):
                return
    yield Flaw(1, "entrypoint", "define strategy(data, params) at the top level and return target weights")


def _is_strategy(target: ast.expr) -> bool:
    return isinstance(target, ast.Name) and target.id == "strategy"


def _impossible_calls(tree: ast.Module) -> Iterator[Flaw]:
    aliases = dict(_imported_names(tree))
    shadowed = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    for node in _certain(tree):
        if isinstance(node, ast.Call):
            name = _dotted(node.func, aliases)
            if name in _NEVER_WORKS and name not in shadowed:
                rule, hint = _NEVER_WORKS[name]
                yield Flaw(node.lineno, rule, f"{name}: {hint}")


def _certain(node: ast.AST) -> Iterator[ast.AST]:
    """Walk all but what may never run or may expect to fail: try bodies and the script's main guard."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Try):
            continue
        if isinstance(child, ast.If) and "__name__" in {
            name.id for name in ast.walk(child.test) if isinstance(name, ast.Name)
        }:
            continue
        yield child
        yield from _certain(child)


def _imported_names(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield (alias.asname, alias.name) if alias.asname else (alias.name.split(".")[0],) * 2
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                yield alias.asname or alias.name, f"{node.module}.{alias.name}"


def _dotted(node: ast.expr, aliases: dict[str, str]) -> str | None:
    if isinstance(node, ast.Name):
        return aliases.get(node.id, node.id)
    if isinstance(node, ast.Attribute):
        base = _dotted(node.value, aliases)
        return f"{base}.{node.attr}" if base else None
    return None
