"""`explain`: why a run waits or failed, in words."""

from rich.text import Text

from strategyrun.cli import output
from strategyrun.cli.cells import now
from strategyrun.cli.explaining import explain as explained
from strategyrun.cli.output import Format, Output, console
from strategyrun.cli.session import Name, Namespace, ask


def explain(name: Name, namespace: Namespace = None, form: Output = None) -> None:
    """Say why a run waits or failed, what the strategy said, and what to type next."""
    result = ask(namespace, lambda client: client.result(name))
    words = explained(result, now())
    if form is Format.NAME:
        output.names([result])
        return
    if form in (Format.JSON, Format.YAML):
        state = {"name": result.name, "namespace": result.namespace, "phase": result.phase, "reason": result.reason}
        output.document(state | {"class": result.outcome, **words.document()}, form)
        return
    screen = console()
    screen.print(Text.assemble((result.name, "bold"), " ", output.phase(result), f" ({result.reason})"), soft_wrap=True)
    screen.print(Text(words.headline), soft_wrap=True)
    for fact in words.facts:
        screen.print(Text(f"  {fact}"), soft_wrap=True)
    if words.evidence:
        screen.print(Text("What it said (untrusted text):", "bold"))
        for line in words.evidence:
            screen.print(Text(f"  {line}", "dim"), soft_wrap=True)
    screen.print(Text("Next:", "bold"))
    for command in words.next:
        screen.print(Text(f"  {command}", "cyan"), soft_wrap=True)
