"""Tickets: one host, one image, one thing to do, for a short time."""

from datetime import timedelta
from typing import Any

import pytest

from novakit import world
from novakit.bus.tickets import DOWNLOAD, UPLOAD, Tickets, proof
from novakit.errors import Unauthorized

SECRET = b"s" * 32


def shown(tickets: Tickets, host: str = "a", *, by: str | None = None, **fields: Any) -> str:
    ticket = tickets.issue(host, fields.get("image", "image"), fields.get("action", DOWNLOAD))
    return f"{ticket}.{proof(tickets.host_key(by or host), ticket)}"


def test_a_ticket_says_what_it_was_made_for() -> None:
    read = Tickets(SECRET).read(shown(Tickets(SECRET), image="i", action=UPLOAD))
    assert (read.host, read.image, read.action) == ("a", "i", UPLOAD)


def test_a_ticket_alone_or_shown_by_another_host_opens_nothing() -> None:
    tickets = Tickets(SECRET)
    ticket = tickets.issue("a", "image", DOWNLOAD)
    for text in (ticket, f"{ticket}.", f"{ticket}.{ticket.partition('.')[2]}", shown(tickets, by="b")):
        with pytest.raises(Unauthorized):
            tickets.read(text)
    assert tickets.host_key("a") != tickets.host_key("b") != Tickets(b"t" * 32).host_key("b")


def test_what_was_altered_or_made_by_somebody_else_opens_nothing() -> None:
    tickets = Tickets(SECRET)
    good = shown(tickets)
    for place in range(len(good)):
        if good[place] == ".":
            continue
        altered = good[:place] + ("A" if good[place] != "A" else "B") + good[place + 1 :]
        try:
            read = tickets.read(altered)
        except Unauthorized:
            continue
        # The last character of base64 has bits that stand for nothing.
        assert read == tickets.read(good) and good[place + 1 : place + 2] in (".", "")
    for text in ("", ".", "..", "a.b.c", "ä.b.c", good * 10, good + ".x", shown(Tickets(b"t" * 32))):
        with pytest.raises(Unauthorized):
            tickets.read(text)


def test_a_ticket_ends() -> None:
    tickets, clock = Tickets(SECRET), Later()
    good = shown(tickets)
    with world.using(clock):
        clock.by = timedelta(seconds=590)
        assert tickets.read(good)
        clock.by = timedelta(seconds=610)
        with pytest.raises(Unauthorized, match="expired"):
            tickets.read(good)


class Later(world.SystemWorld):
    by = timedelta()

    def now(self) -> Any:
        return super().now() + self.by
