"""All that a rendering is made of."""

from typing import Any, NamedTuple

from strategyrun.reporting.curve import Curve, curve_of
from strategyrun.reporting.document import Document, InvalidDocumentError
from strategyrun.reporting.run import InvalidRunError, Run


class CannotRenderError(Exception):
    """The run cannot be rendered as asked; the message is one line that says what to do."""


class Material(NamedTuple):
    """A run, its full report, or why there is none, and the equity curve of whichever has it."""

    run: Run
    document: Document | None
    absent: str
    curve: Curve | None

    @classmethod
    def read(cls, body: dict[str, Any], report: bytes | None, absent: str = "") -> "Material":
        """Read the API server's object and the unpacked report.json.

        A report that cannot be read is as good as absent. Raises CannotRenderError where the object is no run.
        """
        try:
            run = Run.parse(body)
        except InvalidRunError as error:
            raise CannotRenderError(str(error)) from error
        document = None
        if report is not None:
            try:
                document = Document.parse(report)
            except InvalidDocumentError as error:
                absent = str(error)
        return cls(run, document, absent, curve_of(document, run.status.equity))
