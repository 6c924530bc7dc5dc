"""A seccomp profile of container runtimes as the program that a kernel takes, compiled by libseccomp as runtimes do."""

import ctypes
import json
import os
import tempfile
from typing import Any

LIBRARY = "libseccomp.so.2"

_ALLOW, _KILL_PROCESS, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_OPERATORS = {
    "SCMP_CMP_NE": 1,
    "SCMP_CMP_LT": 2,
    "SCMP_CMP_LE": 3,
    "SCMP_CMP_EQ": 4,
    "SCMP_CMP_GE": 5,
    "SCMP_CMP_GT": 6,
    "SCMP_CMP_MASKED_EQ": 7,
}
_MASKED = 7


class CannotCompileError(Exception):
    """There is no program for this profile here; the message is one line that says why."""


class _Comparison(ctypes.Structure):
    _fields_ = (
        ("argument", ctypes.c_uint),
        ("operator", ctypes.c_int),
        ("first", ctypes.c_uint64),
        ("second", ctypes.c_uint64),
    )


def compile_profile(content: bytes) -> bytes:
    """Return the program, an array of struct sock_filter, for this machine's own architecture alone.

    Calls of any other architecture end the process. Names that this machine's kernel interface does not have are
    passed over, as runtimes do. Raises CannotCompileError.
    """
    profile = json.loads(content)
    library = _library()
    default = _action(profile["defaultAction"], profile.get("defaultErrnoRet", 1))
    filter_ = library.seccomp_init(default)
    if not filter_:
        raise CannotCompileError(f"libseccomp does not take the default action {profile['defaultAction']}")
    try:
        for group in profile["syscalls"]:
            action = _action(group["action"], group.get("errnoRet", 1))
            if action != default:
                _add(library, filter_, action, group)
        return _export(library, filter_)
    finally:
        library.seccomp_release(filter_)


def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError as error:
        raise CannotCompileError(f"{LIBRARY} is not here; on Debian: apt-get install libseccomp2") from error
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_init.argtypes = (ctypes.c_uint32,)
    library.seccomp_release.argtypes = (ctypes.c_void_p,)
    library.seccomp_syscall_resolve_name.argtypes = (ctypes.c_char_p,)
    library.seccomp_export_bpf.argtypes = (ctypes.c_void_p, ctypes.c_int)
    library.seccomp_rule_add_array.argtypes = (
        *(ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint),
        ctypes.POINTER(_Comparison),
    )
    return library


def _add(library: ctypes.CDLL, filter_: int, action: int, group: dict[str, Any]) -> None:
    comparisons = [_comparison(each) for each in group.get("args", [])]
    array = (_Comparison * max(1, len(comparisons)))(*comparisons)
    for name in group["names"]:
        number = library.seccomp_syscall_resolve_name(name.encode())
        if number < 0:  # another architecture's, or newer than this libseccomp: the default action is left
            continue
        if error := library.seccomp_rule_add_array(filter_, action, number, len(comparisons), array):
            raise CannotCompileError(f"libseccomp refuses the rule for {name}: {os.strerror(-error)}")


def _comparison(document: dict[str, Any]) -> _Comparison:
    operator = _OPERATORS[document["op"]]
    value, second = document["value"], document.get("valueTwo", 0)
    return _Comparison(document["index"], operator, value, second if operator == _MASKED else 0)


def _action(name: str, errno: int) -> int:
    match name:
        case "SCMP_ACT_ALLOW":
            return _ALLOW
        case "SCMP_ACT_KILL_PROCESS":
            return _KILL_PROCESS
        case "SCMP_ACT_ERRNO":
            return _ERRNO | errno
    raise CannotCompileError(f"the action {name} is none that a profile of this project may use")


def _export(library: ctypes.CDLL, filter_: int) -> bytes:
    with tempfile.TemporaryFile() as file:
        if error := library.seccomp_export_bpf(filter_, file.fileno()):
            raise CannotCompileError(f"libseccomp cannot write the program: {os.strerror(-error)}")
        file.seek(0)
        return file.read()
