"""Every text, list and map that a request body may hold has a bound in its schema, in every service."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.support.bodies import forms

BOUNDED_FORMATS = ("uuid", "ip", "ipv4", "ipv6", "date-time")
OPERATORS = re.compile(r"novakit\.api\.placement")
"""What only operators and services write: a body is bounded as a whole, and no tenant sends one."""


HELD: Mapping[str, str] = {
    r".*scheduler_hints.*|.*dry_runs.* hints.*": "request_spec.hints.MAX_BYTES",
    r".* ((server|rebuild|createImage|createBackup)\.)?metadata takes any number of keys": "the quota metadata_items",
    r".*aggregates\.set_metadata.*|.*flavors\.(create|extra_specs).*": "operators alone",
    r".*identity\.auth\._read.*|.*original_password.*": "compared and not kept; the body is bounded",
    r".*image\.(images\._new|patch\._changed).*(tags is a list|any number of keys).*": "image.service._check",
    r".*image\.patch\._(new|old)_patch: the body is a list.*": "the body is bounded, and what its operations add up to",
}
"""What has its bound elsewhere, and where; test_growth tries each that a tenant can send."""


def schemas() -> dict[str, Mapping[str, Any]]:
    """Return every schema that a module of the APIs checks bodies with, by where it is."""
    return {
        f"{form.place}{since}": definition
        for form in forms().values()
        if not OPERATORS.match(form.place)
        for since, definition in form.schemas
    }


def unbounded(definition: Mapping[str, Any], place: str = "") -> Iterator[str]:
    """Name the parts of a schema that take a value of any length."""
    if "enum" in definition or "const" in definition or definition.get("not") == {}:
        return
    kinds = definition.get("type", ())
    kinds = (kinds,) if isinstance(kinds, str) else tuple(kinds)
    if "string" in kinds and not _is_short(definition):
        yield f"{place or 'the body'} is a text of any length"
    if "array" in kinds and "maxItems" not in definition:
        yield f"{place or 'the body'} is a list of any length"
    # Keys that a schema says nothing of are passed over.
    takes_any = definition.get("additionalProperties", False) is not False or "patternProperties" in definition
    if "object" in kinds and takes_any and "maxProperties" not in definition:
        yield f"{place or 'the body'} takes any number of keys"
    for key in ("anyOf", "oneOf", "allOf"):
        for inner in definition.get(key, ()):
            yield from unbounded(inner, place)
    for key in ("then", "else"):
        if key in definition:
            yield from unbounded(definition[key], place)
    for inners in ("definitions", "properties", "patternProperties"):
        for name, inner in definition.get(inners, {}).items():
            yield from unbounded(inner, f"{place}.{name}".lstrip("."))
    for key in ("items", "additionalProperties"):
        inner = definition.get(key)
        if isinstance(inner, Mapping):
            yield from unbounded(inner, f"{place}[]")


def _is_short(definition: Mapping[str, Any]) -> bool:
    if "maxLength" in definition or definition.get("format") in BOUNDED_FORMATS:
        return True
    return "pattern" in definition and not re.search(r"(?<!\\)[*+]|\{\d*,\}", definition["pattern"])


SCHEMAS = schemas()


def test_the_schemas_of_every_service_are_found() -> None:
    services = {place.split(".")[2] for place in SCHEMAS}
    assert services >= {"compute", "identity", "image", "network", "novakit"} and len(SCHEMAS) > 90


@pytest.mark.parametrize("place", SCHEMAS)
def test_everything_in_it_has_a_bound(place: str) -> None:
    found = {f"{place}: {one}" for one in unbounded(SCHEMAS[place])}
    assert not sorted(one for one in found if not any(re.fullmatch(held, one) for held in HELD))


@pytest.mark.parametrize("held", HELD)
def test_what_is_said_to_be_held_elsewhere_is_there(held: str) -> None:
    found = [f"{place}: {one}" for place, definition in SCHEMAS.items() for one in unbounded(definition)]
    assert any(re.fullmatch(held, one) for one in found)
