"""The client with the engine of this machine."""

from pathlib import Path

import pytest

from strategyrun import Client, Trial
from strategyrun.client import NotAskedError, Result, UserError
from support.endings import PRICES

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


def test_progress_is_told_as_it_is_made() -> None:
    """Each phase of a run when it begins, the last one included, before the answer is given."""
    told: list[tuple[str, str]] = []
    with Client(engine="local") as client:
        answer = client.evaluate(CODE, params={"days": 50}, progress=lambda now: told.append((now.phase, now.reason)))
    phases = dict.fromkeys(phase for phase, _ in told)
    assert [each for each in phases if each != "Queued"] == ["Starting", "Running", "Succeeded"]
    assert told[-1] == (answer.phase, answer.reason)


def test_an_error_of_progress_is_the_callers() -> None:
    """It ends the run."""

    def fail(_: Result) -> None:
        raise ZeroDivisionError

    with Client(engine="local") as client, pytest.raises(ZeroDivisionError):
        client.evaluate(CODE, progress=fail)


@pytest.mark.parametrize("as_text", [True, False])
def test_prices_of_ones_own_are_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, as_text: bool) -> None:
    """Of a file, seen from where the program runs; a path that leads nowhere is refused."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "daily.csv").write_text(PRICES)
    with Client(engine="local") as client:
        dataset = "daily.csv" if as_text else tmp_path / "daily.csv"
        result = client.evaluate(CODE, params={"days": 5}, dataset=dataset)
        assert (result.reason, result.metrics.days) == ("Evaluated", 28)
        with pytest.raises(NotAskedError, match=r"dataset: there is no .*other\.csv"):
            client.evaluate(CODE, dataset="./other.csv")


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
