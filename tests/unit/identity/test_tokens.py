"""Tokens: what they keep, and what makes them worthless."""

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest

from novakit import errors, world
from novakit.identity import tokens
from novakit.identity.tokens import Keyring
from novakit.world import SystemWorld


@attrs.define
class Clock(SystemWorld):
    moment: datetime = datetime(2030, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.moment


def ring(tmp_path: Path, name: str = "keys") -> Keyring:
    return Keyring(tmp_path / name)


def token(**scope: Any) -> tokens.Token:
    return tokens.fresh("u" * 32, lifetime=60, **scope)


@pytest.mark.parametrize("scope", [{}, {"project_id": "p" * 32}, {"system": True}, {"methods": ("password", "token")}])
def test_a_token_says_what_was_written(tmp_path: Path, scope: Any) -> None:
    made = token(**scope)
    keys = ring(tmp_path)
    assert ring(tmp_path).read(keys.write(made)) == attrs.evolve(made, issued_at=made.issued_at)


def test_a_token_of_another_token_ends_with_it_and_names_it(tmp_path: Path) -> None:
    parent = token()
    child = tokens.fresh("u", lifetime=6000, parent=parent)
    assert child.expires_at == parent.expires_at
    assert child.audit_ids[1:] == parent.audit_ids
    grandchild = tokens.fresh("u", lifetime=6000, parent=child)
    assert grandchild.audit_ids[1:] == parent.audit_ids, "whoever ends the login ends all that came of it"
    assert len({token.audit_ids[0] for token in (parent, child, grandchild)}) == 3


def test_a_changed_token_is_refused_wherever_it_was_changed(tmp_path: Path) -> None:
    keys = ring(tmp_path)
    text = keys.write(token())
    for place in range(0, len(text) - 1, 7):
        other = "A" if text[place] != "A" else "B"
        with pytest.raises(errors.Unauthorized):
            keys.read(text[:place] + other + text[place + 1 :])


@pytest.mark.parametrize("text", ["", "=", "x", "gAAAA", "é" * 50, "A" * 5000, "\0", "gAAAAABm" * 20])
def test_nonsense_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(errors.Unauthorized):
        ring(tmp_path).read(text)


def test_a_token_of_other_keys_is_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.Unauthorized):
        ring(tmp_path).read(ring(tmp_path, "others").write(token()))


def test_a_token_ends_when_it_says_but_for_what_clocks_may_differ(tmp_path: Path) -> None:
    clock = Clock()
    with world.using(clock):
        keys = ring(tmp_path)
        text = keys.write(token())
        clock.moment += timedelta(seconds=59) + tokens.SKEW
        keys.read(text)
        clock.moment += timedelta(seconds=1)
        with pytest.raises(errors.Unauthorized, match="expired"):
            keys.read(text)


def test_a_token_is_later_than_what_ended_the_earlier_ones_though_the_clock_was_set_back() -> None:
    ended = datetime(2030, 1, 1, 12, tzinfo=UTC)
    with world.using(Clock(datetime(2030, 1, 1, 11, tzinfo=UTC))):
        made = token(valid_from=ended)
    assert made.issued_at >= ended and made.expires_at - made.issued_at == timedelta(seconds=60)


def test_keys_are_files_that_only_their_owner_reads(tmp_path: Path) -> None:
    keys = ring(tmp_path)
    keys.write(token())
    assert stat.S_IMODE(keys.directory.stat().st_mode) == 0o700
    assert {path.name for path in keys.directory.iterdir()} == {"0", "1"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in keys.directory.iterdir()} == {0o600}


def test_a_rotation_keeps_tokens_good_here_and_in_other_processes(tmp_path: Path) -> None:
    here, there = ring(tmp_path), ring(tmp_path)
    old = here.write(token())
    there.read(old)
    here.rotate()
    new = here.write(token())
    assert there.read(new)
    assert there.read(old)
    assert here.read(old)
    for _ in range(4):
        here.rotate()
    with pytest.raises(errors.Unauthorized):
        there.load()
        there.read(old)
    assert len(list(here.directory.iterdir())) == here.keep + 1
