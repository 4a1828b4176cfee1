"""What flavor and image may ask of a guest's hardware together, looked at before a server is written."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from novakit import errors
from novakit.compute.flavors import unsupported
from novakit.request_spec import groups
from novakit_fit.device_request import devices
from novakit_fit.hardware import BadHardware, hardware
from novakit_fit.numa_request import PCPU, BadTopology, requested_cells
from novakit_hookspecs.hosts import pci_name

PINNING = ("dedicated", "mixed")
Items = tuple[tuple[str, str], ...]
"""Names with their values."""
SHORT = 4096
"""Characters of all values up to which what was allowed is remembered: of longer ones memory would be full."""
_CELL = re.compile(r"hw[:_](numa_cpus|numa_mem)\.(\d{1,4})")


def check(flavor: Mapping[str, Any], properties: Mapping[str, str]) -> None:
    """Refuse a topology that cannot exist and a mix of pinned and floating that nobody could account for.

    `flavor` has vcpus, ram (MiB) and extra_specs.
    Raises BadRequest, also for an image that takes what its user's flavor does not give.
    """
    specs: Mapping[str, str] = flavor["extra_specs"] or {}
    is_short = sum(map(len, specs.values())) + sum(map(len, properties.values())) <= SHORT
    check = _check if is_short else _check.__wrapped__
    check(flavor["vcpus"], flavor["ram"], tuple(specs.items()), tuple(properties.items()))


@lru_cache(maxsize=64)
def _check(vcpus: int, ram: int, extra_specs: Items, image_properties: Items) -> None:
    """Do so, once for many servers of one flavor and image: the same words are allowed for ever, or raise again."""
    specs, properties = dict(extra_specs), dict(image_properties)
    unsupported.check_extra_specs(specs)
    unsupported.check_image(properties)
    _image_within_flavor(specs, properties)
    _cpus(specs, properties)
    _cells(specs, properties)
    try:
        requested_cells(vcpus, ram, specs, properties)
    except BadTopology as error:
        raise errors.BadRequest(f"The topology that flavor and image ask for cannot exist: {error}.") from error
    try:
        hardware(vcpus, specs, properties)
    except BadHardware as error:
        raise errors.BadRequest(f"The hardware that flavor and image ask for is not available: {error}.") from error
    try:
        groups.check(specs, properties)
    except ValueError as error:
        raise errors.BadRequest(f"What flavor and image ask of resource providers is not valid: {error}.") from error
    try:
        wanted = devices(specs, properties)
    except ValueError as error:
        raise errors.BadRequest(f"The devices that flavor and image ask for are not available: {error}.") from error
    if specs.get("gpu:count", "0") != "0" and not specs.get("gpu:type"):
        raise errors.BadRequest("gpu:count without gpu:type gives no GPU; say which type, as gpu:type=a100.")
    gpu = properties.get("gpu:type")
    if gpu and pci_name(gpu) not in (wanted.resources() if wanted else {}):
        raise errors.BadRequest(
            f"The image needs a GPU of type {gpu[:80]}, and the flavor gives none; choose a flavor that does."
        )


def _cpus(specs: Mapping[str, str], properties: Mapping[str, str]) -> None:
    by_class = "dedicated" if specs.get(PCPU, "0") != "0" else "shared"
    policy = specs.get("hw:cpu_policy") or (
        by_class if by_class == "dedicated" else properties.get("hw_cpu_policy") or by_class
    )
    if policy not in PINNING:
        for name in ("cpu_thread_policy", "emulator_threads_policy"):
            given = specs.get(f"hw:{name}") or properties.get(f"hw_{name}")
            if given and not (name == "emulator_threads_policy" and given == "share"):
                raise errors.BadRequest(
                    f"hw:{name} {given[:40]} needs dedicated CPUs, and hw:cpu_policy is {policy[:40]}; "
                    f"set hw:cpu_policy to dedicated, or remove hw:{name}."
                )
    threads = specs.get("hw:emulator_threads_policy")
    if threads and threads not in ("isolate", "share"):
        raise errors.BadRequest(f"hw:emulator_threads_policy is {threads[:40]}; it takes isolate or share.")
    if specs.get("hw:cpu_dedicated_mask") and policy != "mixed":
        raise errors.BadRequest(
            f"hw:cpu_dedicated_mask needs hw:cpu_policy mixed, and hw:cpu_policy is {policy[:40]}; "
            "set it to mixed, or remove the mask."
        )
    counted = sorted(name for name in ("resources:VCPU", PCPU) if name in specs)
    if counted and (specs.get("hw:cpu_policy") or properties.get("hw_cpu_policy")) in PINNING:
        raise errors.BadRequest(
            f"{counted[0]} and hw:cpu_policy {policy} both say how CPUs are counted; remove {counted[0]}."
        )
    if by_class == "dedicated" and specs.get("hw:cpu_policy"):
        raise errors.BadRequest(f"{PCPU} contradicts hw:cpu_policy {policy[:40]}; remove one of them.")
    if len(counted) == 2 and all(specs[name] != "0" for name in counted):
        raise errors.BadRequest("resources:VCPU and resources:PCPU exclude each other; use hw:cpu_policy mixed.")


def _cells(specs: Mapping[str, str], properties: Mapping[str, str]) -> None:
    """Refuse cells that are written out but not counted, and those of which one half is missing."""
    written: dict[str, set[int]] = {"numa_cpus": set(), "numa_mem": set()}
    for key in (*specs, *properties):
        if match := _CELL.fullmatch(key):
            written[match[1]].add(int(match[2]))
    told = written["numa_cpus"] | written["numa_mem"]
    nodes = specs.get("hw:numa_nodes") or properties.get("hw_numa_nodes") or ""
    if not told or (nodes and not nodes.isdecimal()):
        return
    if not nodes or max(told) >= int(nodes):
        raise errors.BadRequest(
            f"numa_cpus.{max(told)} or numa_mem.{max(told)} is given, and numa_nodes is {nodes or 'not set'}; "
            "the cells are numbered from 0 to one less than numa_nodes."
        )
    if written["numa_cpus"] != written["numa_mem"] or len(told) != int(nodes):
        raise errors.BadRequest(f"numa_cpus and numa_mem must be given for each of the {nodes} cells, or not at all.")


def _image_within_flavor(specs: Mapping[str, str], properties: Mapping[str, str]) -> None:
    """An image, which users make, does not overrule the flavor, which operators make."""
    flavors, images = specs.get("hw:cpu_policy"), properties.get("hw_cpu_policy")
    # A flavor of dedicated CPUs gives them to whatever image, as the field has it.
    if flavors and images and flavors != images and flavors != "dedicated" and images != "shared":
        raise _conflict("cpu_policy", images, flavors)
    flavors, images = specs.get("hw:cpu_thread_policy"), properties.get("hw_cpu_thread_policy")
    if flavors and images and flavors not in (images, "prefer"):
        raise _conflict("cpu_thread_policy", images, flavors)
    flavors, images = specs.get("hw:pci_numa_affinity_policy"), properties.get("hw_pci_numa_affinity_policy")
    if flavors and images and flavors != images:
        raise _conflict("pci_numa_affinity_policy", images, flavors)
    for name in ("numa_nodes", "numa_cpus", "numa_mem"):
        if any(_is(key, f"hw:{name}") for key in specs) and any(_is(key, f"hw_{name}") for key in properties):
            raise errors.BadRequest(f"Image and flavor both set {name}; set it in one of them alone.")
    flavors, images = specs.get("hw:mem_page_size"), properties.get("hw_mem_page_size")
    if images and images not in ("small", flavors) and flavors not in ("large", "any"):
        raise errors.BadRequest(
            f"Image property hw_mem_page_size is {images[:40]}, and the flavor leaves images no choice of it; choose a "
            "flavor with hw:mem_page_size large or any, or remove the property."
        )


def _conflict(name: str, images: str, flavors: str) -> errors.BadRequest:
    return errors.BadRequest(
        f"Image property hw_{name} is {images[:40]}, and the flavor's hw:{name} is {flavors[:40]}; "
        "choose another flavor, or change the property."
    )


def _is(key: str, name: str) -> bool:
    return key == name or key.startswith(f"{name}.")
