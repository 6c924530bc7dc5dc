"""What is said of a source without running it: what can never work is flagged, what may work is not."""

from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategyrun.domain.vetting import FINDINGS_LIMIT, SIZE_LIMIT_BYTES, VENDOR_RULE, Flaw, Kind, vet


def flaws_of(source: bytes) -> tuple[Flaw, ...]:
    """What can never work in a source."""
    return vet(source).flaws


HEADER = "def strategy(data, params):\n    return data['close'].notna()\n"

HONEST = {
    "one-line": "def strategy(data, params): return data['close'] > data['open']",
    "moving-average": """
        import pandas as pd

        def strategy(data, params):
            close = data["close"]
            fast, slow = close.rolling(params.get("fast", 20)).mean(), close.rolling(params.get("slow", 60)).mean()
            return (fast > slow).astype(float).div(len(data.symbols))
        """,
    "turtle-with-helpers-and-state": """
        import numpy as np

        class Turtle:
            def __init__(self, entry=20, exit=10):
                self.entry, self.exit = entry, exit

            def positions(self, high, low, close):
                up = close > high.rolling(self.entry).max().shift(1)
                down = close < low.rolling(self.exit).min().shift(1)
                held = up.astype(float).where(up | down, np.nan).ffill().fillna(0.0)
                return held.div(held.sum(axis=1).replace(0, 1), axis=0)

        def strategy(data, params):
            return Turtle(**params).positions(data.high, data.low, data.close)
        """,
    "talib": """
        import talib
        def strategy(data, params):
            return data.close.apply(lambda prices: talib.RSI(prices, 14)) < 30
        """,
    "scikit-learn": """
        from sklearn.linear_model import LinearRegression
        def strategy(data, params):
            returns = data["close"].pct_change().dropna()
            model = LinearRegression().fit(returns.values[:-1], returns.values[1:])
            return returns * 0 + model.predict(returns.values)
        """,
    "lambda": "strategy = lambda data, params: data['close'].notna()",
    "made-by-a-factory": """
        def make(window):
            def inner(data, params):
                return data["close"] > data["close"].rolling(window).mean()
            return inner
        strategy = make(20)
        """,
    "callable-object": """
        class strategy:
            def __new__(cls, data, params):
                return data["close"].notna()
        """,
    "any-arguments": "def strategy(*args):\n    return args[0]['close'].notna()",
    "defaults": "def strategy(data, params=None, *, window=20):\n    return data['close'].notna()",
    "decorated": """
        import functools
        def with_defaults(function):
            @functools.wraps(function)
            def inner(data, params):
                return function(data)
            return inner
        @with_defaults
        def strategy(data):
            return data["close"].notna()
        """,
    "defined-by-a-condition": """
        import sys
        if sys.version_info >= (3, 13):
            def strategy(data, params):
                return data["close"].notna()
        else:
            def strategy(data, params):
                return data["close"] > 0
        """,
    "imported-under-this-name": "from sandboxed import momentum as strategy",
    "defined-twice": "def strategy():\n    pass\n" + HEADER,
    "chinese": """
        # 收盤價高於均線就持有
        def strategy(資料, 參數):
            收盤價 = 資料["close"]
            return 收盤價 > 收盤價.rolling(20).mean()
        """,
    "regular-expression-with-an-invalid-escape": r"import re; PATTERN = re.compile('\d+')" + "\n" + HEADER,
    "main-guarded-download": """
        import yfinance as yf
        def main():
            print(strategy(yf.download("AAPL"), {}))
        def strategy(data, params):
            return data["close"].notna()
        if __name__ == "__main__":
            main()
        """,
    "try-guarded-download": """
        import yfinance as yf
        try:
            extra = yf.download("SPY")
        except Exception:
            extra = None
        def strategy(data, params):
            return data["close"].notna()
        """,
    "suppressed-download": """
        import contextlib, requests
        with contextlib.suppress(OSError):
            requests.get("https://example.com")
        """
    + HEADER.replace("\n", "\n        "),
    "download-in-a-function-that-nobody-calls": """
        import yfinance
        def refresh():
            return yfinance.download("AAPL")
        def strategy(data, params):
            return data["close"].notna()
        """,
    "download-on-a-condition": """
        import requests
        def strategy(data, params):
            if params.get("live"):
                requests.post("https://example.com", json={})
            prices = data["close"] if len(data.symbols) else requests.get("https://example.com")
            while prices.empty:
                prices = requests.get("https://example.com")
            for symbol in params.get("more", []):
                requests.get(symbol)
            return params.get("positions") or prices.notna() or requests.get("https://example.com")
        """,
    "download-after-a-return": """
        import requests
        def strategy(data, params):
            if not params.get("live"):
                return data["close"].notna()
            return requests.get("https://example.com").json()
        """,
    "a-dictionary-called-requests": """
        def strategy(data, params):
            requests = {"AAPL": 1.0}
            return data["close"] * requests.get("AAPL")
        """,
    "a-parameter-called-input": "def score(input):\n    return input(1)\n" + HEADER,
    "an-own-function-called-input": "def input(prompt):\n    return 1\nx = input('?')\n" + HEADER,
    "a-session-that-is-never-used": "import requests\nsession = requests.Session()\n" + HEADER,
    "a-name-imported-or-replaced": """
        try:
            import yfinance as yf
        except ImportError:
            yf = None
        def strategy(data, params):
            return data["close"].notna() if yf is None else data["close"] > 0
        """,
    "the-offline-calls-of-finlab": """
        from finlab import data as fd
        def strategy(data, params):
            return fd.get("price:收盤價").average(20)
        """,
}


@pytest.mark.parametrize("source", HONEST.values(), ids=HONEST.keys())
def test_an_honest_strategy_passes(source: str) -> None:
    """Whatever may work is left to the sandbox to judge."""
    assert flaws_of(dedent(source).encode()) == ()


FLAWED = {
    "no-entrypoint": ("x = 1\n", [(1, "entrypoint")]),
    "empty": ("", [(1, "entrypoint")]),
    "entrypoint-inside-a-class": ("class A:\n    def strategy(self, data): ...\n", [(1, "entrypoint")]),
    "entrypoint-inside-a-function": ("def f():\n    strategy = 1\n", [(1, "entrypoint")]),
    "one-argument": ("\ndef strategy(data):\n    return data\n", [(2, "signature")]),
    "three-arguments": ("def strategy(a, b, c):\n    return a\n", [(1, "signature")]),
    "required-keyword": ("def strategy(data, params, *, window):\n    return data\n", [(1, "signature")]),
    "keywords-only": ("def strategy(**everything):\n    return 1\n", [(1, "signature")]),
    "async": ("async def strategy(data, params):\n    return data\n", [(1, "signature")]),
    "syntax": ("def strategy(data, params):\n    return data[\n", [(2, "syntax")]),
    "indentation": ("def strategy(data, params):\nreturn data\n", [(2, "syntax")]),
    "python-2": ("print 'hello'\n" + HEADER, [(1, "syntax")]),
    "full-width-comma": ("def strategy(data， params):\n    return data\n", [(1, "syntax")]),
    "input-at-import": ("name = input('your name? ')\n" + HEADER, [(1, "interactive")]),
    "download-at-import": ("import yfinance\nprices = yfinance.download('AAPL')\n" + HEADER, [(2, "network")]),
    "import-as": ("import yfinance as yf\nprices = yf.download('AAPL')\n" + HEADER, [(2, "network")]),
    "from-import": ("from requests import get\nget('https://example.com')\n" + HEADER, [(2, "network")]),
    "from-import-as": ("from requests import get as fetch\nfetch('x')\n" + HEADER, [(2, "network")]),
    "chain": ("import yfinance as yf\nyf.Ticker('AAPL').history(period='5y')\n" + HEADER, [(2, "network")]),
    "inside-an-expression": ("import requests\nx = [requests.get('u').json()['a'] + 1]\n" + HEADER, [(2, "network")]),
    "socket": ("import socket\ns = socket.socket()\n" + HEADER, [(2, "network")]),
    "vendor-login": ("import finlab\nfinlab.login('token')\n" + HEADER, [(2, "vendor")]),
    "in-the-strategy": (
        "import requests\ndef strategy(data, params):\n    x = requests.get('u')\n    return x\n",
        [(3, "network")],
    ),
    "in-a-function-that-the-strategy-calls": (
        (
            "import requests\n"
            "def load():\n    return fetch()\n"
            "def fetch():\n    return requests.get('u')\n"
            "def strategy(data, params):\n    return load()\n"
        ),
        [(5, "network")],
    ),
    "in-a-default": (
        "import requests\ndef strategy(data, params=requests.get('u')):\n    return 1\n",
        [(2, "network")],
    ),
    "in-a-condition": (
        "import requests\ndef strategy(data, params):\n    if requests.get('u').ok:\n        return 1\n",
        [(3, "network")],
    ),
    "several-in-the-order-of-lines": (
        "import requests\nrequests.get('a')\ninput()\nrequests.post('b')\n" + HEADER,
        [(2, "network"), (3, "interactive"), (4, "network")],
    ),
}


@pytest.mark.parametrize(("source", "expected"), FLAWED.values(), ids=FLAWED.keys())
def test_what_can_never_work_is_flagged_with_its_line(source: str, expected: list[tuple[int, str]]) -> None:
    """The line and the rule are named, and the hint is a sentence without a trace of Python's internals."""
    flaws = flaws_of(source.encode())
    assert [(flaw.line, flaw.rule) for flaw in flaws] == expected
    assert all(len(flaw.hint) > 20 and "\n" not in flaw.hint for flaw in flaws)


def test_a_finding_names_the_call() -> None:
    """By the name that the documentation of the library uses, whatever it was imported as."""
    (flaw,) = flaws_of(b"import yfinance as yf\nyf.download('AAPL')\n" + HEADER.encode())
    assert flaw == Flaw(
        2,
        "network",
        "yfinance.download: the sandbox has no network; use the dataset of the run, it is the argument `data`",
    )


def test_twelve_megabytes_are_refused_unread() -> None:
    """The size is looked at first: not even the encoding of a huge source is."""
    assert [flaw.rule for flaw in flaws_of(b"\xff" * 12_000_000)] == ["size"]


@pytest.mark.parametrize(
    ("size", "rules"), [(SIZE_LIMIT_BYTES, []), (SIZE_LIMIT_BYTES + 1, ["size"])], ids=["at-the-limit", "above"]
)
def test_the_limit_is_128_kib(size: int, rules: list[str]) -> None:
    """The last byte that the schema allows is allowed here."""
    source = HEADER.encode()
    assert [flaw.rule for flaw in flaws_of(source + b"#" * (size - len(source)))] == rules


@pytest.mark.parametrize(
    "source",
    [
        pytest.param(b"x = " + b"(" * 50_000, id="parentheses"),
        pytest.param(b"x = " + b"[" * 90 + b"]" * 90 + b"\n" + b"-" * 100_000 + b"1", id="unary-operators"),
        pytest.param(b"x = 1" + b"+1" * 60_000, id="a-long-sum"),
        pytest.param(b"x" + b".a" * 60_000, id="attributes"),
        pytest.param(b"x" + b"()" * 60_000, id="calls"),
        pytest.param(b"x = " + b"lambda:" * 18_000 + b"0", id="lambdas"),
        pytest.param(b"x = " + b"not " * 30_000 + b"0", id="negations"),
        pytest.param(
            b"".join(b" " * depth + b"if x:\n" for depth in range(500)) + b" " * 500 + b"pass\n", id="indentation"
        ),
    ],
)
def test_a_source_that_is_made_to_exhaust_the_reader_is_flagged(source: bytes) -> None:
    """Nesting ends as a finding, never as an error of the reader."""
    flaws = flaws_of(source + b"\n" + HEADER.encode())
    assert [flaw.rule for flaw in flaws] in (["complexity"], ["syntax"])


def test_a_long_but_flat_source_passes() -> None:
    """A table of numbers is no complexity."""
    table = "TABLE = [" + ",".join(str(n) for n in range(20_000)) + "]\n"
    assert flaws_of((table + HEADER).encode()) == ()


def test_deep_chains_that_python_can_compile_pass() -> None:
    """The check goes no deeper than the compiler, and no less deep."""
    source = "TEXT = " + " + ".join(["'a'"] * 700) + "\n" + HEADER
    compile(source, "strategy.py", "exec")
    assert flaws_of(source.encode()) == ()


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        pytest.param(b"\xef\xbb\xbf" + HEADER.encode(), [], id="byte-order-mark"),
        pytest.param(b"# -*- coding: utf-8 -*-\n" + HEADER.encode(), [], id="cookie-utf-8"),
        pytest.param(b"# coding: ascii\n" + HEADER.encode(), [], id="cookie-ascii"),
        pytest.param(HEADER.replace("\n", "\r\n").encode(), [], id="windows-newlines"),
        pytest.param(b"# coding: klingon\n" + HEADER.encode(), ["syntax"], id="cookie-unknown"),
        pytest.param("# coding: ascii\nx = '收盤價'\n".encode() + HEADER.encode(), ["syntax"], id="cookie-lies"),
        pytest.param("x = '收盤價'\n".encode("big5") + HEADER.encode(), ["encoding"], id="big5"),
        pytest.param(HEADER.encode("utf-16"), ["encoding"], id="utf-16"),
        pytest.param(HEADER.encode() + b"\x00", ["syntax"], id="nul"),
        pytest.param(b"x = '\x00'\n" + HEADER.encode(), ["syntax"], id="nul-in-a-string"),
    ],
)
def test_the_encoding_is_utf_8(source: bytes, expected: list[str]) -> None:
    """What Python in the sandbox reads is read here in the same way."""
    assert [flaw.rule for flaw in flaws_of(source)] == expected


def test_the_first_byte_that_is_not_utf_8_is_named_with_its_line() -> None:
    """An editor jumps to the line."""
    (flaw,) = flaws_of(b"x = 1\ny = 2\nz = '\xff'\n")
    assert (flaw.line, flaw.rule) == (3, "encoding")
    assert "byte 17" in flaw.hint


def test_at_most_twenty_findings() -> None:
    """Who has more mends the first twenty first."""
    flaws = flaws_of(b"input()\n" * 50 + HEADER.encode())
    assert [flaw.line for flaw in flaws] == list(range(1, FINDINGS_LIMIT + 1))


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_any_bytes_are_read_to_an_answer(source: bytes) -> None:
    """No source makes the reader fail."""
    for flaw in flaws_of(source):
        assert flaw.line >= 1


KINDS = {
    "def strategy(data, params):\n    return data.close > 0": Kind.POSITIONS,
    "class strategy:\n    pass": Kind.POSITIONS,
    "from mine import momentum as strategy": Kind.POSITIONS,
    "strategy = make(20)": Kind.POSITIONS,
    "position = close > close.average(20)": Kind.POSITIONS,
    "positions: object = close > 0": Kind.POSITIONS,
    "entries, position = signals()": Kind.POSITIONS,
    "if fast:\n    position = close > 0\nelse:\n    position = close < 0": Kind.POSITIONS,
    "position = close > 0\nprint('RESULT {}')": Kind.POSITIONS,
    "strategy = 'momentum'\nprint('done')": Kind.SCRIPT,
    "position = 0\nfor price in prices:\n    position += 1\nprint(position)": Kind.SCRIPT,
    "position = -1\nposition = size\nprint(f'RESULT {position}')": Kind.RESULT,
    "for position in table:\n    print(position)": Kind.SCRIPT,
    "table[position] = size\nprint(table)": Kind.SCRIPT,
    "strategy.name = title\nprint(strategy)": Kind.SCRIPT,
    "book, positions = split(table)": Kind.POSITIONS,
    "def run():\n    position = close > 0": Kind.SCRIPT,
    "import json\nprint('RESULT ' + json.dumps({}))": Kind.RESULT,
    "print('RESULT', {})": Kind.RESULT,
    "print(f'\\nRESULT {x}')": Kind.RESULT,
    "import os\nopen(os.environ['RESULT_DIR'] + '/result.json', 'w')": Kind.RESULT,
    "print('RESULTS are good')": Kind.SCRIPT,
    "": Kind.SCRIPT,
    "position = None\nposition = data.close > 1": Kind.POSITIONS,
    "position = 0\nif data.symbols:\n    position = data.close > 1": Kind.POSITIONS,
    "position = 1 if rising else 0\nprint(position)": Kind.SCRIPT,
    "cash, position = 100000.0, 0\nprint(cash)": Kind.SCRIPT,
    "book, (cash, position) = make(), (1.0, close > 0)": Kind.POSITIONS,
    "positions = [0] * len(prices)\nprint(positions)": Kind.SCRIPT,
    "positions = dict()\nprint(positions)": Kind.SCRIPT,
    "strategy = {'name': title, 'fast': 20}\nprint(strategy)": Kind.SCRIPT,
    "positions = np.zeros(9)\npositions = pd.DataFrame(positions)": Kind.POSITIONS,
    "position = (fast > slow).astype(float).shift(1)\nprint('RESULT {}')": Kind.POSITIONS,
    "position = -(fast > slow)\nprint('RESULT {}')": Kind.POSITIONS,
    "def strategy(data, params):\n    return data.close > 0\nprint('RESULT {}')": Kind.POSITIONS,
    "@cached\ndef strategy(data):\n    return data.close > 0\nprint('RESULT {}')": Kind.POSITIONS,
}

BESIDE_A_RESULT = [
    "strategy = MovingAverage()",
    "strategy = {'name': title, 'fast': 20}",
    "from mine import momentum as strategy",
    "class strategy:\n    pass",
    "def strategy(prices, fast, slow):\n    return prices.mean()",
    "cash, position = 100000.0, 0",
    "position = 0\nfor price in prices:\n    position = cash / price",
    "position = 1 if rising else 0",
    "position = None\nposition = data.close > 1",
    "position = size",
    "positions = []",
    "positions = {}",
    "positions = list()",
    "positions = [0] * len(prices)",
    "positions = [price > 1 for price in prices]",
    "positions = np.zeros(len(prices))",
    "positions = strategy.signals(prices)",
]


@pytest.mark.parametrize("source", BESIDE_A_RESULT)
def test_a_script_that_prints_a_result_keeps_its_own_names(source: str) -> None:
    """Its numbers are what it is for, and nothing of it is refused for a name that it uses otherwise."""
    reading = vet(f"{source}\nprint('RESULT ' + json.dumps(run()))".encode())
    assert (reading.kind, reading.flaws) == (Kind.RESULT, ())


@pytest.mark.parametrize(("source", "kind"), KINDS.items(), ids=range(len(KINDS)))
def test_the_kind_follows_from_names_and_texts(source: str, kind: Kind) -> None:
    """What the top level binds to more than a constant ranks first, then the words for a result."""
    assert vet(source.encode()).kind is kind


@pytest.mark.parametrize(
    "source",
    [
        "from finlab import backtest, data\nposition = data.get('price:收盤價') > 20\nbacktest.sim(position)",
        "from finlab.backtest import sim\nposition = make()\nreport = sim(position, resample='M')",
        "import finlab\nposition = make()\nfinlab.backtest.sim(position, upload=False)",
        "import finlab\nfinlab.login('TOKEN')\nposition = make()",
    ],
)
def test_what_needs_the_vendor_is_named_as_such(source: str) -> None:
    """A call that needs the vendor's authorisation is no bug of the code: its rule leads to a reason of its own."""
    (flaw,) = flaws_of(source.encode())
    assert flaw.rule == VENDOR_RULE
    assert "authorisation" in flaw.hint
