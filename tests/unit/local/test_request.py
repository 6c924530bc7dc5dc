"""From the command line to the StrategyRun that an API server would hold."""

from pathlib import Path
from typing import Any

import pytest

from strategyrun.local.request import UsageError, read, stored

SOURCE = "def strategy(data, params): return data.close * 0\n"
MANIFEST = """\
apiVersion: finlab-sandbox.dev/v1alpha1
kind: StrategyRun
metadata: {name: mine}
spec:
  source: {inline: "x = 1"}
  params: {day: 2020-01-02, small: 1e3, whole: 10.0, half: 0.5, huge: 1e21, on: "on"}
"""


@pytest.fixture
def strategy(tmp_path: Path) -> Path:
    """Write a strategy under a name that is no name of an object."""
    path = tmp_path / "My Strategy_2.py"
    path.write_text(SOURCE)
    return path


def written(folder: Path, text: str) -> Path:
    """Write a manifest."""
    path = folder / "run.yaml"
    path.write_text(text)
    return path


def test_a_source_becomes_a_run_with_a_name(strategy: Path) -> None:
    """The file's name as far as an object may have it, and every default left to the models."""
    body = read(strategy, [], None).body
    assert body["metadata"]["name"] == "my-strategy-2"
    assert body["spec"] == {"source": {"inline": SOURCE}}


def test_params_are_json_else_text(strategy: Path) -> None:
    """Whole numbers arrive as integers, as from an API server; what is no JSON is a text."""
    given = ["fast=20", "slow=60.0", "rate=0.5", "on=true", "name=AAPL", "list=[1, 2.0]", "empty=", "eq=a=b"]
    found = read(strategy, given, None).body["spec"]["params"]
    assert found == {
        "fast": 20,
        "slow": 60,
        "rate": 0.5,
        "on": True,
        "name": "AAPL",
        "list": [1, 2],
        "empty": "",
        "eq": "a=b",
    }
    assert type(found["slow"]) is int
    assert type(found["list"][1]) is int


def test_a_manifest_is_read_as_kubectl_reads_it(tmp_path: Path) -> None:
    """A date stays a text, 1e3 is a number, and a number of 22 digits stays a float."""
    found = read(written(tmp_path, MANIFEST), ["half=2"], None).body["spec"]["params"]
    assert found == {"day": "2020-01-02", "small": 1000, "whole": 10, "half": 2, "huge": 1e21, "True": "on"}
    assert type(found["huge"]) is float


def test_config_maps_beside_the_run_are_known(tmp_path: Path) -> None:
    """A source by reference is found in the same file, as text or as base64."""
    maps = "\n---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: code}, data: {a: x}, binaryData: {b: eA==}}\n"
    assert read(written(tmp_path, MANIFEST + maps), [], None).config_maps == {"code": {"a": b"x", "b": b"x"}}


@pytest.mark.parametrize("name", ["prices.csv", "folder"])
def test_a_dataset_of_this_machine_takes_the_place_of_any_other(strategy: Path, tmp_path: Path, name: str) -> None:
    """Its path is kept beside the run; a file is named within its volume."""
    path = tmp_path / name
    path.touch() if path.suffix else path.mkdir()
    request = read(strategy, [], path)
    (dataset,) = request.body["spec"]["datasets"]
    assert dataset["persistentVolumeClaim"].get("path") == (name if path.suffix else None)
    assert request.dataset == path


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (MANIFEST + "---\n" + MANIFEST, "must hold one StrategyRun, found 2"),
        ("kind: [", "is not YAML"),
        ("- 1\n", "every document must be an object with metadata"),
        (
            MANIFEST.replace("v1alpha1", "v9"),
            "apiVersion must be finlab-sandbox.dev/v1alpha1, found finlab-sandbox.dev/v9",
        ),
        (MANIFEST.replace("mine", "Mine"), "metadata.name must match"),
        (MANIFEST.replace("0.5", ".nan"), "spec.params.half: must be a number of JSON, found nan"),
        (MANIFEST + "  feesBps: 1\n", 'spec.feesBps: unknown field "feesBps"'),
        (
            MANIFEST + "  timeoutSeconds: 301\n",
            "spec.timeoutSeconds: Input should be less than or equal to 300, found 301",
        ),
        (
            MANIFEST + "  datasets: [{name: a, image: {reference: b}}]\n",
            "spec.datasets.0.image: only a cluster has it; give its files as the dataset",
        ),
        (
            MANIFEST + "  datasets: [{name: a, configMapRef: {name: b, key: c}}]\n---\n"
            "{kind: ConfigMap, metadata: {name: b}, data: {d: x}}\n",
            "spec.datasets.0.configMapRef: ConfigMap b has no key c",
        ),
        (
            MANIFEST + "  datasets: [{name: a, configMapRef: {name: b}}]\n",
            "spec.datasets.0.configMapRef: there is no ConfigMap b beside the run",
        ),
    ],
)
def test_a_bad_manifest_is_told_in_words(tmp_path: Path, text: str, says: str) -> None:
    """The file, the field, the limit and what was found."""
    with pytest.raises(UsageError) as error:
        read(written(tmp_path, text), [], None)
    assert str(error.value).startswith(str(tmp_path / "run.yaml"))
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"\xff", "must be UTF-8; byte 0 is not"), (b"#" * 131_073, "at most 131072 bytes, found 131073")],
)
def test_a_bad_source_is_told_in_words(tmp_path: Path, content: bytes, says: str) -> None:
    """Before anything reads it as Python."""
    path = tmp_path / "a.py"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=says):
        read(path, [], None)


def test_a_param_without_a_value_is_refused(strategy: Path) -> None:
    """And so is a path that is not there."""
    with pytest.raises(UsageError, match="--param: must be name=value, found 'fast'"):
        read(strategy, ["fast"], None)
    with pytest.raises(UsageError, match="there is no"):
        read(strategy, [], strategy / "none.csv")


@pytest.mark.parametrize(
    ("given", "kept"), [(10.0, 10), (-0.0, 0), (1e20, 10**20), (1e21, 1e21), (0.1, 0.1), (True, True), (None, None)]
)
def test_numbers_are_stored_as_the_api_server_stores_them(given: Any, kept: Any) -> None:
    """A whole number below 1e21 is an integer there, whatever it was written as."""
    found = stored(given, "spec")
    assert (found, type(found)) == (kept, type(kept))
