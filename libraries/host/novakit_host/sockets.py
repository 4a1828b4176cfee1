"""Whether somebody listens on a socket of this machine."""

import socket
from pathlib import Path

ANSWERS_WITHIN = 1.0
"""Seconds: connecting takes microseconds where somebody listens, but for ever where the listener's queue is full."""


def answers(path: Path) -> bool:
    """Return whether somebody listens on a Unix socket; a file that a killed daemon left behind does not count."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(ANSWERS_WITHIN)
        try:
            client.connect(str(path))
        except OSError:
            return False
    return True
