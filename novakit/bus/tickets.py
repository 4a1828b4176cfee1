"""Tickets: what lets one compute host read or fill one image, for a short time, and nothing else.

The idea: whoever builds a guest signs which host may do what with which image until when. The host adds a proof that it
is that host, made with a key that it got over the bus under its own name.
The invariant: a ticket alone opens nothing for another host, and no service knows it but the route that it is for.
The cost: two digests for each image that a host fetches.
"""

import base64
import hashlib
import hmac
import json

import attrs

from novakit import world
from novakit.errors import Unauthorized

DOWNLOAD, UPLOAD = "download", "upload"
LIFETIME = 600.0
"""Seconds within which a host begins to fetch an image; one that began goes on to the end."""
MAX_LENGTH = 1024
"""Characters; nothing longer is ever issued."""


@attrs.frozen(kw_only=True)
class Ticket:
    """What a ticket says."""

    host: str
    image: str
    action: str
    """`download` or `upload`."""
    until: float
    """Seconds since 1970."""


@attrs.frozen
class Tickets:
    """Makes tickets and reads them again, with what only the control plane knows."""

    _secret: bytes = attrs.field(repr=False)

    def issue(self, host: str, image: str, action: str, *, lifetime: float = LIFETIME) -> str:
        """Return a ticket for one host and one image."""
        said = {"host": host, "image": image, "do": action, "until": round(world.now().timestamp() + lifetime, 3)}
        payload = _written(json.dumps(said, separators=(",", ":")).encode())
        return f"{payload}.{self._signed(b'ticket', payload)}"

    def host_key(self, host: str) -> str:
        """Return the key with which a host proves that it is the one a ticket names; it goes to that host alone."""
        return self._signed(b"host", host)

    def read(self, text: str) -> Ticket:
        """Return what a ticket with its proof says. Raises Unauthorized for one that is none, not the host's, or over.

        A clock that steps back within the lifetime of a ticket keeps it longer, and one that steps forward ends it:
        the host then asks again.
        """
        parts = text.split(".") if len(text) <= MAX_LENGTH and text.isascii() else []
        if len(parts) != 3 or not hmac.compare_digest(parts[1], self._signed(b"ticket", parts[0])):
            raise Unauthorized("The ticket was not issued by this cloud.")
        said = json.loads(_read(parts[0]))
        ticket = Ticket(host=said["host"], image=said["image"], action=said["do"], until=said["until"])
        if not hmac.compare_digest(parts[2], proof(self.host_key(ticket.host), f"{parts[0]}.{parts[1]}")):
            raise Unauthorized("The ticket was issued to another host.")
        if world.now().timestamp() > ticket.until:
            raise Unauthorized("The ticket has expired; ask for a new one.")
        return ticket

    def _signed(self, what: bytes, text: str) -> str:
        # What is signed begins with what it is for: the same secret seals other things, too.
        return _written(hmac.digest(self._secret, b"image " + what + b"\0" + text.encode(), hashlib.sha256))


def proof(host_key: str, ticket: str) -> str:
    """Return what a host adds to a ticket, to show that it is the host that the ticket names."""
    return _written(hmac.digest(host_key.encode(), ticket.encode(), hashlib.sha256))


def _written(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _read(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
