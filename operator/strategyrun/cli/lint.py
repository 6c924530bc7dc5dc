"""`lint`: what can be said of a strategy without running it, as the operator says it, without a cluster."""

import asyncio
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from strategyrun.adapters.vetting import Vetter
from strategyrun.cli import output
from strategyrun.cli.exits import Exit
from strategyrun.cli.output import Format, Output
from strategyrun.cli.session import fail
from strategyrun.cli.sources import Source, sources
from strategyrun.client import NotAskedError, StrategyRunError
from strategyrun.domain.vetting import Flaw, Reading

_STDIN = Path("-")


class Code(NamedTuple):
    """What is checked, and where it is from."""

    origin: str
    content: bytes


def lint(
    paths: Annotated[list[Path], typer.Argument(help="Strategies, manifests, folders; - reads standard input.")],
    fallback: Annotated[
        bool, typer.Option("--fallback", help="Check for the fallback too: its gate is stricter.")
    ] = False,
    form: Output = None,
) -> None:
    """Check strategies as the operator does before it starts a pod: exit 0 if they may start, 10 if one may not."""
    try:
        found = [code for path in paths for code in _read(path)]
        readings = asyncio.run(_vet(found, fallback=fallback))
    except (StrategyRunError, RuntimeError, OSError) as error:
        raise fail(str(error)) from error
    if form in (Format.JSON, Format.YAML):
        output.document([_document(*pair) for pair in zip(found, readings, strict=True)], form)
    else:
        for code, reading in zip(found, readings, strict=True):
            if form is Format.NAME:
                typer.echo(code.origin)
            else:
                _tell(code, reading)
    raise typer.Exit(Exit.USER if any(reading.flaws for reading in readings) else Exit.SUCCEEDED)


def _read(path: Path) -> list[Code]:
    if path == _STDIN:
        return [Code("<stdin>", sys.stdin.buffer.read())]
    return [_code(each) for each in sources([path], lambda said: typer.echo(said, err=True))]


def _code(found: Source) -> Code:
    if isinstance(found, Path):
        return Code(str(found), found.read_bytes())
    inline = (found.spec.get("source") or {}).get("inline")
    if inline is None:
        raise NotAskedError(f"{found.where} has no spec.source.inline to check")
    return Code(f"{found.origin}#{found.meta['name']}", str(inline).encode())


async def _vet(found: list[Code], *, fallback: bool) -> list[Reading]:
    vetter = Vetter()
    answers = await asyncio.gather(*(vetter.vet(code.content) for code in found))
    return [
        replace(reading, flaws=(*reading.flaws, *(_of_the_gate(flaw) for flaw in gate))) if fallback else reading
        for reading, gate in answers
    ]


def _of_the_gate(flaw: Flaw) -> Flaw:
    return replace(flaw, rule=f"fallback/{flaw.rule}")


def _tell(code: Code, reading: Reading) -> None:
    if not reading.flaws:
        typer.echo(f"{code.origin}: {reading.kind}, may start")
        return
    lines = code.content.decode(errors="replace").splitlines()
    for flaw in reading.flaws:
        typer.echo(f"{code.origin}:{flaw.line}: {flaw.rule}: {flaw.hint}")
        if 0 < flaw.line <= len(lines) and (text := lines[flaw.line - 1].strip()):
            typer.echo(f"    {text[:100]}")


def _document(code: Code, reading: Reading) -> dict[str, object]:
    findings = [{"line": flaw.line, "rule": flaw.rule, "hint": flaw.hint} for flaw in reading.flaws]
    return {"source": code.origin, "kind": str(reading.kind), "findings": findings}
