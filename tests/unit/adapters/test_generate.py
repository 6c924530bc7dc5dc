"""The checked-in files that are made from the domain."""

from pathlib import Path

import pytest
import yaml

from strategyrun.adapters.generate import generated_files, write_generated
from strategyrun.domain.crd import crd
from support.cluster import CHECKOUT

CRD_FILE = Path("crds/strategyruns.finlab-sandbox.dev.yaml")


@pytest.mark.parametrize("path", generated_files(), ids=str)
def test_checked_in_file_is_current(path: Path) -> None:
    """What is checked in is what the models say; `make generate` mends it."""
    assert (CHECKOUT / path).read_text(encoding="utf-8") == generated_files()[path]


def test_the_crd_file_says_what_the_crd_says() -> None:
    """YAML loses nothing, and uses no anchors that a reader would have to follow."""
    content = generated_files()[CRD_FILE]
    assert content.startswith("# Generated")
    assert yaml.safe_load(content) == crd()
    assert not [token for token in yaml.scan(content) if isinstance(token, (yaml.AnchorToken, yaml.AliasToken))]


def test_kustomization_lists_every_generated_crd() -> None:
    """`kubectl apply -k crds` installs all of them."""
    kustomization = yaml.safe_load((CHECKOUT / "crds/kustomization.yaml").read_text(encoding="utf-8"))
    assert {Path("crds", name) for name in kustomization["resources"]} == {
        path for path in generated_files() if path.parent == Path("crds")
    }


def test_writes_every_file_below_the_checkout(tmp_path: Path) -> None:
    """Writing makes folders and files as needed, and nothing else."""
    write_generated(tmp_path)
    written = {path.relative_to(tmp_path): path.read_text(encoding="utf-8") for path in tmp_path.rglob("*.*")}
    assert written == generated_files()
