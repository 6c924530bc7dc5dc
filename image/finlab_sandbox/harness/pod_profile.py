"""What the sandbox's own seccomp profile (config/seccomp_profile.json) leaves to a strategy, for a pod without it.

The fallback runs under the node runtime's default profile, which allows far more. There the harness's filter answers as
both filters of a sandbox do together; a unit test holds these tables to the profile.
"""

from __future__ import annotations

_LISTED = """
    access alarm arch_prctl brk capget chdir chmod clock_getres clock_gettime clock_nanosleep close copy_file_range
    dup dup2 dup3 epoll_create1 epoll_ctl epoll_pwait epoll_wait eventfd2 exit exit_group faccessat fadvise64
    fallocate fchdir fchmod fchmodat fdatasync flock fstat fstatfs fsync ftruncate futex get_robust_list getcpu
    getcwd getdents getdents64 getegid geteuid getgid getgroups getitimer getpeername getpgid getpgrp getpid getppid
    getpriority getrandom getresgid getresuid getrlimit getrusage getsid getsockname getsockopt gettid gettimeofday
    getuid link linkat lseek lstat membarrier mincore mkdir mkdirat mlock mmap mprotect mremap msync munlock munmap
    nanosleep newfstatat open openat pause pipe pipe2 poll ppoll pread64 pselect6 pwrite64 read readlink readlinkat
    readv recvfrom recvmsg rename renameat renameat2 restart_syscall rmdir rseq rt_sigaction rt_sigpending
    rt_sigprocmask rt_sigreturn rt_sigsuspend rt_sigtimedwait sched_get_priority_max sched_get_priority_min
    sched_getaffinity sched_getparam sched_getscheduler sched_yield select sendfile sendmsg sendto set_robust_list
    set_tid_address setitimer setrlimit setsockopt shutdown sigaltstack stat statfs statx symlink symlinkat sysinfo
    time times truncate umask uname unlink unlinkat utimensat wait4 waitid write writev
"""
LISTED = frozenset(_LISTED.split())
"""Calls that are allowed whatever their arguments are; all others of a number below 424 are refused."""

IOCTL = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)  # TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX
MADVISE = (0, 1, 2, 3, 4, 8, 9, 10, 12, 14, 15, 18, 19, 20, 21, 22, 23, 25)  # none that poisons memory
PRCTL = (1, 3, 15, 16, 38, 39)  # PDEATHSIG, GET_DUMPABLE, SET_NAME, GET_NAME, SET_NO_NEW_PRIVS, GET_NO_NEW_PRIVS
PRLIMIT = (0,)  # of the process itself
