"""What flavor and image say of a guest's hardware beside its CPUs' places, disks and NICs.

Read in one place, so that the API refuses what no driver could build and every driver builds the same.
"""

import re
from collections.abc import Iterable, Iterator, Mapping

import attrs

from novakit_hookspecs.fields import tuple_field

WATCHDOGS = ("none", "pause", "poweroff", "reset")
NO_WATCHDOG = "disabled"
FIRMWARE = ("bios", "uefi")
SECURE_BOOT = ("disabled", "optional", "required")
_YES, _NO = ("1", "t", "true", "on", "y", "yes"), ("0", "f", "false", "off", "n", "no")
_PARTS = ("sockets", "cores", "threads")
_CPU_LIMITS = {"shares": (2, 262144), "period": (1000, 1_000_000), "quota": (1000, 17_592_186_044_415)}
"""What the kernel's CPU controller takes; a period and a quota are in microseconds."""
_DISK_LIMIT = re.compile(r"quota:disk_((?:read|write|total)_(?:bytes|iops)_sec)")


def _three(value: Iterable[int]) -> tuple[int, int, int]:
    one, two, three = value
    return one, two, three


class BadHardware(ValueError):
    """Flavor or image ask for hardware that cannot be."""


@attrs.frozen(kw_only=True)
class Hardware:
    """The hardware of one guest."""

    shape: tuple[int, int, int] | None = attrs.field(default=None, converter=attrs.converters.optional(_three))
    """Sockets, cores of each and threads of each core; None where nobody cares."""
    watchdog: str = ""
    """What a watchdog does when the guest stops patting it: one of WATCHDOGS; empty for a guest without one."""
    rng: bool = True
    """Whether the guest has a source of random numbers."""
    rng_bytes: int = 0
    """Bytes it may draw in each period; 0 for as many as it likes."""
    rng_period_ms: int = 1000
    boot_menu: bool = False
    pmu: bool | None = None
    """Whether the guest sees performance counters; None leaves it to the hypervisor."""
    hidden: bool = False
    """Whether the guest is kept from seeing which hypervisor runs it."""
    cpu_limits: tuple[tuple[str, int], ...] = tuple_field()
    """Pairs of shares (a weight), period and quota (microseconds) and its value, as far as they are set."""
    disk_limits: tuple[tuple[str, int], ...] = tuple_field()
    """Pairs of a limit of each disk, such as read_bytes_sec or total_iops_sec, and its value."""
    uefi: bool = False
    """Whether it boots by UEFI, and not by BIOS."""
    secure_boot: str = "disabled"
    """Whether its firmware boots only what is signed: one of SECURE_BOOT, and only with UEFI anything but disabled.

    What is optional is given by hosts that can to machines that can.
    """


def hardware(vcpus: int, specs: Mapping[str, str], properties: Mapping[str, str]) -> Hardware:
    """Read what flavor and image say together. Raises BadHardware for what cannot be.

    Where both speak the flavor counts, save for the watchdog, which is the image's to choose.
    """
    limited = int(_number(specs, "hw_rng:rate_bytes", 0, 2**31) or 0)
    uefi, secure_boot = _firmware(specs, properties)
    return Hardware(
        shape=_shape(vcpus, specs, properties),
        watchdog=_watchdog(specs, properties),
        rng=_flag(specs, "hw_rng:allowed") is not False,
        rng_bytes=limited,
        rng_period_ms=int(_number(specs, "hw_rng:rate_period", 1, 2**31) or 1000),
        boot_menu=bool(_either(specs, "hw:boot_menu", properties, "hw_boot_menu")),
        pmu=_agreed(specs, "hw:pmu", properties, "hw_pmu"),
        hidden=any(
            _flag(said, name)
            for said, name in (
                (specs, "hw:hide_hypervisor_id"),
                (specs, "hide_hypervisor_id"),
                (properties, "img_hide_hypervisor_id"),
            )
        ),
        cpu_limits=tuple(_cpu_limits(specs)),
        disk_limits=tuple(_disk_limits(specs).items()),
        uefi=uefi,
        secure_boot=secure_boot,
    )


def is_q35(machine: str) -> bool:
    """Return whether a machine type can keep guests from its firmware, as Secure Boot needs."""
    return machine == "q35" or machine.startswith("pc-q35-")


def _shape(vcpus: int, specs: Mapping[str, str], properties: Mapping[str, str]) -> tuple[int, int, int] | None:
    """Choose sockets, cores and threads that make up the CPUs.

    What a flavor says is kept to; what an image says comes as near as the flavor's number of CPUs allows.
    """
    demanded = [_count(specs, f"hw:cpu_{part}") for part in _PARTS]
    wished = [_count(properties, f"hw_cpu_{part}") if not any(demanded) else None for part in _PARTS]
    flavors = [_count(specs, f"hw:cpu_max_{part}") for part in _PARTS]
    images = [_count(properties, f"hw_cpu_max_{part}") for part in _PARTS]
    for part, flavor, image in zip(_PARTS, flavors, images, strict=True):
        if flavor and image and image > flavor:
            raise BadHardware(f"hw_cpu_max_{part} is {image}, and the flavor allows {flavor}")
    if not any((*demanded, *wished, *flavors, *images)):
        return None
    most = [image or flavor or vcpus for image, flavor in zip(images, flavors, strict=True)]
    ways = [
        way
        for way in _ways(vcpus)
        if all(number <= limit for number, limit in zip(way, most, strict=True))
        and all(want in (None, number) for want, number in zip(demanded, way, strict=True))
    ]
    if not ways:
        told = ", ".join(f"{part} {want}" for part, want in zip(_PARTS, demanded, strict=True) if want)
        raise BadHardware(
            f"{vcpus} CPUs cannot be made of {told or 'any sockets, cores and threads'}"
            f" where at most {most[0]} sockets, {most[1]} cores and {most[2]} threads are allowed"
        )
    return max(ways, key=lambda way: (sum(want == number for want, number in zip(wished, way, strict=True)), way))


def _ways(vcpus: int) -> Iterator[tuple[int, int, int]]:
    for sockets in range(1, vcpus + 1):
        if vcpus % sockets == 0:
            each = vcpus // sockets
            yield from ((sockets, cores, each // cores) for cores in range(1, each + 1) if each % cores == 0)


def _watchdog(specs: Mapping[str, str], properties: Mapping[str, str]) -> str:
    action = properties.get("hw_watchdog_action") or specs.get("hw:watchdog_action") or NO_WATCHDOG
    if action == NO_WATCHDOG:
        return ""
    if action not in WATCHDOGS:
        raise BadHardware(f"watchdog_action is {action[:40]!r}; it takes {', '.join((*WATCHDOGS, NO_WATCHDOG))}")
    return action


def _firmware(specs: Mapping[str, str], properties: Mapping[str, str]) -> tuple[bool, str]:
    """Return whether there is UEFI, and what of Secure Boot; whoever requires that has UEFI without asking for it."""
    kind = _word(properties, "hw_firmware_type", FIRMWARE)
    flavors, images = _word(specs, "os:secure_boot", SECURE_BOOT), _word(properties, "os_secure_boot", SECURE_BOOT)
    if {flavors, images} == {"required", "disabled"}:
        raise BadHardware("the flavor's os:secure_boot and the image's os_secure_boot contradict one another")
    wanted = next((each for each in ("required", "disabled", "optional") if each in (flavors, images)), "disabled")
    if wanted != "required":
        return kind == "uefi", wanted if kind == "uefi" else "disabled"
    if kind == "bios":
        raise BadHardware("Secure Boot is required, and hw_firmware_type is bios; it needs uefi")
    machine = properties.get("hw_machine_type", "q35")
    if not is_q35(machine):
        raise BadHardware(f"Secure Boot is required, and hw_machine_type is {machine[:40]!r}; it needs q35")
    return True, wanted


def _word(said: Mapping[str, str], name: str, known: tuple[str, ...]) -> str:
    text = said.get(name, "").strip().lower()
    if text and text not in known:
        raise BadHardware(f"{name} is {text[:40]!r}; it takes {', '.join(known)}")
    return text


def _cpu_limits(specs: Mapping[str, str]) -> Iterator[tuple[str, int]]:
    for name, (least, most) in _CPU_LIMITS.items():
        key = f"quota:cpu_{name}"
        text = specs.get(key, "0")
        if name == "quota" and re.fullmatch(r"-\d{1,15}", text):
            yield name, -1
        elif number := _number(specs, key, 0, most):
            if number < least:
                raise BadHardware(f"{key} is {number}; it takes {least} to {most}")
            yield name, number


def _disk_limits(specs: Mapping[str, str]) -> dict[str, int]:
    limits = {}
    for key in specs:
        if (match := _DISK_LIMIT.fullmatch(key)) and (number := _number(specs, key, 0, 2**62)):
            limits[match[1]] = number
    for unit in ("bytes_sec", "iops_sec"):
        if f"total_{unit}" in limits and {f"read_{unit}", f"write_{unit}"} & limits.keys():
            raise BadHardware(
                f"quota:disk_total_{unit} cannot be combined with a limit for reads or writes; choose one"
            )
    return limits


def _either(specs: Mapping[str, str], key: str, properties: Mapping[str, str], name: str) -> bool | None:
    flavors = _flag(specs, key)
    return flavors if flavors is not None else _flag(properties, name)


def _agreed(specs: Mapping[str, str], key: str, properties: Mapping[str, str], name: str) -> bool | None:
    flavors, images = _flag(specs, key), _flag(properties, name)
    if flavors is not None and images is not None and flavors != images:
        raise BadHardware(f"the flavor's {key} and the image's {name} contradict one another")
    return images if flavors is None else flavors


def _flag(said: Mapping[str, str], name: str) -> bool | None:
    text = said.get(name, "").strip().lower()
    if text and text not in _YES + _NO:
        raise BadHardware(f"{name} is {text[:40]!r}; it takes true or false")
    return text in _YES if text else None


def _count(said: Mapping[str, str], name: str) -> int | None:
    return _number(said, name, 1, 65536)


def _number(said: Mapping[str, str], name: str, least: int, most: int) -> int | None:
    text = said.get(name, "").strip()
    if not text:
        return None
    if not text.isascii() or not text.isdecimal() or len(text) > 19 or not least <= int(text) <= most:
        raise BadHardware(f"{name} is {text[:40]!r}; it takes a number from {least} to {most}")
    return int(text)
