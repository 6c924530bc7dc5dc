"""The operator as a process of its own.

Arguments: kubeconfig, group and version of the StrategyRuns, health port, namespace of the lease (empty: none).
"""

import logging
import sys

from kubernetes.aio import client, config

from strategyrun.adapters.kopf_source import run_operator
from strategyrun.adapters.kube import Kube
from support.cluster import Kind
from support.operator import UNSCHEDULABLE, resource_of


async def connect() -> Kube:
    """Connect to where this process was told to."""
    configuration = client.Configuration()
    await config.load_kube_config(config_file=sys.argv[1], client_configuration=configuration)  # type: ignore[no-untyped-call]
    return Kube(configuration, runs=resource_of(Kind(sys.argv[2], "StrategyRun")))


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    logging.getLogger("kopf._core.reactor.running").setLevel(logging.DEBUG)  # it tells for whom it waits at the end
    run_operator(UNSCHEDULABLE, health_port=int(sys.argv[3]), lease_namespace=sys.argv[4] or None, connect=connect)
