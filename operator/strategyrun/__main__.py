"""`python -m strategyrun` is the command line."""

from strategyrun.cli import main

main()
