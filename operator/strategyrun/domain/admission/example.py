"""The Jobs that the operator's own code builds, for the policies to read off them what a container may be.

So it is said once. Their names, sizes and clocks stand for no run's.
"""

from datetime import UTC, datetime
from typing import Any

from strategyrun.domain import canary
from strategyrun.domain.inputs import Inputs
from strategyrun.domain.job import job
from strategyrun.domain.sandbox import FallbackImage, Profile, Resources, Sandbox, SeccompProfile, Timeouts
from strategyrun.domain.strategyrun import GROUP, VERSION, Attempt, Executor, StrategyRun, StrategyRunSpec

_PROFILE = Profile(
    name="any",
    sandbox=Sandbox(
        image="any",
        seccomp_profile="any.json",
        limits=Resources(cpu="1", memory="1Gi"),
        requests=Resources(cpu="1", memory="1Gi"),
        tmp="1Gi",
        out="1Gi",
        data="1Gi",
        timeouts=Timeouts(strategy_seconds=1, start_seconds=10, load_seconds=5, evaluate_seconds=5),
        fallback=FallbackImage(image="any"),
    ),
    seccomp=SeccompProfile.of(b""),
)


def run_containers(executor: Executor = Executor.SANDBOX) -> list[dict[str, Any]]:
    """List the containers of a run's pod, in the order in which they run."""
    pod = _job(executor)["spec"]["template"]["spec"]
    return [*pod["initContainers"], *pod["containers"]]


def canary_containers() -> list[dict[str, Any]]:
    """List the containers of a canary's pod; the roles differ in their variables alone."""
    pod = canary.canary_job(_PROFILE, canary.Role.PEER, namespace="any", serial="any")["spec"]["template"]["spec"]
    containers: list[dict[str, Any]] = pod["containers"]
    return containers


def _job(executor: Executor) -> dict[str, Any]:
    """Build a Job with every container that there is."""
    run = StrategyRun(
        api_version=f"{GROUP}/{VERSION}",
        name="any",
        namespace="any",
        uid="any",
        generation=1,
        resource_version="1",
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        deleting=False,
        rerun=None,
        spec=StrategyRunSpec.model_validate(
            {
                "source": {"inline": "any"},
                "datasets": [{"name": "any", "configMapRef": {"name": "any", "key": "any"}}],
            }
        ),
        status=None,
    )
    return job(
        run,
        Attempt(number=1, executor=executor, job_name="any", created_at=run.created_at),
        inputs=Inputs(code=b"", input=b"", evaluation=b""),
        nonce="any",
        profile=_PROFILE,
    )
