"""docs/security.md promises nothing without a test that exists."""

import ast
import re
from functools import cache

import pytest

from support.cluster import CHECKOUT

PAGE = (CHECKOUT / "docs" / "security.md").read_text()
PROMISED = PAGE.partition("## What is promised")[2].partition("\n## ")[0]
ROWS = [line for line in PROMISED.splitlines() if line.startswith("| ")][1:]


@cache
def _tests() -> frozenset[str]:
    trees = (ast.parse(path.read_text()) for path in (CHECKOUT / "tests").rglob("test_*.py"))
    return frozenset(node.name for tree in trees for node in tree.body if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize("row", ROWS, ids=[row.split("|")[1].strip()[:50] for row in ROWS])
def test_every_promise_names_tests_that_exist(row: str) -> None:
    """The last column of each row has at least one test, and each is a function in tests/."""
    named = re.findall(r"`(test_\w+)`", row.split("|")[3])
    assert named, row
    assert not set(named) - _tests()


def test_the_page_says_what_is_not_promised() -> None:
    """Kernel, side channels, the look-ahead guard and the writers of Jobs are named as limits."""
    limits = PAGE.partition("## What is not promised")[2]
    for limit in ("kernel", "Side channels", "look-ahead guard", "Jobs"):
        assert limit in limits


def test_the_security_policy_points_to_the_page() -> None:
    """SECURITY.md says how to report, what is supported, what is in scope, and where the promises are."""
    policy = (CHECKOUT / "SECURITY.md").read_text()
    for part in ("## Reporting", "## Supported versions", "## Scope", "docs/security.md"):
        assert part in policy
