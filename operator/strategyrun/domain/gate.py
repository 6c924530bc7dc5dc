"""The strict gate: whether a source is so plain that it may run in the fallback.

An allowlist over nodes, imports, names, attributes and arguments (the tables are in `gate_tables`). It is a filter and
no wall: it says that only listed things occur, and nothing of what numpy and pandas do with them. It holds without
knowing any type, so it refuses much that would be harmless.
"""

import ast
import re
import warnings
from collections.abc import Iterator
from enum import Enum, StrEnum, auto
from typing import NamedTuple

from strategyrun.domain import gate_tables as tables
from strategyrun.domain.vetting import FINDINGS_LIMIT, SIZE_LIMIT_BYTES, Flaw

NODES_LIMIT = 20_000
DEPTH_LIMIT = 100
HINT_CHARS = 200

_COOKIE = re.compile(rb"^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Rule(StrEnum):
    """What a source can break. The names are those of the project's notes on security."""

    BYTES = "R-BYTES"
    SIZE = "R-SIZE"
    NODE = "R-NODE"
    IMPORT = "R-IMP"
    NAME = "R-NAME"
    ATTRIBUTE = "R-ATTR"
    UNDERSCORE = "R-UND"
    INSPECTION = "R-INS"
    DUNDER_METHOD = "R-DUN"
    KEYWORD = "R-KW"
    STRING = "R-STR"
    STORE = "R-STORE"


def check(code: bytes) -> tuple[Flaw, ...]:
    """Return what keeps a source from the fallback: at most 20 flaws in the order of lines, none if it may run there.

    Raises nothing for any bytes. It reads 128 KiB in less than a second; a process with limits is the place for it.
    """
    try:
        tree = _read(code)
        _bound_size(tree)
        flaws = sorted(dict.fromkeys(_Reader(tree).flaws()), key=lambda flaw: flaw.line)
    except _RefusedError as refused:
        return (refused.flaw,)
    except (RecursionError, MemoryError):
        return (Flaw(1, Rule.SIZE, "the source is nested too deeply or too long to be read"),)
    return tuple(flaws[:FINDINGS_LIMIT])


class _RefusedError(Exception):
    def __init__(self, line: int, rule: Rule, hint: str) -> None:
        super().__init__(hint)
        self.flaw = Flaw(line, rule, hint)


def _read(code: bytes) -> ast.Module:
    """Parse the bytes that will run, as Python will: UTF-8 and nothing else."""
    if len(code) > SIZE_LIMIT_BYTES:
        raise _RefusedError(1, Rule.SIZE, f"the source has {len(code)} bytes; the limit is {SIZE_LIMIT_BYTES}")
    if code.startswith(_BYTE_ORDER_MARK):
        raise _RefusedError(1, Rule.BYTES, "the source must not begin with a byte order mark")
    for line, text in enumerate(re.split(rb"\r\n|\r|\n", code, maxsplit=2)[:2], start=1):
        declared = _COOKIE.match(text)
        if declared and declared[1].lower().replace(b"_", b"-") not in (b"utf-8", b"utf8"):
            raise _RefusedError(line, Rule.BYTES, "the source must be UTF-8 and declare no other encoding")
    try:
        code.decode("utf-8")
        with warnings.catch_warnings(action="ignore"):
            return ast.parse(code)
    except SyntaxError as error:
        raise _RefusedError(error.lineno or 1, Rule.BYTES, f"Python cannot read this line: {error.msg}") from None
    except ValueError as error:  # no UTF-8, a NUL, a number of too many digits
        raise _RefusedError(1, Rule.BYTES, f"Python cannot read the source: {error}") from None


def _bound_size(tree: ast.Module) -> None:
    """Count nodes and depth before anything is made of them."""
    count = 0
    todo: list[tuple[ast.AST, int]] = [(tree, 0)]
    while todo:
        node, depth = todo.pop()
        count += 1
        if count > NODES_LIMIT or depth > DEPTH_LIMIT:
            hint = (
                f"the source has more than {NODES_LIMIT} nodes, or nests them more than {DEPTH_LIMIT} deep; split it up"
            )
            raise _RefusedError(getattr(node, "lineno", 1), Rule.SIZE, hint)
        todo.extend((child, depth + 1) for child in ast.iter_child_nodes(node))


class _Bound(Enum):
    """How a name got its meaning."""

    MODULE = auto()
    MEMBER = auto()  # of a module
    FUNCTION = auto()
    VALUE = auto()


class _Scoped(NamedTuple):
    """A node, the line it stands on, and the names that are local to the functions around it."""

    node: ast.AST
    line: int
    local: frozenset[str]


_OWN_SCOPE = (
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.Lambda,
    ast.ListComp,
    ast.SetComp,
    ast.DictComp,
    ast.GeneratorExp,
)


class _Reader:
    """Reads a tree from the top, each node with what is known of its names."""

    def __init__(self, tree: ast.Module) -> None:
        self._tree = tree
        self._paths = dict(_imported(tree))
        self._bound: dict[str, frozenset[_Bound]] = {}
        for name, how in _meanings(tree):
            self._bound[name] = self._bound_as(name) | {how}
        self._global = _bound_in(tree.body)
        self._called: set[ast.expr] = {node.func for node in ast.walk(tree) if isinstance(node, ast.Call)}

    def flaws(self) -> Iterator[Flaw]:
        """Yield what breaks a rule, in no order."""
        todo = [_Scoped(self._tree, 1, frozenset())]
        while todo:
            node, line, local = todo.pop()
            line = getattr(node, "lineno", line)
            for rule, hint in self._broken(node, local):
                yield Flaw(line, rule, hint if len(hint) <= HINT_CHARS else f"{hint[:HINT_CHARS]}…")
            todo.extend(_Scoped(child, line, names) for child, names in self._below(node, local))

    def _bound_as(self, name: str) -> frozenset[_Bound]:
        """Say how the source binds a name, wherever it does."""
        return self._bound.get(name, frozenset())

    def _below(self, node: ast.AST, local: frozenset[str]) -> Iterator[tuple[ast.AST, frozenset[str]]]:
        """Yield the parts of a node that are to be read, each with its local names.

        Python looks up defaults, annotations and the first sequence of a comprehension outside of it.
        """
        match node:
            case ast.FunctionDef(args=arguments, body=body):
                inner = local | _parameters(arguments) | _bound_in(body)
                yield from ((child, local) for child in _around(node))
                yield from ((child, inner) for child in body)
            case ast.Lambda(args=arguments, body=expression):
                yield arguments, local
                yield expression, local | _parameters(arguments)
            case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                inner = local | {name for each in node.generators for name in _stored(each.target)}
                first, *others = node.generators
                results = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
                yield first.iter, local
                yield from ((child, inner) for child in (first.target, *first.ifs, *others, *results))
            case ast.Attribute() if self._path(node) is not None:
                return
            case _:
                yield from ((child, local) for child in ast.iter_child_nodes(node))

    def _broken(self, node: ast.AST, local: frozenset[str]) -> Iterator[tuple[Rule, str]]:
        """Yield the rules that a node breaks by itself."""
        if not isinstance(node, tables.NODES):
            yield Rule.NODE, f"vetted code may not use {type(node).__name__}"
        yield from _annotated(node)
        match node:
            case ast.Constant(value=value) if not isinstance(value, tables.CONSTANTS):
                yield Rule.NODE, f"vetted code may not use constants of type {type(value).__name__}"
            case ast.FunctionDef() | ast.ClassDef() | ast.AsyncFunctionDef():
                yield from self._definition(node)
            case ast.With(items=items):
                for item in items:
                    yield from self._context(item)
            case ast.Import() | ast.ImportFrom():
                yield from self._imports(node)
            case ast.arg(arg=name) | ast.ExceptHandler(name=str(name)) | ast.Name(id=name, ctx=ast.Store()):
                yield from self._binding(name)
            case ast.Name(id=name, ctx=ast.Load()):
                yield from self._load(name, local)
            case ast.Attribute():
                yield from self._attribute(node)
            case ast.Subscript(ctx=ast.Store()) if not self._is_own(node):
                yield Rule.STORE, "only values of the source's own variables may be written"
            case ast.Call():
                yield from self._call(node)

    def _definition(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> Iterator[tuple[Rule, str]]:
        if node.decorator_list:
            yield Rule.NODE, "decorators call what they decorate; vetted code may not use them"
        if _is_dunder(node.name):
            yield Rule.DUNDER_METHOD, f"{node.name} would be called by Python itself"
        else:
            yield from self._binding(node.name)

    def _context(self, item: ast.withitem) -> Iterator[tuple[Rule, str]]:
        match item:
            case ast.withitem(context_expr=ast.Call(func=function)) if self._path(function) in tables.CONTEXTS:
                return
            case _:
                yield Rule.NODE, f"`with` may stand before {', '.join(sorted(tables.CONTEXTS))} alone"

    def _imports(self, node: ast.Import | ast.ImportFrom) -> Iterator[tuple[Rule, str]]:
        for alias in node.names:
            path = alias.name if isinstance(node, ast.Import) else f"{'.' * node.level}{node.module or ''}.{alias.name}"
            known = path in tables.MODULES if isinstance(node, ast.Import) else _is_member(path)
            if not known:
                yield Rule.IMPORT, f"{path} is not among what vetted code may import"
            name = alias.asname or alias.name
            if name.startswith("_"):
                yield Rule.UNDERSCORE, f"{name}: no import may have a name that begins with an underscore"
            if isinstance(node, ast.Import) and name in tables.BUILTINS | tables.OTHER_BUILTINS | tables.GIVEN:
                yield Rule.IMPORT, f"{name} already means something else"
            if known and self._paths[name] != path:
                yield Rule.IMPORT, f"{name} is imported twice, as {self._paths[name]} and as {path}"

    def _binding(self, name: str) -> Iterator[tuple[Rule, str]]:
        if _is_dunder(name):
            yield Rule.UNDERSCORE, f"{name}: no name may hold two underscores in a row"
        elif _Bound.MODULE in self._bound_as(name):
            yield Rule.NAME, f"{name} is an imported module and may mean nothing else"

    def _load(self, name: str, local: frozenset[str]) -> Iterator[tuple[Rule, str]]:
        if name in tables.GIVEN:
            return
        if _is_dunder(name):
            yield Rule.UNDERSCORE, f"{name}: no name may hold two underscores in a row"
        elif _Bound.MODULE in self._bound_as(name):
            yield Rule.ATTRIBUTE, f"the module {name} is no value: use what is in it by its full name"
        elif name in tables.OTHER_BUILTINS:
            # A local name never means Python's own, even before it is bound; a global one does.
            if name not in local:
                yield Rule.NAME, f"{name} is not among the functions of Python that vetted code may use"
        elif name not in tables.BUILTINS and name not in local and name not in self._global:
            yield Rule.NAME, f"nothing in the source gives {name} a meaning"

    def _attribute(self, node: ast.Attribute) -> Iterator[tuple[Rule, str]]:
        names = [node.attr]
        path = self._path(node)
        if path is not None:
            names = path.split(".")[1:]
        for name in names:
            if name.startswith("_") or _is_dunder(name):
                yield Rule.UNDERSCORE, f".{name}: no attribute may begin with an underscore"
                return
            if name in tables.INSPECTION:
                yield Rule.INSPECTION, f".{name} leads out of the source"
                return
        if not isinstance(node.ctx, ast.Load):
            if path is not None or node.attr not in tables.LABELS or not self._is_own(node.value):
                yield Rule.STORE, f".{node.attr} may not be set, but for labels of the source's own variables"
        elif path is not None:
            if not _is_member(path):
                yield Rule.ATTRIBUTE, f"{path} is not among what vetted code may use"
        elif node.attr in tables.TEXT_EVALUATORS:
            yield Rule.STRING, f".{node.attr} evaluates a text; write the expression itself"
        elif node.attr not in tables.ATTRIBUTES:
            yield Rule.ATTRIBUTE, f".{node.attr} is not among the attributes that vetted code may use"
        elif node.attr in tables.DISPATCHERS and node not in self._called:
            yield Rule.STRING, f".{node.attr} may only be called where it stands"

    def _call(self, node: ast.Call) -> Iterator[tuple[Rule, str]]:
        name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        if name in tables.DISPATCHERS:
            yield from self._dispatch(node, name)
        most = tables.MOST_POSITIONS.get(name)
        if most is not None and (len(node.args) > most or any(isinstance(each, ast.Starred) for each in node.args)):
            yield Rule.KEYWORD, f".{name} may get {most} arguments without a name"
        for keyword in node.keywords:
            if keyword.arg is not None and keyword.arg.startswith("_"):
                yield Rule.UNDERSCORE, f"{keyword.arg}=: no argument may begin with an underscore"
            elif not self._takes(node.func, keyword.arg):
                shown = "**" if keyword.arg is None else f"{keyword.arg}="
                yield Rule.KEYWORD, f"{shown} is not among the arguments that vetted code may name"

    def _takes(self, function: ast.expr, keyword: str | None) -> bool:
        """Whether a call may name this argument: any of a function of the source, else those of the table."""
        match function:
            case ast.Name(id=name) if self._bound_as(name) == {_Bound.FUNCTION} and name not in tables.BUILTINS:
                return True
            case ast.Name(id=name) | ast.Attribute(attr=name) if name in tables.OPEN_KEYWORDS:
                return keyword is not None
            case ast.Attribute(attr=name) if name in tables.DISPATCHERS:
                return keyword in tables.DISPATCHER_KEYWORDS
            case _:
                return keyword in tables.KEYWORDS

    def _dispatch(self, node: ast.Call, name: str) -> Iterator[tuple[Rule, str]]:
        """Check that what a method calls by name or by value stands there to be read."""
        functions = [*node.args[:1], *(keyword.value for keyword in node.keywords if keyword.arg == "func")]
        if not all(self._is_plain_function(each) for each in functions):
            yield (
                Rule.STRING,
                f".{name} may get functions of the source or of a module, or a text out of {sorted(tables.REDUCERS)}",
            )
        if not all(isinstance(each, ast.Constant) and not isinstance(each.value, str) for each in node.args[1:]):
            yield Rule.STRING, f".{name} may get one argument without a name"

    def _is_plain_function(self, node: ast.expr) -> bool:
        match node:
            case ast.Constant(value=value):
                return value in tables.REDUCERS
            case ast.List(elts=parts) | ast.Tuple(elts=parts) | ast.Dict(values=parts):
                return all(self._is_plain_function(part) for part in parts)
            case ast.Name(id=name):
                bound = self._bound_as(name)
                return bound in ({_Bound.FUNCTION}, {_Bound.MEMBER}) if bound else name in tables.BUILTINS
            case _:
                return isinstance(node, ast.Lambda) or self._path(node) is not None

    def _is_own(self, node: ast.expr) -> bool:
        """Whether what is written to is a variable of the source, or a part of one."""
        while True:
            match node:
                case ast.Subscript(value=inner):
                    node = inner
                case ast.Attribute(value=inner, attr=attr) if attr in tables.INDEXERS | tables.LABELS:
                    node = inner
                case ast.Name(id=name):
                    return self._bound_as(name) == {_Bound.VALUE}
                case _:
                    return False

    def _path(self, node: ast.expr) -> str | None:
        """The dotted path of what hangs directly on an imported module, or is a listed part of something imported."""
        names: list[str] = []
        while isinstance(node, ast.Attribute):
            names.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name) or not names:
            return None
        bound = self._bound_as(node.id)
        if _Bound.MODULE not in bound and bound != {_Bound.MEMBER}:
            return None
        path = ".".join((self._paths[node.id], *reversed(names)))
        return path if _Bound.MODULE in bound or _is_member(path) else None


def _imported(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield the name that each import binds, and what it stands for."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=aliases):
                yield from ((alias.asname or alias.name, alias.name) for alias in aliases)
            case ast.ImportFrom(module=module, names=aliases):
                yield from ((alias.asname or alias.name, f"{module}.{alias.name}") for alias in aliases)


def _meanings(tree: ast.Module) -> Iterator[tuple[str, _Bound]]:
    """Yield each name that the source binds, as often as it does, and how."""
    functions: set[ast.expr] = set()
    for node in ast.walk(tree):  # an assignment comes before its targets
        match node:
            case ast.Import(names=aliases):
                yield from ((alias.asname or alias.name, _Bound.MODULE) for alias in aliases)
            case ast.ImportFrom(names=aliases):
                yield from ((alias.asname or alias.name, _Bound.MEMBER) for alias in aliases)
            case ast.FunctionDef(name=name):
                yield name, _Bound.FUNCTION
            case ast.Assign(targets=[ast.Name() as target], value=ast.Lambda()):
                functions.add(target)
                yield target.id, _Bound.FUNCTION
            case ast.Name(id=name, ctx=ast.Store()) if node not in functions:
                yield name, _Bound.VALUE
            case ast.arg(arg=name) | ast.ExceptHandler(name=str(name)):
                yield name, _Bound.VALUE


def _is_member(path: str) -> bool:
    """Whether a dotted path names something of a module that is listed."""
    module, _, rest = path.partition(".")
    return rest in tables.MODULES.get(module, ())


def _is_dunder(name: str) -> bool:
    return "__" in name


def _annotated(node: ast.AST) -> Iterator[tuple[Rule, str]]:
    """Check that a node's annotation is no text: something may evaluate it later."""
    match node:
        case ast.arg(annotation=ast.expr() as found) | ast.AnnAssign(annotation=found):
            pass
        case ast.FunctionDef(returns=ast.expr() as found):
            pass
        case _:
            return
    if any(isinstance(each, ast.Constant) and isinstance(each.value, str) for each in ast.walk(found)):
        yield Rule.STRING, "an annotation may hold no text"


def _around(function: ast.FunctionDef) -> Iterator[ast.AST]:
    """Yield the parts of a function that belong to the scope around it."""
    yield function.args
    yield from function.decorator_list
    yield from getattr(function, "type_params", ())
    if function.returns:
        yield function.returns


def _parameters(arguments: ast.arguments) -> frozenset[str]:
    return frozenset(node.arg for node in ast.walk(arguments) if isinstance(node, ast.arg))


def _stored(target: ast.expr) -> Iterator[str]:
    """Yield the names that a target binds."""
    for node in ast.walk(target):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


def _bound_in(body: list[ast.stmt]) -> frozenset[str]:
    """Return what statements bind in the scope that they stand in."""
    names: set[str] = set()
    todo: list[ast.AST] = [*body]
    while todo:
        node = todo.pop()
        match node:
            case ast.FunctionDef(name=name) | ast.ExceptHandler(name=str(name)) | ast.Name(id=name, ctx=ast.Store()):
                names.add(name)
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                names.update(alias.asname or alias.name for alias in aliases)
        if not isinstance(node, _OWN_SCOPE):
            todo.extend(ast.iter_child_nodes(node))
    return frozenset(names)
