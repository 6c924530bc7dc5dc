"""The images that are on the node, as the engine has them: what they are made of, and what is not in them."""

import json
import subprocess

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from support.scripts import load_script

sbom = load_script("sbom")


@pytest.mark.parametrize("image", sbom.IMAGES)
def test_an_image_is_what_its_lock_files_say(image: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Its bill of materials is a valid one, has every package with a hash, and is the same twice."""
    written = []
    for _ in range(2):
        assert sbom.main([image]) == 0
        written.append(capsys.readouterr().out)
    assert written[0] == written[1]
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(written[0]) is None
    kinds = [each["purl"].partition("/")[0] for each in json.loads(written[0])["components"] if "purl" in each]
    assert kinds.count("pkg:pypi") >= 4
    assert kinds.count("pkg:deb") >= 20


@pytest.mark.parametrize("image", sbom.IMAGES)
def test_no_program_runs_as_somebody_else(image: str) -> None:
    """No file of an image has the bits by which a program gets another user's or group's rights."""
    look = ["docker", "run", "--rm", "--network=none", "--user=0:0", "--entrypoint=find", sbom.IMAGES[image].tag]
    found = subprocess.run(
        [*look, "/", "-xdev", "-type", "f", "-perm", "/6000"], capture_output=True, text=True, check=True, timeout=120
    )
    assert found.stdout == ""
