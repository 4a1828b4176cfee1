"""What a request to the identity API may hold."""

from collections.abc import Callable, Mapping
from typing import Any

from novakit import errors
from novakit.api.bodies import Fault, Schema

Check = Callable[[object], Any]

NAME = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^[^\x00]*[^\s\x00][^\x00]*$"}
SHORT_NAME = {**NAME, "maxLength": 64}
"""Of projects and domains."""
ID = {"type": "string", "minLength": 1, "maxLength": 64, "pattern": r"^[a-zA-Z0-9-]+$"}
TEXT = {"type": ["string", "null"], "maxLength": 65535, "pattern": r"^[^\x00]*$"}
FLAG = {"type": "boolean"}
PASSWORD = {"type": "string", "minLength": 1, "maxLength": 4096}


def check(schema: Mapping[str, object]) -> Check:
    """Make a function that gives a value which fits the schema. Raises BadRequest with the place and the reason."""
    return Schema(schema, words).checked


def words(fault: Fault) -> errors.BadRequest:
    """Return what is wrong with a body as the identity API does."""
    place = ".".join(str(part) for part in fault.path[1:]) or "the body"
    said = fault.message.removeprefix(fault.name or "").strip()
    return errors.BadRequest(f"Invalid input for {place}: {said[:300]}.")
