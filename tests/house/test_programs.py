"""Programs that open a stranger's files are run in one place, with limits and with each file's format."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONFINED = {"qemu-img", "genisoimage", "mke2fs", "mkfs", "mkfs.ext4", "mkswap", "mkisofs", "xorriso", "qemu-nbd"}
HOME = ROOT / "libraries/host/novakit_host/disks.py"
BUILDER = ROOT / "libraries/micro-image"
"""It builds an image from Debian's own packages, on behalf of an operator."""
SOURCES = [
    path
    for part in ("novakit", "plugins", "libraries", "hookspecs")
    for path in sorted((ROOT / part).rglob("*.py"))
    if "testing" not in path.parts
]


def vectors(path: Path) -> list[list[str]]:
    """Give the argument vectors that a module spells, their constant words alone."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        words = node.elts if isinstance(node, ast.List | ast.Tuple) else node.args if isinstance(node, ast.Call) else []
        constant = [word.value for word in words if isinstance(word, ast.Constant) and isinstance(word.value, str)]
        first = words[0] if words else None
        if isinstance(first, ast.Constant) and first.value in CONFINED:
            found.append(constant)
    return found


def test_programs_that_open_a_strangers_files_are_run_in_one_place() -> None:
    elsewhere = [path for path in SOURCES if path != HOME and BUILDER not in path.parents and vectors(path)]
    assert not elsewhere, "run it by novakit_host.disks"
    assert {words[0] for words in vectors(HOME)} == {"qemu-img", "genisoimage", "mke2fs", "mkswap"}
    runs = {ast.unparse(node.func) for node in ast.walk(ast.parse(HOME.read_text())) if isinstance(node, ast.Call)}
    assert "tool" in runs and not {"run", "commands.run", "subprocess.run"} & runs


@pytest.mark.parametrize(
    "path", [path for path in SOURCES if "qemu-img" in path.read_text()], ids=lambda path: path.stem
)
def test_every_call_of_qemu_img_names_a_format(path: Path) -> None:
    for words in vectors(path):
        if words[0] == "qemu-img" and len(words) > 1 and words[1] in ("create", "convert", "info", "resize", "rebase"):
            assert "-f" in words, words
            assert "-O" in words or words[1] != "convert", words
