"""A program in the place of the interpreter that a child is started with."""

import sys
from pathlib import Path


def stand_in(folder: Path, script: str) -> str:
    """Make one that runs a script whatever it is started with, and return its path."""
    program = folder / "python"
    program.write_text(f"#!{sys.executable} -I\n{script}")
    program.chmod(0o755)
    return str(program)


def killed_at_once(folder: Path) -> str:
    """Make one that ends as by the kernel for want of memory."""
    return stand_in(folder, "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
