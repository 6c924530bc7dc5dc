"""CRDs that a test installs under a group of its own."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from secrets import token_hex

from support.cluster import CUSTOM_RESOURCE_DEFINITION, Cluster, Kind, Manifest, RefusedError
from support.waiting import wait_until

_LABEL = "finlab-sandbox.dev/contract-test"


@contextmanager
def installed(cluster: Cluster, definition: Manifest) -> Iterator[Kind]:
    """Install a CRD until the block ends.

    Schema, columns and names are the given ones; the group is another, so that no operator answers
    what a test writes, and no running installation is changed.
    """
    _sweep(cluster)
    group = f"t{token_hex(4)}.contract.finlab-sandbox.dev"
    spec = definition["spec"] | {"group": group}
    name = f"{spec['names']['plural']}.{group}"
    kind = Kind(f"{group}/{spec['versions'][0]['name']}", spec["names"]["kind"])
    cluster.create(definition | {"metadata": {"name": name, "labels": {_LABEL: "true"}}, "spec": spec})
    try:
        wait_until(f"{name} is served", lambda: _listing(cluster, kind), lambda answer: answer == "served", seconds=120)
        yield kind
    finally:
        cluster.delete(CUSTOM_RESOURCE_DEFINITION, name)


def _listing(cluster: Cluster, kind: Kind) -> str:
    try:
        cluster.list(kind)
    except RefusedError as error:
        return str(error)
    return "served"


def _sweep(cluster: Cluster) -> None:
    """Delete what sessions left behind that were killed: none lasts for six hours."""
    for old in cluster.list(CUSTOM_RESOURCE_DEFINITION, labels=_LABEL):
        created = datetime.fromisoformat(old["metadata"]["creationTimestamp"])
        if datetime.now(UTC) - created > timedelta(hours=6):
            with suppress(RefusedError):  # another process of this session was faster
                cluster.delete(CUSTOM_RESOURCE_DEFINITION, old["metadata"]["name"])
