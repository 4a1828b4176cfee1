"""What a request to the identity API may hold, and who may send it."""

from collections.abc import Callable, Mapping
from typing import Any

import fastjsonschema

from novakit import errors
from novakit.api.service import Call
from novakit.identity import Identity

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


def require_admin(call: Call[Identity]) -> None:
    """Let administrators through; raise `Forbidden` for others."""
    if not call.context.is_admin:
        raise errors.Forbidden("You are not authorized to perform the requested action; it needs the role admin.")


def may_read_all(call: Call[Identity]) -> bool:
    """Say whether the caller may see everybody's things."""
    context = call.context
    on_its_own = context.is_service and context.project_id is None
    return context.is_admin or on_its_own or (context.system and "reader" in context.roles)


def require_reader(call: Call[Identity], *, own: bool = False) -> None:
    """Let through who may see everything, and the caller on what is its own."""
    if not own and not may_read_all(call):
        raise errors.Forbidden(
            "You are not authorized to perform the requested action; it needs the role admin, or reader on the system."
        )
