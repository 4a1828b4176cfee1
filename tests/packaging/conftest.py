"""Wheels of every distribution, and empty environments to put them into."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import attrs
import pytest
from packaging.requirements import Requirement

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
            # uv keeps what it unpacked by the path of the wheel, and folders of tests have the same names again.
            ours = [f"--refresh-package={project(path)['name']}" for path in EVERY]
            command = [uv, "pip", "install", "--python", self.python, *ours, *options]
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
        shutil.copytree(ROOT / "docs", copy / "docs")
        (copy / "only_installed.py").write_text(ONLY_INSTALLED)
        options = ["--import-mode=importlib", "-q", "-p", "no:cacheprovider", "--strict-markers"]
        marks = ["-o", "markers=host\nslow", "-m", "not slow and not host", "-p", "only_installed"]
        command = [self.python, "-m", "pytest", *options, *marks, "--rootdir", str(copy), str(copy / "tests")]
        return _run(command, cwd=copy, path=[copy], within=1000)


ONLY_INSTALLED = '''"""Fails the run when a module of ours did not come from an installed wheel."""

import sys


def pytest_sessionfinish(session):
    modules = {name: getattr(module, "__file__", None) for name, module in sys.modules.items()}
    ours = {name: path for name, path in modules.items() if name.partition("_")[0].partition(".")[0] == "novakit"}
    strange = {name: path for name, path in ours.items() if path and not path.startswith(sys.prefix + "/lib")}
    assert ours, "no module of ours was tested"
    assert not strange, f"not from a wheel: {strange}"
'''


def _uv() -> str | None:
    """Find uv on the path, or where scripts/setup.sh puts it."""
    return shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))


def _run(command: list[str], cwd: Path | None = None, path: Sequence[Path] = (), within: float = 500) -> str:
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    clean |= {"UV_SYSTEM_CERTS": "1", "NOVAKIT_TEST_EXAMPLES": "10"}
    if path:
        clean["PYTHONPATH"] = os.pathsep.join(map(str, path))
    done = subprocess.run(command, cwd=cwd, env=clean, capture_output=True, text=True, timeout=within, check=False)
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


@pytest.fixture
def lowest(environment: Environment) -> Callable[[Path], Environment]:
    """Install one distribution alone, with what its tests need and the lowest version of all that it declares."""

    def install(path: Path) -> Environment:
        if not _uv():
            pytest.skip("only uv installs the lowest versions")
        told = project(path)
        extras = ",".join(name for name in told.get("optional-dependencies", {}) if name != "host")
        direct = [line for one in needed(path) for line in _direct(one)]
        options = ["--resolution", "lowest-direct"]
        environment.install(f"{told['name']}[{extras}]=={told['version']}", *direct, options=options)
        return environment

    return install


def needed(path: Path) -> list[Path]:
    """List a distribution and those of ours that it, and they, cannot do without."""
    direct = {Requirement(line).name for line in project(path)["dependencies"]}
    found = [path]
    for one in EVERY:
        if project(one)["name"] in direct:
            found += [more for more in needed(one) if more not in found]
    return found


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
