"""Which devices of recorded hosts guests can be given, and why the others are withheld."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from novakit_hookspecs.findings import Verdict
from novakit_host.pci.rules import PciRule
from novakit_host.pci.survey import Survey, examine, survey
from tests.support.device_trees import tree

GPU = PciRule(kind="a100", vendor_id="10de", product_id="20b2")
CARD = PciRule(kind="vf", vendor_id="8086", address="0000:5e:*")


def why(found: Survey) -> dict[str, str]:
    return {each.address: each.why for each in found.withheld}


def device(root: Path, address: str, driver: str = "", **files: str) -> Path:
    """Make a device in a tree of a test's own; a file's text may be left out with `-`."""
    at = root / "sys/bus/pci/devices" / address
    at.mkdir(parents=True)
    texts = {"vendor": "0x10de\n", "device": "0x20b2\n", "class": "0x030200\n", "numa_node": "0\n", **files}
    for name, text in texts.items():
        if text != "-":
            (at / name).write_text(text)
    (root / "sys/kernel/iommu_groups/1/devices").mkdir(parents=True, exist_ok=True)
    (at / "iommu_group").symlink_to("../../../../kernel/iommu_groups/1")
    if driver:
        (at / "driver").symlink_to(f"../../drivers/{driver}")
    return at


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A host that has all VFIO needs, and no devices."""
    for directory in ("sys/bus/pci/drivers/vfio-pci", "dev/vfio"):
        (tmp_path / directory).mkdir(parents=True)
    (tmp_path / "dev/vfio/vfio").touch()
    return tmp_path


def test_eight_gpus_on_two_cells_are_all_for_guests() -> None:
    found = survey([GPU], tree("eight_gpus"))
    assert [(one.kind, one.vendor_id, one.product_id) for one in found.devices] == [("a100", "10de", "20b2")] * 8
    assert [one.numa_cell for one in found.devices] == [0] * 4 + [1] * 4
    assert not found.withheld


def test_a_driver_that_binds_nothing_itself_has_the_bound_ones_only() -> None:
    found = survey([GPU], tree("eight_gpus"), bound_only=True)
    assert [one.address for one in found.devices] == ["0000:27:00.0"]
    assert all(
        "bound to nvidia; bind it to vfio-pci with `driverctl set-override" in each for each in why(found).values()
    )


def test_the_first_of_two_rules_for_a_device_counts() -> None:
    special = PciRule(kind="special", address="0000:17:00.0")
    found = survey([special, GPU], tree("eight_gpus"))
    assert [one.kind for one in found.devices] == ["special"] + ["a100"] * 7
    assert {one.kind for one in survey([GPU, special], tree("eight_gpus")).devices} == {"a100"}


def test_a_disk_that_is_mounted_by_way_of_a_volume_group_stays_with_the_host() -> None:
    found = survey([PciRule(kind="nvme", vendor_id="144d")], tree("eight_gpus"))
    assert [one.address for one in found.devices] == ["0000:03:00.0"]
    assert why(found) == {"0000:02:00.0": "it carries the disk nvme0n1p2, which is used as /"}


def test_a_bridge_stays_with_the_host_and_a_shared_group_is_told() -> None:
    found = survey([PciRule(kind="any", address="0000:*")], tree("eight_gpus"))
    reasons = why(found)
    assert reasons["0000:00:1c.0"] == "it is a bridge, which the host needs"
    assert "IOMMU group 50 with 0000:04:00.1, which the driver snd_hda_intel uses" in reasons["0000:04:00.0"]
    assert "0000:04:00.1" in {one.address for one in found.devices}


def test_of_a_group_the_first_device_that_can_be_had_is_offered(host: Path) -> None:
    for address, kind in (("0000:01:00.0", "0x060400"), ("0000:01:00.1", "0x030200"), ("0000:01:00.2", "0x040300")):
        device(host, address, driver="" if kind.startswith("0x06") else "vfio-pci", **{"class": kind})
    found = survey([PciRule(kind="any", address="0000:*")], host)
    assert [one.address for one in found.devices] == ["0000:01:00.1"]
    said = "it shares IOMMU group 1 with 0000:01:00.1, which is offered: a group goes to one guest only"
    assert why(found)["0000:01:00.2"] == said
    assert said in found.why_not("0000:01:00.2")


def test_of_a_card_with_virtual_functions_they_are_the_devices() -> None:
    found = survey([CARD], tree("sriov"))
    assert [(one.address, one.numa_cell) for one in found.devices] == [
        ("0000:5e:00.1", 0),
        ("0000:5e:02.1", 0),
        ("0000:5e:02.2", 0),
        ("0000:5e:02.3", None),
    ]
    assert why(found) == {
        "0000:5e:00.0": "its virtual functions are enabled, so offer those instead of the whole card",
        "0000:5e:02.0": "it carries the network card ens1f0v0, which is up",
    }


def test_a_machine_without_an_iommu_gives_nothing_and_says_so() -> None:
    found = survey([PciRule(kind="virtio", vendor_id="1af4")], tree("virtio"))
    assert not found.devices
    reasons = why(found)
    assert reasons.pop("0000:00:02.0") == "it carries the disk vda, which is used as /"
    assert reasons.pop("0000:00:03.0") == "it carries the network card eth0, which is up"
    assert set(reasons.values()) == {"no IOMMU of the host is turned on"}
    assert "no IOMMU" in found.why_not("0000:00:01.0")
    assert "not among those" in found.why_not("0000:00:00.0")


def test_without_the_kernels_module_nothing_is_given(host: Path) -> None:
    device(host, "0000:01:00.0")
    assert survey([GPU], host).devices
    (host / "dev/vfio/vfio").unlink()
    assert why(survey([GPU], host)) == {"0000:01:00.0": "the kernel's module vfio-pci is not loaded"}


def test_a_swap_device_and_a_btrfs_stay_with_the_host(tmp_path: Path) -> None:
    shutil.copytree(tree("eight_gpus"), tmp_path / "tree", symlinks=True)
    root, rule = tmp_path / "tree", PciRule(kind="nvme", address="0000:03:00.0")
    (root / "proc/swaps").write_text("Filename Type Size Used Priority\n/dev/nvme1n1 partition 8 0 -2\n")
    assert why(survey([rule], root)) == {"0000:03:00.0": "it carries the disk nvme1n1, which is used as swap"}
    (root / "proc/swaps").unlink()
    (root / "proc/self/mountinfo").write_text("28 27 0:44 / /data rw - btrfs /dev/nvme1n1 rw\n")
    assert "used as /data" in why(survey([rule], root))["0000:03:00.0"]


@pytest.mark.parametrize(
    ("node", "cell"), [("-1\n", None), ("3\n", 3), ("", None), ("many\n", None), ("9" * 40, None), ("-", None)]
)
def test_a_cell_that_the_kernel_does_not_know_is_none(host: Path, node: str, cell: int | None) -> None:
    device(host, "0000:01:00.0", numa_node=node)
    assert [one.numa_cell for one in survey([GPU], host).devices] == [cell]


def test_files_that_cannot_be_read_are_as_good_as_missing(host: Path) -> None:
    node = device(host, "0000:01:00.0") / "numa_node"
    node.unlink()
    node.mkdir()
    assert [one.numa_cell for one in survey([GPU], host).devices] == [None]
    kind = device(host, "0000:02:00.0") / "class"
    kind.unlink()
    kind.symlink_to("class")
    assert why(survey([GPU], host)) == {"0000:02:00.0": "the kernel does not tell its class, vendor and product"}


@pytest.mark.parametrize("name", ["vendor", "device", "class"])
@pytest.mark.parametrize("junk", ["-", "", "0x", "10de20b2", "ж", "0x10dg", "\0"])
def test_a_device_of_which_the_kernel_tells_junk_is_withheld(host: Path, name: str, junk: str) -> None:
    device(host, "0000:01:00.0", **{name: junk})
    found = survey([PciRule(kind="a", address="0000:01:00.0")], host)
    assert not found.devices
    assert "does not tell" in why(found)["0000:01:00.0"]


@given(st.binary(max_size=200))
def test_any_content_of_the_kernels_tables_is_survived(tmp_path_factory: pytest.TempPathFactory, junk: bytes) -> None:
    root = tmp_path_factory.mktemp("junk")
    at = device(root, "0000:01:00.0")
    for path in (at / "vendor", at / "class", at / "numa_node", root / "proc/self/mountinfo", root / "proc/swaps"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(junk)
    assert not survey([PciRule(kind="a", address="*")], root).devices


def test_a_host_without_pci_has_no_devices(tmp_path: Path) -> None:
    assert survey([GPU], tmp_path) == Survey()
    assert [line.verdict for line in examine([GPU], tmp_path)] == [Verdict.WARN] * 3


def test_names_that_are_no_addresses_are_passed_over(host: Path) -> None:
    device(host, "0000:01:00.0")
    for name in ("pci", "0000:01:00", "0000:01:00.9", "ffff01:00.0"):
        (host / "sys/bus/pci/devices" / name).mkdir()
    assert len(survey([PciRule(kind="a", address="*")], host).ruled) == 1


def test_the_devices_meant_are_found_among_ten_thousand(host: Path) -> None:
    (host / "sys/bus/pci/devices").mkdir(parents=True)
    for number in range(10_000):
        at = host / f"sys/bus/pci/devices/{number >> 13:04x}:{number >> 5 & 255:02x}:{number & 31:02x}.0"
        at.mkdir()
        (at / "vendor").write_text("0x10de\n" if number % 10 == 0 else "0x8086\n")
        (at / "device").write_text("0x20b2\n")
    rules: Sequence[PciRule] = [PciRule(kind=f"k{n}", address=f"00{n:02x}:*:1?.*") for n in range(2, 9)] + [GPU]
    found = survey(rules, host)
    assert len(found.ruled) == 1000


def test_doctor_has_a_line_for_the_host_and_for_each_rule() -> None:
    lines = examine([GPU, PciRule(kind="fpga", vendor_id="1234")], tree("eight_gpus"))
    assert [(line.check, line.verdict) for line in lines] == [
        ("IOMMU", Verdict.OK),
        ("vfio-pci", Verdict.OK),
        ("pci rule 1, a100", Verdict.OK),
        ("pci rule 2, fpga", Verdict.WARN),
    ]
    assert lines[2].found == "8 devices matched, 8 for guests"
    assert "lspci -Dnn" in lines[3].remedy
    assert examine([], tree("eight_gpus")) == []


def test_doctor_says_what_a_machine_without_an_iommu_lacks() -> None:
    iommu, vfio, rule = examine([PciRule(kind="virtio", vendor_id="1af4")], tree("virtio"))
    assert (iommu.verdict, vfio.verdict, rule.verdict) == (Verdict.WARN,) * 3
    assert "intel_iommu=on" in iommu.remedy
    assert "modprobe vfio-pci" in vfio.remedy
    assert rule.found.startswith("5 devices matched, 0 for guests; 0000:00:01.0: no IOMMU of the host is turned on")
    assert rule.found.endswith("; and 2 more")
