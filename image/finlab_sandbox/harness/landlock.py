"""Landlock, where the kernel has it: writing in a few places, starting programs nowhere, no connection, no signals out.

What it forbids is found by path and by process, which no seccomp filter can see.
"""

from __future__ import annotations

import ctypes
import os
import struct
from contextlib import suppress
from typing import TYPE_CHECKING

from finlab_sandbox.harness import syscalls

if TYPE_CHECKING:
    from collections.abc import Iterable

ASK_FOR_VERSION = 1
PATH_BENEATH = 1

WRITE_FILE = 1 << 1
READ = 1 << 2 | 1 << 3
MAKE_CHARACTER_DEVICE, MAKE_BLOCK_DEVICE = 1 << 6, 1 << 11
TRUNCATE = 1 << 14
IOCTL_DEVICE = 1 << 15
EXECUTE = 1 << 0
# How many rights to files each version of the ABI knows: REFER came with 2, TRUNCATE with 3, IOCTL_DEV with 5.
FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
NETWORK, NETWORK_SINCE = 0b11, 4  # TCP: bind, connect
SCOPES, SCOPES_SINCE = 0b11, 6  # abstract sockets, signals


def restrict(folders: Iterable[str], files: Iterable[str]) -> int | None:
    """From here on this thread and those that it starts write nowhere else; reading stays as it was.

    Returns the version of the kernel's ABI; None where there is no Landlock, or none for this process.
    Paths that do not exist are passed over. The process must have no new privileges to hope for.
    """
    try:
        abi = syscalls.call("landlock_create_ruleset", None, 0, ASK_FOR_VERSION)
        handled = ((1 << FILE_RIGHTS[min(abi, max(FILE_RIGHTS))]) - 1) & ~READ
        ruleset = _ruleset(abi, handled)
    except OSError:
        return None
    try:
        of_folders = handled & ~(EXECUTE | MAKE_CHARACTER_DEVICE | MAKE_BLOCK_DEVICE | IOCTL_DEVICE)
        for path in folders:
            _permit(ruleset, path, of_folders)
        for path in files:
            _permit(ruleset, path, handled & (WRITE_FILE | TRUNCATE))
        syscalls.call("landlock_restrict_self", ruleset, 0)
    except OSError:
        return None
    finally:
        os.close(ruleset)
    return abi


def _ruleset(abi: int, handled: int) -> int:
    fields = [handled]
    if abi >= NETWORK_SINCE:
        fields.append(NETWORK)
    if abi >= SCOPES_SINCE:
        fields.append(SCOPES)
    attributes = ctypes.create_string_buffer(struct.pack(f"={len(fields)}Q", *fields), 8 * len(fields))
    return syscalls.call("landlock_create_ruleset", ctypes.addressof(attributes), len(attributes), 0)


def _permit(ruleset: int, path: str, rights: int) -> None:
    with suppress(FileNotFoundError):
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            rule = ctypes.create_string_buffer(struct.pack("=Qi", rights, descriptor), 12)
            syscalls.call("landlock_add_rule", ruleset, PATH_BENEATH, ctypes.addressof(rule), 0)
        finally:
            os.close(descriptor)
