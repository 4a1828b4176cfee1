"""What a host keeps of its guests, and forgets with them."""

import asyncio
import errno
import os
import threading
import uuid
from pathlib import Path

import attrs
import orjson
import pytest

from novakit import durable
from novakit.agent.notes import GuestNotes
from novakit.calls.host import GuestNote, NetworksNote
from novakit_hookspecs.plain import to_plain
from tests.support.small_disk import SmallDisk

GUEST, OTHER = (str(uuid.UUID(int=number)) for number in (7, 8))


def note(server: str = GUEST, version: str = "v1") -> GuestNote:
    return GuestNote(server=server, version=version, text="{}\n", seal="s")


def opened(directory: Path) -> GuestNotes:
    notes = GuestNotes(directory)
    notes.open()
    return notes


@pytest.fixture
def notes(tmp_path: Path) -> GuestNotes:
    return opened(tmp_path / "guests")


async def test_a_note_is_kept_found_again_and_forgotten(notes: GuestNotes) -> None:
    await notes.keep(note())
    again = opened(notes.directory)
    assert again.version(GUEST) == "v1" and await again.some([GUEST, OTHER]) == [note()]
    assert [guest for guest, _ in again.beside([])] == [GUEST] and again.beside([GUEST]) == []
    await again.forget(GUEST)
    await again.forget(OTHER)
    for each in (again, opened(notes.directory)):
        assert each.version(GUEST) is None and each.beside([]) == [] and await each.some([GUEST]) == []


async def test_a_note_whose_build_is_cancelled_while_it_is_written_goes_with_its_guest(
    notes: GuestNotes, monkeypatch: pytest.MonkeyPatch
) -> None:
    await notes.keep(note(OTHER))
    begun, go_on, ended = threading.Event(), threading.Event(), threading.Event()
    flush = os.fdatasync

    def slow(descriptor: int) -> None:
        begun.set()
        assert go_on.wait(60)
        flush(descriptor)
        ended.set()

    monkeypatch.setattr(os, "fdatasync", slow)
    build = asyncio.create_task(notes.keep(note(version="")))
    assert await asyncio.to_thread(begun.wait, 60)
    build.cancel()
    asyncio.get_running_loop().call_later(0.1, go_on.set)
    await asyncio.wait([build])
    await notes.forget(GUEST)
    assert await asyncio.to_thread(ended.wait, 60)
    for each in (notes, opened(notes.directory)):
        assert each.version(GUEST) is None and [guest for guest, _ in each.beside([])] == [OTHER]


async def test_whoever_closes_waits_for_what_is_written_for_callers_that_have_gone(notes: GuestNotes) -> None:
    keeping = asyncio.create_task(notes.keep(note()))
    await asyncio.sleep(0)
    keeping.cancel()
    await notes.close()
    assert opened(notes.directory).version(GUEST) == "v1"


async def test_all_notes_that_wait_are_flushed_together(notes: GuestNotes, monkeypatch: pytest.MonkeyPatch) -> None:
    await notes.keep(note())
    flush, flushes = os.fdatasync, []

    def counted(descriptor: int) -> None:
        flush(descriptor)
        flushes.append(descriptor)

    monkeypatch.setattr(os, "fdatasync", counted)
    guests = [str(uuid.UUID(int=number)) for number in range(100)]
    await asyncio.gather(*(notes.keep(note(each)) for each in guests), notes.forget(GUEST))
    assert len(flushes) <= 2
    again = opened(notes.directory)
    assert {each for each, _ in again.beside([])} == {*guests} - {GUEST}


async def test_the_last_of_several_changes_at_once_counts(notes: GuestNotes) -> None:
    await asyncio.gather(
        notes.keep(note(version="")), notes.keep(note(version="v2")), notes.keep(note(OTHER)), notes.forget(OTHER)
    )
    for each in (notes, opened(notes.directory)):
        assert each.version(GUEST) == "v2" and each.version(OTHER) is None


async def test_a_note_that_cannot_be_written_costs_only_itself(notes: GuestNotes) -> None:
    await notes.keep(note())
    too_long = GuestNote(server=OTHER, version="v", text="\ud800", seal="s")
    done = await asyncio.gather(notes.keep(too_long), notes.keep(note(version="v2")), return_exceptions=True)
    assert isinstance(done[0], TypeError) and done[1] is None
    assert notes.version(OTHER) is None and opened(notes.directory).version(GUEST) == "v2"


async def test_a_damaged_note_is_none_and_costs_no_other_guest_its_own(notes: GuestNotes) -> None:
    await notes.keep(note())
    await notes.keep(note(OTHER))
    await notes.keep(note(version="v2"))
    path = notes.directory / "notes.journal"
    path.write_bytes(path.read_bytes().replace(b'"v2"', b'"v3"'))
    again = opened(notes.directory)
    assert again.version(GUEST) is None and again.version(OTHER) == "v1", "an older note is not taken for it either"
    await again.keep(note(version="v4"))
    assert opened(notes.directory).version(GUEST) == "v4"


async def test_a_note_of_a_version_that_is_not_understood_goes_with_its_guest_too(notes: GuestNotes) -> None:
    notes._journal.change({GUEST: b'{"form":"of a later version"}', OTHER: orjson.dumps(to_plain(note()))})
    again = opened(notes.directory)
    assert again.version(GUEST) is None and again.version(OTHER) is None and await again.some([GUEST, OTHER]) == []
    await again.forget(GUEST)
    assert opened(notes.directory)._journal.values([GUEST, OTHER]).keys() == {OTHER}


def older(directory: Path, *notes: GuestNote) -> None:
    """Write the files that an earlier version made, one for each guest."""
    for each in notes:
        durable.write(directory / f"{each.server}.json", orjson.dumps(to_plain(each)))


async def test_the_files_of_an_earlier_version_are_taken_over(notes: GuestNotes) -> None:
    await notes.keep(note(version="before the earlier version came back"))
    older(notes.directory, note(), note(OTHER, "v2"))
    (notes.directory / "networks.json").write_text("{}")
    for each in (opened(notes.directory), opened(notes.directory)):
        assert {each.version(GUEST), each.version(OTHER)} == {"v1", "v2"}
        assert await each.some([OTHER, GUEST]) == [note(OTHER, "v2"), note()]
    assert {path.name for path in notes.directory.iterdir()} == {"notes.journal", "networks.json"}


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
async def test_on_a_full_disk_files_of_an_earlier_version_stay_are_read_and_forgotten_and_are_taken_over_later(
    tmp_path: Path,
) -> None:
    with SmallDisk(tmp_path / "disk", 1) as disk:
        directory = disk.path / "guests"
        guests = [str(uuid.UUID(int=number)) for number in range(20)]
        await opened(directory).keep(note(guests[3], "before the earlier version came back"))
        kept = [attrs.evolve(note(each, f"v{each[-2:]}"), text="x" * 4000) for each in guests]
        older(directory, *kept)
        disk.fill()
        notes = opened(directory)
        assert [notes.version(each) for each in guests] == [each.version for each in kept]
        assert await notes.some([*guests, str(uuid.UUID(int=99))]) == kept
        assert dict(notes.beside(guests[1:])) == {guests[0]: str(directory / f"{guests[0]}.json")}
        with pytest.raises(OSError):
            await notes.keep(attrs.evolve(note(guests[1], "refused"), text="x" * 100_000))
        assert await notes.some(guests[1:4]) == kept[1:4]
        await notes.forget(guests[3])
        assert notes.version(guests[3]) is None and not (directory / f"{guests[3]}.json").exists()
        assert opened(directory).version(guests[3]) is None, "nor does the older note come back"
        disk.clear()
        await notes.keep(note(guests[2], "newer"))
        for each in (notes, opened(directory)):
            assert each.version(guests[2]) == "newer" and each.version(guests[1]) == kept[1].version
            assert {guest for guest, _ in each.beside([])} == {*guests} - {guests[3]}
            assert await each.some([guests[1], guests[5]]) == [kept[1], kept[5]]
        assert [path.name for path in directory.iterdir()] == ["notes.journal"]


async def test_files_that_cannot_be_removed_are_not_taken_for_newer_than_what_is_kept_later(
    notes: GuestNotes, monkeypatch: pytest.MonkeyPatch
) -> None:
    older(notes.directory, note(), note(OTHER))

    def refused(path: Path, missing_ok: bool = False) -> None:
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refused)
        again = opened(notes.directory)
        assert again.version(GUEST) == "v1" == again.version(OTHER)
        with pytest.raises(OSError):
            await again.keep(note(version="v2"))
        with pytest.raises(OSError):
            await again.forget(OTHER)
    await again.forget(OTHER)
    await again.keep(note(version="v2"))
    for each in (again, opened(notes.directory)):
        assert each.version(GUEST) == "v2" and each.version(OTHER) is None


@pytest.mark.parametrize("left", range(4))
async def test_files_that_a_kill_left_beside_what_was_taken_over_change_nothing(notes: GuestNotes, left: int) -> None:
    kept = [note(str(uuid.UUID(int=number)), f"v{number}") for number in range(3)]
    older(notes.directory, *kept)
    opened(notes.directory)
    older(notes.directory, *kept[:left])
    again = opened(notes.directory)
    assert await again.some([each.server for each in kept]) == kept
    assert [path.name for path in notes.directory.iterdir()] == ["notes.journal"]


async def test_a_file_of_an_earlier_version_that_cannot_be_read_goes_with_its_guest_too(notes: GuestNotes) -> None:
    for guest in (GUEST, OTHER):
        (notes.directory / f"{guest}.json").write_text("cut o")
    again = opened(notes.directory)
    assert again.version(GUEST) is None
    await again.forget(GUEST)
    await again.keep(note(OTHER))
    assert [path.name for path in notes.directory.iterdir()] == ["notes.journal"]


AROUND = NetworksNote(version="db/1", text="{}", seal="s")


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EIO, errno.ENOMEM, errno.EACCES])
@pytest.mark.parametrize("which", ["networks.json", f"{OTHER}.json"])
async def test_a_note_that_cannot_be_read_now_is_not_taken_for_none(
    notes: GuestNotes, monkeypatch: pytest.MonkeyPatch, number: int, which: str
) -> None:
    await notes.keep_networks(AROUND)
    older(notes.directory, note(OTHER))
    read, path = durable.read, notes.directory / which

    def failing(file: Path, most: int = durable.MOST) -> bytes:
        if file == path:
            raise OSError(number, os.strerror(number))
        return read(file, most)

    with monkeypatch.context() as patch:
        patch.setattr(durable, "read", failing)
        with pytest.raises(OSError) as refused:
            opened(notes.directory)
    assert (refused.value.errno, refused.value.filename) == (number, str(path))
    again = opened(notes.directory)
    assert again.networks() == AROUND and again.version(OTHER) == "v1"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"version": 5}', None], ids=str)
async def test_a_damaged_note_of_networks_is_kept_aside_by_the_next(notes: GuestNotes, content: bytes | None) -> None:
    path = notes.directory / "networks.json"
    if content is None:
        os.mkfifo(path)
    else:
        path.write_bytes(content)
    again = opened(notes.directory)
    assert again.networks() is None and again.networks_version == ""
    await again.keep_networks(AROUND)
    assert opened(notes.directory).networks() == AROUND
    aside = path.with_name("networks.json.damaged")
    assert aside.is_fifo() if content is None else aside.read_bytes() == content
    await again.keep_networks(attrs.evolve(AROUND, version="db/2"))
    assert {each.name for each in notes.directory.glob("networks*")} == {path.name, aside.name}
