"""Being an ordinary user for the length of a command, where the tests run as root: in CI they often do."""

import os
import shlex
from pathlib import Path

USER = 12345
"""Nobody's number: no account has it, so no group and no file of the machine is this user's."""


def as_ordinary_user(needed: list[Path], stage: Path) -> list[str]:
    """Return the words before a command that is to run as an ordinary user; none where this one is.

    What it needs may lie behind a folder that only root enters, as a home. In a mount namespace of the command's own,
    such a folder is another one, open and with nothing in it but what is needed.
    """
    if os.geteuid() != 0:
        return []
    behind = {path: closed for path in needed if (closed := _closed_above(path)) is not None}
    lines = []
    for number, path in enumerate(behind):
        lines += [f"mkdir -p {_word(stage / str(number))}", f"mount --bind {_word(path)} {_word(stage / str(number))}"]
    lines += [f"mount -t tmpfs -o mode=0755 none {_word(path)}" for path in sorted({*behind.values()})]
    for number, path in enumerate(behind):
        lines += [f"mkdir -p {_word(path)}", f"mount --move {_word(stage / str(number))} {_word(path)}"]
    lines.append(f'exec setpriv --reuid {USER} --regid {USER} --clear-groups -- "$@"')
    return ["unshare", "--mount", "--propagation", "private", "sh", "-ec", "\n".join(lines), "sh"]


def _closed_above(path: Path) -> Path | None:
    """Return the first folder on the way to a path that others may not enter."""
    return next((each for each in reversed(path.parents) if not each.stat().st_mode & 0o001), None)


def _word(path: Path) -> str:
    return shlex.quote(str(path))
