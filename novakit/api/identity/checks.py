"""What a request to the identity API may hold."""

from collections.abc import Mapping
from typing import TypeVar

from novakit import errors
from novakit.api.bodies import MOST_SHOWN, BodyReader, Schema, SchemaFault, placed, said

R = TypeVar("R")
NAME = {
    "type": "string",
    "minLength": 1,
    "maxLength": 255,
    "pattern": r"^[^\x00]*[^\s\x00][^\x00]*$",
    "description": "a string with other characters than spaces and without NUL characters",
}
SHORT_NAME = {**NAME, "maxLength": 64}
"""Of projects and domains."""
ID = {
    "type": "string",
    "minLength": 1,
    "maxLength": 64,
    "pattern": r"^[a-zA-Z0-9-]+$",
    "description": "an id: letters, digits and hyphens",
}
PLAIN = {"pattern": r"^[^\x00]*$", "description": "a string without NUL characters"}
TEXT = {
    "type": ["string", "null"],
    "maxLength": 65535,
    "pattern": PLAIN["pattern"],
    "description": "null or a string without NUL characters",
}
FLAG = {"type": "boolean"}
PASSWORD = {"type": "string", "minLength": 1, "maxLength": 4096}


def body(kind: type[R], schema: Mapping[str, object]) -> BodyReader[R]:
    """Make what reads a body that fits a schema. It raises BadRequest with the place and the reason."""
    return BodyReader(Schema(schema, words), kind)


def words(fault: SchemaFault) -> errors.BadRequest:
    """Return what is wrong with a body as the identity API does."""
    if (sentence := said(fault)) is not None:
        return errors.BadRequest(sentence)
    place, why = placed(fault)
    return errors.BadRequest(f"Invalid input for {place[:MOST_SHOWN]}: {why}")
