"""What a host keeps of its guests, and forgets with them."""

import asyncio
import threading
import uuid
from pathlib import Path

import pytest

from novakit import durable
from novakit.agent.notes import GuestNotes
from novakit.calls.host import GuestNote

GUEST = str(uuid.UUID(int=7))


@pytest.fixture
def notes(tmp_path: Path) -> GuestNotes:
    notes = GuestNotes(tmp_path / "guests")
    notes.open()
    return notes


async def test_a_note_is_kept_found_again_and_forgotten(notes: GuestNotes) -> None:
    note = GuestNote(server=GUEST, version="v1", text="{}", seal="s")
    await notes.keep(note)
    again = GuestNotes(notes.directory)
    again.open()
    assert again.version(GUEST) == "v1" and await again.some([GUEST]) == [note]
    await again.forget(GUEST)
    assert again.version(GUEST) is None and not list(notes.directory.iterdir())


async def test_a_note_whose_build_is_cancelled_while_it_is_written_goes_with_its_guest(
    notes: GuestNotes, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on, ended = threading.Event(), threading.Event(), threading.Event()
    write = durable.write

    def slow(path: Path, content: bytes) -> None:
        begun.set()
        assert go_on.wait(60)
        write(path, content)
        ended.set()

    monkeypatch.setattr(durable, "write", slow)
    build = asyncio.create_task(notes.keep(GuestNote(server=GUEST, version="", text="{}", seal="s")))
    assert await asyncio.to_thread(begun.wait, 60)
    build.cancel()
    asyncio.get_running_loop().call_later(0.1, go_on.set)
    await asyncio.wait([build])
    await notes.forget(GUEST)
    assert await asyncio.to_thread(ended.wait, 60)
    assert not list(notes.directory.iterdir()) and notes.version(GUEST) is None


async def test_a_note_that_cannot_be_read_goes_with_its_guest_too(notes: GuestNotes) -> None:
    (notes.directory / f"{GUEST}.json").write_text("cut o")
    again = GuestNotes(notes.directory)
    again.open()
    assert again.version(GUEST) is None
    await again.forget(GUEST)
    assert not list(notes.directory.iterdir())
