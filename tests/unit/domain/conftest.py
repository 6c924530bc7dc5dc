"""How the domain's properties are searched."""

from hypothesis import settings

# No deadline, because machines are slow at times; the same examples everywhere, because a check must not be luck.
settings.register_profile("domain", deadline=None, derandomize=True)
settings.load_profile("domain")
