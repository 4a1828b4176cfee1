"""The tests that a page shows are run as a reader would run them."""

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path


def run(files: Mapping[str, str], folder: Path) -> None:
    """Write files into an empty folder, and run the tests among them there."""
    for name, text in files.items():
        (folder / name).write_text(text)
    where = ["--rootdir", str(folder), str(folder)]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *where]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0 and re.search(r"\d+ passed", done.stdout), done.stdout + done.stderr
