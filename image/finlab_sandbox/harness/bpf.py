"""Classic BPF as seccomp reads it: small blocks that each end in an answer, one after the other. Pure.

A block that does not apply is jumped over, so that no jump needs a name.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

LOAD, AND, JUMP_EQUAL, JUMP_AT_LEAST, RETURN = 0x20, 0x54, 0x15, 0x35, 0x06
LONGEST_JUMP = 255

ALLOW = 0x7FFF0000
KILL_PROCESS = 0x80000000
_ERRNO = 0x00050000

# Offsets in struct seccomp_data; of an argument, the lower half on a little-endian machine.
NUMBER, ARCHITECTURE, _ARGUMENTS = 0, 4, 16


class Instruction(NamedTuple):
    """A struct sock_filter. Jumps count the instructions that are passed over."""

    code: int
    if_true: int
    if_false: int
    value: int


Block = list[Instruction]


def load(offset: int) -> Block:
    """What follows looks at these 32 bits."""
    return [Instruction(LOAD, 0, 0, offset)]


def load_argument(index: int, mask: int | None = None) -> Block:
    """What follows looks at the lower half of an argument, or at some of its bits."""
    masked = [] if mask is None else [Instruction(AND, 0, 0, mask)]
    return [*load(_ARGUMENTS + 8 * index), *masked]


def answer(action: int) -> Block:
    """What becomes of the call."""
    return [Instruction(RETURN, 0, 0, action)]


def refuse(errno: int) -> Block:
    """The call fails with this error."""
    return answer(_ERRNO | errno)


def when_equal(value: int, block: Block) -> Block:
    """The block, for this value alone."""
    return [Instruction(JUMP_EQUAL, 0, _jump(block), value), *block]


def unless_equal(value: int, block: Block) -> Block:
    """The block, for every value but this one."""
    return [Instruction(JUMP_EQUAL, _jump(block), 0, value), *block]


def when_at_least(value: int, block: Block) -> Block:
    """The block, for this value and those above it."""
    return [Instruction(JUMP_AT_LEAST, 0, _jump(block), value), *block]


def when_any(values: Iterable[int], block: Block) -> Block:
    """The block, for each of these values."""
    return [instruction for value in values for instruction in when_equal(value, block)]


def encode(program: Block) -> bytes:
    """The program as an array of struct sock_filter."""
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)


def _jump(block: Block) -> int:
    if not 0 < len(block) <= LONGEST_JUMP:
        raise ValueError(f"a jump over {len(block)} instructions")
    return len(block)
