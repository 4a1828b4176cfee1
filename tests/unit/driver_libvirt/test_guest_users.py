"""Each guest's QEMU has a user of its own, where libvirt's configuration leaves room for it."""

import os
from pathlib import Path

import attrs
import pytest
from lxml import etree

from novakit_driver_libvirt.domain_xml import Surroundings, render
from novakit_driver_libvirt.guest_users import ROOT, Label, choose, of_domain, of_libvirt, parse
from novakit_driver_libvirt.options import LibvirtOptions
from novakit_hookspecs.servers import GuestPlan
from novakit_host import guest_users

GUEST = "11111111-2222-3333-4444-555555555555"
PLAN = GuestPlan(id=GUEST, name="web", hostname="web", vcpus=1, memory_mb=512, root_gb=1)
AROUND = Surroundings(kind="qemu", machine="q35", directory="/i", console="/i/c", nvram="/i/n")
BASE = Label(64055, 109)
CAPABILITIES = """\
<capabilities><host>
  <secmodel><model>apparmor</model><doi>0</doi></secmodel>
  <secmodel><model>dac</model><doi>0</doi><baselabel type='kvm'>+64055:+109</baselabel></secmodel>
</host></capabilities>"""


def test_whom_libvirt_runs_guests_as_is_read_from_its_capabilities() -> None:
    assert of_libvirt(CAPABILITIES) == BASE
    assert of_libvirt("<capabilities><host/></capabilities>") == ROOT


@pytest.mark.parametrize("text", ["", "root:root", "+5", ":", "+1:+x"])
def test_what_is_no_label_of_numbers_is_none(text: str) -> None:
    assert parse(text) is None


def test_a_domain_tells_the_user_it_was_given() -> None:
    label = Label(2000, BASE.group)
    xml = render(PLAN, (), attrs.evolve(AROUND, label=str(label)))
    assert of_domain(xml) == label
    assert [each.get("relabel") for each in etree.fromstring(xml).iterfind("seclabel")] == ["yes"]
    assert of_domain(render(PLAN, (), AROUND)) is None
    assert "seclabel" not in render(PLAN, (), AROUND)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize(
    ("base", "acceleration", "mode", "group", "home", "of_all"),
    [
        (ROOT, "tcg", 0o666, 0, 0o751, None),
        (BASE, "tcg", 0o600, 0, 0o750, BASE.group),
        (BASE, "kvm", 0o666, 0, 0o750, BASE.group),
        (BASE, "kvm", 0o660, BASE.group, 0o750, BASE.group),
        (BASE, "kvm", 0o660, 36, 0o750, None),
        (BASE, "kvm", 0o660, 36, 0o751, 36),
        (BASE, "kvm", 0o600, BASE.group, 0o751, None),
        (BASE, "tcg", 0o600, 0, 0o701, None),
    ],
)
@pytest.mark.parametrize("closed", ["", "channel", "channel/target"])
def test_guests_share_libvirts_user_where_no_other_gets_to_what_they_need(
    tmp_path: Path, base: Label, acceleration: str, mode: int, group: int, home: int, of_all: int | None, closed: str
) -> None:
    device, libvirts = tmp_path / "kvm", tmp_path / "qemu"
    device.touch()
    device.chmod(mode)
    os.chown(device, 0, group)
    (libvirts / "channel/target").mkdir(parents=True)
    for each in ("", "channel", "channel/target"):
        os.chown(libvirts / each, BASE.user, BASE.group)
        (libvirts / each).chmod(home if each == closed else 0o751)
    choice = choose(base, acceleration, guest_users.FIRST, libvirts, device)
    assert choice.group == of_all
    assert bool(choice.why) is bool(choice.remedy) is (of_all is None)
    assert choose(base, acceleration, 0, libvirts, device).group is None


def test_users_that_no_guest_can_have_are_refused() -> None:
    assert LibvirtOptions(first_user=0).first_user == 0
    for first in (-1, (1 << 31) - 65536):
        with pytest.raises(ValueError, match="first_user"):
            LibvirtOptions(first_user=first)
