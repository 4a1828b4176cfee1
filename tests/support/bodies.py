"""Every schema that a body is checked with, and the record that is made of what fits."""

import importlib
import pkgutil
from collections.abc import Iterator, Mapping, Sequence
from functools import cache

import attrs

import novakit.api
from novakit.api import bodies
from novakit.api.identity.resources import Noun
from novakit.api.network.bodies.attributes import AttributesBody
from novakit.api.network.resources import Resource
from novakit.conductor.verb import NOT_READ, Action
from novakit.conductor.verbs import ACTIONS


@attrs.frozen
class Form:
    """The schemas of one body, and the type of what a handler gets of it; None where it is only checked."""

    place: str
    schemas: Sequence[tuple[str, Mapping[str, object]]]
    """Each with the version from which it holds."""
    kind: object = None
    under: str | None = None
    """The key that the body is under, of which the schemas tell, too."""


@cache
def forms() -> Mapping[str, Form]:
    """Find what the modules of the APIs check bodies with, by where it is."""
    found: dict[str, Form] = {}
    for module in pkgutil.walk_packages(novakit.api.__path__, "novakit.api."):
        for name, value in vars(importlib.import_module(module.name)).items():
            for form in _within(value, f"{module.name}.{name}"):
                found.setdefault(form.place, form)
    for name, verb in ACTIONS.items():
        if verb.action is not None and verb.action.value is not None:
            place = f"novakit.api.compute.servers.actions.BODIES[{name}]"
            found[place] = _of_action(place, verb.action)
    return found


def _of_action(place: str, action: Action) -> Form:
    """Take the value of an action, without null, which stands for the defaults."""
    read = [(since, schema) for since, schema in action.bodies if schema is not NOT_READ]
    return Form(place, [(f" since {since}", {**schema, "type": "object"}) for since, schema in read], action.value)


def _by_fields(body: AttributesBody[object]) -> Mapping[str, object]:
    """Return what a network's body says of a thing, by the fields of its record and without what none of them keeps."""
    properties = body.definition["properties"]
    assert isinstance(properties, Mapping)
    kept = {body.fields[name]: one for name, one in properties.items() if name in body.fields and one != {"not": {}}}
    return {**body.definition, "properties": kept}


def _within(value: object, place: str) -> Iterator[Form]:
    if isinstance(value, bodies.Schema):
        yield Form(place, [("", value.definition)])
    elif isinstance(value, AttributesBody):
        yield Form(place, [("", value.schema.definition)])
        yield Form(f"{place}.record", [("", _by_fields(value))], value.kind)
    elif isinstance(value, Resource):
        yield from _within(value.new, f"{place}.new")
        if value.change is not None:
            yield from _within(value.change, f"{place}.change")
    elif isinstance(value, Noun):
        yield Form(
            place, [(" of a POST", value.schema(value.required)), (" of a PATCH", value.schema(()))], value.values
        )
    elif isinstance(value, bodies.Versions):
        schemas = [(f" since {version}", schema.definition) for version, schema in value._since]
        if isinstance(value, bodies.Body) and value.under:
            yield Form(place, schemas, value.kind, under=value.under)
        else:
            yield Form(place, schemas, value.kind if isinstance(value, bodies.Body) else None)
    elif isinstance(value, bodies.BodyReader):
        yield Form(place, [("", value.schema.definition)], value.kind)
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            if isinstance(inner, bodies.Schema | bodies.Versions):
                yield from _within(inner, f"{place}[{key}]")
