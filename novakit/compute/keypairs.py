"""SSH key pairs of users: imported, or made here once and handed over."""

import asyncio
import base64
import binascii
import hashlib
from datetime import datetime

import attrs
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from novakit import errors
from novakit.compute.quotas import Quotas
from novakit.store import Store, quota
from novakit.store.compute import keypairs as rows
from novakit.store.compute.keypairs import KeypairRow

MAX_PUBLIC_KEY = 16384
"""Characters of a public key; the longest RSA key OpenSSH takes needs less than 3,000."""


@attrs.frozen(kw_only=True)
class Keypair:
    """The public half of a user's key pair."""

    number: int
    """What clients are shown as its id; its name is what they ask by."""
    user_id: str
    name: str
    type: str
    fingerprint: str
    public_key: str
    created_at: datetime

    @classmethod
    def of(cls, row: KeypairRow) -> "Keypair":
        """Read a row."""
        return cls(**row)


@attrs.define
class Keypairs:
    """The key pairs of every user."""

    _store: Store
    _quotas: Quotas

    async def show(self, user_id: str, name: str) -> Keypair:
        """Return one key pair. Raises NotFound when the user has none of that name."""
        async with self._store.read() as session:
            found = await rows.keypair(session, user_id, name)
        if found is None:
            raise errors.NotFound(f"Keypair {name} not found for user {user_id}")
        return Keypair.of(found)

    async def page(self, user_id: str, *, limit: int | None = None, marker: str | None = None) -> list[Keypair]:
        """Return a user's key pairs by name, after the marker. Raises BadRequest for an unknown marker."""
        async with self._store.read() as session:
            if marker is not None and await rows.keypair(session, user_id, marker) is None:
                raise errors.BadRequest(f"marker [{marker}] not found")
            found = await rows.of_user(session, user_id, limit=limit, after=marker)
        return [*map(Keypair.of, found)]

    async def add(self, project_id: str, user_id: str, name: str, public_key: str, kind: str = "ssh") -> Keypair:
        """Register a public key; the limit `key_pairs` of the caller's project says how many a user may have.

        Raises BadRequest for a bad key, Conflict for a name that is taken, Forbidden above the limit.
        """
        if kind != "ssh":
            raise errors.BadRequest(
                "Keypair data is invalid: x509 certificates serve Windows guests alone, which this cloud does not "
                "set up; register a key of type ssh."
            )
        row = {
            "user_id": user_id,
            "name": name,
            "type": kind,
            "public_key": public_key,
            "fingerprint": fingerprint(public_key),
        }
        async with self._store.write() as session:
            await quota.hold(session, "key_pairs", [user_id])
            most = await self._quotas.limit(session, project_id, "key_pairs")
            if quota.exceeds(most, await rows.count(session, user_id)):
                raise errors.Forbidden("Quota exceeded, too many key pairs.")
            if not await rows.add(session, row):
                raise errors.Conflict(f"Key pair '{name}' already exists.")
            found = await rows.keypair(session, user_id, name)
        assert found is not None
        return Keypair.of(found)

    async def generate(self, project_id: str, user_id: str, name: str, kind: str = "ssh") -> tuple[Keypair, str]:
        """Make a key pair, register its public half, and give the private half in OpenSSH's format; it is not kept."""
        public, private = await asyncio.to_thread(_ed25519)
        return await self.add(project_id, user_id, name, public, kind), private

    async def remove(self, user_id: str, name: str) -> None:
        """Forget a key pair; servers that have it keep it. Raise `NotFound` when there is none."""
        async with self._store.write() as session:
            if not await rows.remove(session, user_id, name):
                raise errors.NotFound(f"Keypair {name} not found for user {user_id}")


def fingerprint(public_key: str) -> str:
    """Return the MD5 fingerprint in pairs of hex digits, as the API has always shown it. Raises BadRequest."""
    words = public_key.split()
    if len(words) < 2 or len(public_key) > MAX_PUBLIC_KEY or "\n" in public_key.strip():
        raise errors.BadRequest("Keypair data is invalid: a public key is one line of the form 'ssh-ed25519 AAAA...'.")
    try:
        serialization.load_ssh_public_key(public_key.strip().encode())
        blob = base64.b64decode(words[1], validate=True)
    except (ValueError, TypeError, UnsupportedAlgorithm, binascii.Error) as error:
        raise errors.BadRequest("Keypair data is invalid: failed to generate fingerprint") from error
    digest = hashlib.md5(blob, usedforsecurity=False).hexdigest()
    return ":".join(digest[at : at + 2] for at in range(0, len(digest), 2))


def _ed25519() -> tuple[str, str]:
    key = ed25519.Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    return f"{public.decode()} Generated-by-novakit", private.decode()
