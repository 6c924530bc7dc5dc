"""What can be said of a strategy's source without running it: its kind and its flaws.

The standard library alone, because a limited child process imports nothing else. A flaw means
"this can never work in the sandbox": it saves a pod and a minute. It is no wall; the walls stand
round the pod.
"""

import ast
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

SIZE_LIMIT_BYTES = 128 * 1024
FINDINGS_LIMIT = 20
VENDOR_RULE = "vendor"
"""The rule of calls that need more than the sandbox may have: the vendor's authorisation."""

_NETWORK = "the sandbox has no network; use the dataset of the run, it is the argument `data`"
_VENDOR = "it needs the vendor's authorisation over the network; "
_RETURN_POSITIONS = "leave the frame in `position` and take this call out: the sandbox scores it itself"
_NO_INPUT = "nobody can answer: standard input is closed; pass values by spec.params"
_NEVER_WORKS = {
    "builtins.input": ("interactive", _NO_INPUT),
    "socket.socket": ("network", _NETWORK),
    "socket.create_connection": ("network", _NETWORK),
    "requests.get": ("network", _NETWORK),
    "requests.post": ("network", _NETWORK),
    "requests.request": ("network", _NETWORK),
    "requests.Session().get": ("network", _NETWORK),
    "yfinance.download": ("network", _NETWORK),
    "yfinance.Ticker().history": ("network", _NETWORK),
    "finlab.login": (VENDOR_RULE, _VENDOR + "take this call out, finlab.data reads the run's dataset"),
    "finlab.backtest.sim": (VENDOR_RULE, _VENDOR + _RETURN_POSITIONS),
}


class Kind(StrEnum):
    """What a source is, by what it binds and says."""

    POSITIONS = "Positions"
    RESULT = "Result"
    SCRIPT = "Script"


@dataclass(frozen=True)
class Flaw:
    """A line of the source, the rule that it breaks and what to do about it."""

    line: int
    rule: str
    hint: str


@dataclass(frozen=True)
class Reading:
    """What reading a source told. One that cannot be read is a Script: that promises nothing."""

    kind: Kind
    flaws: tuple[Flaw, ...] = ()


def vet(source: bytes) -> Reading:
    """Return the kind of a source and what in it can never work: at most 20 flaws, in the order of lines."""
    if len(source) > SIZE_LIMIT_BYTES:
        return _flawed(1, "size", f"the source has {len(source)} bytes; the limit is {SIZE_LIMIT_BYTES}")
    try:
        source.decode("utf-8")
    except UnicodeDecodeError as error:
        line = source.count(b"\n", 0, error.start) + 1
        return _flawed(line, "encoding", f"the source must be UTF-8; byte {error.start} is not")
    try:
        with warnings.catch_warnings(action="ignore"):
            tree = ast.parse(source)
        kind = _kind(tree)
        flaws = [*_silence(tree, kind), *_signature(tree, kind), *_impossible_calls(tree)]
    except SyntaxError as error:
        return _flawed(error.lineno or 1, "syntax", f"Python cannot read this line: {error.msg}")
    except ValueError as error:
        return _flawed(1, "syntax", f"Python cannot read the source: {error}")
    except (RecursionError, MemoryError):
        return too_complex()
    return Reading(kind, tuple(sorted(flaws, key=lambda flaw: flaw.line)[:FINDINGS_LIMIT]))


def too_complex() -> Reading:
    """Describe a source that costs more to read than a strategy may."""
    return _flawed(1, "complexity", "the source is nested too deeply or too long to be checked; split it up")


def _flawed(line: int, rule: str, hint: str) -> Reading:
    return Reading(Kind.SCRIPT, (Flaw(line, rule, hint),))


def _kind(tree: ast.Module) -> Kind:
    """Tell by what the top level gives a score's names to, and by the words for a result in its texts.

    Constants and displays speak for nothing: scripts keep `position = 0` as a state. Beside the words for a result
    other objects have these names too (`strategy = MovingAverage()`): there only what can be no such object counts.
    """
    nodes = list(_in_scope(tree))
    texts = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str))
    reports = any(text == "RESULT_DIR" or (text.lstrip() + " ").startswith("RESULT ") for text in texts)
    functions = [node for node in nodes if not isinstance(node, ast.Name) and "strategy" in _bound_by(node)]
    assigned: dict[str, list[ast.expr]] = {"strategy": [], "positions": [], "position": []}
    for name, value in (pair for node in nodes for pair in _assigned(node)):
        assigned.get(name, []).append(value)
    computed = {name: values for name, values in assigned.items() if not all(map(_is_plain, values))}
    if not reports:
        return Kind.POSITIONS if functions or computed else Kind.SCRIPT
    frames = [name for name, values in computed.items() if name != "strategy" and all(map(_is_arithmetic, values))]
    return Kind.POSITIONS if frames or any(map(_is_entrypoint, functions)) else Kind.RESULT


def _assigned(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """Yield the names that an assignment binds, each with its value, or with all of what is taken apart for it."""
    match node:
        case ast.Assign(targets=targets, value=value):
            for target in targets:
                yield from _pairs(target, value)
        case ast.AnnAssign(target=target, value=ast.expr() as value):
            yield from _pairs(target, value)


def _pairs(target: ast.expr, value: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    match target, value:
        case ast.Tuple(elts=targets), ast.Tuple(elts=values) if len(targets) == len(values):
            for each, its in zip(targets, values, strict=True):
                yield from _pairs(each, its)
        case _:
            names = (name for name in ast.walk(target) if isinstance(name, ast.Name))
            yield from ((name.id, value) for name in names if isinstance(name.ctx, ast.Store))


def _is_plain(value: ast.expr) -> bool:
    """Whether a value is a constant, a display or a choice between such: never a frame, nor a function."""
    match value:
        case ast.Constant() | ast.JoinedStr() | ast.List() | ast.Dict() | ast.Set():
            return True
        case ast.ListComp() | ast.DictComp() | ast.SetComp() | ast.BinOp(left=ast.List()):
            return True
        case ast.Call(func=ast.Name(id="list" | "dict" | "set")):
            return True
        case ast.UnaryOp(operand=inner):
            return _is_plain(inner)
        case ast.Tuple(elts=parts):
            return all(map(_is_plain, parts))
        case ast.IfExp(body=one, orelse=other) | ast.BinOp(left=one, right=other):
            return _is_plain(one) and _is_plain(other)
        case _:
            return False


def _is_arithmetic(value: ast.expr) -> bool:
    """Whether a value is compared or computed, as in `(fast > slow).astype(float)`: how frames of weights are made."""
    match value:
        case ast.Compare() | ast.BinOp():
            return True
        case ast.UnaryOp(operand=inner) | ast.Call(func=ast.Attribute(value=inner)):
            return _is_arithmetic(inner)
        case _:
            return False


def _is_entrypoint(node: ast.AST) -> bool:
    """Whether a definition of `strategy` can be what the sandbox calls."""
    return isinstance(node, ast.FunctionDef) and (bool(node.decorator_list) or _takes_two(node.args))


def _silence(tree: ast.Module, kind: Kind) -> Iterator[Flaw]:
    """Check that a script can leave something: without a call or an import it prints nothing."""
    if kind is Kind.SCRIPT and not any(isinstance(node, (ast.Call, *_IMPORT)) for node in _in_scope(tree)):
        yield Flaw(1, "entrypoint", "define strategy(data, params) at the top level, or leave a frame named positions")


def _signature(tree: ast.Module, kind: Kind) -> Iterator[Flaw]:
    """Check that a plain function named strategy takes two arguments, where the sandbox is to call it."""
    named = [node for node in _in_scope(tree) if "strategy" in _bound_by(node)] if kind is Kind.POSITIONS else []
    match named:
        case [ast.AsyncFunctionDef(lineno=line)]:
            yield Flaw(line, "signature", "strategy must be a plain function, not async")
        case [ast.FunctionDef(args=arguments, decorator_list=[], lineno=line)] if not _takes_two(arguments):
            yield Flaw(line, "signature", "strategy is called with two arguments: strategy(data, params)")


def _takes_two(arguments: ast.arguments) -> bool:
    positional = len(arguments.posonlyargs) + len(arguments.args)
    most = 2 if arguments.vararg else positional
    return positional - len(arguments.defaults) <= 2 <= most and None not in arguments.kw_defaults


def _impossible_calls(tree: ast.Module) -> Iterator[Flaw]:
    names = dict(_imported_names(tree))
    rebound = {name for node in ast.walk(tree) if not isinstance(node, _IMPORT) for name in _bound_by(node)}
    for node in _certain(tree):
        if isinstance(node, ast.Call):
            name = _full_name(node.func, names, rebound)
            if name in _NEVER_WORKS:
                rule, hint = _NEVER_WORKS[name]
                yield Flaw(node.lineno, rule, f"{name.removeprefix('builtins.')}: {hint}")


def _certain(tree: ast.Module) -> Iterator[ast.AST]:
    """Walk what runs whenever the strategy does.

    That is the module, the function strategy and the functions that they call by name, without
    what depends on a condition or a loop, or may expect to fail.
    """
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef) and not node.decorator_list}
    todo: list[ast.AST] = list(_until_return(tree.body))
    if strategy := functions.pop("strategy", None):
        todo += _until_return(strategy.body)
    while todo:
        node = todo.pop()
        yield node
        todo += _certain_parts(node)
        match node:
            case ast.Call(func=ast.Name(id=name)) if name in functions:
                todo += _until_return(functions.pop(name).body)


def _certain_parts(node: ast.AST) -> Iterable[ast.AST]:
    match node:
        case ast.If() | ast.IfExp() | ast.While():
            return [node.test]
        case ast.For():
            return [node.iter]
        case ast.BoolOp():
            return node.values[:1]
        case ast.Match():
            return [node.subject]
        case ast.With():  # what stands in it may be expected to fail
            return [item.context_expr for item in node.items]
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            return [*node.decorator_list, *node.args.defaults]
        case ast.Lambda() | ast.Try() | ast.TryStar() | ast.GeneratorExp():
            return []
        case ast.ListComp() | ast.SetComp() | ast.DictComp():
            return [node.generators[0].iter]
        case _:
            return ast.iter_child_nodes(node)


def _until_return(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield statements up to the first that may return: what follows it may never run."""
    for statement in body:
        yield statement
        if any(isinstance(node, ast.Return) for node in _in_scope(statement)):
            return


def _in_scope(root: ast.AST) -> Iterator[ast.AST]:
    """Walk a node without the bodies of functions and classes below it."""
    todo = [root]
    while todo:
        node = todo.pop()
        yield node
        if node is root or not isinstance(node, _SCOPE):
            todo.extend(ast.iter_child_nodes(node))


_SCOPE = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
_IMPORT = (ast.Import, ast.ImportFrom)


def _bound_by(node: ast.AST) -> tuple[str, ...]:
    """Return the names that a node gives a meaning."""
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return (name,)
        case ast.Name(id=name, ctx=ast.Store() | ast.Del()) | ast.arg(arg=name):
            return (name,)
        case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
            return tuple(alias.asname or alias.name.partition(".")[0] for alias in aliases)
        case _:
            return ()


def _imported_names(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield (alias.asname, alias.name) if alias.asname else (alias.name.partition(".")[0],) * 2
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                yield alias.asname or alias.name, f"{node.module}.{alias.name}"


def _full_name(node: ast.expr, imported: dict[str, str], rebound: set[str]) -> str | None:
    """Name what is called, by its import; None where the name may mean something else."""
    path = ""
    while True:
        match node:
            case ast.Attribute(value=node, attr=attribute):
                path = f".{attribute}{path}"
            case ast.Call(func=node):
                path = f"(){path}"
            case ast.Name(id=name) if name not in rebound:
                return imported.get(name, f"builtins.{name}") + path
            case _:
                return None
