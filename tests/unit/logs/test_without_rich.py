"""structlog does without rich in a service, and rich is there for who wants it."""

import subprocess
import sys

DRAWS = """
import sys
from novakit import logs
import structlog

assert "rich" not in sys.modules
from rich.console import Console

structlog.dev.plain_traceback(sys.stdout, (ValueError, ValueError("of it"), None))
Console().print("[bold]drawn[/bold]")
"""


def test_rich_is_there_for_who_wants_it() -> None:
    done = subprocess.run([sys.executable, "-c", DRAWS], env={}, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "ValueError: of it" in done.stdout
    assert done.stdout.endswith("drawn\n")
