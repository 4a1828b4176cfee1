"""Of each body the schema and the record say the same: what one takes, the other has a place for."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, get_args, get_origin

import attrs
import pytest

from novakit import errors
from novakit.api import records
from novakit.api.bodies import Body
from novakit.left_out import LeftOut
from tests.support.bodies import Form, forms

FORMS = {place: form for place, form in forms().items() if form.kind is not None}
PYTHON: Mapping[str, type] = {
    "string": str,
    "integer": int,
    "number": float,
    "boolean": bool,
    "null": type(None),
    "array": list,
    "object": dict,
}
WRITTEN = (int, float, bool)
"""What is read of a text, too; a text is read of whatever is sent."""
Definition = Mapping[str, object]


def test_the_bodies_of_every_service_are_found() -> None:
    services = {place.split(".")[2] for place in FORMS}
    assert services == {"compute", "identity", "image", "network", "novakit", "placement"} and len(FORMS) > 55


@pytest.mark.parametrize("place", FORMS)
def test_a_record_has_a_field_for_all_that_the_schemas_take(place: str) -> None:
    form = FORMS[place]
    for since, definition in _inner(form):
        assert not list(_misfits(definition, form.kind)), since


@pytest.mark.parametrize("place", FORMS)
def test_a_record_has_no_field_that_no_version_takes(place: str) -> None:
    form = FORMS[place]
    if attrs.has(form.kind):
        known = {name for _, one in _inner(form) for name in _table(one, "properties")}
        assert known >= set(records.fields(form.kind))


@pytest.mark.parametrize("place", FORMS)
def test_what_a_record_cannot_be_without_is_required_by_every_schema(place: str) -> None:
    form = FORMS[place]
    for since, definition in _inner(form):
        assert not list(_missing(definition, form.kind)), since


def _inner(form: Form) -> Iterator[tuple[str, Definition]]:
    for since, definition in form.schemas:
        yield since, _table(definition, "properties")[form.under] if form.under else definition


def _table(definition: Definition, name: str) -> Mapping[str, Definition]:
    found = definition.get(name, {})
    assert isinstance(found, Mapping)
    return found


def _parts(definition: Definition) -> Iterator[Definition]:
    """Yield the schemas of which a value keeps one at least."""
    choices = [each for key in ("anyOf", "oneOf") for each in _list(definition.get(key, []))]
    if "type" in definition or not choices:
        yield definition
    elif choices:
        for each in choices:
            yield from _parts(each)


def _list(value: object) -> Sequence[Definition]:
    assert isinstance(value, list)
    return value


def _types(definition: Definition) -> Iterator[str]:
    said = definition.get("type", [])
    yield from [said] if isinstance(said, str) else [str(each) for each in _list(said)]
    values = [*_list(definition.get("enum", [])), *([definition["const"]] if "const" in definition else [])]
    if "type" not in definition:
        yield from {name for name, kind in PYTHON.items() for each in values if type(each) is kind}


def _null_alone(definition: Definition) -> bool:
    return {name for part in _parts(definition) for name in _types(part)} == {"null"}


def _kinds(kind: object) -> Sequence[object]:
    """Return the types of which a value may be, what stands for a field that was left out aside."""
    if get_origin(kind) is Annotated:
        return [get_args(kind)[0]]
    if get_origin(kind) is None or attrs.has(get_origin(kind)) or records.sent_as(kind) in ((list,), (dict,)):
        return [kind]
    return [one for each in get_args(kind) if each is not LeftOut for one in _kinds(each)]


def _misfits(definition: Definition, kind: object, place: str = "body") -> Iterator[str]:
    kinds = _kinds(kind)
    if object in kinds:
        return
    taken = {plain for each in kinds for plain in records.sent_as(each)}
    for part in _parts(definition):
        for name in _types(part):
            plain = PYTHON[name]
            written = (plain is str and any(each in WRITTEN for each in kinds)) or (
                plain in WRITTEN and (str in kinds or any(each in WRITTEN for each in kinds))
            )
            if plain not in taken and not written:
                yield f"{place}: {name} has no place in {kind}"
        yield from _inner_misfits(part, kinds, place)


def _inner_misfits(part: Definition, kinds: Sequence[object], place: str) -> Iterator[str]:
    for kind in kinds:
        if isinstance(kind, type) and attrs.has(kind):
            known = records.fields(kind)
            for name, inner in _table(part, "properties").items():
                if name in known:
                    yield from _misfits(inner, known[name][1], f"{place}.{name}")
                elif records.rest_of(kind) is None and not _null_alone(inner):
                    yield f"{place}: {kind.__name__} has no {name}"
        elif records.sent_as(kind) == (dict,):
            inners = [*_table(part, "properties").values(), *_table(part, "patternProperties").values()]
            more = part.get("additionalProperties")
            for inner in [*inners, *([more] if isinstance(more, Mapping) else [])]:
                yield from _misfits(inner, get_args(kind)[1], f"{place}{{}}")
        elif records.sent_as(kind) == (list,) and "items" in part:
            yield from _misfits(_table(part, "items"), get_args(kind)[0], f"{place}[]")


def _missing(definition: Definition, kind: object, place: str = "body") -> Iterator[str]:
    for part in _parts(definition):
        for one in _kinds(kind):
            if isinstance(one, type) and attrs.has(one) and "object" in _types(part):
                needed = {field.name for field in attrs.fields(one) if field.default is attrs.NOTHING}
                for key, (name, hint) in records.fields(one).items():
                    if name in needed and key not in _list(part.get("required", [])):
                        yield f"{place}: {one.__name__} needs {name}"
                    if key in _table(part, "properties"):
                        yield from _missing(_table(part, "properties")[key], hint, f"{place}.{key}")


@attrs.frozen
class Thing:
    size: int


def test_a_body_under_a_key_is_checked_whole_and_read_below_it() -> None:
    schema = {"type": "object", "properties": {"size": {"type": ["integer", "string"]}}, "required": ["size"]}
    body = Body(Thing, [((2, 1), schema), ((2, 5), {**schema, "additionalProperties": False})], under="thing")
    assert body.record((2, 1), {"thing": {"size": "5", "more": 1}}) == Thing(5)
    assert body.record((2, 5), {"thing": {"size": 5}}) == Thing(5)
    for version, wrong in (((2, 5), {"thing": {"size": 5, "more": 1}}), ((2, 1), {"size": 5}), ((2, 1), {"thing": {}})):
        with pytest.raises(errors.BadRequest):
            body.record(version, wrong)
