# ruff: noqa: S603, T201 - it asks the engine and prints
"""Writes what an image of ours is made of, as CycloneDX 1.6 in JSON: hack/sbom.py sandbox|operator > sbom.json

Python packages as they stand in the image, each with the hashes that its lock file allows; Debian packages as dpkg
in the image knows them; Python itself. Nothing depends on the day or the machine: the same image gives the same bytes.
A package that the lock file does not have, or has in another version, is an error (exit code 1).
"""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID, uuid5

CHECKOUT = Path(__file__).parents[1]
OURS = UUID("6d0f2c0e-5f0e-5c39-9d1e-2d8b5a3b1a77")
"""The namespace of the serial numbers, which are made of the content."""

ASK_PYTHON = """\
import importlib.metadata, json, platform
found = {each.name: each.version for each in importlib.metadata.distributions()}
print(json.dumps({"python": platform.python_version(), "packages": found}))
"""
ASK_DEBIAN = (
    "dpkg-query -W -f '${Package}\\t${Version}\\t${Architecture}\\n'; . /etc/os-release; echo \"$ID $VERSION_ID\""
)


class Image(NamedTuple):
    """An image of ours, and its Pythons by path, each with the lock file of its packages."""

    tag: str
    pythons: dict[str, Path]


IMAGES = {
    "sandbox": Image("finlab-sandbox:dev", {"/opt/venv/bin/python3": CHECKOUT / "image" / "requirements.lock"}),
    "operator": Image(
        "finlab-sandbox-operator:dev",
        {
            "/opt/venv/bin/python3": CHECKOUT / "operator" / "requirements.lock",
            "/opt/fallback/bin/python3": CHECKOUT / "operator" / "fallback" / "requirements.lock",
        },
    ),
}


def main(asked: list[str]) -> int:
    """Write one bill of materials to standard output, and return the exit code."""
    if len(asked) != 1 or asked[0] not in IMAGES:
        print(f"usage: hack/sbom.py {'|'.join(IMAGES)}", file=sys.stderr)
        return 2
    image = IMAGES[asked[0]]
    components = debian_components(_in_image(image.tag, "sh", "-c", ASK_DEBIAN))
    try:
        for path, lock in image.pythons.items():
            python = json.loads(_in_image(image.tag, path, "-P", "-s", "-c", ASK_PYTHON))
            components += python_components(python["packages"], locked(lock.read_text()))
            components.append(interpreter(python["python"]))
    except UnlockedError as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps(document(image.tag, components), indent=2, sort_keys=True))
    return 0


class UnlockedError(Exception):
    """The image has a package that its lock file has not, or not in that version."""


def locked(text: str) -> dict[str, tuple[str, list[str]]]:
    """Read a lock file: version and SHA-256 hashes by normalised name."""
    blocks = re.findall(
        r"^([A-Za-z0-9._-]+)==(\S+)((?: |\\\n|;[^\n]*|--hash=sha256:[0-9a-f]{64})*)", text, re.MULTILINE
    )
    return {
        _normalised(name): (version, sorted(re.findall(r"sha256:([0-9a-f]{64})", rest)))
        for name, version, rest in blocks
    }


def python_components(packages: dict[str, str], lock: dict[str, tuple[str, list[str]]]) -> list[dict[str, Any]]:
    """List the Python packages with the hashes of the files that may have been installed."""
    components = []
    for name, version in packages.items():
        wanted, hashes = lock.get(_normalised(name), ("", []))
        if wanted != version:
            raise UnlockedError(f"{name} {version} is in the image, the lock file has {wanted or 'none of it'}")
        purl = f"pkg:pypi/{_normalised(name)}@{version}"
        files = [{"type": "distribution", "url": purl, "hashes": [{"alg": "SHA-256", "content": h}]} for h in hashes]
        components.append(_component("library", name, version, purl) | {"externalReferences": files})
    return components


def debian_components(told: str) -> list[dict[str, Any]]:
    """List the system and its packages from what dpkg-query and os-release say."""
    *packages, system = told.splitlines()
    name, version = system.split()
    components = [_component("operating-system", name, version, f"pkg:generic/{name}@{version}")]
    for line in packages:
        package, number, architecture = line.split("\t")
        escaped = number.replace("+", "%2B").replace(":", "%3A").replace("~", "~")
        purl = f"pkg:deb/{name}/{package}@{escaped}?arch={architecture}&distro={name}-{version}"
        components.append(_component("library", package, number, purl))
    return components


def interpreter(version: str) -> dict[str, Any]:
    """Describe Python itself, which may come from no package."""
    cpe = f"cpe:2.3:a:python:python:{version}:*:*:*:*:*:*:*"
    return _component("application", "python", version, f"pkg:generic/python@{version}") | {"cpe": cpe}


def document(tag: str, components: list[dict[str, Any]]) -> dict[str, Any]:
    """Put the bill of materials together, in one order and each once, with a serial number made of its content."""
    ordered = [component for _, component in sorted({str(each["bom-ref"]): each for each in components}.items())]
    serial = uuid5(OURS, json.dumps([tag, ordered], sort_keys=True))
    name, _, version = tag.partition(":")
    main_component = {"type": "container", "bom-ref": f"image:{tag}", "name": name, "version": version}
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        "metadata": {"component": main_component},
        "components": ordered,
        "dependencies": [{"ref": f"image:{tag}", "dependsOn": [each["bom-ref"] for each in ordered]}],
    }


def _component(kind: str, name: str, version: str, purl: str) -> dict[str, Any]:
    return {"type": kind, "bom-ref": purl, "name": name, "version": version, "purl": purl}


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _in_image(tag: str, *command: str) -> str:
    run = ["docker", "run", "--rm", "--network=none", "--entrypoint", command[0], tag, *command[1:]]
    return subprocess.run(run, capture_output=True, text=True, check=True, timeout=120).stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
