"""Wheels of every distribution, and empty environments to put them into."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import attrs
import pytest

ROOT = Path(__file__).parents[2]


@attrs.frozen
class Environment:
    """A Python environment of its own, into which only our wheels and what they need are put."""

    path: Path
    wheels: Path

    @property
    def python(self) -> str:
        return str(self.path / "bin" / "python")

    def install(self, *requirements: str, dry: bool = False) -> str:
        """Install by name, our own from the folder of wheels; give what the installer said."""
        options = ["--find-links", str(self.wheels), *(["--dry-run"] if dry else []), *requirements]
        if uv := shutil.which("uv"):
            command = [uv, "pip", "install", "--python", self.python, *options]
        else:
            command = [self.python, "-m", "pip", "install", *options]
        return _run(command)

    def run(self, *arguments: str) -> str:
        """Run this environment's Python somewhere outside the repository; give what it printed."""
        return _run([self.python, *arguments], cwd=self.path)


def _run(command: list[str], cwd: Path | None = None) -> str:
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(command, cwd=cwd, env=clean, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every distribution, built from this tree."""
    folder = tmp_path_factory.mktemp("wheels")
    command = ["sh", str(ROOT / "scripts" / "wheels.sh"), str(folder)]
    done = subprocess.run(
        command, env={**os.environ, "PYTHON": sys.executable}, capture_output=True, text=True, timeout=500, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def environment(tmp_path: Path, wheels: Path) -> Environment:
    """An empty environment."""
    return _environment(tmp_path / "env", wheels)


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory, wheels: Path) -> Environment:
    """An environment with `pip install novakit` and nothing else."""
    made = _environment(tmp_path_factory.mktemp("whole") / "env", wheels)
    made.install("novakit==0.1.0")
    return made


def _environment(path: Path, wheels: Path) -> Environment:
    if uv := shutil.which("uv"):
        _run([uv, "venv", "-q", "--python", sys.executable, str(path)])
    else:
        _run([sys.executable, "-m", "venv", str(path)])
    return Environment(path, wheels)
