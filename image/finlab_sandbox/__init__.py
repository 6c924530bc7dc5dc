"""What runs inside the sandbox image: `harness` runs a strategy, `evaluate` scores it. They share no code."""

__version__ = "0.1.0"
