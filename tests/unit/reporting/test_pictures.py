"""A run as PNG."""

import io
import json
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest
from PIL import Image

from strategyrun.reporting.lettering import LATIN, Lettering
from strategyrun.reporting.material import Material
from strategyrun.reporting.panels import held
from strategyrun.reporting.rendering import CannotRenderError, Form, render

Make = Callable[..., Material]


def picture(content: bytes) -> Image.Image:
    """Read a PNG."""
    image = Image.open(io.BytesIO(content))
    assert image.format == "PNG"
    return image


def test_it_is_a_png_of_1200_pixels(thirteen_years: Any, material: Make) -> None:
    """Higher than wide, small enough to commit, and with ink on it."""
    content = render(material(thirteen_years), Form.PICTURE)
    image = picture(content)
    assert image.width == 1200
    assert 1200 < image.height < 1800
    assert len(content) < 150_000
    assert len(np.unique(np.asarray(image.convert("L")))) > 50


def test_equal_runs_give_equal_bytes(thirteen_years: Any, material: Make) -> None:
    """So that pictures and pages can be compared."""
    first, second = material(thirteen_years), material(thirteen_years)
    for form in Form:
        assert render(first, form) == render(second, form)


def test_awkward_accounts_are_drawn(awkward: Any, material: Make) -> None:
    """Cash, one day, ruin, riches, many symbols: all without a warning."""
    assert picture(render(material(awkward), Form.PICTURE)).width == 1200


def test_the_status_alone_is_enough(thirteen_years: Any, material: Make) -> None:
    """For equity and drawdown."""
    image = picture(render(material(thirteen_years, full=False), Form.PICTURE))
    assert 500 < image.height < 1000


def test_look_ahead_is_a_red_band(thirteen_years: Any, material: Make) -> None:
    """Across the top, where nobody overlooks it."""
    found = {"samples": 5, "checked": 5, "changed": 2, "firstDate": "2002-05-03", "symbol": "AAPL"}
    image = picture(render(material(thirteen_years, lookAhead=found), Form.PICTURE)).convert("RGB")
    red, green, blue = np.asarray(image)[2, 1190].tolist()
    assert red > 150
    assert max(green, blue) < 100


def test_a_run_without_equity_has_no_picture(failed: dict[str, Any]) -> None:
    """The message says what to ask for instead."""
    with pytest.raises(
        CannotRenderError, match=r"has no equity to draw: it is Failed \(StrategyError\); use .txt or .html"
    ):
        render(Material.read(failed, None), Form.PICTURE)


def test_only_finished_runs_become_files(run_of: Callable[..., dict[str, Any]]) -> None:
    """A file of a run under way would be out of date at once."""
    waiting = Material.read(run_of(phase="Running", reason="StrategyRunning"), None)
    for form in Form:
        with pytest.raises(CannotRenderError, match=r"is not finished: it is Running \(StrategyRunning\)"):
            render(waiting, form)


def test_names_without_a_glyph_leave_no_boxes() -> None:
    """What a font has is kept, and a name of which nothing is left gets its number."""
    latin = Lettering([LATIN])
    assert latin.label("2330 台積電", 13, "#1") == "2330"
    assert latin.label("台積電", 13, "#2") == "#2"
    assert latin.label("A" * 20, 13) == "A" * 12 + "…"
    assert Lettering([LATIN], browser=True).label("台積電", 13) == "台積電"


def test_many_symbols_leave_the_largest_and_a_sum(many_symbols: Any, material: Make) -> None:
    """13 bands and one for the others."""
    document = material(many_symbols).document
    assert document is not None
    weights = held(document)
    assert weights is not None
    assert len(weights.names) == 13
    assert weights.others == 47
    assert weights.strips.shape == (14, 360)
    assert weights.strips[-1].max() > 0.5


def test_the_bands_hold_the_weights(thirteen_years: Any, material: Make) -> None:
    """Means over their strips add up to what was ordered."""
    document = material(thirteen_years).document
    assert document is not None
    weights = held(document)
    assert weights is not None
    days = document.dates.index(document.orders[-1].date)
    held_last = sum(abs(weight) for weight in document.orders[-1].weights.values())
    if len(document.dates) - days > 20:
        assert weights.strips[:, -1].sum() == pytest.approx(held_last)
    assert 0 < weights.strips.sum(axis=0).max() <= 1.0 + 1e-9


def of_days(number: int, **fields: Any) -> dict[str, Any]:
    """A report of so many days on which nothing happened, but for the fields."""
    still: dict[str, Any] = {name: [0.0] * number for name in ("drawdown", "exposure")}
    days = [str(date(2000, 1, 1) + timedelta(days=day)) for day in range(number)]
    return still | {"schema": 1, "dates": days, "equity": [1.0] * number} | fields


def closed(profit: float) -> dict[str, Any]:
    """A closed trade."""
    dates = {"opened": "2000-01-01", "closed": "2000-01-02"}
    return {"symbol": "A", "side": "Short", "days": 1, "profit": profit} | dates


HOSTILE = {
    "the whole calendar": of_days(3, dates=["0001-01-01", "0001-01-02", "9999-12-31"]),
    "nothing left": of_days(300, equity=[0.0] * 300, benchmark=[0.0] * 300),
    "from nothing to everything": of_days(300, equity=[1e-300] + [1e100] * 299, benchmark=[1e-300] * 300),
    "denormal": of_days(3, equity=[5e-324, 1.0, 1e100]),
    "enormous": of_days(
        300,
        exposure=[1e100] * 300,
        orders=[{"date": "2000-01-01", "weights": {"A": 1e100, "": -1e100, " ": 1e-300}}],
        trades=[closed(1e100), closed(-1e100), closed(0)],
    ),
    "minute": of_days(3, orders=[{"date": "2000-01-01", "weights": {"A": 1e-320}}], trades=[closed(1e-300), closed(0)]),
    "orders outside": of_days(
        3,
        orders=[{"date": "1990-01-01", "weights": {"A": 1}}, {"date": "2030-01-01", "weights": {"B": 1}}],
        truncated=["orders: the last 2 of 9 are kept"],
    ),
    "orders later": of_days(3, orders=[{"date": "2030-01-01", "weights": {"B": 1}}], truncated=["orders: x"]),
    "20000 symbols": of_days(3, orders=[{"date": "2000-01-01", "weights": {f"S{n}": 5e-5 for n in range(20_000)}}]),
    "names": of_days(
        3,
        orders=[
            {"date": "2000-01-01", "weights": {"\u05d0": 0.2, "😀": 0.3, "x" * 90: 0.1, r"$\frac{": 0.1, "_x": 0.1}}
        ],
    ),
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE.keys())
def test_whatever_a_report_holds_is_drawn(run_of: Callable[..., dict[str, Any]], content: dict[str, Any]) -> None:
    """As long as it fits the schema: without an exception, without a warning."""
    made = Material.read(run_of(metrics={"sharpe": 1.0}), json.dumps(content).encode())
    assert made.document is not None
    for form in Form:
        assert render(made, form)
