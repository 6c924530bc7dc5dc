"""The errors of the client, and the tree that its documentation draws."""

import re

import strategyrun
from strategyrun import StrategyRunError, client


def classes() -> dict[str, type[StrategyRunError]]:
    """All errors of the client, wherever they are defined."""
    found = [StrategyRunError]
    for each in found:
        found += each.__subclasses__()
    return {each.__name__: each for each in found}


def test_the_drawn_tree_is_the_real_one() -> None:
    """Each class stands below its base."""
    drawn: list[tuple[int, str]] = []
    for line in (client.__doc__ or "").splitlines():
        if found := re.match(r"^([│├└─ ]*)([A-Za-z]+Error)\b", line):
            drawn.append((len(found[1]), found[2]))
    parents: dict[str, str] = {}
    for at, (depth, name) in enumerate(drawn):
        parents[name] = next((above for d, above in reversed(drawn[:at]) if d < depth), "Exception")
    assert parents == {name: each.__bases__[0].__name__ for name, each in classes().items()}


def test_every_error_can_be_imported_from_the_client() -> None:
    """What may be raised may be caught."""
    assert set(classes()) <= set(client.__all__)


def test_the_package_gives_what_it_names_and_nothing_else() -> None:
    """Loaded when it is asked for."""
    assert all(getattr(strategyrun, name) is getattr(client, name) for name in strategyrun.__all__)
    assert not hasattr(strategyrun, "Nonsense")
