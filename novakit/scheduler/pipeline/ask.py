"""From the plain data of a request to an `Ask`, with everything that flavor, image and hints say filled in."""

import re
from collections.abc import Mapping
from operator import attrgetter
from typing import Any, TypeVar

import attrs

from novakit import errors
from novakit.request_spec.groups import check, groups_of, isolated
from novakit.request_spec.implied import implied
from novakit.resource_classes import canonical
from novakit_fit.device_request import devices
from novakit_fit.numa_request import BadTopology, requested_cells
from novakit_hookspecs.plain import to_record
from novakit_hookspecs.scheduling import Ask, GroupAsk, ImageAsk
from novakit_hookspecs.trees import RequestGroup

T = TypeVar("T")

_NUMBERS = ("vcpus", "memory_mb", "root_gb", "ephemeral_gb", "swap_mb", "count")
_TEXTS = ("server_id", "project_id", "user_id", "request_id", "flavor_name")
_OPTIONAL_TEXTS = ("availability_zone", "host", "node", "cell")
_NAMES = ("required_traits", "forbidden_traits", "excluded_hosts")
_DERIVED = ("groups", "isolate_groups", "implied")
"""What the extra specs say, whoever says it too."""
_RESOURCE = re.compile(r"resources:([A-Z][A-Z0-9_]{0,254})")
_TRAIT = re.compile(r"trait:([A-Z][A-Z0-9_]{0,254})")


_BUT_IDS = attrgetter(*(field.name for field in attrs.fields(Ask) if field.name not in ("server_id", "request_id")))


def are_alike(one: Ask, other: Ask) -> bool:
    """Return whether two asks are for the same, for whichever server."""
    return _BUT_IDS(one) == _BUT_IDS(other)


def from_plain(body: Mapping[str, object]) -> Ask:
    """Make an ask of plain data. Raises BadRequest for a field that is wrong or unknown."""
    known = {field.name for field in attrs.fields(Ask)}
    strange = sorted(set(body) - known)
    if strange:
        raise errors.BadRequest(f"A request for a host has no field {', '.join(strange)}.")
    fields: dict[str, Any] = dict(body)
    for name in _NUMBERS:
        if name in fields and type(fields[name]) is not int:
            raise errors.BadRequest(f"{name} of a request for a host must be a number from 0 to 2147483648.")
    for name in _TEXTS + _OPTIONAL_TEXTS:
        value = fields.get(name)
        if not isinstance(value, str) and not (value is None and (name in _OPTIONAL_TEXTS or name not in fields)):
            raise errors.BadRequest(f"{name} of a request for a host must be a text.")
    for name in _NAMES:
        fields[name] = frozenset(fields.get(name) or ())
    for name in _DERIVED:
        fields.pop(name, None)
    fields.setdefault("server_id", "")
    if fields.get("image") is not None:
        fields["image"] = _record("image", fields["image"], ImageAsk, {})
    if fields.get("group") is not None:
        fields["group"] = _record("group", fields["group"], GroupAsk, {"policy": ""})
    for name in ("extra_specs", "hints", "resources", "server_hosts"):
        fields[name] = fields.get(name) or {}
        if not isinstance(fields[name], Mapping):
            raise errors.BadRequest(f"{name} of a request for a host must be an object.")
    for name, amount in fields["resources"].items():
        if type(amount) is not int:
            raise errors.BadRequest(f"{name} in the resources of a request for a host must be a whole number.")
    return checked(Ask(**fields))


@attrs.define
class Checking:
    """Holds asks to their limits, one after the other; one that is like the last is taken for as good as that."""

    _asked: Ask | None = None
    """The last one as it came."""
    _checked: Ask | None = None
    """And as it was found."""

    def __call__(self, ask: Ask) -> Ask:
        """Do as `checked`."""
        if self._asked is not None and self._checked is not None and ask.server_id and are_alike(ask, self._asked):
            # With its own hints: what is equal need not be the same, such as 1 and True.
            return attrs.evolve(self._checked, server_id=ask.server_id, request_id=ask.request_id, hints=ask.hints)
        self._checked = checked(ask)
        self._asked = ask
        return self._checked


def checked(ask: Ask) -> Ask:
    """Hold an ask to its limits, and fill in what flavor, image and hints say. Raises BadRequest."""
    for name in _NUMBERS:
        if not 0 <= getattr(ask, name) <= 2**31:
            raise errors.BadRequest(f"{name} of a request for a host must be a number from 0 to 2147483648.")
    if not ask.server_id:
        raise errors.BadRequest("A request for a host needs a server_id.")
    try:
        check(ask.extra_specs, ask.image.properties if ask.image else {})
    except ValueError as error:
        raise errors.BadRequest(f"What flavor and image ask of resource providers is not valid: {error}.") from error
    return complete(ask)


def _record(name: str, plain: object, kind: type[T], defaults: Mapping[str, object]) -> T:
    try:
        return to_record({**defaults, **plain} if isinstance(plain, dict) else plain, kind)
    except (TypeError, ValueError) as error:
        raise errors.BadRequest(
            f"The {name} of a request for a host is not valid: {errors.in_words(error)}."
        ) from error


def complete(ask: Ask) -> Ask:
    """Add what the extra specs and image properties mean: traits, resources, groups, and amounts left unsaid."""
    properties = ask.image.properties if ask.image else {}
    disk_format = ask.image.disk_format if ask.image else ""
    because = implied(ask.extra_specs, properties, disk_format, config_drive=ask.config_drive)
    required = {*ask.required_traits, *because}
    forbidden = set(ask.forbidden_traits)
    groups, isolate = _groups(ask) if ask.extra_specs else ((), False)
    resources = dict(ask.resources) or {"VCPU": ask.vcpus, "MEMORY_MB": ask.memory_mb, "DISK_GB": ask.disk_gb}
    for name, value in (*ask.extra_specs.items(), *properties.items()):
        if match := _TRAIT.fullmatch(name):
            if value == "required":
                required.add(match[1])
            elif value == "forbidden":
                forbidden.add(match[1])
    if not ask.resources and (ask.extra_specs or properties):
        resources |= _cpus(ask, properties)
        for name, value in ask.extra_specs.items():
            if (match := _RESOURCE.fullmatch(name)) and value.isdecimal() and len(value) < 11:
                resources[canonical(match[1])] = int(value)
        resources |= _devices(ask, properties)
        for group in groups:
            for name, amount in group.resources.items():
                resources[name] = resources.get(name, 0) + amount
    wanted = {name: amount for name, amount in resources.items() if amount > 0}
    return attrs.evolve(
        ask,
        required_traits=required,
        implied=because,
        forbidden_traits=forbidden,
        resources=wanted,
        groups=groups,
        isolate_groups=isolate,
    )


def _groups(ask: Ask) -> tuple[tuple[RequestGroup, ...], bool]:
    """Read the request groups; what cannot be read was refused before the server was written, and counts as none."""
    try:
        return groups_of(ask.extra_specs), isolated(ask.extra_specs)
    except ValueError:
        return (), False


def _cpus(ask: Ask, properties: Mapping[str, str]) -> dict[str, int]:
    """Divide the CPUs into those of its own, emulator threads included, and shared ones.

    A request that cannot be met counts as shared CPUs; the NUMA filter says what is wrong with it.
    """
    try:
        wanted = requested_cells(ask.vcpus, ask.memory_mb, ask.extra_specs, properties)
    except BadTopology:
        wanted = None
    cells = wanted.cells if wanted else ()
    pinned = sum(len(cell.pinned) for cell in cells)
    return {"VCPU": ask.vcpus - pinned, "PCPU": pinned + sum(cell.extra_cpus for cell in cells)}


def _devices(ask: Ask, properties: Mapping[str, str]) -> Mapping[str, int]:
    """Count the devices by resource class; what cannot be read counts as none, and the filters say what is wrong."""
    try:
        wanted = devices(ask.extra_specs, properties)
    except ValueError:
        return {}
    return wanted.resources() if wanted else {}
