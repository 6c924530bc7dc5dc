"""A control plane on loopback ports, with nodes that have no containers: everything is real but what a kubelet does.

etcd, kube-apiserver, kube-controller-manager, kube-scheduler and kwok, compiled by `hack/rig.sh`. Linux only.
"""

import base64
import json
import os
import signal
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import Any, NamedTuple

import kubernetes
import urllib3
import yaml

from strategyrun.domain.sandbox import SeccompProfile
from support.cluster import CHECKOUT, NODE, SERVICE_ACCOUNT, Cluster, Manifest, RefusedError
from support.plays import kwok_configuration
from support.ports import free_port
from support.waiting import PATIENCE, wait_until

_IN_A_HURRY = {
    "kube_api_qps": "500",
    "kube_api_burst": "1000",
    "concurrent_job_syncs": "20",
    "concurrent_gc_syncs": "20",
}
"""Beyond the defaults of the controller manager (20, 30, 5, 20), under which it is slower than what is tested."""


class Usage(NamedTuple):
    """What a process has used so far and uses now."""

    cpu_seconds: float
    resident_bytes: int


def usage_of(pid: int) -> Usage:
    """Read the memory of a process of this machine and its CPU time, with that of its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    ticks, pages = sum(int(field) for field in fields[11:15]), int(fields[21])
    return Usage(ticks / os.sysconf("SC_CLK_TCK"), pages * os.sysconf("SC_PAGE_SIZE"))


class Program:
    """One process of the rig, which may be killed and started again."""

    def __init__(self, command: list[str], log: Path) -> None:
        self._command = command
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Return the number of the process."""
        assert self._process is not None, f"{self._command[0]} was not started"
        return self._process.pid

    def start(self) -> None:
        """Start it; it dies with this process, however that ends."""
        command = ["setpriv", "--pdeathsig", "KILL", *self._command]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def kill(self) -> None:
        """End it between two instructions."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(timeout=PATIENCE)

    def require_life(self) -> None:
        """Raise AssertionError with the end of its log if it has ended."""
        if self._process is not None and self._process.poll() is not None:
            end = self._log.read_text(errors="replace")[-3000:]
            raise AssertionError(f"{Path(self._command[0]).name} ended with {self._process.returncode}:\n{end}")


class Rig:
    """The programs in a folder of their own. `cluster` is its administrator's view."""

    def __init__(
        self,
        folder: Path,
        *,
        nodes: int = 3,
        seccomp: SeccompProfile,
        quota_bytes: int = 4 << 30,
        in_a_hurry: bool = True,
    ) -> None:
        self._folder = folder
        self._nodes = nodes
        self._node_labels = {"type": "kwok", seccomp.node_label: "ready"}
        self._token = token_hex(16)
        self._etcd_port, self.port = free_port(), free_port()
        self._programs = _compiled()
        self.kubeconfig = folder / "kubeconfig"
        self.certificate = folder / "certificates" / "apiserver.crt"
        self._write_files()
        self.etcd = self._program(
            "etcd",
            data_dir=str(folder / "etcd"),
            listen_client_urls=self.etcd_url,
            advertise_client_urls=self.etcd_url,
            listen_peer_urls=f"http://127.0.0.1:{free_port()}",
            quota_backend_bytes=str(quota_bytes),
            unsafe_no_fsync="true",  # what is lost with this machine's power is not what is tested
            log_level="error",
        )
        self.apiserver = self._program(
            "kube-apiserver",
            etcd_servers=self.etcd_url,
            bind_address="127.0.0.1",
            secure_port=str(self.port),
            cert_dir=str(folder / "certificates"),
            token_auth_file=str(folder / "tokens"),
            authorization_mode="RBAC",
            service_account_issuer="https://rig",
            service_account_key_file=str(folder / "key"),
            service_account_signing_key_file=str(folder / "key"),
            service_cluster_ip_range="10.96.0.0/24",
            endpoint_reconciler_type="none",
        )
        self.controllers = self._program(
            "kube-controller-manager",
            kubeconfig=str(self.kubeconfig),
            leader_elect="false",
            secure_port="0",
            use_service_account_credentials="false",
            **(_IN_A_HURRY if in_a_hurry else {}),
            node_monitor_period="1s",
            node_monitor_grace_period="16s",
        )
        self.scheduler = self._program(
            "kube-scheduler",
            kubeconfig=str(self.kubeconfig),
            leader_elect="false",
            secure_port="0",
            kube_api_qps="500",
            kube_api_burst="1000",
        )
        self.kwok = self._program("kwok", kubeconfig=str(self.kubeconfig), config=str(folder / "kwok.yaml"))
        self.cluster: Cluster

    @property
    def etcd_url(self) -> str:
        """Where etcd serves."""
        return f"http://127.0.0.1:{self._etcd_port}"

    def start(self) -> None:
        """Start everything and wait until nodes are ready and namespaces get their accounts."""
        self.etcd.start()
        self.start_apiserver()
        for program in (self.controllers, self.scheduler, self.kwok):
            program.start()
        for number in range(self._nodes):
            self.add_node(f"node-{number}")
        wait_until(
            "the rig's nodes are ready",
            self._ready_nodes,
            lambda ready: len(ready) == self._nodes,
        )
        wait_until(
            "the controllers work",
            self._default_account,
            lambda account: account is not None,
        )

    def start_apiserver(self) -> None:
        """Start the API server, for the first time or again, and wait until it serves."""
        self.apiserver.start()
        wait_until("the API server has its certificate", self.certificate.exists, bool, every=0.05)
        api = kubernetes.config.new_client_from_config(str(self.kubeconfig))  # type: ignore[no-untyped-call]
        self.cluster = Cluster(self.kubeconfig, api)
        wait_until("the API server serves", self._readyz, lambda answer: answer == "ok")

    def stop(self) -> None:
        """End everything."""
        for program in (self.kwok, self.scheduler, self.controllers, self.apiserver, self.etcd):
            program.kill()

    def reclaim_space(self) -> None:
        """Let a full etcd forget what was deleted, and tell it that it has room again."""
        everything = base64.b64encode(b"\0").decode()
        found = self._ask_etcd("kv/range", {"key": everything, "range_end": everything, "count_only": True})
        self._ask_etcd("kv/compaction", {"revision": found["header"]["revision"], "physical": True})
        self._ask_etcd("maintenance/defragment", {})
        for alarm in self._ask_etcd("maintenance/alarm", {"action": "GET"})["alarms"]:
            self._ask_etcd("maintenance/alarm", {"action": "DEACTIVATE", **alarm})

    def _ask_etcd(self, what: str, question: dict[str, object]) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.etcd_url}/v3/{what}", json.dumps(question).encode(), timeout=30) as answer:
            document: dict[str, Any] = json.load(answer)
            return document

    def add_node(self, name: str) -> None:
        """Add a node on which kwok plays."""
        meta = {"name": name, "labels": {"kubernetes.io/hostname": name, **self._node_labels}}
        self.cluster.create({"apiVersion": "v1", "kind": "Node", "metadata": meta})

    def _ready_nodes(self) -> list[str]:
        self.kwok.require_life()
        return [
            node["metadata"]["name"]
            for node in self.cluster.list(NODE)
            for condition in node.get("status", {}).get("conditions", [])
            if (condition["type"], condition["status"]) == ("Ready", "True") and not node["spec"].get("taints")
        ]

    def _default_account(self) -> Manifest | None:
        self.controllers.require_life()
        return self.cluster.find(SERVICE_ACCOUNT, "default", "default")

    def _readyz(self) -> str:
        self.etcd.require_life()
        self.apiserver.require_life()
        try:
            return self.cluster.request("GET", "/readyz", timeout=5)
        except (RefusedError, urllib3.exceptions.HTTPError) as error:
            return str(error)

    def _program(self, name: str, **options: str) -> Program:
        flags = [f"--{option.replace('_', '-')}={value}" for option, value in options.items()]
        return Program([str(self._programs / name), *flags], self._folder / f"{name}.log")

    def _write_files(self) -> None:
        subprocess.run(
            ["openssl", "genrsa", "-out", str(self._folder / "key"), "2048"], check=True, capture_output=True
        )
        (self._folder / "tokens").write_text(f"{self._token},administrator,1,system:masters\n", encoding="utf-8")
        (self._folder / "bin").symlink_to(self._programs)  # kubectl beside the kubeconfig
        (self._folder / "kwok.yaml").write_text(yaml.safe_dump_all(kwok_configuration()), encoding="utf-8")
        cluster = {
            "server": f"https://127.0.0.1:{self.port}",
            "certificate-authority": str(self.certificate),
        }
        write_kubeconfig(self.kubeconfig, cluster, self._token)

    def kubeconfig_by(self, server: str, path: Path) -> Path:
        """Write a kubeconfig of the administrator for another way to the API server."""
        write_kubeconfig(path, {"server": server}, self._token)
        return path


def write_kubeconfig(path: Path, cluster: dict[str, str], token: str) -> None:
    """Write a kubeconfig with one cluster and one user."""
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "rig", "cluster": cluster}],
        "users": [{"name": "administrator", "user": {"token": token}}],
        "contexts": [{"name": "rig", "context": {"cluster": "rig", "user": "administrator"}}],
        "current-context": "rig",
    }
    path.write_text(yaml.safe_dump(document), encoding="utf-8")


@contextmanager
def running_rig(
    seccomp: SeccompProfile, *, nodes: int = 3, quota_bytes: int = 4 << 30, in_a_hurry: bool = True
) -> Iterator[Rig]:
    """Start a rig in a temporary folder, and end it with all that it held. Without hurry its controllers keep to
    their own defaults."""
    with tempfile.TemporaryDirectory(prefix="finlab-rig-", ignore_cleanup_errors=True) as folder:
        rig = Rig(Path(folder), nodes=nodes, seccomp=seccomp, quota_bytes=quota_bytes, in_a_hurry=in_a_hurry)
        try:
            rig.start()
            yield rig
        finally:
            rig.stop()


def _compiled() -> Path:
    """Return the folder with the programs; the first time they are compiled, which takes minutes."""
    made = subprocess.run(["hack/rig.sh"], cwd=CHECKOUT, stdout=subprocess.PIPE, text=True, check=True)
    return Path(made.stdout.strip())
