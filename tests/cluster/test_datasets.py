"""Datasets of one's own, from every source, in real pods."""

import base64
import gzip
import io
import os
import subprocess
import tarfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from typing import Any

import pandas as pd
import pytest

from support.cluster import STRATEGY_RUN, Cluster, Kind, Manifest
from support.real_prices import us_stocks
from support.runs import HOLD_EVERYTHING, strategy_run, wait_finished
from support.waiting import IN_LINE, wait_until

CLUSTER_NAME = os.environ.get("CLUSTER", "finlab-sandbox")
PERSISTENT_VOLUME = Kind("v1", "PersistentVolume")
SOURCE = """\
def strategy(data, params):
    return data.close > data.close.rolling(50).mean()
"""


@pytest.fixture(scope="module")
def prices() -> pd.DataFrame:
    """The prices of the builtin dataset as a long table."""
    return us_stocks()


def as_csv(prices: pd.DataFrame) -> bytes:
    """Write a long table as CSV."""
    return prices.to_csv(index=False).encode()


def as_parquet(prices: pd.DataFrame) -> bytes:
    """Write a long table as Parquet."""
    buffer = io.BytesIO()
    prices.to_parquet(buffer, index=False)
    return buffer.getvalue()


def tar(files: dict[str, bytes]) -> bytes:
    """Write files, and the folders that they are in, as one archive that anybody may read."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o644
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def config_map(namespace: str, files: dict[str, bytes], name: str = "prices") -> Manifest:
    """Build a ConfigMap of files."""
    binary = {key: base64.b64encode(content).decode() for key, content in files.items()}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace},
        "binaryData": binary,
    }


def evaluated(cluster: Cluster, namespace: str, name: str = "run", **spec: Any) -> Manifest:
    """Create a run and wait for its answer."""
    cluster.create(strategy_run(name, namespace, **{"source": SOURCE} | spec))
    status: Manifest = wait_finished(cluster, namespace, name)["status"]
    return status


def test_the_same_prices_score_the_same_from_every_source(
    cluster: Cluster, namespace: str, prices: pd.DataFrame
) -> None:
    """CSV, Parquet, one file a symbol: each gives the metrics of the builtin dataset, bit for bit."""
    builtin = evaluated(cluster, namespace, "builtin")
    by_symbol = {
        f"{symbol}.csv.gz": gzip.compress(as_csv(table.drop(columns="symbol")))
        for symbol, table in prices.groupby("symbol")
    }
    sources = {
        "csv": {"prices.csv.gz": gzip.compress(as_csv(prices))},
        "parquet": {"prices.parquet": as_parquet(prices)},
        "by-symbol": by_symbol,
    }
    for name, files in sources.items():
        cluster.create(config_map(namespace, files, name))
        dataset = {"name": "own", "configMapRef": {"name": name}}
        cluster.create(strategy_run(name, namespace, source=SOURCE, datasets=[dataset]))
    for name, files in sources.items():
        status = wait_finished(cluster, namespace, name)["status"]
        assert status["metrics"] == builtin["metrics"], name
        assert status["provenance"]["positionsSHA256"] == builtin["provenance"]["positionsSHA256"]
        sums = "".join(f"{sha256(content).hexdigest()}  {file}\n" for file, content in sorted(files.items()))
        assert status["provenance"]["datasetSHA256"] == sha256(sums.encode()).hexdigest()


def test_text_in_a_config_map_is_a_dataset(cluster: Cluster, namespace: str) -> None:
    """As `kubectl create configmap --from-file` makes it; further columns are fields by their names."""
    text = (
        "date,symbol,close,當月營收\n2020-01-02,2330,10,5\n2020-01-03,2330,11,\n"
        "2020-01-02,0050,20,7\n2020-01-03,0050,19,8\n2020-01-06,2330,12,9\n2020-01-06,0050,18,9\n"
    )
    manifest = config_map(namespace, {}) | {"data": {"prices.csv": text}}
    cluster.create(manifest)
    source = """\
        def strategy(data, params):
            print(data.symbols, data.fields, data["當月營收"].iloc[0].tolist())
            return data.close.notna()
        """
    dataset = {"name": "taiwan", "configMapRef": {"name": "prices", "key": "prices.csv"}}
    status = evaluated(cluster, namespace, source=source, datasets=[dataset], evaluation={"benchmark": "0050"})
    assert (status["reason"], status["metrics"]["days"]) == ("Evaluated", 3)


BAD = {
    "no-number": (
        {"prices.csv": b"date,symbol,close\n2020-01-02,A,10\n2020-01-03,A,ten\n"},
        {},
        "DataInvalid",
        "prices.csv, line 3, column close: 'ten' is no number",
    ),
    "twice": (
        {"prices.csv": b"date,symbol,close\n2020-01-02,A,10\n2020-01-02,A,11\n"},
        {},
        "DataInvalid",
        "prices.csv, lines 2 and 3 are both A on 2020-01-02",
    ),
    "cut-off": ({"prices.csv.gz": gzip.compress(b"date,symbol,close\n" * 99)[:-9]}, {}, "DataInvalid", "is cut off"),
    "no-such-key": ({"prices.csv": b""}, {"key": "price.csv"}, "DataMissing", "there is: prices.csv"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_data_is_named_by_file_row_and_column(cluster: Cluster, namespace: str, case: str) -> None:
    """Before any line of the strategy has run."""
    files, reference, reason, words = BAD[case]
    cluster.create(config_map(namespace, files))
    dataset = {"name": "own", "configMapRef": {"name": "prices", **reference}}
    status = evaluated(cluster, namespace, datasets=[dataset])
    assert (status["phase"], status["reason"]) == ("Failed", reason)
    assert status["failure"]["class"] == "User"
    assert words in status["message"]
    assert "startedAt" not in status["attempts"][0]


def test_a_benchmark_that_the_dataset_lacks_is_missing_data(cluster: Cluster, namespace: str) -> None:
    """The message says what there is."""
    status = evaluated(cluster, namespace, evaluation={"benchmark": "SPY"})
    assert status["reason"] == "DataMissing"
    assert status["message"].endswith("5 symbols: AAPL FB GOOG IBM MSFT")


@pytest.fixture
def volume(cluster: Cluster) -> Iterator[str]:
    """A volume on the node, for one claim."""
    name = f"finlab-test-{token_hex(4)}"
    cluster.create(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": name},
            "spec": {
                "capacity": {"storage": "10Mi"},
                "accessModes": ["ReadWriteOnce"],
                "storageClassName": name,
                "hostPath": {"path": f"/var/lib/{name}", "type": "DirectoryOrCreate"},
            },
        }
    )
    yield name
    cluster.delete(PERSISTENT_VOLUME, name)


def test_a_volume_is_read_by_a_path_in_it(cluster: Cluster, namespace: str, volume: str) -> None:
    """A claim of the namespace, mounted read-only; here it is still empty, and the answer says so.

    A path is a file, or a folder with a file for each symbol, here of Parquet.
    """
    cluster.create(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "prices", "namespace": namespace},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "storageClassName": volume,
                "resources": {"requests": {"storage": "1Mi"}},
            },
        }
    )
    claim = {"name": "own", "persistentVolumeClaim": {"claimName": "prices", "path": "daily/prices.csv"}}
    empty = evaluated(cluster, namespace, "empty", datasets=[claim])
    assert empty["reason"] == "DataMissing"
    dates = pd.to_datetime(["2020-01-02", "2020-01-03", "2020-01-06"])
    closes = pd.DataFrame({"A": [10.0, 11.0, 12.0], "B": [5.0, 4.0, 4.5]}, dates.rename("date"))
    files = {"daily/prices.csv": as_csv(closes.reset_index().melt("date", var_name="symbol", value_name="close"))}
    files |= {f"folder/{name}.parquet": as_parquet(closes[name].rename("close").reset_index()) for name in closes}
    node = f"{CLUSTER_NAME}-control-plane"
    folder = f"/var/lib/{volume}"
    put = f"mkdir -p {folder} && tar --extract --no-same-owner --directory {folder}"
    subprocess.run(
        ["docker", "exec", "--interactive", node, "sh", "-c", put], input=tar(files), check=True, capture_output=True
    )
    by_symbol = {"name": "own", "persistentVolumeClaim": {"claimName": "prices", "path": "folder"}}
    try:
        statuses = [
            evaluated(cluster, namespace, name, source=HOLD_EVERYTHING, datasets=[dataset])
            for name, dataset in (("file", claim), ("folder", by_symbol))
        ]
    finally:
        subprocess.run(["docker", "exec", node, "rm", "-r", folder], check=True, capture_output=True)
    assert [(status["reason"], status["metrics"]["days"]) for status in statuses] == [("Evaluated", 3)] * 2
    assert statuses[0]["metrics"] == statuses[1]["metrics"]


@pytest.mark.parametrize(
    ("dataset", "words"),
    [
        pytest.param(
            {"persistentVolumeClaim": {"claimName": "nowhere"}}, 'persistentvolumeclaim "nowhere" not found', id="claim"
        ),
        pytest.param({"image": {"reference": "finlab-test/nowhere:1"}}, "finlab-test/nowhere:1", id="image"),
        pytest.param({"configMapRef": {"name": "nowhere"}}, "there is no ConfigMap nowhere", id="config-map"),
    ],
)
def test_what_is_not_there_is_named_while_the_run_waits(
    cluster: Cluster, namespace: str, dataset: dict[str, Any], words: str
) -> None:
    """It is the data that is missing, and not the sandbox."""
    cluster.create(strategy_run(namespace=namespace, datasets=[{"name": "own", **dataset}]))
    status = wait_until(
        "the run waits for its data",
        lambda: cluster.get(STRATEGY_RUN, "run", namespace).get("status", {}),
        lambda status: status.get("reason") == "DataMissing",
        seconds=IN_LINE,
    )
    assert status["phase"] in ("Queued", "Starting")
    assert words in status["message"]


def test_an_image_is_a_dataset(cluster: Cluster, namespace: str, tmp_path: Path) -> None:
    """Two lines of a Dockerfile are enough to publish prices by digest."""
    image = f"finlab-test/prices:{token_hex(4)}"
    (tmp_path / "prices.csv").write_text("date,symbol,close\n2020-01-02,A,10\n2020-01-03,A,11\n2020-01-06,A,12\n")
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY prices.csv /data/prices.csv\n")
    for command in (
        ["docker", "build", "--quiet", "--tag", image, str(tmp_path)],
        ["kind", "load", "docker-image", image, "--name", CLUSTER_NAME],
    ):
        subprocess.run(command, check=True, capture_output=True)
    try:
        dataset = {"name": "own", "image": {"reference": image, "path": "data"}}
        status = evaluated(cluster, namespace, datasets=[dataset])
    finally:
        subprocess.run(["docker", "image", "rm", image], check=True, capture_output=True)
    assert (status["reason"], status["metrics"]["days"]) == ("Evaluated", 3)
