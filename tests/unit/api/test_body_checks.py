"""What the one checker of bodies takes, and in which words it refuses the rest."""

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from novakit.api.bodies import MOST_SHOWN, Schema, Versions, json_body
from novakit.errors import BadRequest

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
    assert [value for value in refused if f"it is not a '{kind}'" not in said(definition, value)] == []


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
        ([], "Invalid input for field/attribute body. Value: []. it is not of type object"),
        ({**GOOD, "size": "1"}, "field/attribute size. Value: 1. it is not of type integer or null"),
        ({**GOOD, "nets": [{}, {"port": 5}]}, "field/attribute port. Value: 5. it is not of type string"),
        (
            {**GOOD, "count": 0},
            "field/attribute count. Value: 0. it is none of: integer from 1 to 9; string with pattern ^",
        ),
        (
            {**GOOD, "zone": "x"},
            "it is none of: string or null with format uuid with at least 1 characters; one of ['auto']; one of [0]",
        ),
        ({**GOOD, "name": "n" * 401}, f"Value: {'n' * MOST_SHOWN}.... it is too long, at most 400 are allowed"),
        ({**GOOD, "size": "n" * MOST_SHOWN}, f"Value: {'n' * MOST_SHOWN}. it is not of type"),
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
    assert "Value: (not repeated). it is not of type" in found and "hush" not in found, found


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
