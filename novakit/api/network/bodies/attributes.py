"""Attributes that a client may send, who may, and the records of the domain that are made of them."""

from collections.abc import Mapping, Sequence
from typing import Generic, Literal, TypeVar, cast

import attrs

from novakit import errors
from novakit.api import ids, records
from novakit.api.bodies import Definition, Schema, SchemaFault, absent, unexpected
from novakit.api.network.bodies import kinds
from novakit.api.network.bodies.kinds import boolean, nullable, one_of, record, several, text, uuid
from novakit.api.service import Call
from novakit.context import Target
from novakit.network.service import Networks

R = TypeVar("R")
SentAttributes = dict[str, object]
"""What was sent of one thing."""


@attrs.frozen(kw_only=True)
class Attribute:
    """One attribute that may be sent."""

    check: Definition
    """The JSON schema of its values."""
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
MOST_AT_ONCE = 500
"""Things that one bulk request makes: they are made in one transaction, for which others wait."""
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
_OLD_PROJECT = "tenant_id"
"""The older name of `project_id`."""
_NOT_TAKEN: Definition = {"not": {}}
LATER = ("port",)
"""What has rules that depend on the network it is on: the domain asks them, once it has found the network."""


@attrs.frozen
class Sent:
    """What a body says: of one thing, or of a list of things, which is answered with a list."""

    things: Sequence[SentAttributes]
    are_listed: bool


@attrs.frozen(kw_only=True)
class AttributesBody(Generic[R]):
    """What may be said of one thing where it is made or changed, and the record that the domain gets of it.

    A body is checked as a whole by one schema. Of several faults in a thing that one is told which Neutron tells:
    first attributes that there are not, then those that are missing, then values in the order of `attributes`.
    """

    kind: type[R]
    attributes: Attributes
    verb: Literal["create", "update"]
    """The word that the rules of its attributes begin with; a POST creates, a PUT updates."""
    what: str
    """What errors and rules call a thing, and the key under which a body has it."""
    many: str | None = None
    """The key under which a body has a list of things instead; None where it has one thing alone."""
    bare: bool = False
    """Whether a body is the thing itself, under no key."""
    schema: Schema = attrs.field(init=False, repr=False, eq=False)
    """What a whole body is checked with."""
    fields: Mapping[str, str] = attrs.field(init=False, repr=False, eq=False)
    """The record's fields by the names of the attributes that fill them."""

    @schema.default
    def _whole(self) -> Schema:
        thing = self.definition
        if not self.bare:
            # Defined aside, it is compiled once for both keys: with the many attributes of a port that takes 10 ms.
            one: Definition = {"$ref": "#/definitions/thing"}
            keys = {self.what: one}
            if self.many:
                keys[self.many] = {"type": "array", "minItems": 1, "maxItems": MOST_AT_ONCE, "items": one}
            some = [{"required": [key]} for key in keys]
            thing = {"type": "object", "definitions": {"thing": thing}, "anyOf": some, "properties": keys}
        return Schema(thing, self._words, kinds.FORMATS)

    @fields.default
    def _kept(self) -> Mapping[str, str]:
        return {key: one.field or key for key, one in self.attributes.items() if one.kept}

    @property
    def definition(self) -> Definition:
        """The part of the schema that describes a thing."""
        takes = {key: one.check if self._takes(one) else _NOT_TAKEN for key, one in self.attributes.items()}
        if "project_id" in takes:
            takes[_OLD_PROJECT] = takes["project_id"]
        return {
            "type": "object",
            "allOf": [{"properties": {key: {} for key in takes}, "additionalProperties": False}],
            "required": [key for key, one in self.attributes.items() if one.needed and self.verb == "create"],
            "properties": takes,
        }

    def _takes(self, attribute: Attribute) -> bool:
        return attribute.post if self.verb == "create" else attribute.put

    def sent(self, body: Mapping[str, object]) -> Sent:
        """Return what a body says. Raises BadRequest with the name of the attribute that is wrong."""
        self.schema.check(body)
        if self.many is not None and self.many in body:
            return Sent(cast(list[SentAttributes], body[self.many]), are_listed=True)
        return Sent([cast(SentAttributes, body if self.bare else body[self.what])], are_listed=False)

    def thing(self, body: Mapping[str, object]) -> SentAttributes:
        """Return what the body says of its one thing; raises as `sent` does."""
        (one,) = self.sent(body).things
        return one

    def record(self, given: SentAttributes, call: Call[Networks], about: Target | None = None) -> R:
        """Make the record of what was sent.

        `about` describes the thing to the rules of attributes; None is one of the caller's own.
        Raises BadRequest for two projects, and Forbidden for an attribute that only others may send.
        """
        given = _with_project(given)
        if self.what not in LATER:
            _authorize(call, f"{self.verb}_{self.what}", given, about)
        return self._made(given)

    def spelt(self, given: SentAttributes) -> SentAttributes:
        """Return what was sent in the spelling in which it is kept: rules know a flag and no word for it."""
        given = _with_project(given)
        made = self._made(given)
        kept = {key: getattr(made, self.fields[key]) for key in given if key in self.fields}
        return {**given, **{key: value for key, value in kept.items() if isinstance(value, str | int)}}

    def _made(self, given: SentAttributes) -> R:
        fields = self.fields
        return records.read(self.kind, {fields[key]: value for key, value in given.items() if key in fields})

    def _words(self, fault: SchemaFault) -> errors.BadRequest:
        """Return what is wrong with a body in Neutron's words."""
        where = fault.path[1:]
        above = 0 if self.bare else 2 if where[:1] == [self.many] else 1
        if len(where) > above:
            return bad(self._of_attribute(where[above], fault))
        if len(where) == above:
            return bad(self._of_thing(fault))
        if where:
            return bad(f"'{self.many}' must be a list of 1 to {MOST_AT_ONCE} objects")
        return bad(f"Unable to find '{self.what}' in request body")

    def _of_attribute(self, name: str, fault: SchemaFault) -> str:
        if fault.definition == _NOT_TAKEN:
            return f"Attribute '{name}' not allowed in {'POST' if self.verb == 'create' else 'PUT'}"
        return f"Invalid input for {name}. Reason: {kinds.reason(fault)}"

    def _of_thing(self, fault: SchemaFault) -> str:
        if unknown := sorted(key[:64] for key in unexpected(fault)):
            return f"Unrecognized attribute(s) '{', '.join(unknown[:10])}'"
        if (lacking := absent(fault)) is not None:
            return f"Failed to parse request. Required attribute '{lacking}' not specified"
        return f"Invalid input for {self.what}. Reason: it is not an object."


def _authorize(call: Call[Networks], rule: str, given: SentAttributes, about: Target | None) -> None:
    """Ask the rule of each attribute that was sent, and of each part of one that has parts."""
    for key, value in given.items():
        parts = [f"{key}:{part}" for part in value] if isinstance(value, dict) else []
        for one in (f"{rule}:{part}" for part in (key, *parts)):
            if one in call.policy.table:
                call.authorize(one, about)


def _with_project(given: SentAttributes) -> SentAttributes:
    """Return what was sent with its project under one name. Raises BadRequest where it has two that differ."""
    if given.keys().isdisjoint(("project_id", _OLD_PROJECT)):
        return given
    values = dict(given)
    for name in ("project_id", _OLD_PROJECT):
        if isinstance(said := values.get(name), str):
            values[name] = ids.kept(said)
    if _OLD_PROJECT in values:
        project = values.pop(_OLD_PROJECT)
        if values.setdefault("project_id", project) != project:
            raise bad("'project_id' and 'tenant_id' are given and do not match.")
    return values


def bad(sentence: str) -> errors.BadRequest:
    """Make the refusal of a body or a query."""
    return errors.BadRequest(sentence, kind="HTTPBadRequest")
