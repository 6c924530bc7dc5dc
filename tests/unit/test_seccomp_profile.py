"""What the seccomp profile promises, read from the profile itself, and its companion that says why."""

import re

import pytest

from support.cluster import CHECKOUT
from support.seccomp import ALLOW, ENOSYS, ERRNO, KILL, Profile

PROFILE = Profile.read(CHECKOUT / "config" / "seccomp_profile.json")
COMPANION = (CHECKOUT / "config" / "seccomp_profile.md").read_text()
NEW_NAMESPACES = (0x80, 0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000)
OPENS_A_SOCKET = ("socket", "connect", "bind", "listen", "accept", "accept4", "socketcall")
TRIPWIRES = [
    "ptrace",
    "bpf",
    "mount",
    "umount2",
    "pivot_root",
    "fsopen",
    "fsmount",
    "move_mount",
    "open_tree",
    "mount_setattr",
    "unshare",
    "setns",
    "kexec_load",
    "init_module",
    "finit_module",
    "userfaultfd",
    "add_key",
    "request_key",
    "keyctl",
    "perf_event_open",
    "process_vm_readv",
    "process_vm_writev",
    "open_by_handle_at",
]
NEVER = [
    "setuid",
    "setgid",
    "setresuid",
    "setresgid",
    "setgroups",
    "capset",
    "chroot",
    "mknod",
    "mknodat",
    "memfd_create",
    "execveat",
    "personality",
    "modify_ldt",
    "name_to_handle_at",
    "shmget",
    "msgget",
    "semget",
    "mq_open",
    "splice",
    "tee",
    "vmsplice",
    "kcmp",
    "quotactl",
    "swapon",
    "reboot",
    "clock_settime",
    "settimeofday",
    "syslog",
    "inotify_init1",
    "fanotify_init",
    "setxattr",
    "iopl",
    "ioperm",
    "acct",
]


def test_what_is_not_listed_is_refused() -> None:
    """The default is EPERM: a call that nobody thought of neither works nor kills."""
    assert (PROFILE.document["defaultAction"], PROFILE.document["defaultErrnoRet"]) == (ERRNO, 1)
    assert PROFILE.names(ERRNO) | PROFILE.names(KILL) | PROFILE.names(ALLOW) == {
        name for group in PROFILE.document["syscalls"] for name in group["names"]
    }


def test_only_native_architectures() -> None:
    """Calls of 32 bits and of x32 are not the filter's architecture, so the kernel ends the thread that makes them."""
    assert PROFILE.document["architectures"] == ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"]


def test_no_word_that_a_runtime_would_not_understand() -> None:
    """Docker's own extensions are ignored by other runtimes, and then what they limit would be allowed to all."""
    assert set(PROFILE.document) == {"defaultAction", "defaultErrnoRet", "architectures", "syscalls"}
    for group in PROFILE.document["syscalls"]:
        assert set(group) <= {"names", "action", "args", "errnoRet"}, group


@pytest.mark.parametrize("name", OPENS_A_SOCKET)
def test_no_socket_of_any_family(name: str) -> None:
    """Opening, connecting and accepting are refused whatever the family; a pair of its own is all a process gets."""
    for family in range(64):
        assert PROFILE.fate(name, (family, 1)).action == ERRNO
        assert (PROFILE.fate("socketpair", (family, 1)).action == ALLOW) is (family == 1)


def test_clone3_does_not_exist() -> None:
    """Its arguments lie in memory, where no filter sees them; ENOSYS makes libraries fall back to clone."""
    fate = PROFILE.fate("clone3")
    assert (fate.action, fate.errno) == (ERRNO, ENOSYS)


@pytest.mark.parametrize("flag", NEW_NAMESPACES)
def test_clone_makes_no_namespace(flag: int) -> None:
    """Threads and processes yes, namespaces of no kind, in no combination with other flags."""
    assert PROFILE.fate("clone", (0x3D0F00,)).action == ALLOW
    assert PROFILE.fate("clone", (0x1200011,)).action == ALLOW
    assert PROFILE.fate("clone", (flag | 0x11,)).action == ERRNO


@pytest.mark.parametrize("name", TRIPWIRES)
def test_tripwires_kill(name: str) -> None:
    """What no honest strategy calls ends the process at once, with any arguments."""
    assert PROFILE.fate(name).action == KILL
    assert name not in PROFILE.names(ALLOW)


@pytest.mark.parametrize("name", NEVER)
def test_dangerous_calls_are_not_listed(name: str) -> None:
    """They get the default."""
    assert not PROFILE.fate(name).listed


def test_terminals_and_other_processes_limits_are_out_of_reach() -> None:
    """TIOCSTI and TIOCLINUX are refused, prlimit64 works on oneself, seccomp takes no listener."""
    for request in (0x5412, 0x541C):
        assert PROFILE.fate("ioctl", (0, request)).action == ERRNO
    assert PROFILE.fate("prlimit64", (1,)).action == ERRNO
    assert PROFILE.fate("seccomp", (1, 8)).action == ERRNO


def test_no_call_stands_in_two_groups() -> None:
    """A name has one action, and one line but for rules that look at its arguments."""
    plain = [name for group in PROFILE.document["syscalls"] if not group.get("args") for name in group["names"]]
    rules = [(group["names"], group["args"]) for group in PROFILE.document["syscalls"] if group.get("args")]
    assert len(plain) == len(set(plain))
    assert not set(plain) & PROFILE.by_argument()
    assert len({repr(rule) for rule in rules}) == len(rules)


def test_companion_names_every_call_once() -> None:
    """Each call that the profile lists stands in one row of the companion's tables, and no other does."""
    rows = re.findall(r"^\| [^|]+ \| ((?:`[a-z0-9_]+` ?)+)\|", COMPANION, flags=re.MULTILINE)
    told = [name for row in rows for name in re.findall(r"`([a-z0-9_]+)`", row)]
    listed = {name for group in PROFILE.document["syscalls"] for name in group["names"]}
    assert sorted(told) == sorted(listed)
