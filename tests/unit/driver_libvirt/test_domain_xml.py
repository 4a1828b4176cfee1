"""Domain XML against golden files, and hostile text in every place a user can write."""

from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from novakit_driver_libvirt import host_devices
from novakit_driver_libvirt.domain_xml import DomainDisk, Surroundings, render
from novakit_driver_libvirt.firmware import Firmware
from novakit_driver_libvirt.naming import METADATA_NAMESPACE, directory_of, guest_of, name_of
from novakit_hookspecs.devices import MdevAttachment, PciAttachment
from novakit_hookspecs.errors import Refused
from novakit_hookspecs.numa import Taken
from novakit_hookspecs.servers import GuestPlan, LocalImage, Nic

GOLDEN = Path(__file__).parent / "golden"
SCHEMA = Path("/usr/share/libvirt/schemas/domain.rng")
GUEST = "11111111-2222-3333-4444-555555555555"
PORT = "66666666-7777-8888-9999-000000000000"
OVMF = Firmware(plain="/usr/share/OVMF/OVMF_CODE_4M.fd", secure="/usr/share/OVMF/OVMF_CODE_4M.ms.fd")
AROUND = Surroundings(
    kind="qemu",
    machine="q35",
    directory="/state/instances",
    console="/state/instances/g/console.log",
    nvram="/state/instances/g/nvram.fd",
    firmware=OVMF,
)
SHARING = attrs.evolve(AROUND, kind="kvm", shared_cpus={0: (0, 1, 2), 1: (6, 7)})
PLAN = GuestPlan(
    id=GUEST,
    name="web",
    hostname="web",
    vcpus=2,
    memory_mb=512,
    root_gb=1,
    nics=(Nic(port_id=PORT, mac="fa:16:3e:aa:bb:cc", device="tap66666666-77", mtu=1400),),
    owner={"project_id": "p1", "user_id": "u1"},
)
ROOT = DomainDisk(path="/state/instances/g/root.qcow2", format="qcow2")
SWAP = DomainDisk(path="/state/instances/g/swap.raw", format="raw")
DRIVE = DomainDisk(path="/state/instances/g/config.iso", format="raw", cdrom=True)
GPUS = (PciAttachment(address="0000:3b:00.0"), PciAttachment(address="10000:af:1f.7"))

BASE = LocalImage(id=PORT, path="/state/images/abc", disk_format="raw", virtual_size=1 << 20)

CASES = {
    "plain": (PLAN, (ROOT,), AROUND),
    "based": (PLAN, (attrs.evolve(ROOT, base=BASE),), AROUND),
    "config_drive": (PLAN, (ROOT, SWAP, DRIVE), AROUND),
    "scsi": (attrs.evolve(PLAN, image_properties={"hw_disk_bus": "scsi"}), (ROOT, SWAP, DRIVE), AROUND),
    "uefi_e1000_kvm_vnc": (
        attrs.evolve(PLAN, image_properties={"hw_firmware_type": "uefi", "hw_vif_model": "e1000"}),
        (ROOT,),
        attrs.evolve(AROUND, kind="kvm", vnc=True),
    ),
    "secure_boot": (
        attrs.evolve(PLAN, extra_specs={"os:secure_boot": "required", "hw:boot_menu": "true"}),
        (ROOT,),
        attrs.evolve(AROUND, machine="pc"),
    ),
    "pinned_huge_pages": (
        attrs.evolve(
            PLAN,
            vcpus=4,
            memory_mb=2048,
            extra_specs={"hw:cpu_policy": "dedicated", "hw:emulator_threads_policy": "isolate"},
            numa=(
                Taken(cell=1, cpus=(8, 9, 10), pins={0: 8, 1: 9}, vcpus=(0, 1), memory_mb=1024, page_kb=2048),
                Taken(cell=0, cpus=(4, 5), pins={2: 4, 3: 5}, vcpus=(2, 3), memory_mb=1024, page_kb=2048),
            ),
        ),
        (ROOT,),
        SHARING,
    ),
    "mixed": (
        attrs.evolve(
            PLAN,
            vcpus=3,
            extra_specs={"hw:cpu_policy": "mixed", "hw:emulator_threads_policy": "share"},
            numa=(Taken(cell=1, cpus=(8,), pins={0: 8}, vcpus=(0, 1, 2), memory_mb=512),),
        ),
        (ROOT,),
        SHARING,
    ),
    "hardware": (
        attrs.evolve(
            PLAN,
            vcpus=4,
            extra_specs={
                "hw:cpu_max_sockets": "2",
                "hw:cpu_threads": "2",
                "hw:watchdog_action": "reset",
                "hw:boot_menu": "true",
                "hw:pmu": "false",
                "hw:hide_hypervisor_id": "true",
                "hw_rng:rate_bytes": "2048",
                "hw_rng:rate_period": "500",
                "quota:cpu_shares": "512",
                "quota:cpu_quota": "50000",
                "quota:cpu_period": "100000",
                "quota:disk_read_bytes_sec": "1048576",
                "quota:disk_total_iops_sec": "400",
            },
        ),
        (ROOT, SWAP, DRIVE),
        AROUND,
    ),
    "no_rng": (
        attrs.evolve(
            PLAN,
            extra_specs={"hw_rng:allowed": "false", "hw:watchdog_action": "reset"},
            image_properties={
                "hw_watchdog_action": "disabled",
                "hw_cpu_cores": "2",
                "img_hide_hypervisor_id": "yes",
                "hw_pmu": "true",
            },
        ),
        (ROOT,),
        attrs.evolve(AROUND, kind="kvm"),
    ),
    "gpus": (attrs.evolve(PLAN, attachments=GPUS), (ROOT,), attrs.evolve(AROUND, kind="kvm")),
    "cells_emulated": (
        attrs.evolve(
            PLAN,
            numa=(Taken(cell=0, vcpus=(0,), memory_mb=256), Taken(cell=1, vcpus=(1,), memory_mb=256)),
        ),
        (ROOT,),
        AROUND,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_xml_is_as_in_the_golden_file(name: str) -> None:
    assert render(*CASES[name]) == (GOLDEN / f"{name}.xml").read_text()


@pytest.mark.skipif(not SCHEMA.exists(), reason="libvirt's schemas are not installed: apt-get install libvirt-daemon")
@pytest.mark.parametrize("name", CASES)
def test_the_xml_is_as_libvirts_schema_wants_it(name: str) -> None:
    schema = etree.RelaxNG(etree.parse(str(SCHEMA)))
    assert schema.validate(etree.fromstring(render(*CASES[name]))), schema.error_log


def test_devices_read_back_as_they_were_written() -> None:
    assert host_devices.read(render(*CASES["gpus"])) == [each.address for each in GPUS]
    assert host_devices.read(render(*CASES["plain"])) == []


@pytest.mark.parametrize("address", ["", "3b:00.0", "0000:3b:00.0'/>", "0000:3B:00.0", "0000:3b:20.0", "0000:3b:00.8"])
def test_what_is_no_pci_address_is_refused(address: str) -> None:
    with pytest.raises(Refused, match="is not a PCI address"):
        render(attrs.evolve(PLAN, attachments=(PciAttachment(address=address),)), (ROOT,), AROUND)


def test_a_mediated_device_is_refused() -> None:
    with pytest.raises(Refused, match="MdevAttachment"):
        mdev = MdevAttachment(uuid=PORT, parent="0000:3b:00.0")
        render(attrs.evolve(PLAN, attachments=(mdev,)), (ROOT,), AROUND)


@pytest.mark.parametrize("name", ["pinned_huge_pages", "mixed"])
def test_an_emulated_guest_is_pinned_like_any_other(name: str) -> None:
    plan, disks, around = CASES[name]
    trees = [etree.fromstring(render(plan, disks, attrs.evolve(around, kind=kind))) for kind in ("qemu", "kvm")]
    emulated, pinned = (tree.find("cputune") for tree in trees)
    assert etree.tostring(emulated) == etree.tostring(pinned)


def test_a_guest_without_cells_stays_off_the_dedicated_cpus() -> None:
    plan, disks, _ = CASES["plain"]
    for divided, room in ((True, "0-2,6-7"), (False, None)):
        tree = etree.fromstring(render(plan, disks, attrs.evolve(SHARING, divided=divided)))
        assert tree.find("vcpu").get("cpuset") == room


@given(
    st.text(),
    st.dictionaries(st.text(), st.text(), max_size=3),
)
def test_text_of_users_stays_text(name: str, owner: dict[str, str]) -> None:
    tree = etree.fromstring(render(attrs.evolve(PLAN, name=name, owner=owner), (ROOT,), AROUND))
    assert tree.findtext("name") == f"nk-{GUEST}"
    assert len(tree.findall("name")) == 1
    facts = tree.findall(f"metadata/{{{METADATA_NAMESPACE}}}guest/{{{METADATA_NAMESPACE}}}fact")
    assert len(facts) == 1 + len(owner)
    assert all(not len(fact) for fact in facts)


def test_a_name_that_looks_like_xml_opens_no_element() -> None:
    hostile = "</novakit:fact></novakit:guest></metadata><devices><hostdev/></devices><!-- \x00 ]]>"
    text = render(attrs.evolve(PLAN, name=hostile), (ROOT,), AROUND)
    assert "<hostdev" not in text
    assert len(etree.fromstring(text).findall("devices")) == 1


@pytest.mark.parametrize(
    "properties",
    [
        {"hw_disk_bus": "virtio'/><x"},
        {"hw_disk_bus": "ide"},
        {"hw_vif_model": "../../x"},
        {"hw_machine_type": "q35 -device evil"},
        {"hw_machine_type": ""},
        {"hw_firmware_type": "coreboot"},
    ],
)
def test_image_properties_outside_the_offer_are_refused(properties: dict[str, str]) -> None:
    with pytest.raises(Refused):
        render(attrs.evolve(PLAN, image_properties=properties), (ROOT,), AROUND)


UEFI = {"hw_firmware_type": "uefi"}


@pytest.mark.parametrize(
    ("properties", "firmware", "secure"),
    [
        (UEFI, OVMF, False),
        ({**UEFI, "os_secure_boot": "disabled"}, OVMF, False),
        ({**UEFI, "os_secure_boot": "optional"}, OVMF, True),
        ({**UEFI, "os_secure_boot": "optional"}, attrs.evolve(OVMF, secure=""), False),
        ({**UEFI, "os_secure_boot": "optional", "hw_machine_type": "pc-i440fx-7.2"}, OVMF, False),
        ({"os_secure_boot": "required"}, attrs.evolve(OVMF, plain=""), True),
    ],
)
def test_what_is_optional_is_had_where_it_can_be(properties: dict[str, str], firmware: Firmware, secure: bool) -> None:
    plan, around = attrs.evolve(PLAN, image_properties=properties), attrs.evolve(AROUND, firmware=firmware)
    domain = etree.fromstring(render(plan, (ROOT,), around))
    told = {str(each.get("name")): each.get("enabled") for each in domain.iterfind("os/firmware/feature")}
    assert told == ({"enrolled-keys": "yes", "secure-boot": "yes"} if secure else {"secure-boot": "no"})
    assert (domain.find("features/smm") is not None) == secure == (domain.find("os/loader[@secure='yes']") is not None)
    assert domain.findtext("os/nvram") == AROUND.nvram


@pytest.mark.parametrize(
    ("properties", "says"), [(UEFI, "apt-get install ovmf"), ({"os_secure_boot": "required"}, "enrolled keys: apt-get")]
)
def test_firmware_that_is_not_installed_is_refused_with_the_remedy(properties: dict[str, str], says: str) -> None:
    with pytest.raises(Refused, match=says):
        render(attrs.evolve(PLAN, image_properties=properties), (ROOT,), attrs.evolve(AROUND, firmware=Firmware()))


@pytest.mark.parametrize("device", ["", "a/b", "tap0'/>", "a" * 16, "tap 0", "../eth0"])
def test_a_tap_that_is_no_device_name_is_refused(device: str) -> None:
    nic = attrs.evolve(PLAN.nics[0], device=device)
    with pytest.raises(Refused, match=PORT):
        render(attrs.evolve(PLAN, nics=(nic,)), (ROOT,), AROUND)


def test_our_domains_are_known_by_name_and_directory() -> None:
    assert guest_of(name_of(GUEST)) == GUEST
    for foreign in ("web", "nk-", f"nk-{GUEST}x", f"xnk-{GUEST}", f"nk-{GUEST}\n"):
        assert guest_of(foreign) is None
    tree = etree.fromstring(render(PLAN, (ROOT,), AROUND))
    element = tree.find(f"metadata/{{{METADATA_NAMESPACE}}}guest")
    assert element is not None
    assert directory_of(etree.tostring(element, encoding="unicode")) == "/state/instances"
