"""What the paths and pairs of a command line come to."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from strategyrun.adapters.manifests import RUNNABLE
from strategyrun.cli.sources import Manifest, labels_of, manifests, pairs, sources
from strategyrun.client import NotAskedError, Trial
from strategyrun.local.request import UsageError, read
from support.ordinary import USER


def test_values_are_json_where_they_are_and_else_text() -> None:
    """A number is one, a word is a word, an equals sign may stand in a value."""
    given = ["a=1", "b=1.5", "c=true", "d=[1, 2]", "e=word", "f=x=y", 'g="1"', "h="]
    expected = {"a": 1, "b": 1.5, "c": True, "d": [1, 2], "e": "word", "f": "x=y", "g": "1", "h": ""}
    assert pairs("--param", given) == expected


def test_fields_of_the_evaluation_may_be_nested() -> None:
    """By dots; a parameter's name may have dots of its own."""
    assert pairs("--evaluation", ["feesBps=5", "lookAhead.action=Fail", "lookAhead.samples=3"]) == {
        "feesBps": 5,
        "lookAhead": {"action": "Fail", "samples": 3},
    }
    assert pairs("--param", ["a.b=1"]) == {"a.b": 1}


@pytest.mark.parametrize("given", ["novalue", "=1"])
def test_what_is_no_pair_is_refused(given: str) -> None:
    """With the option's name."""
    with pytest.raises(NotAskedError, match=f"--param: must be name=value, found '{given}'"):
        pairs("--param", [given])


@pytest.mark.parametrize(
    "given", [["lookAhead=1", "lookAhead.action=Fail"], ["lookAhead.action=Fail", "lookAhead=1"]], ids=["first", "last"]
)
def test_a_field_has_a_value_or_fields(given: list[str]) -> None:
    """Not both."""
    with pytest.raises(NotAskedError, match=r"--evaluation .*: lookAhead has"):
        pairs("--evaluation", given)


def test_labels_are_text() -> None:
    """Whatever they look like; one may be empty."""
    assert labels_of(["night=1", "by=me=you", "queue="]) == {"night": "1", "by": "me=you", "queue": ""}
    with pytest.raises(NotAskedError, match="--label: must be name=value, found 'night'"):
        labels_of(["night"])


RUN = "kind: StrategyRun\nmetadata: {name: mine}\nspec: {}\n"


def test_a_folder_names_its_strategies_and_manifests(tmp_path: Path) -> None:
    """In the order of their names, without what is private, hidden or of another kind, which is told."""
    for name in ("c.py", "_private.py", ".hidden.py", "notes.md"):
        (tmp_path / name).write_text("")
    (tmp_path / "b.yaml").write_text(f"kind: ConfigMap\n---\n{RUN}")
    (tmp_path / "a.json").write_text("[1]")
    skipped: list[str] = []
    first, second = sources([tmp_path], skipped.append)
    assert isinstance(first, Manifest)
    assert first.meta == {"name": "mine"}
    assert second == tmp_path / "c.py"
    assert [each.removeprefix(f"{tmp_path}/").partition(";")[0] for each in skipped] == [
        "a.json: skipped a list",
        "b.yaml: skipped a ConfigMap",
    ]


def test_a_file_of_a_folder_that_cannot_be_read_keeps_no_other_back(tmp_path: Path) -> None:
    """It is told to whoever wants to hear it, and which run of it; without anybody it is an error."""
    (tmp_path / "a.yaml").write_text("a: [")
    (tmp_path / "b.yaml").write_text("kind: StrategyRun\nmetadata: text\n")
    (tmp_path / "c.yaml").write_text("kind: StrategyRun\nspec: {params: [1]}\n")
    (tmp_path / "d.py").touch()
    (tmp_path / "f.yaml").write_text("kind: List\nitems: 5\n")
    (tmp_path / "e.yaml").write_text("kind: StrategyRun\nmetadata: {name: mine, labels: text}\n")
    refused: list[str] = []
    assert sources([tmp_path], pytest.fail, refused.append) == [tmp_path / "d.py"]
    a, *others = (each.removeprefix(f"{tmp_path}/") for each in refused)
    assert a.startswith("a.yaml cannot be read: ")
    assert others == [
        "b.yaml: metadata must be a mapping, found str",
        "c.yaml: c: params must be a mapping, found list",
        "e.yaml: mine: labels must be a mapping, found str",
        "f.yaml: items must be a list, found int",
    ]
    with pytest.raises(NotAskedError, match=r"a\.yaml cannot be read"):
        sources([tmp_path], pytest.fail)


@contextmanager
def as_ordinary_user() -> Iterator[None]:
    """Be one for a moment, where the tests run as root."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(USER)
    try:
        yield
    finally:
        os.seteuid(0)


def test_what_may_not_be_read_is_told_in_words() -> None:
    """A folder of somebody else's, and what is behind it."""
    with TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        (folder := Path(name) / "theirs").mkdir()
        (file := folder / "run.py").touch()
        folder.chmod(0)
        for path in (folder, file):
            with as_ordinary_user(), pytest.raises(NotAskedError, match=f"^{path} cannot be read: Permission denied$"):
                sources([path], pytest.fail)
        folder.chmod(0o755)


def test_a_file_of_a_folder_is_taken_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    """So that it can be submitted once more when it is mended: no run of it is there already."""
    (tmp_path / "a.yaml").write_text(f"{RUN}---\nkind: ConfigMap\n---\nkind: StrategyRun\nspec: text\n")
    (tmp_path / "b.py").touch()
    refused: list[str] = []
    assert sources([tmp_path], pytest.fail, refused.append) == [tmp_path / "b.py"]
    assert refused == [f"{tmp_path}/a.yaml: a: spec must be a mapping, found str"]


def test_a_file_that_is_named_may_hold_nothing_else(tmp_path: Path) -> None:
    """Whoever names it means all of it."""
    path = tmp_path / "b.yaml"
    path.write_text(f"kind: ConfigMap\n---\n{RUN}")
    with pytest.raises(NotAskedError, match="every document must be a StrategyRun, found ConfigMap"):
        sources([path], pytest.fail)


def test_a_manifest_may_be_a_list_and_keeps_what_a_user_may_choose(tmp_path: Path) -> None:
    """Not what an API server adds."""
    path = tmp_path / "runs.yaml"
    path.write_text(
        "kind: List\nitems:\n"
        "- {kind: StrategyRun, metadata: {name: a, labels: {x: y}, uid: '1'}, spec: {params: {}}}\n"
        "- {kind: StrategyRun, spec: {}}\n"
    )
    first, second = manifests(path)
    assert first.meta == {"name": "a", "labels": {"x": "y"}}
    assert first.spec == {"params": {}}
    assert second.meta == {"name": "runs"}


def test_parameters_of_a_manifest_may_be_others() -> None:
    """What is not said stays, as `run` has it."""
    made = Manifest("run.yaml", {}, {"params": {"fast": 1, "slow": 2}, "profile": "strict"}).with_params({"fast": 3})
    assert made.spec == {"params": {"fast": 3, "slow": 2}, "profile": "strict"}
    assert Manifest("run.yaml", {}, {}).with_params({}).spec == {}


def test_a_manifest_may_have_more_labels() -> None:
    """Its own stay, unless they are said otherwise."""
    made = Manifest("run.yaml", {"name": "a", "labels": {"by": "you", "night": "1"}}, {}).with_labels({"night": "2"})
    assert made.meta == {"name": "a", "labels": {"by": "you", "night": "2"}}
    assert Manifest("run.yaml", {"name": "a"}, {}).with_labels({}).meta == {"name": "a"}


def test_a_manifest_has_the_same_parameters_at_every_door(tmp_path: Path) -> None:
    """Submitted, run on this machine, or applied: 1e-3 is a number, a date is a text."""
    path = tmp_path / "run.yaml"
    path.write_text(
        "apiVersion: finlab-sandbox.dev/v1alpha1\nkind: StrategyRun\nmetadata: {name: mine}\n"
        'spec: {source: {inline: "x = 1"}, params: {alpha: 1e-3, big: 1E3, day: 2020-01-02, half: .5}}\n'
    )
    (submitted,) = manifests(path)
    assert submitted.spec["params"] == {"alpha": 0.001, "big": 1000, "day": "2020-01-02", "half": 0.5}
    assert submitted.spec["params"] == read(path, [], None).body["spec"]["params"]


@pytest.mark.parametrize(
    ("stem", "name"),
    [("My Strategy_2", "my-strategy-2"), ("動能", "run"), ("a" * 39 + "-" + "b" * 30, "a" * 39)],
    ids=["letters", "none", "long"],
)
def test_a_file_has_the_same_name_at_every_door(tmp_path: Path, stem: str, name: str) -> None:
    """As far as an object may have it, with room for what tells its runs apart."""
    path = tmp_path / f"{stem}.py"
    path.write_text("x = 1")
    manifest = path.with_suffix(".yaml")
    manifest.write_text("kind: StrategyRun\nspec: {}\n")
    assert Trial(path).prefix == name
    assert read(path, [], None).body["metadata"]["name"] == name
    assert [each.meta["name"] for each in manifests(manifest)] == [name]


def test_every_door_takes_the_same_files(tmp_path: Path) -> None:
    """And says which, where it does not take one."""
    path = tmp_path / "notebook.ipynb"
    path.touch()
    with pytest.raises(NotAskedError, match=re.escape(RUNNABLE)):
        sources([path], pytest.fail)
    with pytest.raises(UsageError, match=re.escape(RUNNABLE)):
        read(path, [], None)
