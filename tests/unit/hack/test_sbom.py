"""The bill of materials: what the lock files allow, in one order, and nothing that they do not."""

import json
import re
from types import ModuleType
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from support.cluster import CHECKOUT
from support.scripts import load_script

DEBIAN = "libc6\t2.41-12\tamd64\nbase-files\t13.8+deb13u1\tamd64\ndebian 13"


@pytest.fixture(scope="module")
def sbom() -> ModuleType:
    """Load the script."""
    return load_script("sbom")


@pytest.mark.parametrize("folder", ["image", "operator", "operator/fallback"])
def test_every_line_of_a_lock_file_is_read_with_its_hashes(sbom: ModuleType, folder: str) -> None:
    """No package of a lock file is without a hash, and no hash is lost."""
    text = (CHECKOUT / folder / "requirements.lock").read_text()
    found = sbom.locked(text)
    assert len(found) == len(re.findall(r"^[^ #]\S*==", text, re.MULTILINE))
    assert all(hashes for _, hashes in found.values())
    assert sum(len(hashes) for _, hashes in found.values()) == text.count("--hash=")


def test_the_fallback_has_the_sandboxs_own_packages(sbom: ModuleType) -> None:
    """The same versions by the same files: with others, the same strategy could have other positions."""
    fallback, sandbox = (
        sbom.locked((CHECKOUT / folder / "requirements.lock").read_text()) for folder in ("operator/fallback", "image")
    )
    assert {"numpy", "pandas", "pyarrow"} < set(fallback)
    assert fallback.items() <= sandbox.items()


def test_what_is_not_locked_is_an_error(sbom: ModuleType) -> None:
    """Neither another version nor a package that nobody locked gets into the document."""
    lock = {"numpy": ("2.2.6", ["0" * 64])}
    assert sbom.python_components({"NumPy": "2.2.6"}, lock)[0]["purl"] == "pkg:pypi/numpy@2.2.6"
    for packages in ({"numpy": "2.2.5"}, {"pip": "1"}):
        with pytest.raises(sbom.UnlockedError):
            sbom.python_components(packages, lock)


def test_the_order_of_what_is_found_changes_nothing(sbom: ModuleType) -> None:
    """The same components give the same document, serial number included; others give another number."""
    components = [*sbom.debian_components(DEBIAN), sbom.interpreter("3.13.1")]
    document = sbom.document("image:dev", components)
    assert document == sbom.document("image:dev", components[::-1])
    assert document["serialNumber"] != sbom.document("image:dev", components[1:])["serialNumber"]
    assert document == sbom.document("image:dev", components * 2)
    assert len({each["bom-ref"] for each in document["components"]}) == len(document["components"]) == 4
    assert "pkg:deb/debian/base-files@13.8%2Bdeb13u1?arch=amd64&distro=debian-13" in str(document)


def whole(sbom: ModuleType, folder: str) -> dict[str, Any]:
    """Build the document of an image that has every package of its lock file; two hashes of each, for speed."""
    found = sbom.locked((CHECKOUT / folder / "requirements.lock").read_text())
    lock = {name: (version, hashes[:2]) for name, (version, hashes) in found.items()}
    packages = {name: version for name, (version, _) in lock.items()}
    components = [
        *sbom.python_components(packages, lock),
        *sbom.debian_components(DEBIAN),
        sbom.interpreter("3.13.1"),
    ]
    document: dict[str, Any] = sbom.document(f"finlab-{folder}:dev", components)
    return document


def complaint(document: dict[str, Any]) -> str:
    """Return what the schema of CycloneDX 1.6 has against a document, unknown fields included."""
    return str(JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(document)) or "")


@pytest.mark.parametrize("folder", ["image", "operator"])
def test_the_document_is_cyclonedx(sbom: ModuleType, folder: str) -> None:
    """By the schema of who made it; so a scanner can read it."""
    assert complaint(whole(sbom, folder)) == ""


@pytest.mark.parametrize(
    "change",
    [{"bomFormat": "SPDX"}, {"serialNumber": "one"}, {"unknown": 1}, {"components": [{"type": "wheel", "name": "a"}]}],
    ids=["format", "serial-number", "unknown-field", "kind-of-component"],
)
def test_the_schema_is_looked_at(sbom: ModuleType, change: dict[str, Any]) -> None:
    """What is not CycloneDX is found."""
    assert complaint(whole(sbom, "operator") | change) != ""
