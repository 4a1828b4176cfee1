"""What the one checker of bodies takes, and in which words it refuses the rest."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest

from novakit.api.bodies import MOST_SHOWN, Schema, SchemaFault, Versions, json_body
from novakit.api.compute.schemas import types
from novakit.api.identity.checks import NAME
from novakit.api.identity.checks import words as identity_words
from novakit.api.image.schemas import words as image_words
from novakit.errors import BadRequest
from tests.support.bodies import forms

A, B = "3d9ffb6e-6a5c-4b65-9f33-3c3d9a7f6a11", "3D9FFB6E-6A5C-4B65-9F33-3C3D9A7F6A11"


def said(definition: dict[str, object], value: object) -> str:
    """Give the refusal of a value; nothing for one that is taken."""
    try:
        Schema(definition).check(value)
    except BadRequest as error:
        return error.message
    return ""


@pytest.mark.parametrize(
    ("kind", "taken", "refused"),
    [
        ("name", ["a", "a b", "a\u00a0b", "\u65e5\u3000\u672c"], [" a", "a ", "\u3000a", "a\tb", "a\nb", "a\u200bb"]),
        ("az_name", ["nova", "zone 1"], ["a:b", " nova", "nova\x00"]),
        ("printable", [" a ", "a\u00a0b"], ["a\tb", "\x7f"]),
        ("base64", ["", "YQ==", "Y Q\n==", "YWI="], ["YQ=", "Y!Q==", "YQ==x", "\u00e9"]),
        ("uuid", [A, B], [f"{A}\n", f" {A}", A.replace("-", ""), A[:-1]]),
        ("ip", ["10.0.0.1", "fe80::1"], ["10.0.0", "10.0.0.1/8", "x"]),
        ("ipv4", ["10.0.0.1"], ["fe80::1"]),
        ("ipv6", ["fe80::1"], ["10.0.0.1"]),
    ],
)
def test_a_format_takes_what_it_names_and_nothing_else(kind: str, taken: list[str], refused: list[str]) -> None:
    definition: dict[str, object] = {"type": "string", "format": kind}
    assert [value for value in taken if said(definition, value)] == []
    assert [
        value for value in refused if f"It must be a string {FORMAT_WORDS[kind]}." not in said(definition, value)
    ] == []


FORMAT_WORDS = {
    "name": "without unprintable characters and without spaces at its beginning and end",
    "az_name": "without unprintable characters, colons, and spaces at its beginning and end",
    "printable": "without unprintable characters",
    "base64": "in base64",
    "uuid": "that is a UUID",
    "ip": "that is an IP address",
    "ipv4": "that is an IPv4 address",
    "ipv6": "that is an IPv6 address",
}


SERVER: dict[str, object] = {
    "type": "object",
    "required": ["name", "size"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string", "maxLength": 400},
        "size": {"type": ["integer", "null"]},
        "nets": {"type": "array", "items": {"type": "object", "properties": {"port": {"type": "string"}}}},
        "kind": {"type": "string", "default": "plain"},
        "count": {"anyOf": [{"type": "integer", "minimum": 1, "maximum": 9}, {"type": "string", "pattern": "^[1-9]$"}]},
        "zone": {
            "anyOf": [{"type": ["string", "null"], "minLength": 1, "format": "uuid"}, {"enum": ["auto"]}, {"const": 0}]
        },
    },
    "patternProperties": {"^x-": {"type": "string"}},
}
GOOD = {"name": "a", "size": 1}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (GOOD, ""),
        ({**GOOD, "x-any": "y"}, ""),
        ({**GOOD, "b": 1}, "Additional properties are not allowed ('b' was unexpected)"),
        ({**GOOD, "b": 1, "x-": "", "c": 2}, "Additional properties are not allowed ('b', 'c' were unexpected)"),
        ({**GOOD, "n" * 300: 1}, f"Additional properties are not allowed ('{'n' * 255}' was unexpected)"),
        ({"name": "a"}, "Invalid input for field/attribute body. 'size' is a required property"),
        ([], "Invalid input for field/attribute body. Value: []. It must be an object."),
        ({**GOOD, "size": "1"}, "field/attribute size. Value: 1. It must be an integer or null."),
        ({**GOOD, "nets": [{}, {"port": 5}]}, "field/attribute port. Value: 5. It must be a string."),
        (
            {**GOOD, "count": 0},
            "field/attribute count. Value: 0. It must be an integer from 1 to 9; or a string that matches ^[1-9]$.",
        ),
        (
            {**GOOD, "zone": "x"},
            "It must be a string or null that is a UUID of at least 1 character; or 'auto'; or 0.",
        ),
        (
            {**GOOD, "name": "n" * 401},
            f"Value: {'n' * MOST_SHOWN}.... It is too long: it may have at most 400 characters.",
        ),
        ({**GOOD, "size": "n" * MOST_SHOWN}, f"Value: {'n' * MOST_SHOWN}. It must be an integer"),
    ],
)
def test_what_is_wrong_is_said_where_it_is_and_cut_to_a_readable_length(value: object, words: str) -> None:
    found = said(SERVER, value)
    assert words in found and bool(found) == bool(words), found


@pytest.mark.parametrize("name", ["adminPass", "user_data", "password", "original_password", "secret", "personality"])
@pytest.mark.parametrize(
    "wrong", [lambda name: {name: ["hush"]}, lambda name: {"in": [{name: "hush"}]}, lambda name: {"in": {name: "hush"}}]
)
def test_a_secret_that_is_wrong_is_not_repeated(name: str, wrong: Callable[[str], object]) -> None:
    definition = {"type": "object", "properties": {name: {"type": "string"}, "in": {"type": "integer"}}}
    found = said(definition, wrong(name))
    assert "Value: (not repeated). It must be " in found and "hush" not in found, found


def test_nothing_of_what_is_in_a_secret_is_repeated() -> None:
    file = {"type": "object", "properties": {"contents": {"type": "integer"}}}
    definition = {"type": "object", "properties": {"personality": {"type": "array", "items": file}}}
    assert "hush" not in said(definition, {"personality": [{"contents": "hush"}]})


def test_a_body_that_is_checked_is_left_as_it_was_sent() -> None:
    body = {"name": "a", "size": 1}
    Schema(SERVER).check(body)
    assert body == {"name": "a", "size": 1}, "no default is filled in"


def test_the_schema_of_a_version_is_the_latest_that_it_has() -> None:
    only = [{"type": "object", "required": [name]} for name in "abc"]
    body = Versions([((2, 1), only[0]), ((2, 5), only[1]), ((2, 9), only[2])])
    for version, wanted in (((2, 1), "a"), ((2, 4), "a"), ((2, 5), "b"), ((2, 8), "b"), ((2, 9), "c"), ((2, 99), "c")):
        body.check(version, {wanted: 1})
        with pytest.raises(BadRequest, match=f"'{wanted}' is a required property"):
            body.check(version, {})


class Asked:
    """A call with a body."""

    def __init__(self, body: bytes) -> None:
        self.body = body

    async def raw(self) -> bytes:
        return self.body

    async def json(self) -> Any:
        return orjson.loads(self.body)


async def test_text_that_no_database_holds_is_refused() -> None:
    with pytest.raises(BadRequest, match="NUL"):
        await json_body(Asked(b'{"name": "a\\u0000b"}'))  # type: ignore[arg-type]
    await json_body(Asked(b'{"name": "a\\\\u0001b"}'))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("definition", "value", "words"),
    [
        ({"type": "string", "minLength": 1}, "", "Value: ''. It is too short: it needs at least 1 character."),
        ({"type": "array", "maxItems": 1}, [1, 2], "It is too large: it may have at most 1 item."),
        ({"type": "array", "minItems": 2}, [1], "It is too small: it needs at least 2 items."),
        ({"type": "object", "maxProperties": 0}, {"a": 1}, "It is too large: it may have at most 0 keys."),
        ({"type": "integer", "maximum": 5}, 6, "Value: 6. It must be at most 5."),
        ({"type": "array", "uniqueItems": True}, [1, 1], "Value: [1, 1]. It must contain unique items."),
        ({"enum": ["a", "b"]}, "c", "Value: c. It must be one of 'a', 'b'."),
        ({"enum": [None, True, "a"]}, "c", "Value: c. It must be one of null, true, 'a'."),
        (types.boolean, "maybe", "Value: maybe. It must be true or false, or one of the strings 'true', 'yes',"),
        ({"type": "string", "pattern": "^a$"}, "b", "Value: b. It must be a string that matches ^a$."),
        ({"type": "string", "pattern": "^a$", "description": "the letter a"}, "b", "It must be the letter a."),
        (types.number(1), 0, "It must be an integer from 1 to 2147483647; or such a number as a string of"),
    ],
)
def test_a_refusal_is_a_sentence(definition: dict[str, object], value: object, words: str) -> None:
    inside = {"type": "object", "properties": {"a": definition}}
    assert words in said(inside, {"a": value})


def patterns(definition: object) -> Iterator[dict[str, Any]]:
    """Walk to every schema with a pattern."""
    if isinstance(definition, dict):
        if isinstance(definition.get("pattern"), str):
            yield definition
        for inner in definition.values():
            yield from patterns(inner)
    elif isinstance(definition, list | tuple):
        for inner in definition:
            yield from patterns(inner)


def test_a_pattern_is_told_to_users_in_words() -> None:
    found = [
        (form.place, one)
        for form in forms().values()
        for _, schema in form.schemas
        for one in patterns(schema)
        if re.match(r"novakit\.api\.(compute|identity|image|novakit|volume)\.", form.place)
    ]
    assert found and [one for one in found if not {"description", "says"} & set(one[1])] == []


@pytest.mark.parametrize("words", [identity_words, image_words])
@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({"x": {"name": "\t"}}, "x.name: it must be a string with other characters than spaces"),
        ({"x": {"name": "n" * 256}}, "x.name: it is too long: it may have at most 255 characters."),
        ({"x": {}}, "x: 'name' is a required property."),
        ({"x": {"name": "n", "more": 1}}, "x: Additional properties are not allowed ('more' was unexpected)."),
        ([], "the body: it must be an object."),
    ],
)
def test_identity_and_images_say_what_is_wrong_in_words_and_not_in_python(
    words: Callable[[SchemaFault], BadRequest], value: object, told: str
) -> None:
    inner = {"type": "object", "required": ["name"], "properties": {"name": NAME}, "additionalProperties": False}
    with pytest.raises(BadRequest) as refused:
        Schema({"type": "object", "properties": {"x": inner}}, words).check(value)
    assert told in refused.value.message and "^" not in refused.value.message


def descriptions(definition: object) -> Iterator[str]:
    """Walk to what every schema says of itself."""
    if isinstance(definition, dict):
        if isinstance(said := definition.get("description"), str):
            yield said
        for inner in definition.values():
            yield from descriptions(inner)
    elif isinstance(definition, list | tuple):
        for inner in definition:
            yield from descriptions(inner)


def test_bodies_are_described_in_the_words_of_json() -> None:
    found = {said for form in forms().values() for _, schema in form.schemas for said in descriptions(schema)}
    assert found and [said for said in found if re.search(r"\btext\b|whole number|\bNone\b", said)] == []
