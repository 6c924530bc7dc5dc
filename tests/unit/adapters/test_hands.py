"""How the hands keep a report, find what events say, stop a Job and make what it needs: the real client against a
real HTTP server."""

import asyncio
import base64
from datetime import timedelta
from hashlib import sha256
from typing import Any

import pytest
from aiohttp import web

from strategyrun.adapters.cache import Cache, Sight, key_of
from strategyrun.adapters.hands import Hands
from strategyrun.adapters.kube import ApiError
from strategyrun.adapters.observer import Observer
from strategyrun.adapters.sources import Sources
from strategyrun.adapters.workqueue import WorkQueue
from strategyrun.domain.acts import Act, Create, FindTrouble, KeepReport, StopJob
from strategyrun.domain.network_policy import POLICY_NAME, deny_all
from strategyrun.domain.outcomes import Reason
from strategyrun.domain.verdict import Fault, Trouble
from support.answering import answering
from support.builders import JOB_UID, NOW, Document, after, job_body, make_job, make_run, pod_body, running, terminated

RUN = make_run()
CONTENT = b"what the evaluator printed"
ENDED = job_body(conditions={"Failed": "BackoffLimitExceeded"}, ended=NOW)
LOG = b"FINLAB-REPORT 1 \n" + base64.b64encode(CONTENT) + b"\n"
KEEP = KeepReport(JOB_UID, "pod", sha256(CONTENT).hexdigest(), until=after(15))


class Server:
    """An API server that answers a request for a log, or for a ConfigMap, with the given code, and lists `events`.

    Of pods it has one, and it notes which Jobs it was asked to delete.
    """

    def __init__(self, *, log: int = 200, create: int = 200) -> None:
        self.events: list[dict[str, Any]] = []
        self.pod = pod_body()
        self.deleted: list[str] = []
        self.log, self.create = log, create
        self.now = NOW
        self.cache = Cache()

    async def answer(self, request: web.Request) -> web.Response:
        """Give the log or a page of one event, or take the ConfigMap."""
        code = self.create if request.method == "POST" else self.log
        if code != 200:
            return web.json_response({"reason": "", "message": "no"}, status=code)
        if request.method == "POST":
            return web.json_response({**await request.json()}, status=201)
        if request.method == "DELETE":
            self.deleted.append(request.path.rpartition("/")[2])
            return web.json_response({})
        if request.path.endswith("/pods"):
            return web.json_response({"metadata": {}, "items": [self.pod]})
        if request.path.endswith("/events"):
            at = int(request.query.get("continue") or 0)
            rest = str(at + 1) if at + 1 < len(self.events) else ""
            return web.json_response({"metadata": {"continue": rest}, "items": self.events[at : at + 1]})
        return web.Response(body=LOG)

    def do(self, act: Act, *, on: bool = True) -> Sight:
        """Let hands do it, and return what is known then; `on` is whether the next may follow."""

        async def work() -> None:
            async with answering(self.answer) as kube:
                observer = Observer(kube, clock=lambda: self.now)
                sources = Sources(kube, observer, lambda: self.now)
                hands = Hands(kube, self.cache, WorkQueue(), sources, lambda: self.now)
                try:
                    assert await hands.do(RUN, act) is on
                finally:
                    await hands.close()

        asyncio.run(work())
        return self.cache.sight(key_of(RUN.namespace, RUN.uid))


BUSY = {
    "the node is not reached": {"log": 502},
    "the node is busy": {"log": 500},
    "the API server has too much to do": {"create": 429},
    "the API server is not ready": {"create": 503},
}


@pytest.mark.parametrize("codes", BUSY.values(), ids=BUSY.keys())
def test_a_report_is_not_lost_for_what_passes(codes: dict[str, int]) -> None:
    """Whoever asks tries again; when the trouble is over the report is kept."""
    server = Server(**codes)
    with pytest.raises(ApiError):
        server.do(KEEP)
    server.log = server.create = 200
    kept = server.do(KEEP).kept
    assert kept
    assert kept.reference


@pytest.mark.parametrize("codes", BUSY.values(), ids=BUSY.keys())
def test_an_answer_waits_for_its_report_until_it_may_no_longer(codes: dict[str, int]) -> None:
    """Then it is given without, and says so."""
    server = Server(**codes)
    server.now = NOW + timedelta(seconds=15)
    kept = server.do(KEEP).kept
    assert kept
    assert (kept.lost or "").startswith("the full report could not be kept")


@pytest.mark.parametrize(
    "codes",
    [{"log": 400}, {"log": 403}, {"log": 404}, {"create": 403}, {"create": 413}],
    ids=["no log", "no right to logs", "no pod", "quota", "too large"],
)
def test_what_will_not_pass_is_not_waited_for(codes: dict[str, int]) -> None:
    """The answer is given at once."""
    kept = Server(**codes).do(KEEP).kept
    assert kept
    assert kept.lost


def warning(message: str, **at: str) -> dict[str, Any]:
    """Build an event as the API server lists it."""
    return {"reason": "FailedMount", "message": message, **at}


def test_the_last_warning_is_what_a_pod_waits_for() -> None:
    """On whatever page it is; of two in one second it is the one that the API server tells last."""
    server = Server()
    server.events = [
        warning("early", lastTimestamp="2026-03-02T09:30:01Z"),
        warning("late", lastTimestamp="2026-03-02T09:30:05Z"),
        warning("as late", lastTimestamp="2026-03-02T09:30:05Z"),
        warning("between", eventTime="2026-03-02T09:30:03.000000Z"),
        warning("at no time"),
    ]
    assert server.do(FindTrouble(JOB_UID)).trouble == Trouble(JOB_UID, NOW, "FailedMount", "as late")


def test_without_an_event_nothing_is_known() -> None:
    """Nor without the right to read them; the pod waits for its start."""
    server = Server()
    assert server.do(FindTrouble(JOB_UID)).trouble == Trouble(JOB_UID, NOW)
    server.log = 403
    assert server.do(FindTrouble(JOB_UID)).trouble == Trouble(JOB_UID, NOW)


def test_of_a_long_warning_its_beginning_is_kept() -> None:
    """Whoever may write events may write a megabyte, and each run that waits would hold it in memory."""
    server = Server()
    server.events = [warning("\x1b[31mnot found " + "好" * 300_000) | {"reason": "R" * 1_000_000}]
    trouble = server.do(FindTrouble(JOB_UID)).trouble
    assert trouble
    assert trouble.message.startswith("not found 好")
    assert len(trouble.message.encode()) <= 1024
    assert len(trouble.reason) <= 1024


@pytest.mark.parametrize(
    ("job", "pod", "stopped"),
    [
        pytest.param(job_body(), pod_body(strategy=running()), True, id="it runs"),
        pytest.param(job_body(), pod_body(strategy=terminated(1)), False, id="it has ended"),
        pytest.param(job_body(), pod_body(strategy=terminated(137), deleted=NOW), True, id="it leaves"),
        pytest.param(ENDED, pod_body(strategy=running()), False, id="the news of the Job's end was faster"),
        pytest.param(job_body(uid="other"), pod_body(), False, id="another has its name"),
    ],
)
def test_a_job_is_stopped_unless_its_pod_has_ended_and_stays(job: Document, pod: Document, *, stopped: bool) -> None:
    """The API server is asked: news of the end may be on its way, and the log is kept as long as any other."""
    server = Server()
    server.cache.put_job(job)
    server.pod = pod
    sight = server.do(StopJob(make_job().name, JOB_UID))
    assert server.deleted == ([make_job().name] if stopped else [])
    assert bool(sight.jobs) is not stopped


POLICY = deny_all(RUN.namespace)
OPEN = POLICY | {"spec": POLICY["spec"] | {"egress": [{}]}}
QUOTA = f"{POLICY_NAME} is forbidden: exceeded quota: few, used: count/networkpolicies.networking.k8s.io=1"
WEBHOOK = "admission webhook denied the request: nobody makes NetworkPolicies"
CONFLICT = Fault(Reason.NAME_CONFLICT, f"NetworkPolicy {POLICY_NAME} does not deny all traffic of all runs")


class PolicyServer(Server):
    """An API server that keeps a NetworkPolicy. As quota and admission do, it refuses a POST whatever it keeps."""

    def __init__(self, stored: Document | None = None, *, refusal: str = "", rival: Document | None = None) -> None:
        super().__init__()
        self.stored, self.refusal = stored, refusal
        self.rival = rival
        """What somebody makes in the moment before a POST arrives."""
        self.asked: list[str] = []
        self.unread = 0
        """The code that a GET is answered with, if any."""

    async def answer(self, request: web.Request) -> web.Response:
        """Give or take the policy."""
        self.asked.append(request.method)
        if request.method == "GET" and self.unread:
            return _no(self.unread, "no")
        if request.method == "GET":
            assert request.path.endswith(f"/namespaces/{RUN.namespace}/networkpolicies/{POLICY_NAME}")
            return web.json_response(self.stored) if self.stored else _no(404, "NotFound")
        if self.refusal:
            return _no(403, "Forbidden", self.refusal)
        self.stored = self.stored or self.rival
        if self.stored:
            return _no(409, "AlreadyExists")
        self.stored = await request.json()
        return web.json_response(self.stored, status=201)


def _no(status: int, reason: str, message: str = "no") -> web.Response:
    return web.json_response({"reason": reason, "message": message}, status=status)


@pytest.mark.parametrize("refusal", ["", QUOTA, WEBHOOK], ids=["", "no room", "nobody may"])
def test_a_policy_that_is_there_is_not_made_again(refusal: str) -> None:
    """One request, and none that quota or admission could refuse: both look before the name is found taken."""
    server = PolicyServer(POLICY, refusal=refusal)
    assert server.do(Create(POLICY)).refused is None
    assert server.asked == ["GET"]


def test_a_policy_that_is_absent_is_made() -> None:
    """And again where somebody has deleted it: that it was there is no fact."""
    server = PolicyServer()
    for _ in range(2):
        assert server.do(Create(POLICY)).refused is None
        assert server.stored == POLICY
        server.stored = None
    assert server.asked == ["GET", "POST"] * 2


@pytest.mark.parametrize(
    ("refusal", "reason"),
    [pytest.param(QUOTA, Reason.QUOTA_EXCEEDED, id="quota"), pytest.param(WEBHOOK, Reason.POLICY_DENIED, id="policy")],
)
def test_without_its_policy_no_job_is_made(refusal: str, reason: Reason) -> None:
    """The API server's words say why; nothing is asked after it."""
    server = PolicyServer(refusal=refusal)
    assert server.do(Create(POLICY), on=False).refused == Fault(reason, refusal)
    assert server.asked == ["GET", "POST"]


def test_a_policy_that_another_makes_meanwhile_is_taken() -> None:
    """Two runs of a new namespace begin together: the API server is asked what it is."""
    server = PolicyServer(rival=POLICY)
    assert server.do(Create(POLICY)).refused is None
    assert server.asked == ["GET", "POST", "GET"]


@pytest.mark.parametrize("server", [PolicyServer(OPEN), PolicyServer(rival=OPEN)], ids=["before", "meanwhile"])
def test_a_policy_that_has_the_name_alone_is_no_policy(server: PolicyServer) -> None:
    """No Job relies on it, and it is left to whoever made it."""
    assert server.do(Create(POLICY), on=False).refused == CONFLICT
    assert server.stored == OPEN


def test_a_policy_that_may_not_be_read_is_not_taken_for_there() -> None:
    """The lack of a right is told as any refusal is, and nothing is made."""
    server = PolicyServer(POLICY)
    server.unread = 403
    assert server.do(Create(POLICY), on=False).refused == Fault(Reason.POLICY_DENIED, "no")
    assert server.asked == ["GET"]


def test_an_api_server_that_cannot_say_is_asked_again() -> None:
    """The run's status says what it waits for."""
    server = PolicyServer(POLICY)
    server.unread = 500
    with pytest.raises(ApiError):
        server.do(Create(POLICY))
    assert server.cache.sight(key_of(RUN.namespace, RUN.uid)).hindered
    assert server.asked == ["GET"]
