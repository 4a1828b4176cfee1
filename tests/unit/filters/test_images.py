"""What an image demands of a host."""

from typing import Any

import pytest

from novakit_filters import images
from novakit_hookspecs.hosts import PciPool
from novakit_hookspecs.scheduling import ImageAsk
from novakit_hookspecs.testing.filters import ask, host_table


def kept(filter: Any, table: Any, request: Any) -> list[str]:
    mask = filter.mask(table, request)
    return [name for name, passed in zip(table.names, mask, strict=True) if passed]


def test_an_image_goes_to_hosts_with_its_machine_type_and_its_gpus() -> None:
    gpus = (PciPool(kind="a100", free=0),)
    table = host_table(machine_types=[["pc", "q35"], [], ["pc"]], pci=[gpus, gpus, ()])
    for properties, expected in (
        ({"hw_machine_type": "q35"}, ["host0", "host1"]),
        ({"hw_machine_type": "bogus"}, ["host1"]),
        ({"gpu:type": "a100"}, ["host0", "host1"]),
        ({"gpu:type": "h100"}, []),
        ({"gpu:type": "a100", "hw_machine_type": "q35"}, ["host0", "host1"]),
        ({"gpu:type": "a100", "hw_machine_type": "virt"}, ["host1"]),
    ):
        request = ask(image=ImageAsk(id="i", properties=properties))
        assert kept(images.ImageProperties(), table, request) == expected
    (told,) = images.ImageProperties().why(table.some([2]), ask(image=ImageAsk(properties={"gpu:type": "a100"})))
    assert told.message == "cannot run the image (a GPU of type a100)"


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({"hw_architecture": "x86_64"}, ["host0"]),
        ({"hw_architecture": "amd64", "img_hv_type": "kvm", "hw_vm_mode": "hvm"}, ["host0"]),
        ({"architecture": "aarch64"}, ["host1"]),
        ({"img_hv_requested_version": ">=8.0.0,<9"}, ["host0"]),
        ({"img_hv_requested_version": "nonsense"}, []),
        ({"os_distro": "debian"}, ["host0", "host1"]),
    ],
)
def test_an_image_is_kept_off_hosts_that_cannot_run_it(properties: dict[str, str], expected: list[str]) -> None:
    table = host_table(
        supported_instances=[[["x86_64", "kvm", "hvm"]], [["aarch64", "qemu", "hvm"]]],
        hypervisor_version=[8002000, 10000000],
    )
    assert kept(images.ImageProperties(), table, ask(image=ImageAsk(properties=properties))) == expected


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (">=8.2.1", ["b", "c"]),
        (">8.2.1", ["c"]),
        ("<=8.2.1", ["a", "b"]),
        ("<8.2.1", ["a"]),
        ("=8.2.1", ["b"]),
        ("8.2.1", ["b"]),
        ("!=8.2.1", ["a", "c"]),
        (">=8, <9", ["a", "b"]),
        (">=8.2.1.7", ["b", "c"]),
    ],
)
def test_versions_are_compared_part_by_part(wanted: str, expected: list[str]) -> None:
    table = host_table(["a", "b", "c"], hypervisor_version=[8_002_000, 8_002_001, 9_000_000])
    request = ask(image=ImageAsk(properties={"img_hv_requested_version": wanted}))
    assert images.ImageProperties().applies(request)
    assert kept(images.ImageProperties(), table, request) == expected


def test_an_image_that_asks_nothing_of_a_host_is_not_looked_at() -> None:
    assert not images.ImageProperties().applies(ask(image=ImageAsk(properties={"os_distro": "debian"})))
    assert not images.ImageProperties().applies(ask())
