"""The command line of a guest: golden, and closed to text that users chose."""

import json
import os
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from novakit_driver_qemu import guest_cpu, host_facts
from novakit_driver_qemu.machine import SANDBOX, Descriptors, Machine, command_line
from novakit_driver_qemu.options import QemuOptions
from novakit_hookspecs.devices import MdevAttachment, PciAttachment
from novakit_hookspecs.errors import Refused
from novakit_hookspecs.hosts import HostContext
from novakit_hookspecs.numa import Taken
from novakit_hookspecs.servers import GuestPlan, LocalImage, Nic
from novakit_host.acceleration import Acceleration

GOLDEN = Path(__file__).parent / "golden"
GUEST = "11111111-2222-3333-4444-555555555555"
PORT = "99999999-2222-3333-4444-555555555555"
PLAIN = GuestPlan(id=GUEST, name="web", hostname="web", vcpus=1, memory_mb=512, root_gb=1)
RICH = attrs.evolve(
    PLAIN,
    vcpus=4,
    memory_mb=2048,
    ephemeral_gb=2,
    swap_mb=64,
    image=LocalImage(id=PORT, path="/images/one", disk_format="qcow2", virtual_size=1 << 20),
    nics=[Nic(port_id=PORT, mac="fa:16:3e:00:00:01", device="tap01234567-ab", mtu=1442)],
    config_drive={"openstack/latest/meta_data.json": b"{}"},
)


HARDWARE = {
    "hw:cpu_sockets": "1",
    "hw:cpu_threads": "2",
    "hw:watchdog_action": "poweroff",
    "hw:boot_menu": "true",
    "hw:pmu": "false",
    "hw:hide_hypervisor_id": "true",
    "hw_rng:rate_bytes": "2048",
}
GPUS = (PciAttachment(address="0000:3b:00.0"), PciAttachment(address="10000:af:1f.7"))


def handed(machine: Machine, on_image: bool) -> Descriptors:
    """Descriptors that tell what they are for: disks are 20 and up, taps 30 and up."""
    return Descriptors(
        control=10,
        console=11,
        disks=tuple(range(20, 20 + len(machine.disks))),
        base=12 if on_image else None,
        taps=tuple(range(30, 30 + len(machine.cards))),
    )


def lines(plan: GuestPlan, acceleration: str) -> str:
    """One option with its value a line, as a person reads it."""
    argv = command_line(machine := Machine.of(plan), acceleration, handed(machine, plan.image is not None))
    return " ".join(argv).replace(" -", "\n-") + "\n"


@pytest.mark.parametrize(
    ("name", "plan", "acceleration"),
    [
        ("plain-tcg", PLAIN, "tcg"),
        ("rich-kvm", RICH, "kvm"),
        ("gpus-kvm", attrs.evolve(PLAIN, attachments=GPUS), "kvm"),
        ("hardware-tcg", attrs.evolve(RICH, extra_specs=HARDWARE), "tcg"),
        ("hardware-kvm", attrs.evolve(RICH, extra_specs={**HARDWARE, "hw_rng:allowed": "false"}), "kvm"),
        ("scsi-e1000", attrs.evolve(RICH, image_properties={"hw_disk_bus": "scsi", "hw_vif_model": "e1000"}), "tcg"),
    ],
)
def test_the_command_line_is_the_golden_one(name: str, plan: GuestPlan, acceleration: str) -> None:
    golden = GOLDEN / f"{name}.txt"
    if os.environ.get("NOVAKIT_GOLDEN"):
        golden.write_text(lines(plan, acceleration))
    assert lines(plan, acceleration) == golden.read_text()


TEXT = st.text(max_size=40)


@given(name=TEXT, hostname=TEXT, owner=st.dictionaries(TEXT, TEXT), properties=st.dictionaries(TEXT, TEXT))
def test_no_text_of_a_user_is_on_the_command_line(
    name: str, hostname: str, owner: dict[str, str], properties: dict[str, str]
) -> None:
    hostile = attrs.evolve(RICH, name=name, hostname=hostname, owner=owner)
    hostile = attrs.evolve(
        hostile,
        extra_specs={f"x{key}": value for key, value in owner.items()},
        image_properties={f"x{key}": value for key, value in properties.items()},
    )
    assert lines(hostile, "tcg") == lines(RICH, "tcg")


@pytest.mark.parametrize("key", ["hw_disk_bus", "hw_vif_model", "hw_machine_type", "hw_firmware_type"])
@pytest.mark.parametrize("value", ["", "virtio,script=/tmp/x", "usb\0", "x" * 300])
def test_what_an_image_may_not_choose_is_refused(key: str, value: str) -> None:
    with pytest.raises(Refused, match=key):
        Machine.of(attrs.evolve(RICH, image_properties={key: value}))


@pytest.mark.parametrize(
    "plan",
    [
        attrs.evolve(PLAIN, extra_specs={"os:secure_boot": "required"}),
        attrs.evolve(PLAIN, image_properties={"os_secure_boot": "required"}),
    ],
)
def test_secure_boot_is_refused(plan: GuestPlan) -> None:
    with pytest.raises(Refused, match="no Secure Boot; libvirt's can"):
        Machine.of(plan)


def test_what_was_written_down_reads_back() -> None:
    machine = Machine.of(attrs.evolve(RICH, extra_specs=HARDWARE))
    assert Machine.load(json.loads(json.dumps(attrs.asdict(machine)))) == machine


@pytest.mark.parametrize("key", ["quota:cpu_shares", "quota:cpu_quota", "quota:disk_total_iops_sec"])
def test_a_limit_that_plain_qemu_cannot_set_is_refused(key: str) -> None:
    with pytest.raises(Refused, match="sets no limits"):
        Machine.of(attrs.evolve(PLAIN, extra_specs={key: "2000"}))


def test_a_plan_with_cells_is_refused() -> None:
    with pytest.raises(Refused, match="no dedicated CPUs, huge pages or NUMA cells"):
        Machine.of(attrs.evolve(PLAIN, numa=(Taken(cell=0, cpus=(1,), pins={0: 1}, vcpus=(0,), memory_mb=512),)))


def test_the_host_reports_no_cells_as_no_guest_can_be_kept_to_one(tmp_path: Path) -> None:
    context = HostContext(host="here", state_dir=str(tmp_path))
    facts = host_facts.read(
        context, QemuOptions(), Acceleration(acceleration="tcg", why=""), 8_000_000, tmp_path, ["avx2"]
    )
    assert not facts.numa
    assert "PCPU" not in facts.inventory
    assert {one for one in facts.traits if "FIRMWARE" in one} == {"COMPUTE_FIRMWARE_BIOS"}
    assert {one for one in facts.traits if one.startswith("HW_")} == {"HW_CPU_X86_AVX2"}


def test_features_of_the_guests_cpu_are_found_among_what_qemu_prints() -> None:
    props = {"avx2": True, "sse4.1": True, "avx512f": False, "family": 15, "vendor": "AuthenticAMD"}
    lines = [
        {"QMP": {"version": {}}},
        {"return": {}},
        {"event": "RESUME"},
        {"return": {"model": {"name": "max", "props": props}}},
        {"return": {}},
    ]
    assert guest_cpu.read("\n".join(map(json.dumps, lines)).encode() + b'\n{"torn') == {"avx2", "sse4.1"}
    assert not guest_cpu.read(b'{"error": {"class": "GenericError", "desc": "no such model"}}\n')


@pytest.mark.parametrize("device", ["tap0,script=/tmp/x", "-tap", "", "a" * 16, "tap 0"])
def test_a_tap_name_that_would_be_more_than_a_name_is_refused(device: str) -> None:
    with pytest.raises(Refused, match="no usable tap device"):
        Machine.of(attrs.evolve(RICH, nics=[attrs.evolve(RICH.nics[0], device=device)]))


def test_other_devices_than_pci_functions_are_refused() -> None:
    with pytest.raises(Refused, match="MdevAttachment"):
        Machine.of(attrs.evolve(PLAIN, attachments=[MdevAttachment(uuid=PORT, parent="0000:3b:00.0")]))
    with pytest.raises(Refused, match="is not a PCI address"):
        Machine.of(attrs.evolve(PLAIN, attachments=[PciAttachment(address="0000:3b:00.0,x-vga=on")]))


def test_a_machine_written_down_before_there_were_devices_reads_back() -> None:
    fields = attrs.asdict(Machine.of(PLAIN))
    del fields["devices"]
    assert Machine.load(fields) == Machine.of(PLAIN)


def test_the_sandbox_denies_what_would_lead_out_of_it() -> None:
    assert SANDBOX == "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"
    assert f"-sandbox {SANDBOX}" in lines(PLAIN, "tcg")


def test_no_file_of_the_host_has_a_name_on_the_command_line() -> None:
    """But the kernel's random numbers: all others are handed over open."""
    words = lines(RICH, "kvm").replace("/dev/fdset/", "")
    assert [word for word in words.split() if "/" in word] == ["rng-random,id=rng,filename=/dev/urandom"]


@pytest.mark.parametrize("image_format", ["raw", "qcow2"])
def test_the_whole_chain_of_a_disk_is_named_so_that_no_header_is_followed(image_format: str) -> None:
    image = LocalImage(id=PORT, path="/images/one", disk_format=image_format, virtual_size=1 << 20)
    for plan, below in ((PLAIN, None), (attrs.evolve(PLAIN, image=image), image_format)):
        machine = Machine.of(plan)
        argv = command_line(machine, "tcg", handed(machine, below is not None))
        root = json.loads(argv[argv.index("-blockdev") + 1])
        assert (root["backing"] or {}).get("driver") == below
        if below is not None:
            assert root["backing"]["read-only"] is True
            assert root["backing"].get("backing", "none") == (None if below == "qcow2" else "none")


def test_a_machine_that_was_written_down_reads_back() -> None:
    machine = Machine.of(attrs.evolve(RICH, attachments=GPUS))
    assert Machine.load(json.loads(json.dumps(attrs.asdict(machine)))) == machine
