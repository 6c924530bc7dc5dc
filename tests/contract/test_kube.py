"""The client that the controller acts with, against a real API server."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from secrets import token_hex
from time import time
from typing import Any, TypeVar

import pytest

from strategyrun.adapters.clock import ServerClock
from strategyrun.adapters.kube import (
    CONFIG_MAPS,
    FIELD_MANAGER,
    JOBS,
    NETWORK_POLICIES,
    PAGE,
    ApiError,
    ConflictError,
    ExistsError,
    Kube,
    NotFoundError,
    RefusedError,
    Resource,
)
from strategyrun.domain.network_policy import POLICY_NAME, deny_all
from strategyrun.domain.status import accept
from strategyrun.domain.strategyrun import NOT_SEEN, StrategyRun
from support.cluster import CONFIG_MAP, JOB, Cluster, Kind, Manifest
from support.operator import configuration_of, resource_of
from support.runs import strategy_run
from support.waiting import wait_until

_WHEN = "2026-01-02T03:04:05.678Z"

Result = TypeVar("Result")
Use = Callable[[Callable[[Kube], Awaitable[Result]]], Result]


@pytest.fixture
def kind(strategy_run_kind: Kind) -> Kind:
    """Give the kind of the runs, whose name is shorter here."""
    return strategy_run_kind


@pytest.fixture
def use(cluster: Cluster, strategy_run_kind: Kind) -> Use[Any]:
    """Do something with an open connection."""

    def used(work: Callable[[Kube], Awaitable[Result]]) -> Result:
        async def opened() -> Result:
            async with Kube(await configuration_of(cluster), runs=resource_of(strategy_run_kind)) as kube:
                return await work(kube)

        return asyncio.run(opened())

    return used


def config_map(name: str, namespace: str, **labels: str) -> Manifest:
    """Build a ConfigMap."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "data": {"strategy.py": "def strategy(data, params): ..."},
    }


def job(name: str, namespace: str) -> Manifest:
    """Build a Job that waits for somebody to let it run."""
    container = {"name": "main", "image": "none"}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"suspend": True, "template": {"spec": {"restartPolicy": "Never", "containers": [container]}}},
    }


async def every(kube: Kube, resource: Resource, **options: Any) -> list[dict[str, Any]]:
    """Read a list to its end."""
    return [body async for body in kube.list(resource, **options)]


def status(phase: str = "Queued", **changes: Any) -> dict[str, Any]:
    """Build the least status."""
    return {"observedGeneration": 1, "phase": phase, "reason": "R", "message": "m", "inputsHash": "0", **changes}


def status_of(run: Manifest, **changes: Any) -> dict[str, Any]:
    """Build the document that writes a status computed from this version of a run."""
    meta = {name: run["metadata"][name] for name in ("name", "namespace", "resourceVersion")}
    return {"apiVersion": run["apiVersion"], "kind": run["kind"], "metadata": meta, "status": status(**changes)}


def test_what_is_created_is_returned_as_stored(use: Use[Any], cluster: Cluster, namespace: str) -> None:
    """With its UID, and under the operator's name as field manager."""
    stored = use(lambda kube: kube.create(config_map("one", namespace)))
    assert stored == cluster.get(CONFIG_MAP, "one", namespace)
    assert [entry["manager"] for entry in stored["metadata"]["managedFields"]] == [FIELD_MANAGER]


def test_a_taken_name_is_its_own_error(use: Use[Any], cluster: Cluster, namespace: str) -> None:
    """Not a conflict of versions: what has the name is to be looked at."""
    cluster.create(config_map("one", namespace))
    with pytest.raises(ExistsError, match='"one" already exists'):
        use(lambda kube: kube.create(config_map("one", namespace)))


def test_an_object_that_fits_no_schema_is_refused(use: Use[Any], namespace: str) -> None:
    """Asking again will not help, and the message says why."""
    with pytest.raises(RefusedError, match="must be no more than 63") as refusal:
        use(lambda kube: kube.create(config_map("one", namespace, x="y" * 64)))
    assert refusal.value.status == 422


def test_a_namespace_that_is_not_there_takes_nothing(use: Use[Any]) -> None:
    """It was deleted with everything in it."""
    with pytest.raises(NotFoundError, match="namespaces"):
        use(lambda kube: kube.create(config_map("one", f"none-{token_hex(4)}")))


def test_the_deny_all_policy_is_accepted(use: Use[Any], namespace: str) -> None:
    """The first of its namespace is created, the second exists."""
    stored = use(lambda kube: kube.create(deny_all(namespace)))
    assert stored["spec"]["policyTypes"] == ["Ingress", "Egress"]
    with pytest.raises(ExistsError):
        use(lambda kube: kube.create(deny_all(namespace)))
    assert use(lambda kube: kube.get(NETWORK_POLICIES, namespace, POLICY_NAME)) == stored


@pytest.mark.parametrize("hours", [-1, 1], ids=["behind", "ahead"])
def test_a_machine_whose_clock_is_wrong_tells_the_api_servers_time(
    hours: int, cluster: Cluster, namespace: str
) -> None:
    """What was created just now is as old as it is: each answer has a date, whole seconds as the stamps are."""

    async def created() -> tuple[datetime, datetime]:
        clock = ServerClock(wall=lambda: time() + hours * 3600)
        async with Kube(await configuration_of(cluster), clock=clock) as kube:
            stored = await kube.create(config_map("one", namespace))
            stamp = datetime.fromisoformat(stored["metadata"]["creationTimestamp"])
            return stamp, clock.now()

    stamp, now = asyncio.run(created())
    assert abs(now - stamp) < timedelta(minutes=1)


def test_what_is_not_there_is_none(use: Use[Any], namespace: str) -> None:
    """Absence is an answer."""
    assert use(lambda kube: kube.get(JOBS, namespace, "none")) is None


def test_a_resource_that_is_not_served_is_an_error(use: Use[Any]) -> None:
    """A CRD that is not installed is not an empty list; the API server answers with plain text."""
    nothing = Resource("nothing.finlab-sandbox.dev", "v1", "strategyruns")
    with pytest.raises(NotFoundError, match="404"):
        use(lambda kube: every(kube, nothing))


def test_a_list_is_read_to_its_end(use: Use[Any], cluster: Cluster, namespace: str) -> None:
    """More objects than fit on a page come as one list, none twice."""
    names = {f"m{number:03}" for number in range(PAGE + 5)}
    items = [config_map(name, namespace, mark=namespace) for name in sorted(names)]
    cluster.kubectl("create", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    found = use(lambda kube: every(kube, CONFIG_MAPS, selector=f"mark={namespace}"))
    assert len(found) == len(names)
    assert {body["metadata"]["name"] for body in found} == names


def test_a_list_can_be_of_one_namespace(use: Use[Any], cluster: Cluster, namespace: str) -> None:
    """Every namespace has the CA of the cluster; here it is one."""
    wait_until(
        "the CA is published",
        lambda: cluster.find(CONFIG_MAP, "kube-root-ca.crt", namespace),
        lambda found: found is not None,
    )
    cluster.create(config_map("one", namespace))
    found = use(lambda kube: every(kube, CONFIG_MAPS, namespace=namespace))
    assert {body["metadata"]["name"] for body in found} == {"one", "kube-root-ca.crt"}


def test_an_empty_list_is_empty(use: Use[Any]) -> None:
    """Whatever the API server writes for it."""
    assert use(lambda kube: every(kube, CONFIG_MAPS, selector="mark=nobody-has-it")) == []
    assert use(lambda kube: every(kube, JOBS, selector="mark=nobody-has-it", metadata_only=True)) == []


def test_metadata_comes_without_the_rest(use: Use[Any], cluster: Cluster, namespace: str) -> None:
    """A sweep reads no source but those of runs; owners, labels and UID are enough to tidy up."""
    stored = cluster.create(config_map("one", namespace, mark=namespace))
    (found,) = use(lambda kube: every(kube, CONFIG_MAPS, selector=f"mark={namespace}", metadata_only=True))
    assert found["metadata"] == stored["metadata"]
    assert "data" not in found


def test_delete_takes_what_the_object_owns_along(use: Use[Any], cluster: Cluster, namespace: str) -> None:
    """In the background: the name is free at once."""
    stored = cluster.create(job("one", namespace))
    owned = config_map("owned", namespace)
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": "one", "uid": stored["metadata"]["uid"]}
    owned["metadata"]["ownerReferences"] = [owner]
    cluster.create(owned)
    use(lambda kube: kube.delete(JOBS, namespace, "one", uid=stored["metadata"]["uid"]))
    assert cluster.find(JOB, "one", namespace) is None
    wait_until(
        "what it owned is gone",
        lambda: cluster.find(CONFIG_MAP, "owned", namespace),
        lambda found: found is None,
    )


def test_delete_spares_another_object_of_the_name(use: Use[Any], cluster: Cluster, namespace: str) -> None:
    """A cache that lags must not cost somebody else's object its life."""
    stored = cluster.create(config_map("one", namespace))
    use(lambda kube: kube.delete(CONFIG_MAPS, namespace, "one", uid="00000000-0000-0000-0000-000000000000"))
    assert cluster.get(CONFIG_MAP, "one", namespace) == stored


def test_delete_of_nothing_succeeds(use: Use[Any], namespace: str) -> None:
    """It is gone already."""
    use(lambda kube: kube.delete(CONFIG_MAPS, namespace, "none", uid="x"))


def test_a_status_is_stored_and_returned(use: Use[Any], cluster: Cluster, namespace: str, kind: Kind) -> None:
    """The answer is the run as it stands then, so that no event needs to be waited for."""
    run = cluster.create(strategy_run("run", namespace, kind=kind))
    stored = use(lambda kube: kube.apply_status(status_of(run, message="first")))
    assert stored == cluster.get(kind, "run", namespace)
    assert stored["status"]["message"] == "first"
    assert stored["spec"] == run["spec"]
    assert "finalizers" not in stored["metadata"]


def test_every_character_of_a_status_arrives(use: Use[Any], cluster: Cluster, namespace: str, kind: Kind) -> None:
    """What is applied is read as YAML, which knows no halves of characters, and line ends beyond ASCII."""
    run = cluster.create(strategy_run("run", namespace, kind=kind))
    said = "📈 𝛼 深 é \u2028 \x85 \x7f \ufffe \\ud83d"
    stored = use(lambda kube: kube.apply_status(status_of(run, message=said)))
    assert stored["status"]["message"] == said
    assert cluster.get(kind, "run", namespace)["status"]["message"] == said


@pytest.mark.parametrize("edited", [False, True], ids=["new", "edited"])
def test_the_first_status_leaves_nothing_of_what_stood_in_for_it(
    use: Use[Any], cluster: Cluster, namespace: str, kind: Kind, edited: bool
) -> None:
    """An edit stores what the server only showed until then; the operator's first write replaces that too."""
    run = cluster.create(strategy_run("run", namespace, kind=kind))
    if edited:
        run = cluster.merge(kind, "run", namespace, {"spec": {"timeoutSeconds": 7}})
    assert run["status"] == NOT_SEEN
    first = accept(StrategyRun.parse(run), "0" * 64, datetime.fromisoformat(_WHEN))
    stored = use(lambda kube: kube.apply_status(status_of(run) | {"status": first.document()}))
    assert StrategyRun.parse(stored).status == first
    assert stored == cluster.get(kind, "run", namespace)


def test_a_status_of_an_older_version_is_a_conflict(
    use: Use[Any], cluster: Cluster, namespace: str, kind: Kind
) -> None:
    """Two writers cannot both win: what was computed from old facts is not recorded."""
    run = cluster.create(strategy_run("run", namespace, kind=kind))
    use(lambda kube: kube.apply_status(status_of(run, message="first")))
    with pytest.raises(ConflictError, match="the object has been modified"):
        use(lambda kube: kube.apply_status(status_of(run, message="second")))
    assert cluster.get(kind, "run", namespace)["status"]["message"] == "first"


def test_an_edit_of_the_spec_makes_the_status_a_conflict(
    use: Use[Any], cluster: Cluster, namespace: str, kind: Kind
) -> None:
    """An answer to inputs that changed meanwhile is not recorded."""
    run = cluster.create(strategy_run("run", namespace, kind=kind))
    cluster.merge(kind, "run", namespace, {"spec": {"timeoutSeconds": 7}})
    with pytest.raises(ConflictError):
        use(lambda kube: kube.apply_status(status_of(run)))


def test_the_status_of_a_namesake_is_a_conflict(use: Use[Any], cluster: Cluster, namespace: str, kind: Kind) -> None:
    """A run that was deleted and made anew does not inherit an answer."""
    run = cluster.create(strategy_run("run", namespace, kind=kind))
    cluster.delete(kind, "run", namespace)
    again = cluster.create(strategy_run("run", namespace, kind=kind))
    with pytest.raises(ConflictError):
        use(lambda kube: kube.apply_status(status_of(run)))
    assert cluster.get(kind, "run", namespace) == again


def test_the_status_of_a_deleted_run_is_not_found(use: Use[Any], cluster: Cluster, namespace: str, kind: Kind) -> None:
    """Applying a status never brings a run back."""
    run = cluster.create(strategy_run("run", namespace, kind=kind))
    cluster.delete(kind, "run", namespace)
    with pytest.raises((NotFoundError, ConflictError)):
        use(lambda kube: kube.apply_status(status_of(run)))
    assert cluster.find(kind, "run", namespace) is None


def test_a_field_that_is_left_out_vanishes(use: Use[Any], cluster: Cluster, namespace: str, kind: Kind) -> None:
    """The whole status is written each time: nothing of an earlier answer is left over, in lists neither."""
    run = cluster.create(strategy_run("run", namespace, kind=kind))
    conditions = [
        {"type": type_, "status": "True", "reason": "R", "observedGeneration": 1, "lastTransitionTime": _WHEN}
        for type_ in ("Accepted", "Started")
    ]
    full = {"hint": "do this", "metrics": {"sharpe": 0.5, "cagr": 0.1}, "conditions": conditions, "warnings": ["w"]}
    run = use(lambda kube: kube.apply_status(status_of(run, phase="Failed", **full)))
    less = {"metrics": {"cagr": 0.1}, "conditions": conditions[:1]}
    run = use(lambda kube: kube.apply_status(status_of(run, phase="Queued", **less)))
    assert {name: value for name, value in run["status"].items() if name != "conditions"} == status(
        metrics={"cagr": 0.1}
    )
    assert [each["type"] for each in run["status"]["conditions"]] == ["Accepted"]


def test_a_status_that_does_not_fit_is_refused(use: Use[Any], cluster: Cluster, namespace: str, kind: Kind) -> None:
    """A defect of the operator stops at the server."""
    run = cluster.create(strategy_run("run", namespace, kind=kind))
    with pytest.raises(ApiError, match=r"status\.phase"):
        use(lambda kube: kube.apply_status(status_of(run, phase="Daydreaming")))
