"""The command line, as a process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer
import yaml

from strategyrun.adapters.generate import generated_files
from strategyrun.cli.program import application
from support.cluster import CHECKOUT

CONFIG = CHECKOUT / "config" / "sandbox.yaml"


def strategyrun(*arguments: str, cwd: Path = CHECKOUT, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command line without a cluster in sight."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("KUBE")}
    return subprocess.run(
        [sys.executable, "-m", "strategyrun", *arguments],
        cwd=cwd,
        env=clean | {"KUBECONFIG": "/nonexistent", "COLUMNS": "120", "TERM": "dumb"} | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_help_names_the_commands() -> None:
    """Nothing to learn by heart."""
    done = strategyrun("--help")
    assert done.returncode == 0
    for words in ("operator", "Run the operator", "generate", "Write the files that are derived from the models"):
        assert words in done.stdout


def test_without_a_command_the_help_is_shown() -> None:
    """And the exit code says that nothing was done."""
    done = strategyrun()
    assert done.returncode == 2
    assert "generate" in done.stdout + done.stderr


def test_generate_writes_and_names_the_files(tmp_path: Path) -> None:
    """What it prints is what it wrote."""
    done = strategyrun("generate", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert {Path(line) for line in done.stdout.split()} == set(generated_files())
    assert all((tmp_path / path).is_file() for path in generated_files())


def broken(tmp_path: Path, **changes: object) -> Path:
    """Write a configuration with something wrong in the profile."""
    for beside in ("operator.yaml", "seccomp_profile.json"):
        (tmp_path / beside).write_bytes(CONFIG.with_name(beside).read_bytes())
    path = tmp_path / "sandbox.yaml"
    document = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    document["spec"] |= changes
    path.write_text(yaml.safe_dump(document))
    return path


def test_a_misspelt_key_is_one_clear_line(tmp_path: Path) -> None:
    """No traceback: the file, the field, what is wrong."""
    path = broken(tmp_path, maxActiveRun=4)
    done = strategyrun("operator", "--config", str(path))
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == f"error: {path}: spec.maxActiveRun: Extra inputs are not permitted\n"


def test_the_installer_says_what_it_needs(tmp_path: Path) -> None:
    """A node, and a cluster."""
    folders = ("--source", str(tmp_path), "--target", str(tmp_path))
    assert "--node" in strategyrun("install-seccomp", *folders).stderr
    done = strategyrun("install-seccomp", *folders, NODE_NAME="any")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: no service account, and no kubeconfig")


def test_the_environment_names_the_configuration(tmp_path: Path) -> None:
    """As the option does."""
    done = strategyrun("operator", STRATEGYRUN_CONFIG=str(broken(tmp_path, tmp="much")))
    assert done.returncode == 2
    assert "tmp: String should match pattern" in done.stderr


def test_a_missing_configuration_is_one_clear_line(tmp_path: Path) -> None:
    """Started elsewhere than in the checkout, it says what it looked for."""
    done = strategyrun("operator", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: config/sandbox.yaml cannot be read")
    assert done.stderr.count("\n") == 1


def test_without_a_cluster_it_says_so() -> None:
    """Neither a service account nor a kubeconfig: a line each for what was looked for and what is missing."""
    done = strategyrun("operator")
    assert done.returncode == 2
    found, error = done.stderr.splitlines()
    assert "/nonexistent" in found
    assert error.startswith("error: no service account, and no kubeconfig")


@pytest.mark.parametrize("arguments", [("operator", "--namespace", "x"), ("destroy",)], ids=["option", "command"])
def test_what_it_does_not_know_it_refuses(arguments: tuple[str, ...]) -> None:
    """A misspelt option never runs something else."""
    done = strategyrun(*arguments)
    assert done.returncode == 2
    assert "No such" in done.stderr


def test_the_deployment_starts_the_operator_by_what_it_knows() -> None:
    """Its options are there, and the lease is in the pod's own namespace, whichever that is."""
    document = yaml.safe_load((CHECKOUT / "manifests" / "base" / "deployment.yaml").read_text(encoding="utf-8"))
    (container,) = document["spec"]["template"]["spec"]["containers"]
    name, *arguments = container["args"]
    whole = typer.main.get_command(application())
    command = whole.get_command(typer.Context(whole), name)  # type: ignore[attr-defined]
    assert command.make_context(name, arguments).params["config"] == Path("/etc/finlab-sandbox/sandbox.yaml")
    assert container["env"] == [
        {"name": option.envvar, "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}}
        for option in command.params
        if option.name == "lease_namespace"
    ]


def test_the_operator_says_how_it_logs_and_whether_it_needs_the_lease() -> None:
    """And refuses a format that it does not have."""
    words = strategyrun("operator", "--help").stdout
    assert all(option in words for option in ("--log-format", "--no-lease", "--lease-namespace"))
    done = strategyrun("operator", "--log-format", "xml")
    assert done.returncode == 2
    assert "'xml' is not one of 'text', 'json'" in " ".join(done.stderr.replace("│", " ").split())
