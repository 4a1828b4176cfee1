"""The commands of README and how-to pages are run as they stand there, against a simulated cloud.

A fenced block `sh` or `python run` is run; `sh once: REASON` is not, and says why; `toml` is read as a configuration.
The tutorial's commands have tests of their own.
"""

import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from novakit import config
from tests.support.service import Service

ROOT = Path(__file__).parents[3]
BLOCK = re.compile(r"^```(\w+) *([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs" / "how-to").glob("*.md")))
OURS = ("README.md", "serve-real-guests.md", "run-roles-apart.md", "use-clients.md")
CONFIGS = (ROOT / "docs/reference/config.md", ROOT / "docs/how-to/serve-real-guests.md")
WITHIN = 300.0


def blocks(page: Path) -> list[tuple[str, str, str]]:
    """Give language, mark and text of each fenced block."""
    return BLOCK.findall(page.read_text())


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A directory with a running cloud in `state`, such as a reader has; everybody may pass through it."""
    with tempfile.TemporaryDirectory(prefix="novakit-docs-") as directory:
        place = Path(directory)
        place.chmod(0o755)
        (place / ".venv").symlink_to(sys.prefix)
        with Service(place / "state"):
            yield place


@pytest.mark.parametrize("name", OURS)
def test_the_commands_of_a_page_work(name: str, place: Path) -> None:
    [page] = [page for page in PAGES if page.name == name]
    script = ["set -e", f"export PATH={place}/.venv/bin:$PATH", "unset OS_CLOUD"]
    for language, mark, text in blocks(page):
        if language == "sh" and not mark:
            script.append(text)
        elif (language, mark) == ("python", "run"):
            script.append(f"python - <<'END'\n{text}END")
    environment = {key: value for key, value in os.environ.items() if not key.startswith("OS_")}
    done = subprocess.run(
        ["bash", "-c", "\n".join(script)],
        cwd=place,
        env=environment,
        text=True,
        capture_output=True,
        timeout=WITHIN,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def test_the_filter_of_the_how_to_is_switched_on_and_refuses_a_server(tmp_path: Path) -> None:
    [page] = [page for page in PAGES if page.name == "write-a-filter.md"]
    found = blocks(page)
    [module] = [text for _, _, text in found if text.startswith("# novakit_acme_filters.py")]
    [options] = [text for _, _, text in found if "[scheduler]" in text]
    [project] = [tomllib.loads(text) for _, _, text in found if "[project]" in text]
    (tmp_path / ".venv").symlink_to(sys.prefix)
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "novakit.toml").write_text(options)
    (tmp_path / "plugin").mkdir()
    (tmp_path / "plugin" / "novakit_acme_filters.py").write_text(module)
    info = tmp_path / "plugin" / "novakit_acme_filters-1.0.dist-info"
    info.mkdir()
    [(group, points)] = project["project"]["entry-points"].items()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['project']['name']}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{group}]\n" + "\n".join(f"{k} = {v}" for k, v in points.items()))
    installed = {"PYTHONPATH": os.pathsep.join([str(tmp_path / "plugin"), os.environ.get("PYTHONPATH", "")])}
    with Service(tmp_path / "state", "--simulate", "5", environment=installed):
        script = ["set -e", f"export PATH={tmp_path}/.venv/bin:$PATH", "unset OS_CLOUD"]
        script += [text for language, mark, text in found if (language, mark) == ("sh", "")]
        done = subprocess.run(
            ["bash", "-c", "\n".join(script)],
            cwd=tmp_path,
            env={key: value for key, value in os.environ.items() if not key.startswith("OS_")} | installed,
            text=True,
            capture_output=True,
            timeout=WITHIN,
            check=False,
        )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert "placed on" in done.stdout
    assert "4 have no memory in reserve" in done.stdout and "no host was found" in done.stdout
    assert "it would fit with 1024 MiB more memory free" in done.stdout


@pytest.mark.parametrize("name", (*OURS, "write-a-filter.md"))
def test_a_command_that_is_not_run_says_why(name: str) -> None:
    [page] = [page for page in PAGES if page.name == name]
    for language, mark, text in blocks(page):
        if language == "sh":
            assert not mark or re.fullmatch(r"once: \S.+", mark), text


@pytest.mark.parametrize("page", CONFIGS, ids=lambda page: page.name)
def test_the_configuration_of_a_page_is_accepted(page: Path, tmp_path: Path) -> None:
    found = [text for language, _, text in blocks(page) if language == "toml"]
    assert found
    for text in found:
        (tmp_path / "novakit.toml").write_text(text)
        assert config.read(tmp_path / "novakit.toml")


def test_the_reference_knows_every_key_of_the_configuration() -> None:
    page = (ROOT / "docs/reference/config.md").read_text()
    for section in config.SECTIONS.values():
        for name in section.__annotations__:
            assert f"| `{name}` |" in page, f"tell of {name} in docs/reference/config.md"


@pytest.mark.parametrize(
    "page", (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))), ids=lambda page: page.name
)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_every_page_is_on_the_map() -> None:
    docs = ROOT / "docs"
    mapped = re.findall(r"\]\(([^)]+)\)", (docs / "index.md").read_text())
    for page in docs.rglob("*.md"):
        path = page.relative_to(docs).as_posix()
        if path != "index.md" and not path.startswith(("changes/", "reference/hooks/")):
            assert path in mapped, f"name {path} in docs/index.md"
