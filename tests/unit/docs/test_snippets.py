"""What the pages tell a reader to write, and to type, is right: every block of code, every field, every link."""

import ast
import json
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import typer
import yaml

from strategyrun.cli.program import application
from strategyrun.domain.strategyrun import GROUP, StrategyRun
from strategyrun.domain.vetting import Kind, vet
from support.cluster import CHECKOUT
from support.pages import DEFINITIONS, PAGES, Block, anchors, blocks, fields, prose, schema_of, strict
from support.sandbox import Steps

TRIED = ("yaml", "python", "json", "sh", "console")
NOT_TRIED = {
    "": "a formula or a picture made of letters",
    "text": "a formula, a picture made of letters, or output",
    "dockerfile": "what it copies is the reader's",
    "promql": "tests of the metrics ask them of the operator",
}
OF_THE_IMAGE = ("finlab", "talib", "sklearn", "networkx", "duckdb")
"""Modules that the image has and a checkout may not: tests/cluster/test_docs.py runs what needs them."""

MISTAKES = CHECKOUT / "docs" / "mistakes.md"
"""Its code is held by tests/unit/test_mistakes_documented.py and tests/cluster/test_mistakes.py."""

RESOURCES = {
    *(
        "configmap",
        "configmaps",
        "cm",
        "customresourcedefinition",
        "crd",
        "deployment",
        "deploy",
        "events",
        "jobs",
        "job",
    ),
    *("servicemonitor", "prometheusrule", "serviceaccount"),
    *("namespace", "namespaces", "ns", "node", "nodes", "pod", "pods", "lease", "leases", "networkpolicy", "daemonset"),
    *(
        word
        for each in DEFINITIONS.values()
        for key in ("plural", "singular")
        for word in (each["spec"]["names"][key],)
    ),
    *(word for each in DEFINITIONS.values() for word in each["spec"]["names"].get("shortNames", ())),
    *(f"{each['spec']['names']['plural']}.{GROUP}" for each in DEFINITIONS.values()),
}
OF_PODS = ("template", "containers", "initContainers", "nodeName", "securityContext", "hostUsers", "tolerations")
FIELDS = {path for kind in DEFINITIONS for path in fields(schema_of(kind))}
TESTS = [path.read_text() for path in (CHECKOUT / "tests").rglob("*.py") if path != Path(__file__)]
TARGETS = set(re.findall(r"^([a-z0-9-]+):", (CHECKOUT / "Makefile").read_text(), re.MULTILINE))


def of(*languages: str) -> pytest.MarkDecorator:
    """Parametrize a test by the blocks in some languages."""
    return pytest.mark.parametrize("block", [pytest.param(block, id=block.where) for block in blocks(*languages)])


def known(path: str) -> bool:
    """Tell whether a path such as status.attempts[-1:].node is a field of a resource of ours."""
    plain = re.sub(r"\[[^\]]*\]", "", path).strip(".")
    open_ended = [plain.rsplit(".", count)[0] + ".*" for count in range(1, plain.count(".") + 1)]
    return plain in FIELDS or any(each in FIELDS for each in open_ended) or plain.split(".")[1] in OF_PODS


def without_dots(document: Any) -> Any:
    """Leave out `...`, by which a page says that there is more."""
    match document:
        case dict():
            return {name: without_dots(each) for name, each in document.items() if name != "..."}
        case list():
            return [without_dots(each) for each in document]
        case _:
            return document


def typed(block: Block) -> list[list[str]]:
    """The words of each command of a block, without what follows it in a pipe."""
    return [shlex.split(command, comments=True) for command in block.snippet.commands]


def test_there_are_pages() -> None:
    """What is found below is everything: the README, the guides, the galleries."""
    assert {CHECKOUT / "README.md", MISTAKES, CHECKOUT / "docs" / "quickstart.md"} <= set(PAGES)


@of()
def test_a_language_is_tried_or_said_not_to_be(block: Block) -> None:
    """A block in a language that nothing below looks at would be a claim of nobody."""
    assert block.snippet.language in {*TRIED, *NOT_TRIED}


@of(*NOT_TRIED)
def test_what_is_not_tried_is_no_command(block: Block) -> None:
    """A command has a language, `sh` or `console`, so that it is looked at; a picture has lines that no command has."""
    assert "│" in block.snippet.text or not re.search(
        r"^(\$ |kubectl |helm |make |strategyrun )", block.snippet.text, re.MULTILINE
    )


@of("sh", "console")
def test_a_command_is_run_by_a_test_or_said_not_to_be(block: Block) -> None:
    """The line before it has the reason, or some test knows the page, and runs what is on it."""
    page = str(block.page.relative_to(CHECKOUT)).removeprefix("docs/")
    assert block.reason_not_to_run or any(f'{page}"' in text for text in TESTS), "who runs it?"


def test_json_is_json() -> None:
    """It parses."""
    for block in blocks("json"):
        json.loads(block.snippet.text)


@pytest.mark.parametrize("block", [pytest.param(b, id=b.where) for b in blocks("yaml") if b.page != MISTAKES])
def test_yaml_fits_its_schema(block: Block) -> None:
    """A manifest has the fields that its definition has, of the right kind; so has a part of one; so have values."""
    for document in map(without_dots, yaml.safe_load_all(block.snippet.text)):
        kind = document.get("kind")
        if block.title == "values.yaml":
            continue  # tests/contract/test_chart.py renders the chart with it
        if kind == "StrategyRun":
            made = {
                "namespace": "default",
                "uid": "1",
                "resourceVersion": "1",
                "creationTimestamp": "2026-01-01T00:00:00Z",
            }
            assert StrategyRun.parse(document | {"metadata": document["metadata"] | made}).unreadable is None
            jsonschema.validate({"spec": document["spec"]}, strict(schema_of(kind)))
        elif kind in DEFINITIONS:
            jsonschema.validate({"spec": document["spec"]}, strict(schema_of(kind)))
        elif kind is not None:
            assert {"apiVersion", "kind"} <= document.keys(), f"{kind} is not ours; a manifest all the same"
        elif document.keys() <= {"spec", "status"}:
            jsonschema.validate(document, strict(schema_of("StrategyRun")))
        elif document.keys() <= schema_of("StrategyRun")["properties"]["spec"]["properties"].keys():
            jsonschema.validate({"spec": document}, strict(schema_of("StrategyRun")))
        else:
            assert block.title or block.reason_not_to_run, "of what is this a part? Give the block a title, or a reason"


def test_a_profile_of_the_page_has_a_role_of_its_own() -> None:
    """With the rule and the subject of the installation's, and another name: an upgrade puts that one back."""
    (block,) = [each for each in blocks("yaml") if each.page.name == "profiles.md"]
    profile, role, binding = yaml.safe_load_all(block.snippet.text)
    rbac = yaml.safe_load_all((CHECKOUT / "manifests" / "base" / "rbac.yaml").read_text())
    shipped = {each["kind"]: each for each in rbac if each["metadata"]["name"] == "finlab-sandbox-profiles"}
    (rule,) = shipped["ClusterRole"]["rules"]
    assert role["rules"] == [rule | {"resourceNames": [profile["metadata"]["name"]]}]
    assert binding["subjects"] == shipped["ClusterRoleBinding"]["subjects"]
    name = role["metadata"]["name"]
    assert name not in shipped["ClusterRole"]["metadata"].values()
    assert binding["roleRef"] == shipped["ClusterRoleBinding"]["roleRef"] | {"name": name}


@pytest.mark.parametrize("block", [pytest.param(b, id=b.where) for b in blocks("yaml") if b.page != MISTAKES])
def test_the_strategy_in_a_manifest_is_what_its_page_makes_of_it(block: Block) -> None:
    """It passes the vetting, unless the page shows how it is rejected."""
    for document in yaml.safe_load_all(block.snippet.text):
        source = document.get("spec", {}).get("source", {}) if document.get("kind") == "StrategyRun" else {}
        if "inline" in source:
            rejected = "CodeRejected" in block.page.read_text(encoding="utf-8") and block.title == "broken.yaml"
            assert bool(vet(source["inline"].encode()).flaws) is rejected


@of("python")
def test_python_is_python(block: Block) -> None:
    """It parses."""
    ast.parse(block.snippet.text)


@pytest.mark.parametrize(
    "block",
    [
        pytest.param(block, id=block.where)
        for block in blocks("python")
        if block.page.name == "writing-strategies.md"
        and not re.search(rf"^(from|import) ({'|'.join(OF_THE_IMAGE)})\b", block.snippet.text, re.MULTILINE)
    ],
)
def test_a_strategy_of_the_guide_runs(block: Block, steps: Steps) -> None:
    """The vetting takes it, the harness runs it on the built-in prices, and the evaluator scores what it leaves."""
    vetted = vet(block.snippet.text.encode())
    assert vetted.flaws == ()
    ended = steps.run(block.snippet.text, kind=vetted.kind.value, lookAhead={"samples": 2})
    assert ended.exit_code == 0, ended.document
    if vetted.kind is Kind.POSITIONS:
        report = steps.evaluate().document
        assert report["verdict"] == "Evaluated", report
        assert report["metrics"]["days"] == 3270
    else:
        assert ended.document["result"]


@pytest.mark.parametrize(
    "path", ["status.metrics.sharpe", "status.attempts[-1:].node", "spec.params.fast", "spec.template.x"]
)
def test_a_field_that_exists_is_known(path: str) -> None:
    """At any depth, in lists and in objects without a shape; and those of pods."""
    assert known(path)


@pytest.mark.parametrize("path", ["status.metric", "status.metrics.sharp", "spec.sources", "spec.evaluation.fees"])
def test_a_field_that_does_not_exist_is_not_known(path: str) -> None:
    """So the tests below can fail."""
    assert not known(path)


@pytest.mark.parametrize(
    "command",
    [
        "kubectl get strategies",
        "kubectl get srun --sort-by=.status.summary.sharp",
        "kubectl explain strategyrun.spec.fees",
        "kubectl wait --for=condition=Finished run/x",
    ],
)
def test_a_wrong_command_is_found(command: str) -> None:
    """A resource or a field that is not there."""
    with pytest.raises(AssertionError):
        check_kubectl(shlex.split(command))


@of("sh", "console")
def test_a_session_is_shell(block: Block) -> None:
    """bash can read every command."""
    script = "\n".join(block.snippet.commands)
    done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@of("sh", "console")
def test_a_command_names_what_there_is(block: Block) -> None:
    """Its target of make, its subcommand and options of strategyrun, its resource and fields for kubectl, its files."""
    titles = {each.title for each in blocks() if each.page == block.page}
    for words in typed(block):
        text = " ".join(words)
        for target in re.findall(r"(?:^|\$\()make (?:-s )?([a-z-]+)", text):
            assert target in TARGETS, text
        if words[0] == "kubectl":
            check_kubectl(words)
        if words[0] == "strategyrun":
            check_strategyrun(words)
        for path in re.findall(
            r"(?<![\w/.=-])((?:manifests|charts|config|crds|docs|hack|image|operator)/[\w./-]*)", text
        ):
            assert (CHECKOUT / path).exists(), path
        for name in re.findall(r"--filename ([\w-]+\.yaml)", text):
            assert name in titles, f"{name} is on no block's title"


def check_kubectl(words: list[str]) -> None:
    """Look at the resource after the verb, and at every field that the command names."""
    verb, *rest = words[1:]
    if verb in ("get", "delete", "describe", "patch", "annotate", "label", "wait", "explain"):
        plain = [word for word in rest if not word.startswith("-")]
        of_options = {
            rest[place + 1] for place, word in enumerate(rest[:-1]) if re.fullmatch(r"-[a-z]|--[a-z-]+", word)
        }
        named = [word for word in plain if word not in of_options]
        if named:
            assert re.split(r"[/.]", named[0])[0] in RESOURCES or named[0] in RESOURCES, words
    if verb == "explain":
        assert known(named[0].partition(".")[2]) if "." in named[0] else True, words
    for path in re.findall(r"(?<![\w.])\.?((?:spec|status)\.[\w.\[\]\-:]*\w)", " ".join(words)):
        assert known(path), f"{path} in {words}"


def check_strategyrun(words: list[str]) -> None:
    """Look at the subcommand and at its options."""
    command = typer.main.get_command(application())
    context = typer.Context(command)
    subcommand = command.get_command(context, words[1])  # type: ignore[attr-defined]
    assert subcommand is not None, words
    options = {option for each in subcommand.params for option in (*each.opts, *each.secondary_opts)} | {"--help"}
    for word in words[2:]:
        if word.startswith("-") and not re.fullmatch(r"-\d+", word):
            assert word.partition("=")[0] in options, words


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(CHECKOUT)))
def test_a_field_in_the_prose_exists(page: Path) -> None:
    """What stands in the text as `status.x` or `spec.y` is a field, or one in a pod."""
    for path in re.findall(r"`((?:spec|status)\.[a-z][\w.\[\]*]*)(?:: [^`]*)?`", prose(page)):
        assert known(path.removesuffix("[]").removesuffix("{}")), path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(CHECKOUT)))
def test_a_verb_of_make_in_the_prose_exists(page: Path) -> None:
    """`make x` can be typed."""
    for target in re.findall(r"`make ([a-z-]+)`", prose(page)):
        assert target in TARGETS, target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(CHECKOUT)))
def test_a_link_leads_somewhere(page: Path) -> None:
    """To a file of the checkout, and to a heading of it."""
    for path, anchor in re.findall(r"\]\(([^):#\s]*)(?:#([^)\s]*))?\)", re.sub(r"`[^`\n]*`", "", prose(page))):
        target = page.parent / path if path else page
        assert target.exists(), path
        if anchor:
            assert anchor in anchors(target), f"{path}#{anchor}"
