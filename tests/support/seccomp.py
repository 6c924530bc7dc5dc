"""The seccomp profile as the kernel reads it: what becomes of a system call with its arguments."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ALLOW = "SCMP_ACT_ALLOW"
ERRNO = "SCMP_ACT_ERRNO"
KILL = "SCMP_ACT_KILL_PROCESS"
EPERM, ENOSYS = 1, 38


@dataclass(frozen=True)
class Fate:
    """An action, and the errno where the action is to refuse with one. `listed` is False for the default."""

    action: str
    errno: int | None = None
    listed: bool = True


@dataclass(frozen=True)
class Profile:
    """A seccomp profile in the format of the OCI runtime specification."""

    document: dict[str, Any]

    @classmethod
    def read(cls, path: Path) -> "Profile":
        """Read a profile from its file."""
        return cls(json.loads(path.read_bytes()))

    def fate(self, name: str, arguments: tuple[int, ...] = ()) -> Fate:
        """Say what becomes of a call; an argument that is not given counts as 0."""
        for group in self.document["syscalls"]:
            if name in group["names"] and all(_holds(each, arguments) for each in group.get("args", [])):
                return Fate(group["action"], group.get("errnoRet") if group["action"] == ERRNO else None)
        return Fate(self.document["defaultAction"], self.document.get("defaultErrnoRet", EPERM), listed=False)

    def names(self, action: str) -> set[str]:
        """Return the names that a group with that action lists, whatever the arguments."""
        return {name for group in self.document["syscalls"] if group["action"] == action for name in group["names"]}

    def by_argument(self) -> set[str]:
        """Return the names that are allowed with some arguments only."""
        return {name for group in self.document["syscalls"] if group.get("args") for name in group["names"]}


def _holds(rule: dict[str, Any], arguments: tuple[int, ...]) -> bool:
    index, value = rule["index"], rule["value"]
    found = arguments[index] if index < len(arguments) else 0
    match rule["op"]:
        case "SCMP_CMP_EQ":
            return bool(found == value)
        case "SCMP_CMP_MASKED_EQ":
            return bool(found & value == rule.get("valueTwo", 0))
        case other:
            raise ValueError(f"this profile has an operator that nobody has read: {other}")
