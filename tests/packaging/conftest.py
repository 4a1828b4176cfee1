"""Wheels of every distribution, and empty environments to put them into."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import attrs
import pytest

from tests.support.distributions import EVERY, ROOT, project


@attrs.frozen
class Environment:
    """A Python environment of its own, into which only our wheels and what they need are put."""

    path: Path
    wheels: Path

    @property
    def python(self) -> str:
        return str(self.path / "bin" / "python")

    def install(self, *requirements: str, dry: bool = False, options: Sequence[str] = ()) -> str:
        """Install by name, our own from the folder of wheels; give what the installer said."""
        options = ["--find-links", str(self.wheels), *options, *(["--dry-run"] if dry else []), *requirements]
        if uv := _uv():
            command = [uv, "pip", "install", "--python", self.python, *options]
        else:
            command = [self.python, "-m", "pip", "install", *options]
        return _run(command)

    def run(self, *arguments: str) -> str:
        """Run this environment's Python somewhere outside the repository; give what it printed."""
        return _run([self.python, *arguments], cwd=self.path)

    def test(self, *names: str) -> str:
        """Run tests of the repository, named below `tests`, against what is installed here and nothing else of ours."""
        copy = self.path / "repository"
        for name in ("__init__.py", "conftest.py", "support", "data", *names):
            source, target = ROOT / "tests" / name, copy / "tests" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(source, target) if source.is_dir() else shutil.copy2(source, target)
        options = ["--import-mode=importlib", "-q", "-x", "-p", "no:cacheprovider", "--strict-markers"]
        marks = ["-o", "markers=host\nslow", "-m", "not slow and not host"]
        command = [self.python, "-m", "pytest", *options, *marks, "--rootdir", str(copy), str(copy / "tests")]
        return _run(command, cwd=copy, path=[copy])


def _uv() -> str | None:
    """Find uv on the path, or where scripts/setup.sh puts it."""
    return shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))


def _run(command: list[str], cwd: Path | None = None, path: Sequence[Path] = ()) -> str:
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    clean["UV_SYSTEM_CERTS"] = "1"
    if path:
        clean["PYTHONPATH"] = os.pathsep.join(map(str, path))
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


@pytest.fixture(scope="session")
def lowest(tmp_path_factory: pytest.TempPathFactory, wheels: Path) -> Environment:
    """An environment with everything of ours and the lowest declared version of all it needs."""
    if not _uv():
        pytest.skip("only uv installs the lowest versions")
    made = _environment(tmp_path_factory.mktemp("lowest") / "env", wheels)
    direct = [line for path in EVERY for line in _direct(path)]
    everything = "novakit[host,postgresql,tracing]==0.1.0"
    made.install(everything, "pytest-timeout", *direct, options=["--resolution", "lowest-direct"])
    return made


def _direct(path: Path) -> list[str]:
    """List what a distribution declares of other people's, its extras and what its tests need included."""
    told = project(path)
    lines = [
        *told["dependencies"],
        *(each for extra in told.get("optional-dependencies", {}).values() for each in extra),
    ]
    return [line for line in lines if not line.startswith("novakit")]


def _environment(path: Path, wheels: Path) -> Environment:
    if uv := _uv():
        _run([uv, "venv", "-q", "--python", sys.executable, str(path)])
    else:
        _run([sys.executable, "-m", "venv", str(path)])
    return Environment(path, wheels)
