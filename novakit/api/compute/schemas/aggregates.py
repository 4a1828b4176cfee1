"""Bodies of the aggregate calls."""

from collections.abc import Mapping

import attrs

from novakit.api.bodies import Body
from novakit.api.compute.schemas import types
from novakit.left_out import LEFT_OUT, LeftOut

_zone: types.Definition = {"anyOf": [types.az_name, {"type": "null"}]}
_fields: types.Definition = {"name": types.name, "availability_zone": _zone}
_host = types.record({"host": types.fqdn}, ["host"])
_metadata: types.Definition = {
    "type": "object",
    "properties": {"availability_zone": _zone},
    "patternProperties": {types.METADATA_KEY: {"type": ["string", "null"], "maxLength": 255}},
    "additionalProperties": False,
}


@attrs.frozen(kw_only=True)
class NewAggregate:
    """An aggregate that is to be made."""

    name: str
    availability_zone: str | None = None


@attrs.frozen(kw_only=True)
class AggregateChange:
    """What of an aggregate is to change."""

    name: str | None = None
    availability_zone: str | LeftOut | None = LEFT_OUT


@attrs.frozen(kw_only=True)
class NamedHost:
    """A host that an aggregate is to have, or not to have any more."""

    host: str


@attrs.frozen(kw_only=True)
class MetadataChange:
    """Metadata that an aggregate is to have; null takes a key away."""

    metadata: Mapping[str, str | None]


create = Body(NewAggregate, [((2, 1), types.record(_fields, ["name"]))], under="aggregate")
update = Body(AggregateChange, [((2, 1), {**types.record(_fields), "minProperties": 1})], under="aggregate")
add_host = Body(NamedHost, [((2, 1), _host)], under="add_host")
remove_host = Body(NamedHost, [((2, 1), _host)], under="remove_host")
set_metadata = Body(
    MetadataChange, [((2, 1), types.record({"metadata": _metadata}, ["metadata"]))], under="set_metadata"
)
