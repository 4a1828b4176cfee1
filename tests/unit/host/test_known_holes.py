"""Holes of the host's programs: by version and branch, unless the distribution has mended them."""

import gzip
from pathlib import Path

import pytest

from novakit_hookspecs.findings import Verdict
from novakit_host import known_holes
from novakit_host.known_holes import LIBVIRT, OPEN_VSWITCH, QEMU, Hole, examine, judge, mended_by_distribution, parse


@pytest.mark.parametrize(
    ("version", "has"),
    [
        ("7.2.12", True),
        ("7.2.13", False),
        ("7.2.22", False),
        ("8.0.5", True),
        ("8.2.5", True),
        ("8.2.6", False),
        ("9.0.1", True),
        ("9.0.2", False),
        ("9.1.0", False),
        ("10.0.0", False),
        ("7.0.0", False),
    ],
)
def test_a_branch_is_mended_from_its_own_version_on(version: str, has: bool) -> None:
    hole = Hole("CVE-1-1", "x", ("7.2.13", "8.2.6", "9.0.2", "9.1.0"), since="7.1.0")
    assert hole.is_in(parse(version)) is has


def test_what_is_open_is_named_with_what_to_do() -> None:
    told = judge(QEMU, parse("QEMU emulator version 7.2.12 (Debian 1:7.2+dfsg-7)"), [])
    assert told.verdict is Verdict.WARN
    assert told.found == "7.2.12 has CVE-2024-4467: an image may read and write files of the host"
    assert "--only-upgrade qemu-system-x86 qemu-utils" in told.remedy
    assert "start the guests" in told.remedy


def test_what_the_distribution_mended_is_not_open(tmp_path: Path) -> None:
    (tmp_path / "libvirt-daemon").mkdir()
    with gzip.open(tmp_path / "libvirt-daemon/changelog.Debian.gz", "wt") as file:
        file.write("  * CVE-2023-3750: mended\n  * Mends CVE-2024-1441 and CVE-2024-2494.\n")
    mended = mended_by_distribution("libvirt-daemon", tmp_path)
    assert judge(LIBVIRT, (9, 0, 0), mended).verdict is Verdict.OK
    assert judge(LIBVIRT, (9, 0, 0), []).verdict is Verdict.WARN
    assert mended_by_distribution("nonesuch", tmp_path) == frozenset()


def test_a_program_that_says_no_version_is_not_called_good() -> None:
    assert judge(OPEN_VSWITCH, parse("what?"), []).verdict is Verdict.WARN


@pytest.mark.parametrize("program", [QEMU, LIBVIRT, OPEN_VSWITCH], ids=lambda program: program.name)
async def test_the_programs_of_this_machine_are_judged(program: known_holes.Program, tmp_path: Path) -> None:
    for told in await examine(program):
        assert told.found[0].isdecimal(), told
        assert bool(told.remedy) is (told.verdict is not Verdict.OK)


@pytest.mark.parametrize("program", [QEMU, LIBVIRT, OPEN_VSWITCH], ids=lambda program: program.name)
def test_the_table_is_in_order(program: known_holes.Program) -> None:
    for hole in program.holes:
        assert list(map(parse, hole.mended)) == sorted(map(parse, hole.mended))
        assert hole.is_in(parse(hole.mended[0])) is False
