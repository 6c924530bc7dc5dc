"""The API server is away, refuses, or is not heard: every run still gets its one answer, and nothing is left over."""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path

import pytest

from strategyrun.adapters.kube import PAGE
from strategyrun.domain.crd import crd
from support import kubelet
from support.bench import Bench
from support.builders import CODE
from support.census import answers_of, require_order, snapshots_of, wait_answers
from support.cluster import CONFIG_MAP, EVENT, JOB, POD, Kind, Manifest, RefusedError, refusal
from support.definitions import installed
from support.fault_proxy import (
    Act,
    Events,
    FaultProxy,
    When,
    dropping,
    lose_reply,
    lose_request,
    pass_on,
    refuse,
    silence,
    to,
    twice,
    writes,
)
from support.namespaces import temporary_namespace
from support.plays import FAILING, HELD, SCORED
from support.ports import free_port
from support.rig import Rig, running_rig
from support.rig_operator import ON_RIG, KillableOperator
from support.rig_runs import WRITES, apply_scored, finish_by_hand, unfinished_jobs, wait_long, wait_running
from support.waiting import wait_until
from support.webhook import denying

STATUS = to("patch", "strategyruns/status")
NO = "not in this namespace"


def test_api_server_killed_under_load(bench: Bench, proxy: FaultProxy, operator: KillableOperator, rig: Rig) -> None:
    """It comes back with what it had; the operator goes on, in this process or in the next."""
    expected = apply_scored(bench, 20)
    bench.wait_names(JOB, bool)
    rig.apiserver.kill()
    rig.start_apiserver()
    wait_answers(bench, expected, operator)
    require_order(bench, proxy, pods=False, heard=False)


def test_api_server_gone_for_long(bench: Bench, proxy: FaultProxy, operator: KillableOperator, rig: Rig) -> None:
    """For longer than any request is waited for; nodes may count as lost by then, and their runs are run again."""
    expected = apply_scored(bench, 20)
    bench.wait_names(JOB, bool)
    rig.apiserver.kill()
    wait_long("the API server is gone", 90)
    rig.start_apiserver()
    wait_answers(bench, expected, operator)
    require_order(bench, proxy, pods=False, heard=False)


STORMS: dict[str, tuple[Act, When]] = {
    "conflicts": (refuse(HTTPStatus.CONFLICT, "Conflict"), STATUS),
    "throttling": (refuse(HTTPStatus.TOO_MANY_REQUESTS, "TooManyRequests", retry_after=1), writes),
    "internal errors": (refuse(HTTPStatus.INTERNAL_SERVER_ERROR, "InternalError"), writes),
    "unavailability": (refuse(HTTPStatus.SERVICE_UNAVAILABLE, "ServiceUnavailable"), writes),
    "lost requests": (lose_request, writes),
    "lost replies": (lose_reply, writes),
}


@pytest.mark.parametrize("storm", STORMS)
def test_storm(bench: Bench, proxy: FaultProxy, operator: KillableOperator, storm: str) -> None:
    """Thirty writes in a row go wrong; then all runs get their answers, from one Job each."""
    act, when = STORMS[storm]
    with proxy.fault(act, when, times=30) as fault:
        statuses = wait_answers(bench, apply_scored(bench, 10), operator)
        assert fault.met == 30
    assert {len(status["attempts"]) for status in statuses.values()} == {1}
    require_order(bench, proxy)


@pytest.mark.parametrize("code", [400, 413, 422])
@pytest.mark.usefixtures("operator")
def test_a_status_that_is_never_taken(bench: Bench, proxy: FaultProxy, code: int) -> None:
    """The run ends and says why, instead of holding its slot for ever; the answer is asked for anew like any other."""
    bench.apply(HELD)
    pod = bench.wait_pod(HELD)
    wait_running(bench, HELD)
    with proxy.fault(refuse(HTTPStatus(code), "Invalid"), STATUS, times=1) as fault:
        kubelet.succeed(bench.cluster, pod)
        status = bench.wait_reason("PolicyDenied", name=HELD)
        assert fault.met == 1
    assert (status["phase"], status["failure"]["class"]) == ("Failed", "Platform")
    assert status["message"] == "the API server refuses the status of this run: Invalid: said by the fault proxy"
    wait_until(
        "an event says so",
        lambda: [event["message"] for event in bench.cluster.list(EVENT, bench.namespace, fields="type=Warning")],
        lambda messages: any("refuses the status" in message for message in messages),
    )
    bench.rerun(HELD)
    finish_by_hand(bench, HELD)


@pytest.mark.parametrize(
    ("write", "times"), [("the intent", 5), ("the policy", 1), ("the snapshot", 5), ("the Job", 5), ("the tidying", 5)]
)
def test_reply_lost_after_commit(
    bench: Bench, proxy: FaultProxy, operator: KillableOperator, write: str, times: int
) -> None:
    """What was done and not answered is not done again. The policy is made once for all runs."""
    with proxy.fault(lose_reply, WRITES[write], times=times) as fault:
        wait_answers(bench, apply_scored(bench, 10), operator)
        wait_until("the replies are lost", lambda: fault.met, lambda met: met == times)
    require_order(bench, proxy)


@pytest.mark.parametrize("resource", ["strategyruns", "jobs", "pods"])
def test_lists_refused_at_the_start(bench: Bench, proxy: FaultProxy, operator: KillableOperator, resource: str) -> None:
    """An operator that cannot learn what there is waits, and starts nothing before it knows."""
    operator.kill()
    expected = apply_scored(bench, 3)
    refused = refuse(HTTPStatus.SERVICE_UNAVAILABLE, "ServiceUnavailable")
    with proxy.fault(refused, to("list", resource)) as fault:
        operator.start()
        wait_until("three lists are refused", lambda: fault.met, lambda met: met >= 3)
        assert not operator.ready()
        assert bench.names(JOB) == []
    wait_answers(bench, expected, operator)


@pytest.mark.parametrize("pages", [1, 3], ids=["the sweep's", "the watch's"])
def test_a_list_expires_between_its_pages(
    bench: Bench, proxy: FaultProxy, operator: KillableOperator, pages: int
) -> None:
    """What was listed so far is forgotten on the API server: it is listed again, by this process or the next."""
    operator.kill()
    expected = {f"rejected-{number}": "CodeRejected" for number in range(PAGE + 10)}
    for name in expected:
        bench.apply(name, source={"inline": "x ="})
    expired = refuse(HTTPStatus.GONE, "Expired")
    with proxy.fault(expired, to("list", "strategyruns"), skip=pages, times=1) as fault:
        operator.start()
        wait_answers(bench, expected, operator)
        wait_until("a list has expired", operator.reviving(lambda: fault.met), bool)


@pytest.mark.parametrize("resource", ["strategyruns", "jobs", "pods"])
def test_a_watch_begins_too_late(bench: Bench, proxy: FaultProxy, operator: KillableOperator, resource: str) -> None:
    """The API server has forgotten where the watch wants to begin, twice: the process may end of it."""
    expected = apply_scored(bench, 10)
    bench.wait_names(JOB, bool)
    proxy.wait_watches()
    with proxy.fault(refuse(HTTPStatus.GONE, "Expired"), to("watch", resource), times=2) as fault:
        proxy.end_watches(HTTPStatus.GONE)
        wait_answers(bench, expected, operator)
        wait_until("it was told so twice", operator.reviving(lambda: fault.met), lambda met: met == 2)
    wait_until("no snapshot is left", operator.reviving(lambda: snapshots_of(bench)), lambda left: not left)
    require_order(bench, proxy)


def test_lists_refused_until_the_process_ends(bench: Bench, proxy: FaultProxy, operator: KillableOperator) -> None:
    """A watch that can list no more ends the process after a while; the next one goes on where it stood."""
    expected = apply_scored(bench, 10)
    bench.wait_names(JOB, bool)
    proxy.wait_watches()
    with proxy.fault(refuse(HTTPStatus.SERVICE_UNAVAILABLE, "ServiceUnavailable"), to("list", "pods")):
        proxy.end_watches(HTTPStatus.GONE)
        wait_until("the process has ended", lambda: operator.alive, lambda alive: not alive)
    wait_answers(bench, expected, operator)
    require_order(bench, proxy)


@pytest.mark.parametrize(
    ("code", "reason", "says"),
    [
        (HTTPStatus.INTERNAL_SERVER_ERROR, "InternalError", ("Vetting", "the source cannot be checked yet: ")),
        (HTTPStatus.FORBIDDEN, "Forbidden", ("PolicyDenied", "the operator may not read what the run names: ")),
    ],
)
def test_a_source_cannot_be_read(
    bench: Bench,
    proxy: FaultProxy,
    operator: KillableOperator,
    code: HTTPStatus,
    reason: str,
    says: tuple[str, str],
) -> None:
    """The run says why while it waits, and goes on when it can be."""
    name = f"{SCORED}-0"
    meta = {"name": "code", "namespace": bench.namespace}
    code_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"strategy.py": CODE}}
    bench.cluster.create(code_map)
    with proxy.fault(refuse(code, reason), to("get", "configmaps")):
        bench.apply(name, source={"configMapRef": {"name": "code"}})
        status = bench.wait("it says why", lambda seen: seen.get("message", "").startswith(says[1]), name)
        assert (status["phase"], status["reason"]) == ("Queued", says[0])
    wait_answers(bench, {name: "Evaluated"}, operator)
    require_order(bench, proxy)


def test_events_are_throttled(bench: Bench, proxy: FaultProxy, tmp_path: Path) -> None:
    """An API server that has enough of events has room for the rest: nobody waits for an event.

    Of the runs that come after the first refusal some are written of before the pause that it asks for is over.
    """
    first, *others = [f"{FAILING}-{number}" for number in range(60)]
    throttled = refuse(HTTPStatus.TOO_MANY_REQUESTS, "TooManyRequests", retry_after=10)
    with (
        KillableOperator(proxy.kubeconfig, bench.kind, tmp_path / "log", slots=60) as operator,
        proxy.fault(throttled, to("create", "events")) as refused,
        proxy.fault(pass_on, lambda call: STATUS(call) and call.name != first) as written,
    ):
        bench.apply(first)
        wait_until("an event is refused", lambda: refused.met, bool)
        for name in others:
            bench.apply(name)
        wait_answers(bench, dict.fromkeys([first, *others], "StrategyError"), operator)
        wait_until("it is asked again", lambda: refused.met, lambda met: met > 1)
        assert written.met_at[0] < refused.met_at[1]
        require_order(bench, proxy)


@pytest.mark.parametrize("change", [dropping(3), twice], ids=["a third is dropped", "each comes twice"])
def test_events_dropped_or_doubled(bench: Bench, proxy: FaultProxy, operator: KillableOperator, change: Events) -> None:
    """Events only wake: what they do not tell, the sweep finds."""
    with proxy.events(change):
        wait_answers(bench, apply_scored(bench, 20), operator)
    require_order(bench, proxy)


def test_silent_watches(bench: Bench, proxy: FaultProxy, operator: KillableOperator) -> None:
    """Connections that are open and tell nothing, not even bookmarks: the sweeps bring every run to its end."""
    with proxy.events(silence):
        wait_answers(bench, apply_scored(bench, 10), operator)
        assert operator.starts == 1
    require_order(bench, proxy)


def test_deletions_in_a_gap_of_the_watches(bench: Bench, proxy: FaultProxy, tmp_path: Path) -> None:
    """After a 410 kopf lists what is there and says nothing of what is gone; the slot of a run that nobody
    reported gone goes to the next."""
    log = tmp_path / "log"
    with KillableOperator(proxy.kubeconfig, bench.kind, log, slots=1, sweep_seconds=2) as operator:
        bench.apply(f"{HELD}-0")
        wait_running(bench, f"{HELD}-0")
        expected = apply_scored(bench, 1)
        bench.wait_reason("WaitingForSlot", name=f"{SCORED}-0")
        proxy.wait_watches()
        with proxy.events(silence):
            bench.cluster.delete(bench.kind, f"{HELD}-0", bench.namespace)
            bench.wait_names(JOB, lambda names: not [each for each in names if each.startswith(HELD)])
            proxy.end_watches(HTTPStatus.GONE)
        wait_answers(bench, expected, operator)


def test_watches_end_with_an_internal_error(bench: Bench, proxy: FaultProxy, operator: KillableOperator) -> None:
    """The process may end of it; the next one goes on where it stood."""
    expected = apply_scored(bench, 20)
    bench.wait_names(JOB, bool)
    proxy.wait_watches()
    proxy.end_watches(HTTPStatus.INTERNAL_SERVER_ERROR)
    wait_answers(bench, expected, operator)
    require_order(bench, proxy)


POD_SPEC = {"restartPolicy": "Never", "containers": [{"name": "any", "image": "none"}]}
WEBHOOK = Kind("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration")


@pytest.fixture
def probe(bench: Bench, request: pytest.FixtureRequest) -> Manifest:
    """Something of the kind that a webhook wants to see."""
    kind, fields = request.param
    meta = {"name": "any", "namespace": bench.namespace}
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": meta, **fields}


OF_EACH_KIND = pytest.mark.parametrize(
    "probe",
    [(CONFIG_MAP, {}), (JOB, {"spec": {"template": {"spec": POD_SPEC}}}), (POD, {"spec": POD_SPEC})],
    ids=["ConfigMaps", "Jobs", "pods"],
    indirect=True,
)


@OF_EACH_KIND
def test_a_webhook_of_others_is_broken(
    bench: Bench, proxy: FaultProxy, operator: KillableOperator, probe: Manifest
) -> None:
    """Nothing that it wants to see can be made: the run says so while it waits, and goes on when it is mended."""
    nobody = {"url": f"https://127.0.0.1:{free_port()}/"}
    with webhook(bench, probe, nobody, "failed calling webhook"):
        expected = apply_scored(bench, 1)
        status = bench.wait_reason("PolicyDenied", name=f"{SCORED}-0")
        assert (status["phase"], len(status["attempts"])) == ("Starting", 1)
        assert "failed calling webhook" in status["message"]
    wait_answers(bench, expected, operator)
    require_order(bench, proxy)


@OF_EACH_KIND
def test_a_webhook_of_others_denies(bench: Bench, proxy: FaultProxy, rig: Rig, probe: Manifest, tmp_path: Path) -> None:
    """It need not say with which code: the run gets the words, its attempts and an end, and gives its slot back."""
    with KillableOperator(proxy.kubeconfig, bench.kind, tmp_path / "log", slots=1, start_seconds=20):
        with denying(rig, NO) as config, webhook(bench, probe, config, NO):
            bench.apply("denied", retry={"limit": 0})
            status = bench.wait_reason("PolicyDenied", "denied")
            status = bench.wait("the end", lambda seen: seen["phase"] == "Failed", "denied")
        assert (status["reason"], status["failure"]["class"]) == ("PolicyDenied", "Platform")
        assert NO in status["message"]
        bench.apply(HELD)
        finish_by_hand(bench, HELD)


@contextmanager
def webhook(bench: Bench, probe: Manifest, config: dict[str, str], answer: str) -> Iterator[None]:
    """Let a webhook be asked before anything like the probe is made in the namespace, which then is answered so."""
    group, _, version = ("/" + probe["apiVersion"]).rpartition("/")
    resources = [f"{probe['kind'].lower()}s"]
    rule = {"apiGroups": [group.strip("/")], "apiVersions": [version], "resources": resources, "operations": ["CREATE"]}
    hook = {
        "name": "nobody.example.com",
        "clientConfig": config,
        "rules": [rule],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": bench.namespace}},
        "failurePolicy": "Fail",
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "timeoutSeconds": 2,
    }
    meta = {"name": bench.namespace}
    bench.cluster.create(
        {"apiVersion": WEBHOOK.api_version, "kind": WEBHOOK.kind, "metadata": meta, "webhooks": [hook]}
    )

    try:
        wait_until(
            "it is asked",
            lambda: refusal(lambda: bench.cluster.create(probe, dry_run=True)),
            lambda said: answer in said,
        )
        yield
    finally:
        bench.cluster.delete(WEBHOOK, bench.namespace)


def test_etcd_is_full(tmp_path: Path) -> None:
    """While nothing can be written the operator lives and tries again; when there is room, answers are recorded."""
    with (
        running_rig(ON_RIG.profile.seccomp, nodes=1, quota_bytes=32 << 20) as small,
        installed(small.cluster, crd()) as kind,
        temporary_namespace(small.cluster, "full", admission=False) as namespace,
    ):
        bench = Bench(small.cluster, kind, namespace)
        with KillableOperator(small.kubeconfig, kind, tmp_path / "log", sweep_seconds=2) as operator:
            held = [f"{HELD}-{number}" for number in range(5)]
            for name in held:
                bench.apply(name)
            for name in held:
                wait_running(bench, name)
            operator.kill()
            for name in held:
                kubelet.succeed(small.cluster, bench.wait_pod(name))
            wait_until("every Job is complete", lambda: unfinished_jobs(bench), lambda left: not left)
            assert fill_up(bench) == "etcdserver: mvcc: database space exceeded"
            operator.start()
            operator.wait_ready()
            wait_until("its writes are refused", lambda: operator.log.count("space exceeded"), lambda n: n >= 5)
            assert answers_of(bench) == {}
            for each in bench.cluster.list(CONFIG_MAP, namespace, labels="filler"):
                bench.cluster.delete(CONFIG_MAP, each["metadata"]["name"], namespace)
            small.reclaim_space()
            wait_answers(bench, dict.fromkeys(held, "Evaluated"), operator)
            assert operator.starts == 2


def fill_up(bench: Bench) -> str:
    """Create ConfigMaps until etcd takes no more, and return its complaint."""
    for number in range(100):
        meta = {"name": f"filler-{number}", "namespace": bench.namespace, "labels": {"filler": ""}}
        content = {"content": "x" * 900_000}
        try:
            bench.cluster.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": content})
        except RefusedError as refusal:
            return refusal.message
    raise AssertionError("etcd took 90 MB")
