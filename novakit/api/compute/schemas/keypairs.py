"""Bodies of the key pair calls."""

import attrs

from novakit.api.bodies import Body
from novakit.api.compute.schemas import types
from novakit.compute.keypairs import MAX_PUBLIC_KEY


def _create(characters: tuple[str, str], extra: types.Definition, *required: str) -> dict[str, object]:
    matched, said = characters
    name = {**types.name, "pattern": rf"^[{matched}]+\Z", "description": f"a string of letters, digits, {said}"}
    properties = {"name": name, "public_key": {"type": "string", "maxLength": MAX_PUBLIC_KEY}, **extra}
    return types.record(properties, ["name", *required])


_type: types.Definition = {"type": {"type": "string", "enum": ["ssh", "x509"]}}
_user: types.Definition = {**_type, "user_id": types.identity_id}
_OLD = r"_\- a-zA-Z0-9", "spaces, hyphens and underscores"
_NEW = r"_\-@. a-zA-Z0-9", "spaces, hyphens, underscores, dots and @"


@attrs.frozen(kw_only=True)
class NewKeyPair:
    """A key pair that is to be registered, or made."""

    name: str
    public_key: str | None = None
    """None for a pair that is to be made."""
    type: str = "ssh"
    user_id: str | None = None
    """Whose it is; None for the caller's."""


create = Body(
    NewKeyPair,
    [
        ((2, 1), _create(_OLD, {})),
        ((2, 2), _create(_OLD, _type)),
        ((2, 10), _create(_OLD, _user)),
        ((2, 92), _create(_NEW, _user, "public_key")),
    ],
    under="keypair",
)
