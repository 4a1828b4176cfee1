"""What flavor and image may ask of CPUs and pages together, looked at before a server is written."""

from collections.abc import Mapping
from typing import Any

from novakit import errors
from novakit_hookspecs.numa import BadWish, wish

PINNING = ("dedicated", "mixed")


def check(flavor: Mapping[str, Any], properties: Mapping[str, str]) -> None:
    """Refuse a topology that cannot exist and a mix of pinned and floating that nobody could account for.

    `flavor` has vcpus, ram (MiB) and extra_specs. Raises `BadRequest`, and `Forbidden` where an image takes what its
    user's flavor does not give.
    """
    specs: Mapping[str, str] = flavor["extra_specs"] or {}
    _image_within_flavor(specs, properties)
    policy = specs.get("hw:cpu_policy") or properties.get("hw_cpu_policy") or "shared"
    if policy not in PINNING:
        for name in ("cpu_thread_policy", "emulator_threads_policy"):
            given = specs.get(f"hw:{name}") or properties.get(f"hw_{name}")
            if given and not (name == "emulator_threads_policy" and given == "share"):
                raise errors.BadRequest(
                    f"Dedicated CPUs required: hw:{name} is {given}, and hw:cpu_policy is {policy}."
                )
    if specs.get("hw:cpu_dedicated_mask") and policy != "mixed":
        raise errors.BadRequest(f"hw:cpu_dedicated_mask is for hw:cpu_policy mixed, and it is {policy}.")
    counted = sorted(name for name in ("resources:VCPU", "resources:PCPU") if name in specs)
    if counted and policy in PINNING:
        raise errors.BadRequest(f"{counted[0]} cannot be counted beside hw:cpu_policy {policy}; leave it out.")
    if len(counted) == 2 and all(specs[name] != "0" for name in counted):
        raise errors.BadRequest("resources:VCPU and resources:PCPU exclude one another; use hw:cpu_policy mixed.")
    try:
        wish(flavor["vcpus"], flavor["ram"], specs, properties)
    except BadWish as error:
        raise errors.BadRequest(f"The topology that flavor and image ask for cannot exist: {error}.") from error


def _image_within_flavor(specs: Mapping[str, str], properties: Mapping[str, str]) -> None:
    """An image, which users make, does not overrule the flavor, which operators make."""
    for name in ("cpu_policy", "cpu_thread_policy"):
        flavors, images = specs.get(f"hw:{name}"), properties.get(f"hw_{name}")
        if flavors and images and flavors != images:
            raise errors.Forbidden(f"Image property hw_{name} is {images}, and the flavor's hw:{name} is {flavors}.")
    flavors, images = specs.get("hw:mem_page_size"), properties.get("hw_mem_page_size")
    if images and images not in ("small", flavors) and flavors not in ("large", "any"):
        raise errors.Forbidden(
            f"Image property hw_mem_page_size is {images}; only hw:mem_page_size large or any gives a choice."
        )
