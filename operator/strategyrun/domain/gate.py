"""The strict gate before the fallback."""

from strategyrun.domain.vetting import Flaw


def check(code: bytes) -> tuple[Flaw, ...]:
    """Return what keeps a source out of the fallback: so far, everything."""
    return (Flaw(1, "R-ALL", f"no source of {len(code)} bytes is let in yet"),)
