"""Attributes that a client may send, who may, and the records of the domain that are made of them."""

from collections.abc import Mapping
from typing import Generic, Literal, TypeVar

import attrs

from novakit import errors
from novakit.api import ids, records
from novakit.api.bodies import Definition
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
from novakit.network.service import Networks

R = TypeVar("R")


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
route = record({"destination": text(64), "nexthop": text(64)}, ["destination", "nexthop"])
fixed = record({"subnet_id": uuid, "ip_address": text(64)})
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


@attrs.frozen(kw_only=True)
class AttributesBody(Generic[R]):
    """What may be said of one thing where it is made or changed, and the record that the domain gets of it.

    Attributes are checked one by one, in the order in which they were sent: the first that is wrong is told.
    """

    kind: type[R]
    attributes: Attributes
    verb: Literal["create", "update"]
    """The word that the rules of its attributes begin with; a POST creates, a PUT updates."""
    what: str

    @property
    def definition(self) -> Definition:
        """The JSON schema of what is kept, by the names of the record's fields."""
        kept = {key: one for key, one in self.attributes.items() if one.kept and self._takes(one)}
        names = {key: one.field or key for key, one in kept.items()}
        return {
            "type": "object",
            "properties": {names[key]: one.check.definition for key, one in kept.items()},
            "required": [names[key] for key, one in kept.items() if one.needed and self.verb == "create"],
            "additionalProperties": False,
        }

    def _takes(self, attribute: Attribute) -> bool:
        return attribute.post if self.verb == "create" else attribute.put

    def read(self, given: object, call: Call[Networks]) -> R:
        """Make the record of what was sent. Raises BadRequest with the name of the attribute, and Forbidden."""
        if not isinstance(given, dict):
            raise _bad(f"Invalid input for {self.what}. Reason: it is not an object.")
        given = _with_project(given)
        if unknown := sorted(str(key)[:64] for key in set(given) - set(self.attributes)):
            raise _bad(f"Unrecognized attribute(s) '{', '.join(unknown[:10])}'")
        fields: dict[str, object] = {}
        for key, value in given.items():
            attribute = self.attributes[key]
            if not self._takes(attribute):
                raise _bad(f"Attribute '{key}' not allowed in {'POST' if self.verb == 'create' else 'PUT'}")
            try:
                attribute.check.check(value)
            except Wrong as error:
                raise _bad(f"Invalid input for {key}. Reason: {error.message}") from error
            if attribute.kept:
                fields[attribute.field or key] = value
        needed = [key for key, attribute in self.attributes.items() if attribute.needed and self.verb == "create"]
        if lacking := [key for key in needed if key not in given]:
            raise _bad(f"Failed to parse request. Required attribute '{lacking[0]}' not specified")
        if self.what not in LATER:
            _authorize(call, f"{self.verb}_{self.what}", given)
        return records.read(self.kind, fields)


def _authorize(call: Call[Networks], rule: str, given: Mapping[str, object]) -> None:
    """Ask the rule of each attribute that was sent, and of each part of one that has parts."""
    for key, value in given.items():
        parts = [f"{key}:{part}" for part in value] if isinstance(value, dict) else []
        for one in (f"{rule}:{part}" for part in (key, *parts)):
            if one in call.policy.table:
                call.authorize(one)


def _with_project(given: Mapping[str, object]) -> dict[str, object]:
    values = dict(given)
    for name in ("project_id", "tenant_id"):
        # What is not a text is refused by its own kind.
        if isinstance(said := values.get(name), str):
            values[name] = ids.kept(said)
    if "tenant_id" in values:
        project = values.pop("tenant_id")
        if values.setdefault("project_id", project) != project:
            raise _bad("'project_id' and 'tenant_id' are given and do not match.")
    return values


def _bad(sentence: str) -> errors.BadRequest:
    return errors.BadRequest(sentence, kind="HTTPBadRequest")
