"""Holes of the host's programs: by version and branch, unless the distribution has mended them."""

import gzip
import shutil
from pathlib import Path

import attrs
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
    assert told.found == "7.2.12 has CVE-2024-4467: an image can make QEMU read and write files of the host"
    assert "--only-upgrade qemu-system-x86 qemu-utils" in told.remedy
    assert "start the guests" in told.remedy


def test_what_the_distribution_mended_is_not_open(tmp_path: Path) -> None:
    (tmp_path / "libvirt-daemon").mkdir()
    with gzip.open(tmp_path / "libvirt-daemon/changelog.Debian.gz", "wt") as file:
        file.write("  * CVE-2023-3750: mended\n  * Mends CVE-2024-1441, CVE-2024-2494 and CVE-2024-2496.\n")
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


BOUNDS = [
    (QEMU, "CVE-2023-3354", "7.2.4", "7.2.5"),
    (QEMU, "CVE-2023-3354", "8.0.3", "8.0.4"),
    (QEMU, "CVE-2024-3446", "7.2.10", "7.2.11"),
    (QEMU, "CVE-2024-3446", "8.2.2", "8.2.3"),
    (QEMU, "CVE-2024-3446", "8.2.2", "9.0.0"),
    (QEMU, "CVE-2024-26327", "8.2.2", "8.2.3"),
    (QEMU, "CVE-2024-26328", "8.2.2", "8.2.3"),
    (QEMU, "CVE-2024-26328", "7.1.0", "7.0.0"),
    (QEMU, "CVE-2024-4467", "7.2.12", "7.2.13"),
    (QEMU, "CVE-2024-4467", "8.2.5", "8.2.6"),
    (QEMU, "CVE-2024-4467", "9.0.1", "9.0.2"),
    (QEMU, "CVE-2024-4467", "8.1.5", "9.1.0"),
    (LIBVIRT, "CVE-2023-3750", "9.5.0", "9.6.0"),
    (LIBVIRT, "CVE-2023-3750", "8.3.0", "8.2.0"),
    (LIBVIRT, "CVE-2024-1441", "10.0.0", "10.1.0"),
    (LIBVIRT, "CVE-2024-1441", "1.0.0", "0.10.2"),
    (LIBVIRT, "CVE-2024-2494", "10.1.0", "10.2.0"),
    (LIBVIRT, "CVE-2024-2496", "9.7.0", "9.8.0"),
    (LIBVIRT, "CVE-2024-8235", "10.6.0", "10.7.0"),
    (LIBVIRT, "CVE-2024-8235", "10.4.0", "10.3.0"),
    (OPEN_VSWITCH, "CVE-2023-1668", "2.17.5", "2.17.6"),
    (OPEN_VSWITCH, "CVE-2023-1668", "3.1.0", "3.1.1"),
    (OPEN_VSWITCH, "CVE-2023-5366", "2.17.8", "2.17.9"),
    (OPEN_VSWITCH, "CVE-2023-5366", "3.0.5", "3.0.6"),
    (OPEN_VSWITCH, "CVE-2023-5366", "3.1.3", "3.1.4"),
    (OPEN_VSWITCH, "CVE-2023-5366", "3.2.1", "3.2.2"),
    (OPEN_VSWITCH, "CVE-2023-3966", "3.2.1", "3.3.0"),
]
"""Program, hole, a version that has it and the nearest one that has not, by the projects' tags and release notes."""


@pytest.mark.parametrize(("program", "cve", "has", "has_not"), BOUNDS)
def test_a_hole_is_told_below_its_bound_and_not_at_it(
    program: known_holes.Program, cve: str, has: str, has_not: str
) -> None:
    assert cve in judge(program, parse(has), []).found
    assert cve not in judge(program, parse(has_not), []).found


def test_every_hole_has_its_bound_tested() -> None:
    told = {(program.name, cve) for program, cve, _, _ in BOUNDS}
    assert told == {(program.name, hole.cve) for program in (QEMU, LIBVIRT, OPEN_VSWITCH) for hole in program.holes}


OF_DEVICES = ["CVE-2024-3446", "CVE-2024-26327", "CVE-2024-26328"]


@pytest.mark.skipif(shutil.which("dpkg") is None, reason="compares versions as dpkg does")
@pytest.mark.parametrize(
    ("program", "says", "installed", "open_ones"),
    [
        (QEMU, "7.2.2", "1:7.2+dfsg-7", ["CVE-2023-3354", *OF_DEVICES, "CVE-2024-4467"]),
        (QEMU, "7.2.5", "1:7.2+dfsg-7+deb12u2", [*OF_DEVICES, "CVE-2024-4467"]),
        (QEMU, "7.2.2", "1:7.2+dfsg-7+deb12u2", [*OF_DEVICES, "CVE-2024-4467"]),
        (QEMU, "7.2.2", "1:7.2+dfsg-7+deb12u6", ["CVE-2024-4467"]),
        (QEMU, "7.2.2", "1:7.2+dfsg-7+deb12u7", []),
        (QEMU, "7.2.2", "1:7.2+dfsg-7+deb12u18+b3", []),
        (QEMU, "8.0.1", "1:8.0.1+dfsg-1", ["CVE-2023-3354", *OF_DEVICES, "CVE-2024-4467"]),
        (QEMU, "8.2.1", "", [*OF_DEVICES, "CVE-2024-4467"]),
        (LIBVIRT, "9.0.0", "9.0.0-4", ["CVE-2023-3750", "CVE-2024-1441", "CVE-2024-2494", "CVE-2024-2496"]),
        (LIBVIRT, "9.0.0", "9.0.0-4+deb12u1", []),
        (LIBVIRT, "9.0.0", "9.0.0-4+deb12u2", []),
        (LIBVIRT, "9.6.0", "9.6.0-1", ["CVE-2024-1441", "CVE-2024-2494", "CVE-2024-2496"]),
        (OPEN_VSWITCH, "3.1.0", "3.1.0-1", ["CVE-2023-1668", "CVE-2023-5366", "CVE-2023-3966"]),
        (OPEN_VSWITCH, "3.1.0", "3.1.0-2", ["CVE-2023-5366", "CVE-2023-3966"]),
        (OPEN_VSWITCH, "3.1.0", "3.1.0-2+deb12u1", []),
        (OPEN_VSWITCH, "3.1.2", "3.1.2-1", ["CVE-2023-5366", "CVE-2023-3966"]),
    ],
)
async def test_a_package_of_the_distribution_is_judged_by_its_own_version(
    program: known_holes.Program,
    says: str,
    installed: str,
    open_ones: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its changelog may be cut off or left out, as in slim images."""

    async def version(_: str) -> str:
        return installed

    monkeypatch.setattr(known_holes, "package_version", version)
    program = attrs.evolve(program, asked=("echo", f"version {says}"))
    [told] = await examine(program, tmp_path)
    assert [hole.cve for hole in program.holes if hole.cve in told.found] == open_ones
    assert bool(open_ones) is (told.verdict is Verdict.WARN), told


async def test_the_version_of_an_installed_package_is_asked_of_dpkg() -> None:
    assert await known_holes.package_version("nonesuch-package") == ""
    if shutil.which("dpkg") is not None:
        assert "." in await known_holes.package_version("dpkg")
