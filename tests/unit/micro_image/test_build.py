"""The parts of the image builder that decide something."""

import json
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path

import pytest

from novakit_micro_image import NEEDS, CannotBuild, build, commands, missing
from novakit_micro_image.build import recipe_of

GUEST = Path(str(files("novakit_micro_image"))) / "guest"


SCRIPTS = sorted(path for path in GUEST.rglob("*") if path.is_file() and path.read_bytes().startswith(b"#!"))


def test_the_recipe_changes_with_the_packages() -> None:
    assert recipe_of(["a_1.deb"]) == recipe_of(["a_1.deb"]) != recipe_of(["a_2.deb"])


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_the_guest_scripts_are_valid_shell(script: Path) -> None:
    subprocess.run(["sh", "-n", str(script)], check=True)


@pytest.mark.parametrize(
    ("document", "lines"),
    [
        ({"hostname": "web.x", "uuid": "u"}, ["hostname\tweb.x", "uuid\tu"]),
        ({"public_keys": {"my key": "ssh-rsa AAAA me\n"}}, ["public_keys.my key\tssh-rsa AAAA me "]),
        ({"a": [1, [True, None], {}], "b": {}, "c": -1.5e3}, ["a.0\t1", "a.1.0\ttrue", "a.1.1\tnull", "c\t-1500.0"]),
        ({"name": 'say "hi" \\ \u00e9 {},[]'}, ['name\tsay "hi" \\ ? {},[]']),
    ],
)
@pytest.mark.skipif(not shutil.which("busybox"), reason="busybox is not installed")
def test_the_guest_reads_json(document: object, lines: list[str]) -> None:
    awk = ["busybox", "awk", "-f", str(GUEST / "root/etc/json.awk")]
    for text in (json.dumps(document), json.dumps(document, indent=2)):
        done = subprocess.run(awk, input=text, text=True, capture_output=True, check=True, timeout=10)
        assert done.stdout.splitlines() == lines


@pytest.mark.parametrize("text", ["", "{", '{"a', '{"a":', "[1,", "}}}", "<html>", '{"a" "b"}', "{{{{"])
@pytest.mark.skipif(not shutil.which("busybox"), reason="busybox is not installed")
def test_the_guest_gets_over_what_is_no_json(text: str) -> None:
    awk = ["busybox", "awk", "-f", str(GUEST / "root/etc/json.awk")]
    subprocess.run(awk, input=text, text=True, capture_output=True, check=True, timeout=10)


def test_a_command_that_fails_says_what_it_said() -> None:
    with pytest.raises(CannotBuild, match=r"ended with 3: no room"):
        commands.run("sh", "-c", "echo no room >&2; exit 3")


def test_what_is_missing_is_a_list_of_packages() -> None:
    assert set(missing()) <= set(NEEDS.values())


@pytest.mark.skipif(bool(missing()), reason=f"the build needs {missing()}")
@pytest.mark.slow
@pytest.mark.host
async def test_one_command_builds_the_image_and_the_second_finds_it_current(tmp_path: Path) -> None:
    said: list[str] = []
    out = await build(tmp_path / "out/micro.qcow2", tmp_path / "cache", said.append)
    assert out.read_bytes()[:4] == b"QFI\xfb"
    record = json.loads((tmp_path / "out/micro.qcow2.json").read_text())
    assert record["size"] == out.stat().st_size
    assert sorted(path.name for path in out.parent.iterdir()) == ["micro.qcow2", "micro.qcow2.json"]
    written = out.stat().st_mtime_ns
    await build(out, tmp_path / "cache", said.append)
    assert out.stat().st_mtime_ns == written
    assert "is current" in said[-1]
