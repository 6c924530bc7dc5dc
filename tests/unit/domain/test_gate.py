"""The strict gate: what it lets through, what it refuses, and that each of its rules is needed."""

import builtins
import inspect
import sys
from types import BuiltinFunctionType, ModuleType

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from finlab_sandbox.harness.result import to_positions
from finlab_sandbox.harness.tables import Data
from strategyrun.domain import gate_tables as tables
from strategyrun.domain.gate import DEPTH_LIMIT, NODES_LIMIT, Rule, check
from strategyrun.domain.vetting import FINDINGS_LIMIT, SIZE_LIMIT_BYTES
from support.bypasses import BYPASSES, Bypass
from support.cluster import CHECKOUT
from support.honest import HONEST

SAMPLES = CHECKOUT / "manifests" / "samples"
OF_NUMPY_AND_PANDAS = ("momentum", "pairs", "turtle", "volatility-target")
KINDS_OF_THE_NOTES = 48


def rules(source: str | bytes) -> set[str]:
    """The rules that a source breaks."""
    return {flaw.rule for flaw in check(source.encode() if isinstance(source, str) else source)}


@pytest.fixture(scope="module")
def market() -> Data:
    """Three years of five shares that walk at random."""
    rng = np.random.default_rng(3)
    dates = pd.bdate_range("2010-01-04", periods=756, name="date")
    close = 50 * np.exp(np.cumsum(rng.normal(0.0005, 0.015, (756, 5)), axis=0))
    opened = close * np.exp(rng.normal(0, 0.005, close.shape))
    fields = {
        "open": opened,
        "high": np.maximum(close, opened) * 1.005,
        "low": np.minimum(close, opened) * 0.995,
        "close": close,
        "adj_close": close,
        "volume": rng.integers(1000, 9000, close.shape).astype(float),
    }
    return Data(dates, ["AAA", "BBB", "CCC", "DDD", "EEE"], fields)


@pytest.mark.parametrize("bypass", BYPASSES.values(), ids=BYPASSES)
def test_each_bypass_is_refused_by_its_rule(bypass: Bypass) -> None:
    """A source that no rule refuses is one of those that only the walls of the pod can stop."""
    found = rules(bypass.source)
    assert found == set() if bypass.rule is None else bypass.rule in found


def test_every_kind_of_the_notes_is_tried() -> None:
    """All 48 of them, and those that pass the gate are known by name."""
    assert {bypass.kind for bypass in BYPASSES.values()} == {None, *range(1, KINDS_OF_THE_NOTES + 1)}
    passing = [name for name, bypass in BYPASSES.items() if bypass.rule is None]
    assert passing == ["memory", "a number of many digits", "for ever"]


@pytest.mark.parametrize("rule", Rule)
def test_each_rule_is_needed(rule: Rule) -> None:
    """Without it, at least one bypass would pass: no other rule refuses that one."""
    assert [name for name, bypass in BYPASSES.items() if rules(bypass.source) == {rule}]


@pytest.mark.parametrize("name", HONEST)
def test_an_honest_strategy_passes(name: str, market: Data) -> None:
    """It is one that runs: what it leaves makes positions of finite weights."""
    source = HONEST[name]
    assert check(source.encode()) == ()
    module: dict[str, object] = {"data": market, "params": {}, "__name__": "__main__"}
    exec(source, module)
    left = module.get("strategy")
    value = left(market, {}) if callable(left) else module.get("positions", module.get("position"))
    positions = to_positions(value, market.dates, market.symbols, name)
    assert positions.weights.shape[1] >= 1
    assert np.nansum(np.abs(positions.weights)) > 0


def test_there_are_thirty_of_them() -> None:
    """A gate that refuses honest work is worth nothing."""
    assert len(HONEST) >= 30


@pytest.mark.parametrize("name", OF_NUMPY_AND_PANDAS)
def test_samples_of_numpy_and_pandas_pass(name: str) -> None:
    """They are the samples that the fallback's image can run."""
    source = yaml.safe_load((SAMPLES / f"{name}.yaml").read_text())["spec"]["source"]["inline"]
    assert check(source.encode()) == ()


def test_other_samples_are_refused_for_their_imports() -> None:
    """What the fallback's image does not have is named at the line of the import."""
    for path in SAMPLES.iterdir():
        if path.stem not in OF_NUMPY_AND_PANDAS:
            source = yaml.safe_load(path.read_text())["spec"]["source"]["inline"]
            first = check(source.encode())[0]
            assert first.rule == Rule.IMPORT, path
            assert source.splitlines()[first.line - 1].lstrip().startswith(("import", "from")), path


def test_known_strategies_of_the_tests_pass() -> None:
    """Those that the engine is compared on."""
    assert check((CHECKOUT / "tests" / "support" / "strategies.py").read_bytes()) == ()


def test_a_flaw_says_line_rule_and_what_to_do() -> None:
    """In the order of the lines, each once."""
    found = check(
        b"import os\nimport numpy as np\nx = np.load('x')\ny = data.close.to_csv('x'); z = data.close.to_csv('x')\n"
    )
    assert [(flaw.line, flaw.rule, flaw.hint) for flaw in found] == [
        (1, "R-IMP", "os is not among what vetted code may import"),
        (3, "R-ATTR", "numpy.load is not among what vetted code may use"),
        (4, "R-ATTR", ".to_csv is not among the attributes that vetted code may use"),
    ]


def test_flaws_are_few_and_short() -> None:
    """However many there are, and however long a name is."""
    name = "x" * 10_000
    found = check("".join(f"{name}{i}\n" for i in range(12)).encode() + b"eval\n" * 100)
    assert len(found) == FINDINGS_LIMIT
    assert max(len(flaw.hint) for flaw in found) <= 201


@pytest.mark.parametrize(
    ("inside", "outside"),
    [
        (b"#" * SIZE_LIMIT_BYTES, b"#" * (SIZE_LIMIT_BYTES + 1)),
        (b"1;" * ((NODES_LIMIT - 1) // 2), b"1;" * (NODES_LIMIT // 2)),
        (b"-" * (DEPTH_LIMIT // 2 - 1) + b"1", b"-" * (DEPTH_LIMIT + 1) + b"1"),
    ],
    ids=["bytes", "nodes", "depth"],
)
def test_sizes_are_bounded(inside: bytes, outside: bytes) -> None:
    """Before anything else is looked at."""
    assert rules(inside) == set()
    assert rules(outside) == {Rule.SIZE}


@pytest.mark.parametrize(
    "source",
    [
        "x = 1\n" * 2_000_000,
        "x = " + "(" * 60_000 + ")" * 60_000,
        "x = " + "[" * 190 + "]" * 190,
        "x = " + "a." * 40_000 + "a",
        "x = 1" + " + 1" * 30_000,
        "@a\n" * 30_000 + "def f(): pass",
        "if a: pass\n" + "elif a: pass\n" * 9_000,
        "def f():\n x = 1\n" * 7_000,
        "lambda: " * 2_000 + "1",
        "f'" + "{x}" * 20_000 + "'",
    ],
    ids=["12 MB", "brackets", "lists", "chain", "sum", "decorators", "elifs", "functions", "lambdas", "f-string"],
)
def test_no_source_is_too_much(source: str) -> None:
    """Long and deep ones end as a flaw; time and memory are bounded by the process that the gate runs in."""
    assert check(source.encode()), source[:40]


@given(
    st.one_of(st.text(), st.binary()).map(
        lambda found: found if isinstance(found, bytes) else found.encode("utf-8", "surrogatepass")
    )
)
@example(b"\xff")
@example(b"\x00")
@example(b"# coding: nowhere\n")
@example(b"x = 0x" + b"f" * 5000)
@example(b"x = " + b"9" * 5000)
@example(b"\\")
@example(b"match x:\n case {**rest}: pass")
@example(b"class A[T]: pass")
@example(b"type A = 1")
def test_any_bytes_are_answered(source: bytes) -> None:
    """The gate raises nothing."""
    assert all(flaw.line >= 0 and flaw.rule in set(Rule) and flaw.hint for flaw in check(source))


_WORDS = sorted(
    {
        "import",
        "from",
        "as",
        "def",
        "lambda",
        "for",
        "in",
        "if",
        "else",
        "class",
        "with",
        "try:",
        "except",
        "async",
        "*",
    }
    | {"(", ")", "[", "]", ":", "=", ".", ",", "\n", "\n    ", "{", "}", "**", "@", ":=", "'x'", "f'{x}'", "1"}
    | {"np", "pd", "numpy", "data", "__class__", "eval", "x", "apply", "close", "_y"}
)


@settings(max_examples=300)
@given(st.lists(st.sampled_from(_WORDS), max_size=40).map(" ".join))
def test_any_words_are_answered(source: str) -> None:
    """Programs that nearly are some, too."""
    check(source.encode())


@settings(max_examples=200)
@given(
    st.sampled_from(sorted(HONEST)),
    st.sampled_from([bypass for bypass in BYPASSES.values() if bypass.rule not in (None, Rule.BYTES)]),
    st.booleans(),
)
def test_a_bypass_does_not_hide_in_honest_code(honest: str, bypass: Bypass, first: bool) -> None:
    """Before it or behind it: something is refused. (An encoding is declared in the first two lines alone.)"""
    parts = [bypass.source, HONEST[honest]]
    assert rules("\n".join(parts if first else reversed(parts)))


def _values() -> list[object]:
    """One of everything that listed calls give out, and everything listed of modules."""
    frame = pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0]}, index=pd.bdate_range("2020-01-01", periods=2))
    roots: list[object] = [
        *(
            frame,
            frame["a"],
            frame.index,
            frame.columns,
            frame.to_numpy(),
            frame.rolling(2),
            frame.expanding(),
            frame.ewm(2),
        ),
        *(
            frame.groupby([0, 1]),
            frame["a"].groupby([0, 1]),
            frame.resample("W"),
            frame.iloc,
            frame.loc,
            frame.at,
            frame.iat,
        ),
        *(
            frame["a"].astype(str).str,
            pd.Series(frame.index).dt,
            frame.index[0],
            pd.Timedelta(1, "D"),
            pd.Period("2020-01"),
        ),
        *(
            pd.MultiIndex.from_product([[1], [2]]),
            pd.offsets.MonthEnd(),
            pd.Interval(0, 1),
            np.float64(1),
            np.dtype("f8"),
        ),
        *(
            np.random.default_rng(1),
            "text",
            [1],
            {1: 2},
            {1},
            (1,),
            1,
            1.5,
            True,
            None,
            range(2),
            print,
            ValueError("x"),
        ),
        *(lambda: None, (each for each in [1]), frame.groupby([0, 1]).rolling(1), pd.Categorical(["a"])),
    ]
    for module, paths in tables.MODULES.items():
        for path in paths:
            value: object = sys.modules.get(module) or __import__(module)
            for name in path.split("."):
                value = getattr(value, name, None)
            roots.append(value)
    return [*roots, *(getattr(builtins, name) for name in tables.BUILTINS)]


@pytest.mark.filterwarnings("ignore")
def test_no_listed_attribute_leads_to_a_module_or_to_a_dangerous_function() -> None:
    """From whatever listed calls give out, over two listed attributes in a row."""
    forbidden = {builtins.eval, builtins.exec, builtins.open, builtins.compile, builtins.__import__, builtins.getattr}
    reached = _values()
    for _ in range(2):
        found = []
        for value in reached:
            assert not isinstance(value, ModuleType), value
            assert not (isinstance(value, BuiltinFunctionType) and value in forbidden), value
            for name in tables.ATTRIBUTES:
                try:
                    found.append(getattr(value, name))
                except Exception:  # noqa: BLE001 - most values have few of the attributes
                    continue
        kinds: dict[object, object] = {(type(each), getattr(each, "__qualname__", "")): each for each in found}
        reached = list(kinds.values())
    assert len(reached) > 100


def test_no_listed_attribute_takes_a_path() -> None:
    """No method of a frame, Series, Index or array that is listed has a parameter for a file."""
    paths = {
        "path",
        "path_or_buf",
        "path_or_buffer",
        "buf",
        "fname",
        "filename",
        "file",
        "fid",
        "filepath_or_buffer",
        "con",
    }
    for kind in (pd.DataFrame, pd.Series, pd.Index, pd.DatetimeIndex, pd.MultiIndex):
        for name in tables.ATTRIBUTES:
            method = getattr(kind, name, None)
            if inspect.isfunction(method):
                assert not paths & set(inspect.signature(method).parameters), f"{kind.__name__}.{name}"
    assert not {"dump", "dumps", "tofile", "setfield", "setflags", "view", "data", "base", "ctypes"} & tables.ATTRIBUTES


def test_tables_do_not_contradict_each_other() -> None:
    """What has a rule of its own is not allowed by another table."""
    assert not tables.ATTRIBUTES & (tables.INSPECTION | tables.TEXT_EVALUATORS)
    assert tables.ATTRIBUTES >= tables.DISPATCHERS | tables.LABELS | tables.INDEXERS
    assert not tables.BUILTINS & tables.OTHER_BUILTINS
    assert {
        "getattr",
        "setattr",
        "eval",
        "exec",
        "open",
        "type",
        "vars",
        "globals",
        "__import__",
    } <= tables.OTHER_BUILTINS
    names = tables.ATTRIBUTES | tables.KEYWORDS | tables.BUILTINS | {p for ps in tables.MODULES.values() for p in ps}
    assert not [name for name in names if name.startswith("_")]
    assert tables.DISPATCHER_KEYWORDS <= tables.KEYWORDS
    assert not {"win_type", "engine", "engine_kwargs", "allow_pickle", "backend", "file", "aggfunc"} & tables.KEYWORDS


def test_everything_listed_exists() -> None:
    """In the versions that the image has: a name that is gone would be a promise to nobody."""
    later = {"batched", "exp2", "cbrt", "sumprod"}  # newer than the oldest Python that the operator runs on
    for module, paths in tables.MODULES.items():
        root = __import__(module)
        for path in paths - later:
            value = root
            for name in path.split("."):
                assert hasattr(value, name), f"{module}.{path}"
                value = getattr(value, name)
            assert not isinstance(value, ModuleType), f"{module}.{path}"
