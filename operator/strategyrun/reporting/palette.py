"""The colours of pictures and pages, by what they stand for. A page swaps one palette for the other."""

LIGHT = {
    "paper": "#ffffff",
    "ink": "#1d2730",
    "muted": "#66727f",
    "grid": "#e3e7eb",
    "line": "#1f5fa9",
    "bench": "#98a3af",
    "gain": "#2e7d5a",
    "loss": "#c0443a",
    "short": "#c47a1c",
    "unsure": "#8a6a10",
}
DARK = {
    "paper": "#13171c",
    "ink": "#e5e9ee",
    "muted": "#97a3b1",
    "grid": "#2a323b",
    "line": "#6fa9e8",
    "bench": "#76828f",
    "gain": "#56b389",
    "loss": "#e6776c",
    "short": "#e0a34c",
    "unsure": "#d9b44a",
}
