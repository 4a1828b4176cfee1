"""Attributes that a client may send, who may, and the values that they become in the domain."""

from collections.abc import Mapping

import attrs

from novakit import errors
from novakit.api.network.bodies.kinds import (
    ValueKind,
    Wrong,
    boolean,
    nullable,
    one_of,
    record,
    several,
    text,
    uuid,
)
from novakit.api.service import Call
from novakit.network.records import Hop, WantedAddress
from novakit.network.service import Networks


@attrs.frozen(kw_only=True)
class Attribute:
    """One attribute that may be sent."""

    check: ValueKind
    field: str | None = None
    """The field of the domain's record of values that it fills; None for one of its own name."""
    kept: bool = True
    """Whether it is part of that record; what can have one value alone is checked and not kept."""
    post: bool = True
    put: bool = True
    needed: bool = False
    """Whether a POST must have it."""


Attributes = Mapping[str, Attribute]

MOST_TAGS = 50
"""Tags of one resource."""
name = Attribute(check=text())
flag = Attribute(check=boolean)
made_once = Attribute(check=nullable(text()), put=False)
ignored = Attribute(check=nullable(one_of(None)), kept=False)
zones = Attribute(check=several(one_of("nova"), 1), put=False, kept=False)
route = record({"destination": text(64), "nexthop": text(64)}, ["destination", "nexthop"], into=Hop)
fixed = record({"subnet_id": uuid, "ip_address": text(64)}, into=WantedAddress)
COMMON: Attributes = {
    "name": name,
    "description": name,
    "project_id": made_once,
    "tags": Attribute(check=several(text(60), MOST_TAGS), put=False),
}
NAMELESS: Attributes = {key: value for key, value in COMMON.items() if key != "name"}
HIDDEN = frozenset(
    {
        *("provider:network_type", "provider:physical_network", "provider:segmentation_id", "distributed", "ha"),
        *("binding:host_id", "binding:profile", "binding:vif_type", "binding:vif_details"),
    }
)
"""What only those see whom a rule such as `get_port:binding:host_id` lets."""
LATER = ("port",)
"""What has rules that depend on the network it is on: the domain asks them, once it has found the network."""


def read(attributes: Attributes, given: object, call: Call[Networks], *, new: bool, what: str) -> dict[str, object]:
    """Check what was sent for one thing, and give the fields of the record that it becomes.

    Raises BadRequest with the name of the attribute, and Forbidden.
    """
    if not isinstance(given, dict):
        raise _bad(f"Invalid input for {what}. Reason: it is not an object.")
    given = _with_project(given)
    if unknown := sorted(str(key)[:64] for key in set(given) - set(attributes)):
        raise _bad(f"Unrecognized attribute(s) '{', '.join(unknown[:10])}'")
    fields: dict[str, object] = {}
    for key, value in given.items():
        attribute = attributes[key]
        if not (attribute.post if new else attribute.put):
            raise _bad(f"Attribute '{key}' not allowed in {'POST' if new else 'PUT'}")
        try:
            normal = attribute.check(value)
        except Wrong as error:
            raise _bad(f"Invalid input for {key}. Reason: {error.message}") from error
        if attribute.kept:
            fields[attribute.field or key] = normal
    if new and (lacking := [key for key, attribute in attributes.items() if attribute.needed and key not in given]):
        raise _bad(f"Failed to parse request. Required attribute '{lacking[0]}' not specified")
    if what not in LATER:
        _authorize(call, f"{'create' if new else 'update'}_{what}", given)
    return fields


def _authorize(call: Call[Networks], rule: str, given: Mapping[str, object]) -> None:
    """Ask the rule of each attribute that was sent, and of each part of one that has parts."""
    for key, value in given.items():
        parts = [f"{key}:{part}" for part in value] if isinstance(value, dict) else []
        for one in (f"{rule}:{part}" for part in (key, *parts)):
            if one in call.policy.table:
                call.authorize(one)


def _with_project(given: Mapping[str, object]) -> dict[str, object]:
    values = dict(given)
    if "tenant_id" in values:
        project = values.pop("tenant_id")
        if values.setdefault("project_id", project) != project:
            raise _bad("'project_id' and 'tenant_id' are given and do not match.")
    return values


def _bad(sentence: str) -> errors.BadRequest:
    return errors.BadRequest(sentence, kind="HTTPBadRequest")
