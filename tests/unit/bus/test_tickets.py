"""Tickets: one host, one image, one thing to do, for a short time."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from novakit import world
from novakit.bus.enrolments import Enrolments
from novakit.bus.tickets import DOWNLOAD, MOST_SHOWN, UPLOAD, Tickets, UsedTickets, with_proof
from novakit.errors import Unauthorized

SECRET = b"s" * 32


def shown(tickets: Tickets, host: str = "a", *, by: str | None = None, **fields: Any) -> str:
    ticket = tickets.issue(host, fields.get("image", "image"), fields.get("action", DOWNLOAD))
    return with_proof(tickets.host_key(by or host), ticket)


def test_a_ticket_says_what_it_was_made_for() -> None:
    read = Tickets(SECRET).read(shown(Tickets(SECRET), image="i", action=UPLOAD))
    assert (read.host, read.image, read.action) == ("a", "i", UPLOAD)


def test_a_ticket_alone_or_shown_by_another_host_opens_nothing() -> None:
    tickets = Tickets(SECRET)
    ticket = tickets.issue("a", "image", DOWNLOAD)
    for text in (ticket, f"{ticket}.", f"{ticket}.x.{ticket.partition('.')[2]}", f"{ticket}..", shown(tickets, by="b")):
        with pytest.raises(Unauthorized):
            tickets.read(text)
    assert tickets.host_key("a") != tickets.host_key("b") != Tickets(b"t" * 32).host_key("b")


def test_with_the_key_of_a_former_credential_nothing_is_opened(tmp_path: Path) -> None:
    known = Enrolments(tmp_path)
    tickets = Tickets(SECRET, known.stamp)
    ticket, keys = tickets.issue("a", "image", DOWNLOAD), [tickets.host_key("a")]
    for change in (known.enrol, known.rotate, known.revoke, known.enrol):
        change("agent:a")
        keys.append(tickets.host_key("a"))
        for former in {*keys[:-1]} - {keys[-1]}:
            with pytest.raises(Unauthorized, match="the key of a former credential"):
                tickets.read(with_proof(former, ticket))
        assert tickets.read(with_proof(keys[-1], ticket)).host == "a", "whoever is the host now may use it"
    assert len({*keys}) == 4 and keys[3] == keys[0], "of each credential, and of none"
    other = tickets.host_key("b")
    known.enrol("agent:b")
    assert keys[-1] == tickets.host_key("a") and other != tickets.host_key("b")


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
        raise AssertionError(f"altered at {place}, it is read as {read}")
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


def test_what_went_over_the_wire_once_opens_nothing_again(tmp_path: Path) -> None:
    """Two APIs share the directory; the host itself shows the same ticket as often as it likes."""
    tickets, first, second = (
        Tickets(SECRET),
        UsedTickets(tmp_path / "tickets"),
        UsedTickets(tmp_path / "tickets"),
    )
    ticket = tickets.issue("a", "image", DOWNLOAD)
    caught = with_proof(tickets.host_key("a"), ticket)
    first.take(tickets.read(caught))
    for used in (first, second):
        with pytest.raises(Unauthorized, match="shown before"):
            used.take(tickets.read(caught))
    second.take(tickets.read(with_proof(tickets.host_key("a"), ticket)))


def test_of_many_who_come_with_the_same_at_once_one_is_let_in(tmp_path: Path) -> None:
    tickets, used = Tickets(SECRET), UsedTickets(tmp_path)
    ticket = tickets.read(shown(tickets))

    def take(_: int) -> bool:
        try:
            used.take(ticket)
        except Unauthorized:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(take, range(64))) == 1


def test_what_was_shown_is_forgotten_once_the_ticket_is_over(tmp_path: Path) -> None:
    tickets, used, clock = Tickets(SECRET), UsedTickets(tmp_path), Later()
    with world.using(clock):
        for _ in range(5):
            used.take(tickets.read(shown(tickets)))
        (tmp_path / "somebody else's").touch()
        clock.by = timedelta(seconds=700)
        used.take(tickets.read(shown(tickets)))
        assert len(list(tmp_path.iterdir())) == 2


def test_a_host_that_shows_a_ticket_without_end_fills_nothing(tmp_path: Path) -> None:
    tickets, used = Tickets(SECRET), UsedTickets(tmp_path / "tickets")
    ticket, key = tickets.issue("a", "image", DOWNLOAD), tickets.host_key("a")
    for _ in range(MOST_SHOWN):
        used.take(tickets.read(with_proof(key, ticket)))
    for _ in range(3):
        with pytest.raises(Unauthorized, match="ask for a new one"):
            used.take(tickets.read(with_proof(key, ticket)))
    used.take(tickets.read(shown(tickets, image="another")))
    assert sum(path.is_file() for path in tmp_path.rglob("*")) == MOST_SHOWN + 1


def test_what_another_version_kept_is_forgotten_too(tmp_path: Path) -> None:
    tickets, used = Tickets(SECRET), UsedTickets(tmp_path)
    (tmp_path / "1000-of-an-older-version").touch()
    used.take(tickets.read(shown(tickets)))
    assert [path.is_dir() for path in tmp_path.iterdir()] == [True]
