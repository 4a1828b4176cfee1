"""Sockets, cores and threads, and the other hardware that flavor and image choose."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from novakit_fit.hardware import BadHardware, Hardware, hardware

COUNT = st.integers(1, 8).map(str)
PARTS = ("sockets", "cores", "threads")
NAMES = [f"{most}{part}" for part in PARTS for most in ("", "max_")]


@pytest.mark.parametrize(
    ("vcpus", "specs", "properties", "shape"),
    [
        (4, {}, {}, None),
        (4, {"cpu_sockets": "2"}, {}, (2, 2, 1)),
        (4, {"cpu_cores": "4"}, {}, (1, 4, 1)),
        (8, {"cpu_threads": "2"}, {}, (4, 1, 2)),
        (8, {"cpu_max_sockets": "2"}, {}, (2, 4, 1)),
        (8, {"cpu_max_sockets": "4"}, {"cpu_max_sockets": "2"}, (2, 4, 1)),
        (8, {"cpu_sockets": "1"}, {"cpu_sockets": "4"}, (1, 8, 1)),
        (1, {}, {"cpu_sockets": "2", "cpu_max_sockets": "2"}, (1, 1, 1)),
        (6, {}, {"cpu_cores": "3"}, (2, 3, 1)),
    ],
)
def test_the_shape_is_what_flavor_and_image_say(
    vcpus: int, specs: dict[str, str], properties: dict[str, str], shape: tuple[int, int, int] | None
) -> None:
    said = {f"hw:{name}": value for name, value in specs.items()}
    assert hardware(vcpus, said, {f"hw_{name}": value for name, value in properties.items()}).shape == shape


@given(
    st.integers(1, 64),
    st.dictionaries(st.sampled_from(NAMES), COUNT),
    st.dictionaries(st.sampled_from(NAMES), COUNT),
)
def test_a_shape_makes_up_the_cpus_within_the_flavors_word(
    vcpus: int, flavor: dict[str, str], image: dict[str, str]
) -> None:
    specs = {f"hw:cpu_{name}": value for name, value in flavor.items()}
    try:
        shape = hardware(vcpus, specs, {f"hw_cpu_{name}": value for name, value in image.items()}).shape
    except BadHardware:
        return
    assert (shape is None) == (not flavor and not image)
    if shape is not None:
        assert shape[0] * shape[1] * shape[2] == vcpus
        for part, number in zip(PARTS, shape, strict=True):
            assert flavor.get(part, str(number)) == str(number)
            assert number <= int(flavor.get(f"max_{part}", "64"))


def test_without_a_word_a_guest_has_random_numbers_and_nothing_else() -> None:
    assert hardware(2, {}, {}) == Hardware()


def test_the_image_chooses_the_watchdog_and_the_flavor_the_boot_menu() -> None:
    specs = {"hw:watchdog_action": "reset", "hw:boot_menu": "false"}
    found = hardware(1, specs, {"hw_watchdog_action": "pause", "hw_boot_menu": "true"})
    assert (found.watchdog, found.boot_menu) == ("pause", False)
    assert hardware(1, specs, {"hw_watchdog_action": "disabled"}).watchdog == ""


@pytest.mark.parametrize(
    ("spec", "value"),
    [
        ("quota:cpu_shares", "1"),
        ("quota:cpu_period", "999"),
        ("quota:cpu_quota", "1"),
        ("quota:cpu_quota", "much"),
        ("quota:disk_read_bytes_sec", "-1"),
        ("hw_rng:rate_bytes", "²"),
        ("hw_rng:allowed", "perhaps"),
        ("hw:cpu_sockets", "0"),
    ],
)
def test_a_value_that_no_driver_could_use_is_refused(spec: str, value: str) -> None:
    with pytest.raises(BadHardware, match=spec):
        hardware(1, {spec: value}, {})


def test_limits_are_read_and_a_total_stands_alone() -> None:
    found = hardware(1, {"quota:cpu_quota": "-1", "quota:cpu_period": "0", "quota:disk_read_iops_sec": "5"}, {})
    assert found.cpu_limits == (("quota", -1),)
    assert found.disk_limits == (("read_iops_sec", 5),)
    with pytest.raises(BadHardware, match="choose one"):
        hardware(1, {"quota:disk_read_iops_sec": "5", "quota:disk_total_iops_sec": "5"}, {})


@pytest.mark.parametrize(
    ("flavor", "image", "uefi", "secure"),
    [
        ("", {}, False, "disabled"),
        ("", {"hw_firmware_type": "uefi"}, True, "disabled"),
        ("", {"hw_firmware_type": "UEFI", "os_secure_boot": "optional"}, True, "optional"),
        ("", {"os_secure_boot": "optional"}, False, "disabled"),
        ("", {"os_secure_boot": "required"}, True, "required"),
        ("required", {}, True, "required"),
        ("required", {"os_secure_boot": "optional", "hw_machine_type": "pc-q35-7.2"}, True, "required"),
        ("disabled", {"hw_firmware_type": "uefi", "os_secure_boot": "optional"}, True, "disabled"),
        ("disabled", {"hw_firmware_type": "bios", "hw_machine_type": "pc"}, False, "disabled"),
    ],
)
def test_who_requires_secure_boot_has_uefi(flavor: str, image: dict[str, str], uefi: bool, secure: str) -> None:
    made = hardware(1, {"os:secure_boot": flavor}, image)
    assert (made.uefi, made.secure_boot) == (uefi, secure)


@pytest.mark.parametrize(
    ("flavor", "image", "says"),
    [
        ("required", {"hw_machine_type": "pc"}, "hw_machine_type is 'pc'; it needs q35"),
        ("", {"os_secure_boot": "required", "hw_machine_type": "pc-i440fx-7.2"}, "needs q35"),
        ("", {"os_secure_boot": "required", "hw_firmware_type": "bios"}, "needs uefi"),
        ("required", {"os_secure_boot": "disabled"}, "contradict one another"),
        ("disabled", {"os_secure_boot": "required"}, "contradict one another"),
        ("", {"os_secure_boot": "perhaps"}, "os_secure_boot is 'perhaps'; it takes disabled, optional, required"),
        ("", {"hw_firmware_type": "coreboot"}, "hw_firmware_type is 'coreboot'; it takes bios, uefi"),
    ],
)
def test_secure_boot_that_cannot_be_is_refused(flavor: str, image: dict[str, str], says: str) -> None:
    with pytest.raises(BadHardware, match=says):
        hardware(1, {"os:secure_boot": flavor}, image)


@pytest.mark.parametrize(
    ("key", "least", "most"),
    [("shares", 2, 262_144), ("period", 1_000, 1_000_000), ("quota", 1_000, 17_592_186_044_415)],
)
def test_the_limits_of_cpu_time_reach_from_the_kernels_least_to_its_most(key: str, least: int, most: int) -> None:
    for good in (least, most):
        hardware(1, {f"quota:cpu_{key}": str(good)}, {})
    for bad in (least - 1, most + 1):
        with pytest.raises(BadHardware):
            hardware(1, {f"quota:cpu_{key}": str(bad)}, {})
