"""Lines of what waits, one for each group: the groups take turns, and each keeps its order."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

Item = TypeVar("Item", bound=Hashable)


class Lines(Generic[Item]):
    """True while anything waits. Each step costs the same, however many wait."""

    def __init__(self) -> None:
        self._lines: OrderedDict[str, OrderedDict[Item, None]] = OrderedDict()
        """By group; the group whose turn is next comes first."""

    def __bool__(self) -> bool:
        return bool(self._lines)

    def join(self, group: str, item: Item) -> None:
        """Stand at the end of the group's line; what stands in it already keeps its place."""
        self._lines.setdefault(group, OrderedDict())[item] = None

    def leave(self, group: str, item: Item) -> None:
        """Leave the group's line, if it is there."""
        if line := self._lines.get(group):
            line.pop(item, None)
            if not line:
                del self._lines[group]

    def next(self) -> Item:
        """Take the first of the group whose turn it is."""
        group, line = self._lines.popitem(last=False)
        item, _ = line.popitem(last=False)
        if line:
            self._lines[group] = line
        return item
