"""Tickets: what lets one compute host read or fill one image, for a short time, and nothing else.

The idea: whoever builds a guest signs which host may do what with which image until when. The host adds a proof that it
is that host, made with a key that it got over the bus under its own name. The key is of its credential, so what a host
was handed before its credential was replaced or revoked opens nothing afterwards, while a build that is under way goes
on: the host asks for its key each time.
The invariant: a ticket alone opens nothing for another host, no service knows it but the route that it is for, and what
went over the wire once opens nothing again: each proof is for one request.
The cost: two digests, two small files read and an empty one made for each image that a host fetches.
"""

import base64
import hashlib
import hmac
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path

import attrs
import orjson

from novakit import world
from novakit.errors import Unauthorized

DOWNLOAD, UPLOAD = "download", "upload"
LIFETIME = 600.0
"""Seconds within which a host begins to fetch an image; one that began goes on to the end."""
MOST_SHOWN = 64
"""How often one ticket may be shown: a host asks again where a transfer broke off, and each showing is kept."""
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
    once: str = attrs.field(repr=False)
    """What tells this showing of the ticket from others."""


def _unenrolled(host: str) -> str:
    return ""


@attrs.frozen
class Tickets:
    """Makes tickets and reads them again, with what only the control plane knows."""

    _secret: bytes = attrs.field(repr=False)
    _stamp: Callable[[str], str] = _unenrolled
    """Returns what stands for the credential that a host has now, as `Enrolments.stamp` does."""
    _begun: hmac.HMAC = attrs.field(init=False, repr=False, eq=False)
    """A signature of nothing yet: to begin one with the secret costs as much as to sign a ticket with it."""

    @_begun.default
    def _with_secret(self) -> hmac.HMAC:
        return hmac.new(self._secret, digestmod=hashlib.sha256)

    def issue(self, host: str, image: str, action: str, *, lifetime: float = LIFETIME) -> str:
        """Return a ticket for one host and one image."""
        said = {"host": host, "image": image, "do": action, "until": round(world.now().timestamp() + lifetime, 3)}
        payload = _written(orjson.dumps(said))
        return f"{payload}.{self._signed(b'ticket', payload)}"

    def host_key(self, host: str) -> str:
        """Return the key with which a host proves that it is the one a ticket names; it goes to that host alone.

        It is another one once the host has another credential.
        """
        return self._signed(b"host", f"{host}\0{self._stamp(host)}")

    def read(self, text: str) -> Ticket:
        """Return what a ticket with its proof says. Raises Unauthorized for a forged, foreign or expired one.

        A clock that steps back within the lifetime of a ticket keeps it longer, and one that steps forward ends it:
        the host then asks again.
        """
        parts = text.split(".") if len(text) <= MAX_LENGTH and text.isascii() else []
        if len(parts) != 4 or not hmac.compare_digest(parts[1], self._signed(b"ticket", parts[0])):
            raise Unauthorized("The ticket was not issued by this cloud.")
        said = orjson.loads(_read(parts[0]))
        ticket = Ticket(
            host=said["host"], image=said["image"], action=said["do"], until=said["until"], once=".".join(parts)
        )
        if not hmac.compare_digest(parts[3], _proof(self.host_key(ticket.host), ".".join(parts[:3]))):
            raise Unauthorized("The ticket was issued to another host, or shown with the key of a former credential.")
        if world.now().timestamp() > ticket.until:
            raise Unauthorized("The ticket has expired; ask for a new one.")
        return ticket

    def _signed(self, what: bytes, text: str) -> str:
        # What is signed begins with what it is for: the same secret seals other things, too.
        signature = self._begun.copy()
        signature.update(b"image " + what + b"\0" + text.encode())
        return _written(signature.digest())


@attrs.frozen
class UsedTickets:
    """Which showings of tickets were taken, in a directory that every API of a deployment shares.

    Each ticket has a directory of its own in it, with a file for each showing. A file is made or is there already, so
    of two who come with the same at once one is refused, whichever API they ask.
    """

    directory: Path

    def take(self, ticket: Ticket) -> None:
        """Remember that a ticket was shown.

        Raises Unauthorized for one that was shown in the same way before, or in more ways than a host needs.
        """
        # One second more than the ticket has: it is refused by then for what it says itself.
        until, issued = int(ticket.until) + 1, ".".join(ticket.once.split(".")[:2])
        own = self.directory / f"{until}-{_digest(issued)}"
        if not own.is_dir():
            self.directory.mkdir(mode=0o700, exist_ok=True)
            self._forget()
            own.mkdir(mode=0o700, exist_ok=True)
        try:
            if sum(1 for _ in own.iterdir()) >= MOST_SHOWN:
                raise Unauthorized(f"The ticket was shown {MOST_SHOWN} times; ask for a new one.")
            (own / _digest(ticket.once)).touch(0o600, exist_ok=False)
        except FileExistsError:
            raise Unauthorized("The ticket was shown before; each showing opens one request.") from None
        except FileNotFoundError:  # another one has found meanwhile that it is over
            raise Unauthorized("The ticket has expired; ask for a new one.") from None

    def _forget(self) -> None:
        """Remove what is left of tickets that are over."""
        now = world.now().timestamp()
        for path in self.directory.iterdir():
            until, _, name = path.name.partition("-")
            if until.isdigit() and name and int(until) < now:
                # A version before this one kept files here.
                shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def with_proof(host_key: str, ticket: str) -> str:
    """Return what a host sends for one request: the ticket, and what shows that this host sends it, and once."""
    shown = f"{ticket}.{secrets.token_urlsafe(16)}"
    return f"{shown}.{_proof(host_key, shown)}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _proof(host_key: str, shown: str) -> str:
    return _written(hmac.digest(host_key.encode(), shown.encode(), hashlib.sha256))


def _written(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _read(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
