"""The second filter: what a strategy needs no more once everything is imported.

The first one is the pod's and must let the harness begin. This one is added to it, can only take away, and is made in
the process that it binds, so that it knows that process's id. The kernel asks both and obeys the stricter answer.
Libraries that probe get an error; what only an attack would call ends the process. Where the pod does not have our
profile (the fallback), this filter stands for both.
"""

from __future__ import annotations

import ctypes
import errno
import os

from finlab_sandbox.harness import bpf, pod_profile, syscalls

SET_MODE_FILTER = 1
ALL_THREADS = 1  # SECCOMP_FILTER_FLAG_TSYNC: libraries may have started some
AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
X32 = 0x40000000  # numbers from here on are of the other ABI that an x86_64 kernel may have

AF_UNIX = 1
CLONE_THREAD = 0x00010000
NEW_NAMESPACES = 0x7E020080
SIGNALS_TO_OTHERS = (8, 10, 15)  # fcntl: F_SETOWN, F_SETSIG, F_SETOWN_EX
FAKED_INPUT_AND_OWNERS = (0x5412, 0x541C, 0x8901, 0x8902)  # ioctl: TIOCSTI, TIOCLINUX, FIOSETOWN, SIOCSPGRP
# prctl: PDEATHSIG, GET_DUMPABLE, SET_NAME, GET_NAME, GET_SECCOMP, CAPBSET_READ, SET_NO_NEW_PRIVS, GET_NO_NEW_PRIVS
HARMLESS_PRCTL = (1, 3, 15, 16, 21, 23, 38, 39)

# Of the calls from this number on exist those that the image was seen to make; libraries know how to do without a call
# that a kernel does not have.
NEW = 424
NEW_AND_USED = ("close_range", "faccessat2", "epoll_pwait2")

KILLED = (
    *("ptrace", "process_vm_readv", "process_vm_writev", "userfaultfd", "perf_event_open", "bpf"),
    *("mount", "umount2", "pivot_root", "fsopen", "fsmount", "move_mount", "open_tree", "mount_setattr"),
    *("unshare", "setns", "open_by_handle_at", "add_key", "request_key", "keyctl"),
    *("kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module"),
)
REFUSED = (
    *("execve", "execveat", "fork", "vfork", "setpgid", "setsid", "tkill", "seccomp", "memfd_create", "kcmp"),
    *("socket", "bind", "connect", "listen", "accept", "accept4"),
    *("setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid", "setgroups", "setfsuid", "setfsgid"),
    *("capset", "chroot", "personality", "modify_ldt", "iopl", "ioperm", "uselib", "acct", "quotactl", "syslog"),
    *("swapon", "swapoff", "reboot", "sethostname", "setdomainname", "name_to_handle_at", "fanotify_init"),
    *("clock_settime", "clock_adjtime", "settimeofday", "adjtimex", "lookup_dcookie"),
    *("setpriority", "sched_setscheduler", "sched_setparam", "sched_setattr", "ioprio_set"),
    *("shmget", "shmat", "shmctl", "shmdt", "semget", "semop", "semtimedop", "semctl"),
    *("msgget", "msgsnd", "msgrcv", "msgctl", "mq_open", "mq_unlink"),
    *("splice", "tee", "vmsplice", "move_pages", "migrate_pages", "io_setup", "io_submit", "io_destroy"),
)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def install(*, alone: bool = False) -> None:
    """Binds every thread of this process, for good; `alone` where it must stand for the pod's profile, too.

    Raises OSError where the kernel or the first filter refuses.
    """
    machine = os.uname().machine
    if machine not in AUDIT:
        raise OSError(errno.ENOSYS, f"there is no second filter for {machine}")
    program = program_for(machine, os.getpid(), alone=alone)
    held = _Program(len(program), bpf.encode(program))
    thread = syscalls.call("seccomp", SET_MODE_FILTER, ALL_THREADS, ctypes.addressof(held))
    if thread:
        raise OSError(errno.EBUSY, f"thread {thread} could not be bound")


def program_for(machine: str, pid: int, *, alone: bool = False) -> bpf.Block:
    """The filter of the process with this id. Of ids, flags and options the kernel, too, reads 32 bits.

    One that stands alone refuses also what the pod's profile does not list.
    """
    permit, refuse, kill = bpf.answer(bpf.ALLOW), bpf.refuse(errno.EPERM), bpf.answer(bpf.KILL_PROCESS)

    def numbers(*names: str) -> list[int]:
        return [found for name in names if (found := syscalls.number(name, machine)) is not None]

    def only(argument: int, *values: int, mask: int | None = None) -> bpf.Block:
        return [*bpf.load_argument(argument, mask), *bpf.when_any(values, permit), *refuse]

    def never(argument: int, *values: int) -> bpf.Block:
        return [*bpf.load_argument(argument), *bpf.when_any(values, refuse), *permit]

    by_argument = {
        "clone": only(0, CLONE_THREAD, mask=CLONE_THREAD | NEW_NAMESPACES),
        "kill": only(0, pid),
        "tgkill": only(0, pid),
        "rt_sigqueueinfo": only(0, pid),
        "rt_tgsigqueueinfo": only(0, pid),
        "prlimit64": only(0, 0, pid),
        "sched_setaffinity": only(0, 0, pid),
        "prctl": only(0, *HARMLESS_PRCTL),
        "socketpair": only(0, AF_UNIX),
        "fcntl": never(1, *SIGNALS_TO_OTHERS),
        "ioctl": never(1, *FAKED_INPUT_AND_OWNERS),
    }
    rest = permit
    if alone:
        by_argument |= {
            "prlimit64": only(0, *pod_profile.PRLIMIT),
            "prctl": only(0, *pod_profile.PRCTL),
            "ioctl": only(1, *pod_profile.IOCTL),
            "madvise": only(2, *pod_profile.MADVISE),
            "rt_sigqueueinfo": refuse,
            "rt_tgsigqueueinfo": refuse,
        }
        rest = [*bpf.when_any(numbers(*sorted(pod_profile.LISTED)), permit), *refuse]
    new = [
        *bpf.when_any([each for each in numbers(*KILLED) if each >= NEW], kill),
        *bpf.when_any(numbers(*NEW_AND_USED), permit),
        *bpf.refuse(errno.ENOSYS),
    ]
    return [
        *bpf.load(bpf.ARCHITECTURE),
        *bpf.unless_equal(AUDIT[machine], kill),
        *bpf.load(bpf.NUMBER),
        *bpf.when_at_least(X32, kill),
        *bpf.when_at_least(NEW, new),
        *[each for name, block in by_argument.items() for each in bpf.when_any(numbers(name), block)],
        *bpf.when_any([each for each in numbers(*KILLED) if each < NEW], kill),
        *bpf.when_any(numbers(*REFUSED), refuse),
        *rest,
    ]
