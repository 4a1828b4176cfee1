"""What `novakit doctor` is told of a host's switch, with stand-ins for what is there."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from novakit_hookspecs.findings import Finding, Verdict
from novakit_net_ovs import daemons, examination
from novakit_net_ovs.options import OvsOptions

Look = Callable[..., dict[str, Finding]]
OK, WARN, MISSING = Verdict.OK, Verdict.WARN, Verdict.MISSING


@pytest.fixture
def look(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Look:
    """Look at a host that has what it is said to have."""

    def look(
        *,
        root: bool = True,
        module: bool = False,
        tun: bool = True,
        runs: bool = False,
        absent: str = "",
        **options: str,
    ) -> dict[str, Finding]:
        for name, there in (("module", module), ("tun", tun)):
            path = tmp_path / name
            path.touch() if there else path.unlink(missing_ok=True)
        monkeypatch.setattr(examination, "KERNEL_MODULE", tmp_path / "module")
        monkeypatch.setattr(examination, "TUN", tmp_path / "tun")
        monkeypatch.setattr(os, "geteuid", lambda: 0 if root else 1000)
        monkeypatch.setattr(daemons, "database_answers", lambda: runs)
        monkeypatch.setattr(daemons, "switch_runs", lambda: runs)
        monkeypatch.setattr(examination.shutil, "which", lambda program: None if program in absent.split() else program)
        programs = {"ovs-vsctl": examination.SWITCH, "nft": "nftables", "dnsmasq": "dnsmasq-base"}
        found = examination._examine(OvsOptions(**options), programs)  # type: ignore[arg-type]
        return {one.check: one for one in found}

    return look


def test_a_host_in_order_lacks_nothing(look: Look) -> None:
    found = look(module=True, runs=True)
    assert {one.verdict for one in found.values()} == {OK}
    assert list(found) == [
        "root for networks",
        "programs for networks",
        "Open vSwitch",
        "datapath",
        "taps",
        "conntrack (optional)",
    ]
    assert found["Open vSwitch"].found == "ovsdb-server and ovs-vswitchd run"
    assert found["programs for networks"].found == "ovs-vsctl, nft, dnsmasq"


def test_who_is_not_root_is_told_so(look: Look) -> None:
    found = look(root=False)
    assert found["root for networks"].verdict is MISSING and "user 1000" in found["root for networks"].found
    assert (found["Open vSwitch"].verdict, found["Open vSwitch"].found) == (MISSING, "cannot be reached")


def test_a_switch_that_does_not_run_is_started_by_root(look: Look) -> None:
    assert look()["Open vSwitch"].verdict is OK and "novakit serve starts it" in look()["Open vSwitch"].found


def test_programs_that_lack_are_told_with_their_packages(look: Look) -> None:
    found = look(absent="nft ovs-vsctl")
    assert found["programs for networks"].verdict is MISSING
    assert found["programs for networks"].remedy == "apt-get install nftables openvswitch-switch"
    assert (found["Open vSwitch"].verdict, found["Open vSwitch"].found) == (MISSING, "is not installed")
    assert look(absent="nft")["Open vSwitch"].verdict is OK


@pytest.mark.parametrize(
    ("option", "module", "verdict", "words"),
    [
        ("auto", True, OK, "in the kernel"),
        ("auto", False, WARN, "in userspace: the kernel has no module"),
        ("system", True, OK, "in the kernel"),
        ("system", False, MISSING, "the option datapath demands it"),
        ("netdev", True, OK, "in userspace: as the option datapath says"),
        ("netdev", False, OK, "in userspace"),
    ],
)
def test_the_datapath_is_what_option_and_kernel_make_of_it(
    look: Look, option: str, module: bool, verdict: Verdict, words: str
) -> None:
    found = look(module=module, datapath=option)["datapath"]
    assert found.verdict is verdict and words in found.found
    assert bool(found.remedy) == (verdict is not OK)


def test_taps_are_needed_and_conntrack_is_not(look: Look) -> None:
    found = look(tun=False, absent="conntrack")
    assert (found["taps"].verdict, found["taps"].remedy) == (MISSING, "modprobe tun")
    assert (found["conntrack (optional)"].verdict, found["conntrack (optional)"].remedy) == (
        WARN,
        "apt-get install conntrack",
    )
