"""One validation of a policy, and how a value is written in CEL."""

import json
from typing import NamedTuple


class Clause(NamedTuple):
    """What must be true, and what is said where it is not."""

    expression: str
    message: str
    found: str = ""
    """A CEL expression of what offends, to stand before the message."""

    def document(self) -> dict[str, str]:
        """Return the validation."""
        said = {"messageExpression": f"{self.found} + {cel(': ' + self.message)}"} if self.found else {}
        return {"expression": self.expression, "message": self.message, **said, "reason": "Forbidden"}


def cel(value: object) -> str:
    """Write a value as a CEL literal; JSON is one."""
    return json.dumps(value)
