"""The second filter: every call by an interpreter of its program on both machines, and by this kernel."""

import errno
import json
import os
import signal
import struct
import subprocess
import sys

import pytest

from finlab_sandbox.harness import bpf, pod_profile, seccomp, syscalls
from support.cluster import CHECKOUT
from support.sandbox import IMAGE
from support.seccomp import ALLOW, EPERM, KILL, Profile

PID = 4321
OTHER = 1
ALLOWED, KILLED = "allowed", "killed"
THREAD = 0x3D0F00  # what glibc gives to clone for a thread
FORK = 0x1200011  # and for a process
MACHINES = pytest.mark.parametrize("machine", syscalls.MACHINES)

KERNEL = """\
import ctypes, json, os, sys
sys.path.insert(0, {image!r})
from finlab_sandbox.harness import seccomp
libc = ctypes.CDLL(None, use_errno=True)
def fate(number):
    child = os.fork()
    if child == 0:
        try:
            libc.prctl(38, 1, 0, 0, 0)
            seccomp.install()
        except BaseException:
            os._exit(250)
        ctypes.set_errno(0)
        libc.syscall(number, 0, 0, 0, 0, 0, 0)
        os._exit(ctypes.get_errno())
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print(json.dumps({{number: fate(number) for number in {numbers!r}}}))
"""


def verdict(program: bpf.Block, machine: str, number: int, *arguments: int, audit: int | None = None) -> str:
    """What the program answers to a call, as the kernel would run it."""
    padded = [*arguments, *[0] * (6 - len(arguments))]
    data = struct.pack("<IIQ6Q", number, audit or seccomp.AUDIT[machine], 0, *padded)
    at = held = 0
    while True:
        code, if_true, if_false, value = program[at]
        at += 1
        match code:
            case bpf.LOAD:
                held = int.from_bytes(data[value : value + 4], "little")
            case bpf.AND:
                held &= value
            case bpf.JUMP_EQUAL:
                at += if_true if held == value else if_false
            case bpf.JUMP_AT_LEAST:
                at += if_true if held >= value else if_false
            case bpf.RETURN:
                known = {bpf.ALLOW: ALLOWED, bpf.KILL_PROCESS: KILLED}
                return known.get(value) or errno.errorcode[value & 0xFFFF]
            case _:
                raise AssertionError(code)


def asked(machine: str, name: str, *arguments: int) -> str:
    """The answer to a call by name."""
    number = syscalls.number(name, machine)
    assert number is not None
    return verdict(seccomp.program_for(machine, PID), machine, number, *arguments)


@MACHINES
def test_tripwires_kill_and_what_is_not_needed_is_refused(machine: str) -> None:
    """Whatever the arguments are."""
    program = seccomp.program_for(machine, PID)
    for names, expected in ((seccomp.KILLED, KILLED), (seccomp.REFUSED, "EPERM")):
        for name in names:
            number = syscalls.number(name, machine)
            if number is not None:
                assert verdict(program, machine, number) == expected, name
                assert verdict(program, machine, number, *[2**64 - 1] * 6) == expected, name


@MACHINES
@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("clone", (THREAD,), ALLOWED),
        ("clone", (FORK,), "EPERM"),
        ("clone", (int(signal.SIGCHLD),), "EPERM"),
        ("clone", (0x4111,), "EPERM"),  # CLONE_VM, CLONE_VFORK: posix_spawn
        ("clone", (THREAD | 0x10000000,), "EPERM"),  # CLONE_NEWUSER
        ("clone", (THREAD | 0x80,), "EPERM"),  # CLONE_NEWTIME
        ("kill", (PID, 9), ALLOWED),
        ("kill", (OTHER, 15), "EPERM"),
        ("kill", (0, 9), "EPERM"),
        ("kill", (2**32 - 1, 9), "EPERM"),
        ("kill", (2**64 - 1, 9), "EPERM"),
        ("kill", (2**32 + OTHER, 9), "EPERM"),
        ("tgkill", (PID, 77, 6), ALLOWED),
        ("tgkill", (OTHER, 1, 6), "EPERM"),
        ("rt_sigqueueinfo", (OTHER, 9), "EPERM"),
        ("rt_tgsigqueueinfo", (OTHER, 1, 9), "EPERM"),
        ("prlimit64", (0, 7), ALLOWED),
        ("prlimit64", (PID, 7), ALLOWED),
        ("prlimit64", (OTHER, 7), "EPERM"),
        ("sched_setaffinity", (0,), ALLOWED),
        ("sched_setaffinity", (OTHER,), "EPERM"),
        ("prctl", (15,), ALLOWED),  # PR_SET_NAME
        ("prctl", (4, 1), "EPERM"),  # PR_SET_DUMPABLE
        ("prctl", (22, 2), "EPERM"),  # PR_SET_SECCOMP
        ("prctl", (0x59616D61, OTHER), "EPERM"),  # PR_SET_PTRACER
        ("socketpair", (1,), ALLOWED),
        ("socketpair", (16,), "EPERM"),
        ("fcntl", (5, 1030), ALLOWED),  # F_DUPFD_CLOEXEC
        ("fcntl", (5, 8, OTHER), "EPERM"),  # F_SETOWN
        ("fcntl", (5, 10, 9), "EPERM"),  # F_SETSIG
        ("fcntl", (5, 15), "EPERM"),  # F_SETOWN_EX
        ("ioctl", (0, 0x5401), ALLOWED),  # TCGETS
        ("ioctl", (0, 0x5412), "EPERM"),  # TIOCSTI
        ("ioctl", (0, 2**32 + 0x5412), "EPERM"),
    ],
)
def test_calls_that_depend_on_their_arguments(
    machine: str, name: str, arguments: tuple[int, ...], expected: str
) -> None:
    """Threads, signals to oneself, and limits of one's own are left; what reaches others is not."""
    assert asked(machine, name, *arguments) == expected


@MACHINES
def test_new_calls_do_not_exist(machine: str) -> None:
    """But for those that the image makes, and for tripwires: also those that no kernel has yet."""
    program = seccomp.program_for(machine, PID)
    allowed = {number for number in range(424, 1024) if verdict(program, machine, number) == ALLOWED}
    killed = {number for number in range(424, 1024) if verdict(program, machine, number) == KILLED}
    assert (allowed, killed) == ({436, 439, 441}, {428, 429, 430, 432, 442})
    others = set(range(424, 1024)) - allowed - killed
    assert {verdict(program, machine, number) for number in others} == {"ENOSYS"}


@MACHINES
def test_another_architecture_kills(machine: str) -> None:
    """int 0x80 on x86_64 reads another table; x32 is the other one on the same kernel."""
    program = seccomp.program_for(machine, PID)
    for foreign in (0x40000003, 0x40000028, *(set(seccomp.AUDIT.values()) - {seccomp.AUDIT[machine]})):
        assert verdict(program, machine, 0, audit=foreign) == KILLED
    assert verdict(program, machine, 0x40000000 + 59) == KILLED


@MACHINES
def test_ordinary_calls_stay(machine: str) -> None:
    """Read, write, map, wait, sleep: on each machine by the numbers of its table."""
    ordinary = {
        "x86_64": (0, 1, 3, 9, 10, 11, 12, 13, 14, 28, 35, 39, 61, 202, 228, 257, 262, 318, 332, 334),
        "aarch64": (56, 57, 63, 64, 79, 98, 113, 115, 134, 135, 172, 178, 214, 215, 222, 226, 233, 278, 291, 293),
    }[machine]
    program = seccomp.program_for(machine, PID)
    assert {verdict(program, machine, number) for number in ordinary} == {ALLOWED}


def test_tripwires_are_those_of_the_pods_profile() -> None:
    """The same call ends the same way, behind one wall or two."""
    profile = json.loads((CHECKOUT / "config" / "seccomp_profile.json").read_bytes())
    groups = [each["names"] for each in profile["syscalls"] if each["action"] == "SCMP_ACT_KILL_PROCESS"]
    assert set(seccomp.KILLED) == {name for group in groups for name in group}


ARGUMENTS = {
    "clone": [(THREAD,), (FORK,), (0x10000000,)],
    "socketpair": [(1,), (2,), (16,)],
    "prctl": [(option, *rest) for option in (*range(70), 0x59616D61) for rest in ((), (2,))],
    "prlimit64": [(0, 7), (PID, 7), (OTHER, 7)],
    "seccomp": [(operation, flags) for operation in range(5) for flags in range(9)],
    "madvise": [(0, 0, advice) for advice in range(110)],
    "ioctl": [
        (0, request) for request in (0x5401, 0x5402, 0x5412, 0x5413, 0x541B, 0x541C, 0x5421, 0x5450, 0x5451, 0x8901)
    ],
    "fcntl": [(5, command) for command in (*range(20), *range(1024, 1045))],
    "kill": [(PID, 9), (OTHER, 9), (0, 9)],
    "tgkill": [(PID, PID, 6), (OTHER, OTHER, 6)],
    "sched_setaffinity": [(0,), (PID,), (OTHER,)],
}


@MACHINES
def test_alone_it_answers_as_both_filters_together(machine: str) -> None:
    """The stricter answer of the pod's profile and the second filter, for every call and many arguments."""
    profile = Profile.read(CHECKOUT / "config" / "seccomp_profile.json")
    second, alone = (seccomp.program_for(machine, PID, alone=each) for each in (False, True))
    names = {number: name for name in syscalls.NUMBERS if (number := syscalls.number(name, machine)) is not None}
    severity = [ALLOWED, "ENOSYS", "EPERM", KILLED]
    for number in range(512):
        name = names.get(number, "a call that nobody names")
        for arguments in ARGUMENTS.get(name, [(), (1,) * 6]):
            fate = profile.fate(name, arguments)
            of_pod = {ALLOW: ALLOWED, KILL: KILLED}.get(fate.action) or errno.errorcode[fate.errno or EPERM]
            of_both = max(of_pod, verdict(second, machine, number, *arguments), key=severity.index)
            found = verdict(alone, machine, number, *arguments)
            if number >= seccomp.NEW:  # which of both errors it is has no meaning: neither filter lets it through
                assert (found in (ALLOWED, KILLED), of_both in (ALLOWED, KILLED)) != (True, False), (name, arguments)
                assert (found == ALLOWED) == (of_both == ALLOWED), (name, arguments)
            else:
                assert found == of_both, (name, arguments)


def test_what_is_listed_is_what_the_profile_lists() -> None:
    """Nothing more, and nothing less but what the second filter takes away anyway."""
    profile = Profile.read(CHECKOUT / "config" / "seccomp_profile.json")
    taken = {*seccomp.REFUSED, "kill", "tgkill", "fcntl", "sched_setaffinity"}
    old = {name for name in profile.names(ALLOW) - profile.by_argument() if _is_old(name)}
    assert old - taken == pod_profile.LISTED


def _is_old(name: str) -> bool:
    number = syscalls.number(name, "x86_64")
    return number is not None and number < seccomp.NEW


def test_the_kernel_reads_the_program_as_it_was_meant() -> None:
    """Installed in processes of this machine's kernel, it kills, refuses, hides and lets through."""
    machine = os.uname().machine
    harmless = ("execve", "execveat", "tkill", "setpgid", "socket", "seccomp", "kcmp", "semget", "splice", "prctl")
    expected: dict[int | None, int] = {
        **{syscalls.number(name, machine): -int(signal.SIGSYS) for name in seccomp.KILLED},
        **{syscalls.number(name, machine): errno.EPERM for name in (*harmless, "kill", "clone", "socketpair")},
        **dict.fromkeys((425, 434, 435, 444, 500), errno.ENOSYS),
        syscalls.number("fcntl", machine): 0,  # F_DUPFD of descriptor 0
    }
    script = KERNEL.format(image=str(IMAGE), numbers=list(expected))
    command = [sys.executable, "-I", "-c", script]
    done = subprocess.run(command, capture_output=True, check=True, stdin=subprocess.DEVNULL)
    assert json.loads(done.stdout) == {str(number): fate for number, fate in expected.items()}


def test_a_jump_too_long_is_no_program() -> None:
    """A jump has eight bits."""
    assert bpf.when_equal(1, bpf.answer(0) * 255)[0].if_false == 255
    with pytest.raises(ValueError, match="a jump over 256 instructions"):
        bpf.when_equal(1, bpf.answer(0) * 256)
    assert bpf.encode(bpf.load(4)) == b"\x20\x00\x00\x00\x04\x00\x00\x00"
