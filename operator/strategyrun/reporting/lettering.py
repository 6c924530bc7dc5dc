"""Names in a picture: what no font here can draw is left out, so that no box stands for it."""

import contextlib
from collections.abc import Sequence

from matplotlib import font_manager

LATIN = "DejaVu Sans"
"""Comes with matplotlib."""

CJK = (
    "Noto Sans CJK TC",
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Noto Sans TC",
    "PingFang TC",
    "Heiti TC",
    "Microsoft JhengHei",
    "Microsoft YaHei",
    "SimHei",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "Droid Sans Fallback",
    "Arial Unicode MS",
)
"""Fonts with Chinese characters, as systems name them."""


def installed_fonts() -> list[str]:
    """Return the families to draw with, the first that has a character being used."""
    known = {font.name for font in font_manager.fontManager.ttflist}
    return [LATIN, *(name for name in CJK if name in known)]


class Lettering:
    """Texts for a picture drawn with `families`; everything is legible where a browser picks the fonts."""

    def __init__(self, families: Sequence[str], *, browser: bool = False) -> None:
        self.families = list(families)
        self._browser = browser
        self._fonts = []
        for family in families:
            with contextlib.suppress(ValueError):
                path = font_manager.findfont(font_manager.FontProperties(family=[family]), fallback_to_default=False)
                self._fonts.append(font_manager.get_font(path))

    def legible(self, text: str, instead: str = "") -> str:
        """Return the text without what cannot be drawn, or `instead` where nothing is left."""
        if self._browser or text.isascii():
            return text
        kept = "".join(c for c in text if c.isspace() or any(font.get_char_index(ord(c)) for font in self._fonts))
        return " ".join(kept.split()) or instead

    def label(self, text: str, limit: int, instead: str = "") -> str:
        """Return a name of at most `limit` characters."""
        text = self.legible(text, instead)
        return text if len(text) <= limit else text[: limit - 1] + "…"
