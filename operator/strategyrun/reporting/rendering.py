"""Which rendering makes which kind of file."""

from enum import StrEnum
from pathlib import PurePath
from types import ModuleType

from strategyrun.reporting.material import CannotRenderError, Material
from strategyrun.reporting.page import render_page
from strategyrun.reporting.text import render_text

__all__ = ["CannotRenderError", "Form", "Material", "render"]


class Form(StrEnum):
    """A kind of file, by its suffix."""

    TEXT = ".txt"
    PICTURE = ".png"
    PAGE = ".html"

    @classmethod
    def of(cls, path: PurePath) -> "Form":
        """Return what a file of that name is to hold. Raises CannotRenderError."""
        try:
            return cls(path.suffix.lower())
        except ValueError:
            raise CannotRenderError(f"{path}: the name must end in {', '.join(cls)}") from None


def render(material: Material, form: Form) -> bytes:
    """Render a finished run as the content of a file. Raises CannotRenderError."""
    run = material.run
    state = f"{run.status.phase} ({run.status.reason})"
    if not run.status.final:
        raise CannotRenderError(f"{run.name} is not finished: it is {state}")
    if form is Form.TEXT:
        return render_text(material).encode()
    if form is Form.PAGE:
        return render_page(material, _charts().render_svg(material, material.curve) if material.curve else None)
    if material.curve is None:
        raise CannotRenderError(f"{run.name} has no equity to draw: it is {state}; use .txt or .html")
    picture: bytes = _charts().render_png(material, material.curve)
    return picture


def _charts() -> ModuleType:
    """Load matplotlib only where there is something to draw."""
    try:
        from strategyrun.reporting import charts  # noqa: PLC0415 - an optional extra, and slow to load
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("matplotlib", "numpy", "PIL"):
            raise
        raise CannotRenderError(
            f"pictures need {error.name}: install the extra, pip install '.[report]' in a checkout"
        ) from error
    return charts
