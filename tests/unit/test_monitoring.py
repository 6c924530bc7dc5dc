"""Alerts, dashboard and the page about them speak of what the operator exports, in words that Prometheus reads."""

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from strategyrun.adapters.health import UNREADY_SECONDS
from strategyrun.adapters.kube import RUNS
from strategyrun.adapters.telemetry import Telemetry
from strategyrun.adapters.watches import LATE_SECONDS
from strategyrun.domain.outcomes import FAILURES, Outcome, Reason
from strategyrun.domain.strategyrun import FailureClass

CHECKOUT = Path(__file__).parents[2]
MONITORING = CHECKOUT / "manifests" / "monitoring"
PAGE = (CHECKOUT / "docs" / "operations.md").read_text()
OF_THE_TARGET = {"instance", "job", "namespace", "pod"}


@cache
def series() -> dict[str, set[str]]:
    """Return the labels of each series that an operator exports, by name."""
    suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}
    return {
        f"{metric.name}{suffix}": {*metric.labels, *(("le",) if suffix == "_bucket" else ())}
        for metric in Telemetry(RUNS).described
        for suffix in suffixes[metric.kind]
    }


def rules() -> list[dict[str, Any]]:
    """Read the rules."""
    groups = yaml.safe_load((MONITORING / "alerts.yaml").read_text())["spec"]["groups"]
    return [rule for group in groups for rule in group["rules"]]


def alerts() -> list[dict[str, Any]]:
    """Read the alerts among them."""
    return [rule for rule in rules() if "alert" in rule]


def panels() -> list[dict[str, Any]]:
    """Read the dashboard's panels."""
    found: list[dict[str, Any]] = json.loads((MONITORING / "dashboard.json").read_text())["panels"]
    return found


def queries() -> Iterator[tuple[str, str]]:
    """Give every query with its place; Grafana's variables replaced as Grafana does."""
    for rule in rules():
        yield rule.get("alert") or rule["record"], rule["expr"]
    for panel in panels():
        for target in panel["targets"]:
            yield panel["title"], target["expr"].replace("$__rate_interval", "5m").replace("$job", ".*")


def nodes(query: str) -> list[Any]:
    """Parse a query and return every part of it."""
    found: list[Any] = []
    promql_parser.walk(promql_parser.parse(query), pre_visit=found.append)
    return found


def selectors(query: str) -> list[promql_parser.VectorSelector]:
    """Return what a query selects."""
    return [node for node in nodes(query) if isinstance(node, promql_parser.VectorSelector)]


@pytest.mark.parametrize(("place", "query"), list(queries()))
def test_a_query_asks_for_what_the_operator_exports(place: str, query: str) -> None:
    """Names and labels; a query about nothing is silent for ever."""
    found = selectors(query)
    assert found, place
    for selector in found:
        if selector.name == "process_resident_memory_bytes":
            continue
        assert selector.name in series(), place
        assert {matcher.name for matcher in selector.matchers.matchers} <= series()[selector.name] | OF_THE_TARGET


@pytest.mark.parametrize(("place", "query"), list(queries()))
def test_a_query_groups_by_labels_that_there_are(place: str, query: str) -> None:
    """Of the series that it aggregates."""
    for node in nodes(query):
        if isinstance(node, promql_parser.AggregateExpr) and node.modifier is not None:
            below = set[str]().union(*(series().get(each.name or "", set()) for each in selectors(str(node.expr))))
            assert set(node.modifier.labels) <= below | OF_THE_TARGET, place


def test_a_query_with_a_wrong_word_is_found() -> None:
    """The parser is no rubber stamp."""
    with pytest.raises(ValueError, match=r"\S"):
        promql_parser.parse("sum by (reason) (increase(finlab_sandbox_runs_finished_total[15 m))")
    with pytest.raises(ValueError, match=r"\S"):
        promql_parser.parse("rate(finlab_sandbox_runs)")


def test_every_metric_is_described_on_the_page() -> None:
    """With its kind and labels, as the code has them; and the page describes no other."""
    row = re.compile(r"^\| `(finlab_sandbox_\w+)` \| (counter|gauge|histogram) \| (.*?) \| (.*?) \|$", re.MULTILINE)
    described = {
        name: (kind, sorted(re.findall(r"`(\w+)`", labels)), text) for name, kind, labels, text in row.findall(PAGE)
    }
    assert described == {
        metric.name + ("_total" if metric.kind == "counter" else ""): (metric.kind, sorted(metric.labels), metric.text)
        for metric in Telemetry(RUNS).described
    }


def test_every_alert_has_its_paragraph_on_the_page() -> None:
    """Where its runbook link leads."""
    for alert in alerts():
        name = alert["alert"]
        assert alert["annotations"]["runbook"] == f"docs/operations.md#{name.lower()}"
        assert f"\n#### {name}\n" in PAGE
        assert alert["annotations"]["summary"]
        assert alert["labels"]["severity"] in ("critical", "warning")


def test_every_label_in_an_alerts_summary_is_left_by_its_query() -> None:
    """Else it would be an empty place in the text."""
    for alert in alerts():
        wanted = set(re.findall(r"\$labels\.(\w+)", alert["annotations"]["summary"]))
        modifiers = [
            set(node.modifier.labels)
            for node in nodes(alert["expr"])
            if isinstance(node, promql_parser.AggregateExpr) and node.modifier is not None
        ]
        assert wanted <= set().union(*modifiers), alert["alert"]


def test_alerts_and_probes_agree_on_what_is_late() -> None:
    """One number in two places, held together here."""
    expressions = {alert["alert"]: alert["expr"] for alert in alerts()}
    assert expressions["FinlabSandboxQueueStuck"].endswith(f"> {UNREADY_SECONDS:.0f}")
    assert expressions["FinlabSandboxWatchBehind"].endswith(f"> {LATE_SECONDS:.0f}")


BY_AN_AUTHOR = {Reason.PROFILE_MISSING, Reason.MOUNT_FAILED, Reason.CONTAINER_CONFIG_ERROR, Reason.START_TIMEOUT}
"""Of class Sandbox: a profile by a wrong name, a dataset that keeps its container from being made, or made in time."""


def counting(failure: Outcome) -> list[dict[str, Any]]:
    """Return the alerts that count the runs which end so."""
    labels = {"class": failure.class_.value, "reason": failure.reason.value}
    return [
        alert
        for alert in alerts()
        for selector in selectors(alert["expr"])
        if selector.name == "finlab_sandbox_runs_finished_total" and selected(selector, labels)
    ]


def selected(selector: promql_parser.VectorSelector, labels: dict[str, str]) -> bool:
    """Tell whether a selector takes a series with these labels; a pattern is of the whole value."""
    op = promql_parser.MatchOp
    return all(
        (re.fullmatch(each.value, labels[each.name]) is not None) is (each.op == op.Re)
        if each.op in (op.Re, op.NotRe)
        else (each.value == labels[each.name]) is (each.op == op.Equal)
        for each in selector.matchers.matchers
    )


@pytest.mark.parametrize("failure", FAILURES.values(), ids=lambda failure: failure.reason.value)
def test_nobody_is_woken_for_what_an_author_can_bring_about(failure: Outcome) -> None:
    """The author's code is no alert, and one typo is none; many, and losses of the cluster, are a warning."""
    found = [(alert["labels"]["severity"], alert["expr"].rsplit(" ", 2)[-2:]) for alert in counting(failure)]
    if failure.class_ is FailureClass.USER:
        assert found == []
    elif failure.class_ is FailureClass.SANDBOX and failure.reason not in BY_AN_AUTHOR:
        assert found == [("critical", [">", "0"])]
    else:
        assert found == [("warning", [">", "3"])]


def test_the_dashboard_fits_together() -> None:
    """Each panel has a place of its own in 24 columns, a title of its own and a query."""
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
    titles = [panel["title"] for panel in panels()]
    assert len(set(titles)) == len(titles)
    assert all(panel["targets"] for panel in panels())


def test_the_service_leads_to_the_operators_health_port() -> None:
    """By the label and the port's name of the Deployment; its annotations say the same port and the path."""
    service = yaml.safe_load((MONITORING / "service.yaml").read_text())
    deployment = yaml.safe_load((CHECKOUT / "manifests" / "base" / "deployment.yaml").read_text())
    template = deployment["spec"]["template"]
    ports = {port["name"]: port["containerPort"] for port in template["spec"]["containers"][0]["ports"]}
    assert service["spec"]["selector"].items() <= template["metadata"]["labels"].items()
    (port,) = service["spec"]["ports"]
    assert port["port"] == ports[port["targetPort"]]
    assert service["metadata"]["annotations"] == {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": str(port["port"]),
        "prometheus.io/path": "/metrics",
    }
    assert service["metadata"]["namespace"] == deployment["metadata"]["namespace"]


def test_prometheus_operator_finds_the_service() -> None:
    """It reads no annotations: a ServiceMonitor selects the Service by its label, and names the port and the path."""
    service, monitor = (
        yaml.safe_load((MONITORING / f"{name}.yaml").read_text()) for name in ("service", "servicemonitor")
    )
    assert monitor["metadata"]["namespace"] == service["metadata"]["namespace"]
    assert monitor["spec"] == {
        "selector": {"matchLabels": service["metadata"]["labels"]},
        "endpoints": [{"port": service["spec"]["ports"][0]["name"], "path": "/metrics"}],
    }
