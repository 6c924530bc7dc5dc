"""The compiled profile, run by an interpreter of classic BPF: every call meets the fate that the profile says."""

import ctypes
import errno
import platform
import struct
from itertools import product

import pytest

from strategyrun.local.seccomp import LIBRARY, CannotCompileError, compile_profile
from support.cluster import CHECKOUT
from support.seccomp import ALLOW, KILL, Fate, Profile

PATH = CHECKOUT / "config" / "seccomp_profile.json"
PROFILE = Profile.read(PATH)
ARCHITECTURE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}[platform.machine()]
LIBSECCOMP = ctypes.CDLL(LIBRARY)
PROGRAM = compile_profile(PATH.read_bytes())

RETURN_ALLOW, RETURN_KILL, RETURN_ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
KILL_THREAD = 0
VALUES = (0, 1, 2, 3, 4, 5, 8, 15, 22, 36, 38, 100, 101, 0x3D0F00, 0x10000011, 0x5401, 0x5412, 0x541C, 0xFFFFFFFF)


def run(number: int, *arguments: int, architecture: int = ARCHITECTURE) -> int:
    """Return what the program answers to a call."""
    filled = [*arguments, 0, 0, 0, 0, 0, 0][:6]
    data = struct.pack("=IIQ6Q", number, architecture, 0, *filled)
    accumulator, at = 0, 0
    while True:
        code, if_true, if_false, value = struct.unpack_from("=HBBI", PROGRAM, 8 * at)
        at += 1
        match code:
            case 0x20:
                (accumulator,) = struct.unpack_from("=I", data, value)
            case 0x54:
                accumulator &= value
            case 0x15 | 0x25 | 0x35 | 0x45:
                holds = {0x15: accumulator == value, 0x25: accumulator > value, 0x35: accumulator >= value}
                at += if_true if holds.get(code, bool(accumulator & value)) else if_false
            case 0x05:
                at += value
            case 0x06:
                return int(value)
            case _:
                raise AssertionError(f"an instruction that no filter has: {code:#x}")


def number_of(name: str) -> int:
    """Return the number of a call here, negative where there is none."""
    return int(LIBSECCOMP.seccomp_syscall_resolve_name(name.encode()))


def answer(fate: Fate) -> int:
    """Return what the kernel is told for a fate."""
    return {ALLOW: RETURN_ALLOW, KILL: RETURN_KILL}.get(fate.action, RETURN_ERRNO | (fate.errno or errno.EPERM))


NAMES = sorted(name for group in PROFILE.document["syscalls"] for name in group["names"])
PLAIN = sorted({name for name in NAMES if number_of(name) >= 0} - PROFILE.by_argument())


@pytest.mark.parametrize("name", PLAIN)
def test_a_call_meets_its_fate(name: str) -> None:
    """Whatever its arguments."""
    for value in VALUES:
        assert run(number_of(name), value, value, value) == answer(PROFILE.fate(name, (value, value, value))), value


@pytest.mark.parametrize("name", sorted(PROFILE.by_argument()))
def test_a_call_meets_its_fate_by_its_arguments(name: str) -> None:
    """Every pair of the values that rules are about, and of some that none is about, at each two of the first three."""
    for one, other in product(VALUES, VALUES):
        for arguments in ((one, other, 0), (one, 0, other), (0, one, other)):
            assert run(number_of(name), *arguments) == answer(PROFILE.fate(name, arguments)), arguments


def test_what_is_not_listed_is_refused() -> None:
    """socket, and a number that no kernel has."""
    assert run(number_of("socket"), 2, 1) == RETURN_ERRNO | errno.EPERM
    assert run(9999) == RETURN_ERRNO | errno.EPERM


def test_no_other_architecture() -> None:
    """Calls of 32 bits end the thread or the process that makes them."""
    assert run(20, architecture=0x40000003) in (KILL_THREAD, RETURN_KILL)


def test_most_of_the_profile_is_known_here() -> None:
    """Names of newer kernels may be unknown; the tripwires are not."""
    assert len(PLAIN) > 180
    assert all(number_of(name) >= 0 for name in PROFILE.names(KILL))


def test_an_action_of_another_kind_is_refused() -> None:
    """A profile that logs or traces is no profile of ours."""
    with pytest.raises(CannotCompileError, match="SCMP_ACT_LOG"):
        compile_profile(b'{"defaultAction": "SCMP_ACT_LOG", "syscalls": []}')
