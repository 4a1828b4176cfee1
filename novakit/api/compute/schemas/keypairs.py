"""Bodies of the key pair calls."""

from novakit.api.bodies import Body
from novakit.api.compute.schemas import types
from novakit.compute.keypairs import MAX_PUBLIC_KEY


def _create(characters: str, extra: types.Schema, *required: str) -> dict[str, object]:
    name = {**types.name, "pattern": rf"^[{characters}]+\Z"}
    properties = {"name": name, "public_key": {"type": "string", "maxLength": MAX_PUBLIC_KEY}, **extra}
    return types.wrapped("keypair", types.record(properties, ["name", *required]))


_type: types.Schema = {"type": {"type": "string", "enum": ["ssh", "x509"]}}
_user: types.Schema = {**_type, "user_id": types.identity_id}
_OLD, _NEW = r"_\- a-zA-Z0-9", r"_\-@. a-zA-Z0-9"

create = Body(
    [
        ((2, 1), _create(_OLD, {})),
        ((2, 2), _create(_OLD, _type)),
        ((2, 10), _create(_OLD, _user)),
        ((2, 92), _create(_NEW, _user, "public_key")),
    ]
)
