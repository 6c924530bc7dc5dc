"""Namespaces that live as long as a test, or as the tests of a module."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from secrets import token_hex

from support.cluster import NAMESPACE, SERVICE_ACCOUNT, Cluster
from support.waiting import wait_until

ADMISSION_OFF = {"finlab-sandbox.dev/admission": "off"}


@contextmanager
def temporary_namespace(cluster: Cluster, test: str, *, admission: bool = True) -> Iterator[str]:
    """Make a namespace named after a test, and ask for its deletion afterwards without waiting.

    Without `admission` the policies let anybody play the operator, the job controller and the kubelet in it.
    """
    slug = re.sub(r"[^a-z0-9]+", "-", test.rpartition("::")[2].lower().removeprefix("test_"))[:40].strip("-")
    name = f"{slug}-{token_hex(3)}"
    cluster.create(
        {
            "apiVersion": NAMESPACE.api_version,
            "kind": NAMESPACE.kind,
            "metadata": {
                "name": name,
                "labels": {"finlab-sandbox.dev/test": "true", **({} if admission else ADMISSION_OFF)},
                "annotations": {"finlab-sandbox.dev/test": test},
            },
        }
    )
    try:
        wait_until(
            f"namespace {name} can hold pods",
            lambda: cluster.find(SERVICE_ACCOUNT, "default", name),
            lambda account: account is not None,
            seconds=180,
        )
        yield name
    finally:
        cluster.delete(NAMESPACE, name)
