"""`top` and `compare`: runs beside each other."""

from typing import Annotated, Any

import typer
from rich.text import Text

from strategyrun.cli import output
from strategyrun.cli.cells import age, digest, now, number
from strategyrun.cli.output import Format, Output, console, table
from strategyrun.cli.session import Name, Namespace, Selector, ask, run_names
from strategyrun.client import AsyncClient, Board, Result
from strategyrun.client.board import METRICS
from strategyrun.reporting import words


def top(
    metric: Annotated[
        str,
        typer.Option(
            "--metric", "-m", help="Metric to rank by, as in status.metrics.", autocompletion=lambda: [*METRICS]
        ),
    ] = "sharpe",
    limit: Annotated[int, typer.Option("--limit", min=1, help="Places to show.")] = 20,
    everything: Annotated[
        bool, typer.Option("--all", help="Also numbers that do not compare: self-reported, fallback, look-ahead.")
    ] = False,
    selector: Selector = "",
    namespace: Namespace = None,
    form: Output = None,
) -> None:
    """Rank runs by a metric: those that the evaluator scored, in the sandbox, without look-ahead."""
    board = ask(namespace, lambda client: client.top(metric, selector=selector, everything=everything))
    places = board.places[:limit]
    if form is Format.NAME:
        output.names(place.result for place in places)
    elif form in (Format.JSON, Format.YAML):
        rows = [
            {"rank": place.rank, "name": place.result.name, "value": place.value, "marks": [*place.result.marks]}
            for place in places
        ]
        output.document({"metric": metric, "places": rows, "leftOut": board.left_out}, form)
    else:
        _print_board(board, limit, wide=form is Format.WIDE)


def _print_board(board: Board, limit: int, *, wide: bool) -> None:
    shown = board.places[:limit]
    columns = ["#", "NAME", board.metric.upper(), "RETURN%", "MAXDD%", "TRADES", "MARKS", "AGE"]
    made = table(*columns, *(["EXECUTOR", "CODE", "PARAMS"] if wide else []))
    for place in shown:
        result, found = place.result, place.result.metrics
        more = [result.executor or "", digest(result, "code"), digest(result, "params")] if wide else []
        made.add_row(
            str(place.rank or "-"),
            Text(result.name),
            f"{place.value:.4g}",
            number(found.total_return, 1, times=100),
            number(found.max_drawdown, 1, times=100),
            number(found.trades, 0),
            Text(",".join(result.marks), "yellow"),
            age(result, now()),
            *more,
        )
    console().print(made)
    left_out = dict(board.left_out)
    if len(board.places) > limit:
        left_out["beyond --limit"] = len(board.places) - limit
    if left_out:
        typer.echo("left out: " + ", ".join(f"{count} {why}" for why, count in left_out.items()), err=True)


def compare(
    first: Name,
    second: Annotated[str, typer.Argument(help="Name of the one to compare it with.", autocompletion=run_names)],
    namespace: Namespace = None,
    form: Output = None,
) -> None:
    """Put two runs beside each other: what differs in what was asked for, and in what came out."""

    async def work(client: AsyncClient) -> tuple[Result, Result]:
        return await client.result(first), await client.result(second)

    pair = ask(namespace, work)
    with output.within_reason():
        if form is Format.NAME:
            output.names(pair)
        elif form in (Format.JSON, Format.YAML):
            output.document(_comparison(*pair), form)
        else:
            _print_comparison(*pair)


def _comparison(first: Result, second: Result) -> dict[str, Any]:
    why = incomparable(first, second)
    return {
        "names": [first.name, second.name],
        "comparable": not why,
        "why": why,
        "inputs": {name: [*values] for name, values in differing_inputs(first, second).items()},
        "metrics": {name: [*values] for name, values in metric_rows(first, second).items()},
    }


def _print_comparison(first: Result, second: Result) -> None:
    made = table("", first.name, second.name, "DIFFERENCE")
    made.add_row("phase", first.phase, second.phase)
    made.add_row("reason", first.reason, second.reason)
    for field, asked in differing_inputs(first, second).items():
        made.add_row(field, *(Text(_short(value)) for value in asked))
    for name, (before, after) in metric_rows(first, second).items():
        written = words.METRICS[name][1]
        difference = written(after - before) if before is not None and after is not None else ""
        made.add_row(name, *("—" if value is None else written(value) for value in (before, after)), difference)
    screen = console()
    screen.print(made)
    for why in incomparable(first, second):
        screen.print(Text(f"not comparable: {why}", "yellow"), soft_wrap=True)


def metric_rows(first: Result, second: Result) -> dict[str, tuple[float | None, float | None]]:
    """Return the values of each metric that one of them has."""
    known = [each for each in words.METRICS if first.value(each) is not None or second.value(each) is not None]
    return {name: (first.value(name), second.value(name)) for name in known}


def differing_inputs(first: Result, second: Result) -> dict[str, tuple[Any, Any]]:
    """Return what was asked for differently, by field of the spec; of sources the hash."""
    one, other = (_inputs(result) for result in (first, second))
    fields = [*dict.fromkeys([*one, *other])]
    return {field: (one.get(field), other.get(field)) for field in fields if one.get(field) != other.get(field)}


def incomparable(first: Result, second: Result) -> list[str]:
    """Say why the numbers of two runs do not stand beside each other; nothing where they do."""
    why = [f"{each.name} is {each.phase}" for each in (first, second) if not each.succeeded]
    why += [f"{each.name} is {mark}" for each in (first, second) for mark in each.marks]
    prices = [each.provenance.get("datasetSHA256") for each in (first, second)]
    if all(prices) and prices[0] != prices[1]:
        why.append("they were scored on different prices")
    rules = [_flat("evaluation", (each.body.get("spec") or {}).get("evaluation") or {}) for each in (first, second)]
    return why + (["they were scored by different rules"] if rules[0] != rules[1] else [])


def _inputs(result: Result) -> dict[str, Any]:
    spec = result.body.get("spec") or {}
    fields = {"code": digest(result, "code")}
    for name in ("params", "evaluation", "datasets", "profile", "timeoutSeconds"):
        fields |= _flat(name, spec.get(name))
    return fields


def _flat(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        return {name: value}
    return {key: leaf for part, inner in value.items() for key, leaf in _flat(f"{name}.{part}", inner).items()}


def _short(value: Any) -> str:
    return "—" if value is None else str(value)[:60]
