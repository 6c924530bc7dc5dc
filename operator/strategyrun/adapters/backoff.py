"""How long is waited after so many failures in a row, and from when on somebody should hear of them."""

BACKOFF_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


def pause_after(failures: int) -> float:
    """Return the seconds to wait."""
    return BACKOFF_SECONDS[min(failures, len(BACKOFF_SECONDS)) - 1]


def is_trouble(failures: int) -> bool:
    """Whether the waits do not get longer any more."""
    return failures > len(BACKOFF_SECONDS)
