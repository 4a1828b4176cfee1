"""Device profiles: a name in a flavor for the devices, and their traits, that its servers need."""

import re
from collections.abc import Mapping

import attrs
import os_resource_classes

from novakit import errors
from novakit.request_spec.groups import PROFILE
from novakit.resource_classes import canonical

EXTRA_SPEC = "accel:device_profile"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")
"""What a profile may be called: flavors name it, and it is printed."""
_CLASS = re.compile(r"[A-Z][A-Z0-9_]{0,254}")


def _class_names(instance: object, attribute: object, value: Mapping[str, int]) -> None:
    for name, amount in value.items():
        known = (
            name.startswith(os_resource_classes.CUSTOM_NAMESPACE)
            or canonical(name) != name
            or name in os_resource_classes.STANDARDS
        )
        if not _CLASS.fullmatch(name) or not known or amount < 1:
            raise ValueError(
                f"{name[:80]!r} = {amount} is not an amount of a standard resource class, such as PGPU = 1, or of a"
                " custom one, such as CUSTOM_ACCELERATOR_AI = 1"
            )


def _trait_names(instance: object, attribute: object, value: tuple[str, ...]) -> None:
    for name in value:
        if not _CLASS.fullmatch(name):
            raise ValueError(f"{name[:80]!r} is not a trait, such as CUSTOM_ACCELERATOR_AI")


@attrs.frozen(kw_only=True)
class ProfileGroup:
    """`[[device_profiles.NAME.groups]]`: what comes from one device, and the traits it must have."""

    resources: Mapping[str, int] = attrs.field(validator=[attrs.validators.min_len(1), _class_names])
    """Amounts by resource class."""
    traits: tuple[str, ...] = attrs.field(default=(), validator=_trait_names)
    """Traits the device must have itself."""
    forbidden: tuple[str, ...] = attrs.field(default=(), validator=_trait_names)
    """Traits the device must not have."""


@attrs.frozen(kw_only=True)
class DeviceProfile:
    """`[device_profiles.NAME]`: what one server of a flavor with this profile takes beside CPU, memory and disk."""

    resources: Mapping[str, int] = attrs.field(factory=dict, validator=_class_names)
    """Amounts by resource class."""
    traits: tuple[str, ...] = attrs.field(default=(), validator=_trait_names)
    """Traits its host must have, anywhere in its tree."""
    groups: tuple[ProfileGroup, ...] = ()
    """Further devices, each with all that its group says."""

    def written_out(self) -> dict[str, str]:
        """Return the extra specs that say the same."""
        meant = {f"resources:{kind}": str(amount) for kind, amount in self.resources.items()}
        meant |= {f"trait:{trait}": "required" for trait in self.traits}
        for number, group in enumerate(self.groups, start=1):
            suffix = f"{PROFILE}{number}"
            meant |= {f"resources{suffix}:{kind}": str(amount) for kind, amount in group.resources.items()}
            meant |= {f"trait{suffix}:{trait}": "required" for trait in group.traits}
            meant |= {f"trait{suffix}:{trait}": "forbidden" for trait in group.forbidden}
        return meant


def applied(specs: Mapping[str, str], profiles: Mapping[str, DeviceProfile]) -> dict[str, str]:
    """Return extra specs with what their device profile means written out. Raises BadRequest for an unknown profile."""
    name = specs.get(EXTRA_SPEC)
    if not name:
        return dict(specs)
    profile = profiles.get(name)
    if profile is None:
        raise errors.BadRequest(f"The flavor's device profile {name[:80]} does not exist.")
    meant = profile.written_out()
    for key, value in meant.items():
        if specs.get(key, value) != value:
            raise errors.BadRequest(f"The flavor says {key} = {specs[key]}, and its device profile {name} {value}.")
    return {**specs, **meant}
