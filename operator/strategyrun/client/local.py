"""The engine that is this machine: the operator's own decisions, in boxes in place of pods."""

import asyncio
from datetime import UTC, datetime
from secrets import token_hex
from typing import Any

from strategyrun.adapters.settings import InvalidSettingsError
from strategyrun.client.errors import ClusterError, NotAskedError
from strategyrun.client.following import Progress
from strategyrun.client.result import Result
from strategyrun.client.trial import Trial
from strategyrun.domain.strategyrun import GROUP, KIND, VERSION
from strategyrun.local.command import choose
from strategyrun.local.conduct import Outcome, Request, conduct
from strategyrun.local.engine import EngineError, EngineName
from strategyrun.local.installation import NotInstalledError, configured
from strategyrun.local.limits import complaints
from strategyrun.local.plan import NotRunnableError, uid_of
from strategyrun.local.request import NAMESPACE, UsageError, stored


class LocalEngine:
    """Evaluates trials on this machine, each in a thread that waits for its boxes."""

    async def evaluate(self, trial: Trial, progress: Progress | None = None) -> Result:
        """Return the answer of a trial. Whoever stops waiting leaves the boxes to their time limit.

        Raises NotAskedError where the trial cannot be run here, and ClusterError where this machine has no engine.
        """
        outcome = await asyncio.to_thread(_conduct, trial)
        result = Result.of(outcome.body, trial)
        if progress:
            progress(result)
        return result

    async def close(self) -> None:
        """Nothing is held."""


def _conduct(trial: Trial) -> Outcome:
    try:
        config = configured()
        return conduct(Request(_document(trial)), lambda: choose(EngineName.AUTO, config), config.profile)
    except (UsageError, NotRunnableError) as error:
        raise NotAskedError(str(error)) from error
    except (EngineError, NotInstalledError, InvalidSettingsError, OSError) as error:
        raise ClusterError(f"nothing on this machine can run a strategy: {error}") from error


def _document(trial: Trial) -> dict[str, Any]:
    """Return the run as an API server would hold it. Raises NotAskedError where one would refuse it."""
    name = f"{trial.prefix}-{token_hex(4)}"
    spec = stored(trial.spec(), "spec")
    if found := complaints(spec):
        raise NotAskedError("; ".join(found))
    meta = {
        "name": name,
        "namespace": NAMESPACE,
        "uid": uid_of(name),
        "generation": 1,
        "resourceVersion": "1",
        "creationTimestamp": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
    }
    return {"apiVersion": f"{GROUP}/{VERSION}", "kind": KIND, "metadata": meta, "spec": spec}
