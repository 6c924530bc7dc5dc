"""What a run asks to be evaluated, fetched and vetted: the source it names, and whether its data is there."""

import base64
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from strategyrun.adapters.kube import CONFIG_MAPS, Kube, RefusedError
from strategyrun.adapters.observer import Observer
from strategyrun.adapters.turns import Turns
from strategyrun.adapters.vetting import Vetter
from strategyrun.domain.inputs import inputs_hash
from strategyrun.domain.outcomes import Reason
from strategyrun.domain.seen import Vetted
from strategyrun.domain.strategyrun import StrategyRun
from strategyrun.domain.verdict import Fault

READS_AT_ONCE = 8
"""All other requests of the operator stand behind so many: thousands of runs may wait for what they name."""
_ABSENT_FOR = timedelta(seconds=1)
"""An answer that there is no such ConfigMap serves so long all that name it."""


class Sources:
    """Reads what runs name, and has it vetted; namespaces take turns in both."""

    def __init__(self, kube: Kube, observer: Observer, now: Callable[[], datetime]) -> None:
        self._kube = kube
        self._observer = observer
        self._now = now
        self._vetter = Vetter()
        self._turns = Turns(READS_AT_ONCE)
        self._absent: dict[tuple[str, str], datetime] = {}
        """When it was answered last that a ConfigMap is not there, by its namespace and name."""

    async def vet(self, run: StrategyRun) -> Vetted:
        """Return the source and what it is, or what cannot be had.

        Raises TROUBLE of the connection, and what `Vetter.vet` raises where it could not work.
        """
        wanted, asked_at = inputs_hash(run), self._now()
        lacks = Reason.SOURCE_MISSING
        try:
            code = await self._source(run)
            lacks = Reason.DATA_MISSING
            await self._require_data(run)
        except LookupError as missing:
            return Vetted(wanted, self._now(), missing=Fault(lacks, str(missing)))
        except RefusedError as error:
            denied = f"the operator may not read what the run names: {error.message}"
            return Vetted(wanted, self._now(), missing=Fault(Reason.POLICY_DENIED, denied))
        with self._observer.vetting():
            reading, gate = await self._vetter.vet(code, run.namespace)
        return Vetted(wanted, asked_at, code=code, reading=reading, gate=gate)

    async def _require_data(self, run: StrategyRun) -> None:
        """Raise LookupError where the API server can tell that the dataset is not there: a pod would wait in vain."""
        if reference := run.spec.datasets[0].config_map_ref:
            await self._config_map(run.namespace, reference.name, metadata_only=True)

    async def _config_map(self, namespace: str, name: str, *, metadata_only: bool = False) -> dict[str, Any]:
        async with self._turns.place(namespace):
            if not self._is_absent(namespace, name):
                body = await self._kube.get(CONFIG_MAPS, namespace, name, metadata_only=metadata_only)
                if body is not None:
                    return body
                self._absent = {each: at for each, at in self._absent.items() if self._is_absent(*each)}
                self._absent[namespace, name] = self._now()
        raise LookupError(f"there is no ConfigMap {name} in namespace {namespace}")

    def _is_absent(self, namespace: str, name: str) -> bool:
        """Whether that was answered just now."""
        at = self._absent.get((namespace, name))
        return at is not None and timedelta(0) <= self._now() - at < _ABSENT_FOR

    async def _source(self, run: StrategyRun) -> bytes:
        """Return the source; raises LookupError saying what is missing."""
        inline, reference = run.spec.source.inline, run.spec.source.config_map_ref
        if reference is None:
            return (inline or "").encode()
        body = await self._config_map(run.namespace, reference.name)
        text, binary = body.get("data") or {}, body.get("binaryData") or {}
        if reference.key in text:
            return str(text[reference.key]).encode()
        if reference.key in binary:
            return base64.b64decode(binary[reference.key])
        found = ", ".join(sorted([*text, *binary])) or "none"
        raise LookupError(f"ConfigMap {reference.name} has no key {reference.key} (it has: {found})")
