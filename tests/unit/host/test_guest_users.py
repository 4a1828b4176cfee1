"""Each guest's emulator has a user of its own."""

import uuid
from pathlib import Path

import pytest

from novakit_host import guest_users
from novakit_host.guest_users import COUNT, FIRST, unmapped, unused


def test_no_two_guests_have_the_same_user() -> None:
    used: set[int] = set()
    for _ in range(500):
        used.add(unused(str(uuid.uuid4()), used))
    assert len(used) == 500
    assert all(FIRST <= each < FIRST + COUNT for each in used)


def test_the_last_one_is_found_and_then_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guest_users, "COUNT", 8)
    for guest in map(str, range(50)):
        assert unused(guest, set(range(100, 108)) - {104}, 100) == 104
    with pytest.raises(ValueError, match="all given"):
        unused("x", set(range(100, 108)), 100)


@pytest.mark.parametrize(
    ("maps", "missing"),
    [
        ("         0          0 4294967295\n", False),
        ("0 100000 65536\n", True),
        (f"0 100000 65536\n{FIRST} {FIRST} {COUNT}\n", False),
        (f"0 100000 65536\n{FIRST} {FIRST} {COUNT - 1}\n", True),
        ("", True),
    ],
)
def test_a_container_without_these_users_is_known(tmp_path: Path, maps: str, missing: bool) -> None:
    (tmp_path / "uid_map").write_text(maps)
    assert unmapped(FIRST, tmp_path / "uid_map") is missing
