"""What is told where bubblewrap makes no box; what boxes do is tested where they are made."""

from pathlib import Path

import pytest

from strategyrun.local.bubblewrap import advice

DENIED = "bwrap: setting up uid map: Permission denied"


@pytest.mark.parametrize(
    ("setting", "value", "mend"),
    [
        ("kernel/apparmor_restrict_unprivileged_userns", "1", "kernel.apparmor_restrict_unprivileged_userns=0"),
        ("kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone=1"),
        ("user/max_user_namespaces", "0", "user.max_user_namespaces=15000"),
    ],
)
def test_a_setting_that_refuses_is_named_with_what_mends_it(
    tmp_path: Path, setting: str, value: str, mend: str
) -> None:
    """And with the other engine, which needs no such right."""
    (tmp_path / setting).parent.mkdir()
    (tmp_path / setting).write_text(f"{value}\n")
    told = advice(DENIED, "0.9.0", tmp_path)
    assert DENIED in told
    assert f"sysctl -w {mend}, or take --engine docker" in told


def test_an_old_bubblewrap_is_named_with_the_version_that_is_needed(tmp_path: Path) -> None:
    """Ubuntu 22.04 has 0.6.1, which knows neither --size nor --disable-userns."""
    told = advice("bwrap: Unknown option --size", "0.6.1", tmp_path)
    assert told.startswith("bubblewrap 0.6.1 is too old")
    assert "need 0.8, or take --engine docker" in told


def test_another_refusal_is_told_as_it_is(tmp_path: Path) -> None:
    """With what may be behind it."""
    (tmp_path / "user").mkdir()
    (tmp_path / "user/max_user_namespaces").write_text("127000\n")
    assert advice(DENIED, "0.9.0", tmp_path).startswith(f"no box could be made ({DENIED}); does a container")
