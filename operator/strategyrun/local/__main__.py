"""`python -m strategyrun.local`: the command by itself, without what the others import."""

import typer

from strategyrun.local.command import run

if __name__ == "__main__":
    typer.run(run)
