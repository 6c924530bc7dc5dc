# ruff: noqa: S603, S607, T201 - it starts containers and prints
"""Which system calls the image's libraries make, held against config/seccomp_profile.json.

    PYTHONPATH=operator:image:tests hack/with.sh .venv/bin/python hack/seccomp-check.py [--verbose]

Each workload runs as its container in the pod does, under the profile, with strace inside: the samples with the
harness and then the evaluator, the loader on CSV and on Parquet, and a script that uses the libraries. It needs the
engine, the sandbox's image, and strace on this machine (it is mounted into the containers with its libraries). For
strace alone the containers' profile allows ptrace and the like; every call is judged by the real profile all the same.

Exit code 1 where a workload fails, where a call is refused that is not known to be harmless, or where a tripwire is
hit.
Allowed calls that nobody made are listed: candidates to go, not errors.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from strategyrun.adapters.settings import load_settings
from strategyrun.domain.hardening import environment
from strategyrun.domain.inputs import build_inputs
from strategyrun.domain.job import INPUT_VARIABLE
from strategyrun.domain.strategyrun import StrategyRun
from strategyrun.domain.vetting import vet
from support.seccomp import ALLOW, ENOSYS, KILL, Profile

CHECKOUT = Path(__file__).parents[1]
PROFILE = Profile.read(CHECKOUT / "config" / "seccomp_profile.json")
SANDBOX = load_settings(CHECKOUT / "config" / "sandbox.yaml").profile.sandbox
FOR_STRACE = ("ptrace", "process_vm_readv", "process_vm_writev", "setpgid", "setreuid", "setregid")
HARMLESS = {
    "socket": "urllib3 asks whether there is IPv6",
    "mbind": "mimalloc asks for memory near the processor",
    "setpgid": "only here: strace is the first process, so the harness makes a group of its own",
}
BY_ARGUMENT = ",".join(sorted(PROFILE.by_argument()))
LINE = re.compile(r"^\d+ +(?:[\d.]+ )?([a-z0-9_]+)\((.*)")
HEX = re.compile(r"^0x[0-9a-f]+|^-?\d+")
PATIENCE_SECONDS = 300

LIBRARIES = """\
import asyncio, importlib, io, os, tempfile
from concurrent.futures import ThreadPoolExecutor
import duckdb, networkx, numpy as np, pandas as pd, pyarrow as pa, pyarrow.csv, pyarrow.parquet, scipy.optimize
import scipy.linalg, scipy.stats, sqlalchemy, talib
from sklearn.cluster import KMeans
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.linear_model import Ridge
from sklearn.model_selection import cross_val_score

rng = np.random.default_rng(0)
x, y = rng.normal(size=(400, 6)), rng.normal(size=400)
for model in (Ridge(), RandomForestRegressor(20, n_jobs=2), HistGradientBoostingRegressor(max_iter=20)):
    model.fit(x, y).predict(x)
KMeans(3, n_init=2).fit(x)
cross_val_score(Ridge(), x, y, n_jobs=2)
np.linalg.svd(rng.normal(size=(200, 200))); np.fft.fft(y)
scipy.optimize.minimize(lambda v: ((v - 1) ** 2).sum(), np.zeros(4)); scipy.stats.linregress(x[:, 0], y)
talib.RSI(y); talib.MACD(y); talib.BBANDS(y)
networkx.pagerank(networkx.gnp_random_graph(60, 0.2, seed=1)); networkx.spring_layout(networkx.path_graph(20), seed=1)
frame = pd.DataFrame(x, columns=list("abcdef"), index=pd.date_range("2020", periods=400, tz="Asia/Taipei"))
frame.rolling(20).corr(); frame.groupby(frame.index.month).mean(); frame.ewm(5).std(); frame.eval("a + b")
with tempfile.TemporaryDirectory() as folder:
    for path, write, read in (
        ("t.parquet", frame.to_parquet, pd.read_parquet), ("t.csv", frame.to_csv, pd.read_csv),
        ("t.pkl", frame.to_pickle, pd.read_pickle), ("t.feather", frame.reset_index().to_feather, pd.read_feather),
        ("t.csv.gz", frame.to_csv, pd.read_csv),
    ):
        write(os.path.join(folder, path)); read(os.path.join(folder, path))
    np.save(folder + "/a.npy", x); np.load(folder + "/a.npy", mmap_mode="r").sum()
    pa.parquet.read_table(folder + "/t.parquet", memory_map=True); pa.csv.read_csv(folder + "/t.csv")
    duckdb.sql(f"select avg(a) from '{folder}/t.parquet'").fetchall()
    base = duckdb.connect(folder + "/t.duckdb"); base.execute("create table t as select range i from range(100000)")
    base.execute("select sum(i) from t").fetchall(); base.close()
    engine = sqlalchemy.create_engine("sqlite:///" + folder + "/t.sqlite")
    frame.tz_localize(None).to_sql("t", engine); pd.read_sql("select count(*) from t", engine)
with ThreadPoolExecutor(4) as pool:
    list(pool.map(np.sort, [x] * 8))
asyncio.run(asyncio.sleep(0.01))
for name in ("finlab", "finlab.data", "anthropic", "openai", "google.generativeai", "yfinance", "matplotlib.pyplot"):
    try:
        importlib.import_module(name)
        print(name, "imported")
    except ImportError as error:
        print(name, error)
print("all libraries used")
"""


def main() -> int:
    """Run the workloads, print what was found, and return the exit code."""
    asked = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    asked.add_argument("--verbose", action="store_true", help="say which workload made which refused call")
    verbose = asked.parse_args().verbose
    with tempfile.TemporaryDirectory() as folder:
        audit = Audit(Path(folder))
        for name, source in _sources().items():
            audit.strategy(name, source)
        for name, content in _tables(Path(folder)).items():
            audit.loader(name, content)
    used, refused = audit.used, audit.refused
    allowed = PROFILE.names(ALLOW)
    print(f"\n{len(audit.workloads)} workloads, {sum(used.values())} calls of {len(used)} kinds")
    print(f"allowed and made ({len(allowed & set(used))}): {' '.join(sorted(allowed & set(used)))}")
    print(f"allowed, made by nobody ({len(allowed - set(used))}): {' '.join(sorted(allowed - set(used)))}")
    missing = []
    for (name, fate), workloads in sorted(refused.items()):
        known = fate == "ENOSYS" or (fate == "EPERM" and name in HARMLESS)
        print(f"refused ({fate}): {name}: {HARMLESS.get(name, '') if known else 'NOT KNOWN TO BE HARMLESS'}")
        if verbose or not known:
            print(f"    by {', '.join(sorted(workloads))}; with {', '.join(sorted(audit.examples[name])[:6])}")
        missing += [] if known else [name]
    for workload in audit.failed:
        print(f"FAILED under the profile: {workload}")
    return 1 if missing or audit.failed else 0


def _sources() -> dict[str, dict[str, Any]]:
    samples = sorted((CHECKOUT / "manifests" / "samples").glob("*.yaml"))
    manifests = {path.stem: yaml.safe_load(path.read_text())["spec"] for path in samples}
    return manifests | {"libraries": {"source": {"inline": LIBRARIES}}}


def _tables(folder: Path) -> dict[str, tuple[str, bytes]]:
    dates = pd.date_range("2020-01-01", periods=500)
    rows = [(str(date.date()), symbol, 10.0 + number % 7) for number, date in enumerate(dates) for symbol in "AB"]
    frame = pd.DataFrame(rows, columns=["date", "symbol", "close"])
    frame.to_parquet(folder / "prices.parquet")
    csv = frame.to_csv(index=False).encode()
    return {"CSV": ("prices.csv", csv), "Parquet": ("prices.parquet", (folder / "prices.parquet").read_bytes())}


class Audit:
    """What was seen so far."""

    def __init__(self, folder: Path) -> None:
        self.used: Counter[str] = Counter()
        self.refused: dict[tuple[str, str], set[str]] = {}
        self.examples: dict[str, set[str]] = {}
        self.workloads: list[str] = []
        self.failed: list[str] = []
        self._folder = folder
        self._strace = _bundle(folder / "strace")
        self._profile = folder / "profile.json"
        self._profile.write_text(json.dumps(_for_strace(PROFILE.document)))

    def strategy(self, name: str, spec: dict[str, Any]) -> None:
        """Run a strategy and its evaluation as the two steps of the pod do."""
        code = spec["source"]["inline"].encode()
        metadata = {"name": name, "namespace": "check", "uid": name, "resourceVersion": "0"}
        metadata["creationTimestamp"] = "2026-01-01T00:00:00Z"
        manifest = {"apiVersion": "finlab-sandbox.dev/v1alpha1", "kind": "StrategyRun", "metadata": metadata}
        inputs = build_inputs(StrategyRun.parse(manifest | {"spec": spec}), code, vet(code).kind, SANDBOX)
        home = self._home(name)
        for file, content in inputs.files.items():
            (home / "in" / file).write_text(content)
        mounts, pinned = [f"{home}/in:/code:ro", f"{home}/out:/out"], f"{INPUT_VARIABLE}={inputs.hashes['input']}"
        self._run(f"{name}: strategy", home, 1000, "finlab_sandbox.harness", mounts, pinned)
        mounts = [f"{home}/in:/inputs:ro", f"{home}/out:/out:ro"]
        self._run(f"{name}: evaluator", home, 2000, "finlab_sandbox.evaluate", mounts, "FINLAB_NONCE=nonce")

    def loader(self, name: str, content: tuple[str, bytes]) -> None:
        """Read a table as the step of the pod does."""
        home = self._home(f"loader {name}".replace(" ", "-"))
        (home / "in" / content[0]).write_bytes(content[1])
        mounts = [f"{home}/in:/source:ro", f"{home}/out:/data"]
        self._run(f"loader: {name}", home, 3000, "finlab_sandbox.load", mounts)

    def _home(self, name: str) -> Path:
        home = self._folder / name
        for path in (home, home / "in", home / "out", home / "trace"):
            path.mkdir()
            path.chmod(0o777)
        return home

    def _run(self, name: str, home: Path, uid: int, module: str, mounts: list[str], *env: str) -> None:
        document, trace = home / f"{module}.json", home / "trace" / f"{module}.txt"
        document.touch()
        document.chmod(0o666)
        variables = [f"{each['name']}={each['value']}" for each in environment()]
        mounts = [*mounts, f"{document}:/dev/termination-log", f"{self._strace}:/strace:ro", f"{home}/trace:/trace"]
        command = [
            *("docker", "run", "--rm", "--network=none", "--read-only", "--cap-drop=ALL", f"--user={uid}:{uid}"),
            *("--security-opt=no-new-privileges", f"--security-opt=seccomp={self._profile}", "--memory=2g"),
            *("--tmpfs=/tmp:mode=1777,size=1g", *(f"--volume={each}" for each in mounts)),
            *(f"--env={each}" for each in [*variables, *env]),
            SANDBOX.image,
            *("/strace/ld", "--library-path", "/strace", "/strace/strace", "-f", "-qq", "-s", "0", "-e", "signal=none"),
            *("-e", f"raw={BY_ARGUMENT}", "-o", f"/trace/{module}.txt", "python3", "-P", "-s", "-m", module),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS)
        self.workloads.append(name)
        ended = json.loads(document.read_text() or "{}")
        good = ended.get("reason") in ("Completed", "Evaluated", "Unscored", "Loaded")
        print(f"{name}: {ended.get('reason', 'no word')}, exit code {done.returncode}", flush=True)
        if done.returncode or not good:
            self.failed.append(f"{name}: {str(ended)[:600]} {done.stderr[-300:]}")
        if trace.exists():
            self._read(name, trace)

    def _read(self, workload: str, trace: Path) -> None:
        begun = False
        for line in trace.read_text(errors="replace").splitlines():
            if not (match := LINE.match(line)):
                continue
            name, rest = match[1], match[2]
            begun = begun or name == "execve"
            if not begun or "resumed>" in rest[:20]:
                continue
            fate = PROFILE.fate(name, _arguments(rest) if name in PROFILE.by_argument() else ())
            if fate.action == ALLOW:
                self.used[name] += 1
                continue
            kind = "KILL" if fate.action == KILL else "ENOSYS" if fate.errno == ENOSYS else "EPERM"
            self.refused.setdefault((name, kind), set()).add(workload)
            self.examples.setdefault(name, set()).add(rest[:60])


def _arguments(rest: str) -> tuple[int, ...]:
    """Read raw arguments: numbers up to the first that is none."""
    found = []
    for text in rest.partition(")")[0].split(", "):
        if not (match := HEX.match(text)):
            break
        found.append(int(match[0], 0))
    return tuple(found)


def _for_strace(document: dict[str, Any]) -> dict[str, Any]:
    groups = [group | {"names": [n for n in group["names"] if n not in FOR_STRACE]} for group in document["syscalls"]]
    kept = [group for group in groups if group["names"]]
    return document | {"syscalls": [*kept, {"names": list(FOR_STRACE), "action": ALLOW}]}


def _bundle(folder: Path) -> Path:
    """Copy this machine's strace with its libraries and their loader."""
    strace = shutil.which("strace")
    if strace is None:
        sys.exit("there is no strace here; on Debian: apt-get install strace")
    folder.mkdir()
    shutil.copy(strace, folder / "strace")
    needed = subprocess.run(["ldd", strace], capture_output=True, text=True, check=True).stdout
    for path in re.findall(r"(/\S+) \(0x", needed):
        shutil.copy(path, folder / os.path.basename(path))
        if os.path.basename(path).startswith("ld-"):
            shutil.copy(path, folder / "ld")
    return folder


if __name__ == "__main__":
    sys.exit(main())
