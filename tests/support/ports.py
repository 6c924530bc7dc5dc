"""Ports of the loopback interface."""

from socket import socket


def free_port() -> int:
    """Return a TCP port that nobody listens on now."""
    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
