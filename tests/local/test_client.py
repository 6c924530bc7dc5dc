"""The client with the engine of this machine."""

import pytest

from strategyrun import Client, Trial
from strategyrun.client import NotAskedError, UserError

CODE = "def strategy(data, params):\n    return data.close > data.close.rolling(params['days']).mean()\n"


def test_trials_are_evaluated_without_a_cluster() -> None:
    """Metrics, failures by class and the trial, as a cluster would give them."""
    with Client(engine="local") as client:
        trials = [Trial(CODE, params={"days": 50}, name="good"), Trial(CODE, name="bad")]
        results = {each.trial.name: each for each in client.evaluate_many(trials, concurrency=1) if each.trial}
    assert results["good"].ranks
    assert results["good"].metrics.sharpe is not None
    assert results["bad"].reason == "StrategyError"
    with pytest.raises(UserError):
        results["bad"].raise_for_failure()


def test_what_an_api_server_would_refuse_is_refused_here() -> None:
    """And there are no runs to list."""
    with Client(engine="local") as client:
        with pytest.raises(NotAskedError, match="timeoutSeconds"):
            client.evaluate(CODE, timeout_seconds=100_000)
        for dataset, field in [
            ("configmap:x/y", "configMapRef"),
            ("pvc:x", "persistentVolumeClaim"),
            ("image:x", "image"),
        ]:
            with pytest.raises(NotAskedError, match=rf"spec\.datasets\.0\.{field}: "):
                client.evaluate(CODE, dataset=dataset)
        with pytest.raises(NotAskedError, match="keeps no runs"):
            client.results()
