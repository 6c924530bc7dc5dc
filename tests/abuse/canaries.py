"""What abuse must not touch: a file on the node, a listener, the node's processes, mounts and kernel settings."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from secrets import token_hex

from abuse.cases import KEY
from strategyrun.adapters.settings import load_settings
from support.cluster import CHECKOUT, NODE, POD, Cluster, Kind, Manifest
from support.waiting import wait_until

IMAGE = load_settings(CHECKOUT / "config" / "sandbox.yaml").profile.sandbox.image
SERVICE = Kind("v1", "Service")
PORT = 8080
_LISTEN = f"""\
import socket
server = socket.create_server(("", {PORT}))
print("listening", flush=True)
while True:
    print("heard", server.accept()[1][0], flush=True)
"""
_SETTINGS = (
    "kernel/core_pattern",
    "kernel/modprobe",
    "kernel/hostname",
    "kernel/randomize_va_space",
    "vm/overcommit_memory",
    "net/ipv4/ip_forward",
)


def plain_pod(name: str, namespace: str, code: str) -> Manifest:
    """Build a pod that is none of ours: Python code in the sandbox's image, with no wall but those of any container."""
    container = {"name": "main", "image": IMAGE, "imagePullPolicy": "IfNotPresent", "command": ["python3", "-c", code]}
    return {
        "apiVersion": POD.api_version,
        "kind": POD.kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "containers": [container]},
    }


@dataclass(frozen=True)
class Canaries:
    """The canaries of one run of the table, and the addresses by which a strategy looks for them."""

    cluster: Cluster
    namespace: str
    node: str
    secret: str
    targets: list[tuple[str, int]]

    def heard(self) -> list[str]:
        """Return the lines of the listener."""
        return self.cluster.logs("listener", "main", self.namespace).splitlines()

    def on_node(self) -> dict[str, str]:
        """Return the secret file, the mounts that belong to no pod, and settings of the kernel, as they are now."""
        settings = " ".join(f"/proc/sys/{name}" for name in _SETTINGS)
        return {
            "secret": self._sh(f"stat -c '%a %u %Y %s' {self.secret}; cat {self.secret}"),
            "mounts": self._sh(
                "awk '{print $2, $3}' /proc/1/mounts | grep -v -e ^/var/lib/kubelet/pods/ "
                "-e ^/run/containerd/ -e ^/var/lib/containerd/ -e ^/run/netns/ -e ^/var/run/netns/ | sort"
            ),
            "settings": self._sh(f"grep -sH . {settings} || true"),
        }

    def processes_of(self, pods: list[str]) -> list[str]:
        """Return the processes on the node that belong to one of the pods, by the pods' UIDs."""
        patterns = " ".join(f"-e pod{uid} -e pod{uid.replace('-', '_')}" for uid in pods)
        return self._sh(f"grep -l {patterns} /proc/[0-9]*/cgroup 2>/dev/null || true").split() if pods else []

    def _sh(self, script: str) -> str:
        return _on_node(self.node, script)


@contextmanager
def canaries(cluster: Cluster, namespace: str) -> Iterator[Canaries]:
    """Put the canaries up, prove that the listener hears, and take the file away afterwards."""
    node = cluster.list(NODE)[0]["metadata"]["name"]
    secret = f"/root/finlab-sandbox-canary-{token_hex(8)}"
    _on_node(node, f"umask 077; echo {token_hex(16)} > {secret}")
    try:
        holder = plain_pod("listener", namespace, _LISTEN)
        holder["spec"]["containers"][0]["env"] = [{"name": KEY, "value": token_hex(16)}]
        cluster.create(holder)
        listener = _pod_in(cluster, namespace, "listener", "Running")["status"]["podIP"]
        wait_until(
            "the listener listens", lambda: cluster.logs("listener", "main", namespace), lambda log: "listening" in log
        )
        visit = f"import socket; socket.create_connection(({listener!r}, {PORT}), 10)"
        cluster.create(plain_pod("visitor", namespace, visit))
        visitor = _pod_in(cluster, namespace, "visitor", "Succeeded")["status"]["podIP"]
        api = cluster.get(SERVICE, "kubernetes", "default")["spec"]["clusterIP"]
        found = Canaries(cluster, namespace, node, secret, [(listener, PORT), (api, 443)])
        wait_until("the listener has heard the visitor", found.heard, lambda lines: f"heard {visitor}" in lines)
        yield found
    finally:
        _on_node(node, f"rm -f {secret}")


def _pod_in(cluster: Cluster, namespace: str, name: str, phase: str) -> Manifest:
    return wait_until(
        f"pod {name} is {phase}",
        lambda: cluster.get(POD, name, namespace),
        lambda pod: pod["status"].get("phase") == phase,
        seconds=120,
    )


def _on_node(node: str, script: str) -> str:
    done = subprocess.run(
        ["docker", "exec", node, "sh", "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.strip()
