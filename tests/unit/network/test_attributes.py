"""Attributes fill fields of the domain's records, and nothing is filled that no record has."""

import attrs
import pytest

from novakit.api.network.handlers import RESOURCES
from novakit.api.network.resources import AnyResource


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda one: one.many)
@pytest.mark.parametrize("new", [True, False], ids=["new", "change"])
def test_every_attribute_fills_a_field_of_the_record_it_becomes(resource: AnyResource, new: bool) -> None:
    record = resource.new if new else resource.change
    if record is None:
        return
    taken = {key: one for key, one in resource.attributes.items() if (one.post if new else one.put) and one.kept}
    filled = [one.field or key for key, one in taken.items()]
    fields = attrs.fields_dict(record)  # type: ignore[arg-type]
    assert len(set(filled)) == len(filled)
    assert set(filled) == set(fields)
    needed = {one.field or key for key, one in taken.items() if one.needed}
    assert {name for name, field in fields.items() if field.default is attrs.NOTHING} == (needed if new else set())
