"""What a request to the identity API may hold."""

from collections.abc import Callable, Mapping
from typing import Any

import fastjsonschema

from novakit import errors

Check = Callable[[Any], Any]

NAME = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^[^\x00]*[^\s\x00][^\x00]*$"}
SHORT_NAME = {**NAME, "maxLength": 64}
"""Of projects and domains."""
ID = {"type": "string", "minLength": 1, "maxLength": 64, "pattern": r"^[a-zA-Z0-9-]+$"}
TEXT = {"type": ["string", "null"], "maxLength": 65535, "pattern": r"^[^\x00]*$"}
FLAG = {"type": "boolean"}
PASSWORD = {"type": "string", "minLength": 1, "maxLength": 4096}


def check(schema: Mapping[str, Any]) -> Check:
    """Compile a schema to a function that raises `BadRequest` with the place and the reason."""
    compiled: list[Check] = []

    def checked(value: Any) -> Any:
        if not compiled:
            compiled.append(fastjsonschema.compile(dict(schema)))
        try:
            return compiled[0](value)
        except fastjsonschema.JsonSchemaValueException as error:
            place = ".".join(error.path[1:]) or "the body"
            said = error.message.removeprefix(error.name or "").strip()
            raise errors.BadRequest(f"Invalid input for {place}: {said[:300]}.") from error

    return checked
