"""A file of lines that outlives kills, power cuts, full disks and damage, and loses no more than what was hit."""

import errno
import os
from pathlib import Path

import pytest

from novakit import durable
from novakit.agent import journal
from novakit.agent.journal import DurableJournal, examine, line, scan
from novakit.config import failures
from tests.support.small_disk import SmallDisk

A, B, C = "a" * 8, "b" * 8, "c" * 8


def opened(path: Path) -> tuple[DurableJournal, dict[str, bytes]]:
    it = DurableJournal(path)
    return it, dict(it.open())


def said(content: bytes) -> dict[str, bytes]:
    return {key: text.split(b" ", 3)[3][:-1] for key, text in scan(content).lines(content).items()}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "some.journal"


def test_the_last_value_of_every_key_is_found_again(path: Path) -> None:
    it, kept = opened(path)
    assert kept == {} and not path.exists()
    it.change({A: b"one", B: b""})
    it.change({A: b"two", C: b"three"})
    it.change({C: None, "unknown": None})
    assert it.values([A, B, C, "unknown"]) == {A: b"two", B: b""}
    again, kept = opened(path)
    assert kept == {A: b"two", B: b""} == again.values([C, B, A])
    assert C not in again and A in again and path.stat().st_mode & 0o777 == 0o600


def test_what_was_forgotten_can_be_kept_again(path: Path) -> None:
    it, _ = opened(path)
    for value in (b"one", None, None, b"two"):
        it.change({A: value})
    assert opened(path)[1] == {A: b"two"} == it.values([A])


def test_killed_at_any_byte_of_an_append_the_file_has_all_that_was_there_before_and_goes_on(path: Path) -> None:
    it, _ = opened(path)
    it.change({A: b"one", B: b"two"})
    before = path.stat().st_size
    it.change({A: b"three", C: b"four"})
    content = path.read_bytes()
    middle = before + len(line(A, b"three"))
    for cut in range(before, len(content) + 1):
        path.write_bytes(content[:cut])
        again, kept = opened(path)
        whole = {A: b"three" if cut >= middle else b"one", B: b"two"}
        if cut == len(content):
            whole[C] = b"four"
        assert kept == whole and examine(path) == [], cut
        again.change({"d": b"five"})
        assert opened(path)[1] == {**whole, "d": b"five"} == again.values([A, B, C, "d"]), cut
        assert not path.with_name("some.journal.damaged").exists(), "what was never promised is no damage"


def test_zeros_at_the_end_as_a_power_cut_leaves_them_are_cut_off(path: Path) -> None:
    it, _ = opened(path)
    it.change({A: b"one"})
    path.write_bytes(path.read_bytes() + bytes(5000))
    again, kept = opened(path)
    again.change({B: b"two"})
    assert kept == {A: b"one"} and opened(path)[1] == {A: b"one", B: b"two"} and examine(path) == []


def test_any_flipped_bit_costs_one_key_at_most_and_brings_no_older_value_back() -> None:
    lines = [line(A, b"one"), line(B, b"old"), line(B, b"two"), line(C, b"three"), line("d", b"")]
    content = b"".join(lines)
    want = {A: b"one", B: b"two", C: b"three", "d": b""}
    named = sum(map(len, lines[:2])) + lines[2].index(B.encode())
    for place in range(len(content)):
        for bit in range(8):
            flipped = bytearray(content)
            flipped[place] ^= 1 << bit
            have = said(bytes(flipped))
            lost = {key for key in want if have.get(key) != want[key]}
            assert len(lost) <= 1, (place, bit, have)
            if have.get(B) == b"old":
                assert named - 1 <= place <= named + len(B), "only where the line no longer says whose it is"
            if not lost and flipped[place : place + 1] != b"-":
                harmless = content[place : place + 1] == b"\n" or place in range(
                    len(lines[0]), len(lines[0] + lines[1])
                )
                assert harmless, (place, bit)
            assert have.keys() <= want.keys(), "no value comes from nowhere"


def test_a_sector_of_rubbish_costs_only_the_lines_in_it(path: Path) -> None:
    it, _ = opened(path)
    values = {f"key{number}": b"%d " % number * 150 for number in range(100)}
    it.change(values)
    content = path.read_bytes()
    spoilt = content[:8192] + bytes(4096) + content[8192 + 4096 :]
    path.write_bytes(spoilt)
    hit = {key for key, value in values.items() if line(key, value) not in spoilt}
    assert 4 < len(hit) < 20
    assert opened(path)[1] == {key: value for key, value in values.items() if key not in hit}


def test_damage_is_named_kept_aside_and_gone_from_the_file(path: Path) -> None:
    it, _ = opened(path)
    it.change({A: b"one", B: b"two"})
    content = path.read_bytes().replace(b"one", b"0ne")
    path.write_bytes(content)
    (damage,) = examine(path)
    assert str(damage) == f"{len(line(A, b'one'))} bytes from byte 0 on, of {A}"
    again, kept = opened(path)
    assert kept == {B: b"two"} and A not in again
    assert examine(path) == [] and path.with_name("some.journal.damaged").read_bytes() == content
    again.change({A: b"three"})
    assert opened(path)[1] == {A: b"three", B: b"two"}


def test_what_is_damaged_in_use_is_not_given_out(path: Path) -> None:
    it, _ = opened(path)
    it.change({A: b"one", B: b"two"})
    with path.open("r+b") as file:
        file.seek(path.read_bytes().index(b"two"))
        file.write(b"2")
    assert it.values([A, B]) == {A: b"one"}
    it.change({f"key{number}": bytes(200).replace(b"\0", b"x") for number in range(10)})
    for number in range(60):
        it.change({"again": b"%d " % number * 1000})
    assert B not in it and A in it, "written anew it says no more of what is lost"
    assert path.with_name("some.journal.damaged").exists() and examine(path) == []


def test_a_file_that_only_changes_stays_as_large_as_twice_what_counts(path: Path) -> None:
    it, _ = opened(path)
    for number in range(500):
        it.change({f"key{number % 20}": b"%d " % number * 400})
        if number % 3 == 0:
            it.change({f"key{number % 7}": None})
    want = opened(path)[1]
    counting = sum(len(line(key, value)) for key, value in want.items())
    assert len(want) > 10 and path.stat().st_size < journal.ROOM + 2 * counting + 2000
    assert it.values(want) == want and all(value.split()[0].isdigit() for value in want.values())
    for key in want:
        it.change({key: None})
    assert path.stat().st_size <= journal.ROOM and opened(path)[1] == {}


def test_sectors_that_the_disk_does_not_give_back_cost_only_the_lines_in_them(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    it, _ = opened(path)
    values = {f"key{number}": b"%d " % number * 150 for number in range(100)}
    it.change(values)
    read, pread = durable.read, os.pread

    def broken(file: Path, most: int = durable.MOST) -> bytes:
        raise OSError(errno.EIO, "Input/output error", str(file))

    def partly(descriptor: int, size: int, start: int) -> bytes:
        if start <= 20000 < start + size:
            raise OSError(errno.EIO, "Input/output error")
        return pread(descriptor, size, start)

    monkeypatch.setattr(os, "pread", partly)
    assert 80 < len(it.values(values)) < 100
    monkeypatch.setattr(durable, "read", broken)
    _, kept = opened(path)
    monkeypatch.undo()
    assert read(path) and 80 < len(kept) < 100 and kept.items() <= values.items()
    assert opened(path)[1] == kept, "and the file is whole again"


def test_on_a_full_disk_values_are_refused_all_that_was_there_is_read_and_what_is_forgotten_goes(
    tmp_path: Path,
) -> None:
    with SmallDisk(tmp_path / "disk", 1) as disk:
        file = disk.path / "some.journal"
        it, _ = opened(file)
        it.change({A: b"one", B: b"two"})
        disk.fill()
        with pytest.raises(OSError) as refused:
            for number in range(50):
                it.change({f"key{number}": b"x" * 1000})
        assert refused.value.errno == errno.ENOSPC
        there = file.read_bytes()
        with pytest.raises(OSError):
            it.change({A: b"x" * 10000, C: b"three", B: None})
        assert file.read_bytes() == there and it.values([A, B]) == {A: b"one", B: b"two"}, "all or nothing"
        it.change({B: None})
        kept = opened(file)[1]
        assert kept[A] == b"one" and B not in kept and C not in kept and B not in it
        disk.clear()
        it.change({C: b"three"})
        assert opened(file)[1] == {**kept, C: b"three"}


def test_after_a_flush_that_failed_the_file_is_written_anew_without_what_was_refused(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    it, _ = opened(path)
    it.change({A: b"one"})

    def failing(descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", failing)
        with pytest.raises(OSError):
            it.change({A: b"two"})
    assert it.values([A]) == {A: b"one"}
    before = path.stat().st_ino
    it.change({B: b"three"})
    assert path.stat().st_ino != before and opened(path)[1] == {A: b"one", B: b"three"}


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EACCES])
def test_a_file_that_cannot_be_read_now_is_not_taken_for_an_empty_one(
    path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    it, _ = opened(path)
    it.change({A: b"one", B: b"two"})

    def failing(file: Path, most: int = durable.MOST) -> bytes:
        raise OSError(number, os.strerror(number), str(file))

    with monkeypatch.context() as patch:
        patch.setattr(durable, "read", failing)
        with pytest.raises(OSError) as refused:
            opened(path)
    said_at_the_start = failures.sentence(refused.value)
    assert said_at_the_start is not None and str(path) in said_at_the_start and said_at_the_start.count(". ") == 1
    assert opened(path)[1] == {A: b"one", B: b"two"} and not path.with_name("some.journal.damaged").exists()


def test_a_directory_in_the_place_of_the_file_is_named(path: Path) -> None:
    path.mkdir()
    with pytest.raises(IsADirectoryError) as refused:
        opened(path)
    assert failures.sentence(refused.value) == (
        f"{path}: Is a directory. It is a directory where a file belongs; move it away."
    )


def test_a_file_that_has_its_name_already_when_a_flush_fails_loses_nothing_but_what_was_refused(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    it, _ = opened(path)
    it.change({A: b"a longer one", B: b"two"})
    it.change({A: b"one"})

    def failing(anything: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", failing)
        patch.setattr(durable, "sync_directory", failing)
        for _ in range(3):
            with pytest.raises(OSError):
                it.change({A: b"refused", C: b"refused"})
    assert it.values([A, B, C]) == {A: b"one", B: b"two"} and C not in it, "one that failed is not read again"
    inode = path.stat().st_ino
    it.change({"d": b"four"})
    assert path.stat().st_ino != inode, "and its name is not relied on before a flush of it"
    want = {A: b"one", B: b"two", "d": b"four"}
    assert opened(path)[1] == want == it.values([A, B, C, "d"]) and examine(path) == []


def test_a_flush_that_fails_at_the_start_after_damage_is_no_reason_to_append(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    it, _ = opened(path)
    it.change({A: b"one", B: b"two"})
    path.write_bytes(path.read_bytes().replace(b"one", b"0ne"))

    def failing(directory: Path) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(durable, "sync_directory", failing)
        again, kept = opened(path)
    assert kept == {B: b"two"} == again.values([A, B])
    inode = path.stat().st_ino
    again.change({C: b"three"})
    assert path.stat().st_ino != inode and opened(path)[1] == {B: b"two", C: b"three"}


@pytest.mark.parametrize("first", ["", "padding" * 100])
def test_an_append_whose_middle_a_power_cut_left_out_costs_nothing_that_was_promised(path: Path, first: str) -> None:
    it, _ = opened(path)
    it.change({B: first.encode(), A: b"one"})
    promised = path.stat().st_size
    it.change({A: b"x" * 20000})
    content = path.read_bytes()
    assert promised < 4096 and len(content) > 5 * 4096 - 4096
    for start, end in ((4096, 8192), (8192, 16384), (promised, 4096)):
        path.write_bytes(content[:start] + bytes(end - start) + content[end:])
        assert examine(path) == []
        again, kept = opened(path)
        assert kept == {B: first.encode(), A: b"one"} == again.values([A, B]), (start, end)
        again.change({C: b"three"})
        assert opened(path)[1] == {**kept, C: b"three"} and path.stat().st_size < 4096
        assert not path.with_name("some.journal.damaged").exists(), "what was never promised is no damage"


def test_a_hole_before_a_whole_line_is_damage_and_brings_no_older_value_back(path: Path) -> None:
    it, _ = opened(path)
    it.change({A: b"one"})
    it.change({A: b"x" * 20000})
    it.change({B: b"two"})
    content = path.read_bytes()
    path.write_bytes(content[:4096] + bytes(4096) + content[8192:])
    assert [each.key for each in examine(path)] == [A] and opened(path)[1] == {B: b"two"}


@pytest.mark.parametrize("size", [3, 20000])
def test_a_flipped_bit_in_the_last_line_is_damage_and_brings_no_older_value_back(path: Path, size: int) -> None:
    it, _ = opened(path)
    it.change({A: b"one", B: b"two"})
    it.change({A: b"x" * size})
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)
    assert [each.key for each in examine(path)] == [A]
    assert opened(path)[1] == {B: b"two"} and path.with_name("some.journal.damaged").read_bytes() == content


def test_a_sector_of_the_last_line_that_the_disk_does_not_give_back_is_damage(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    it, _ = opened(path)
    it.change({A: b"one", B: b"two"})
    it.change({A: b"x" * 20000})
    pread = os.pread

    def broken(file: Path, most: int = durable.MOST) -> bytes:
        raise OSError(errno.EIO, "Input/output error", str(file))

    def partly(descriptor: int, size: int, start: int) -> bytes:
        if start == 8192:
            raise OSError(errno.EIO, "Input/output error")
        return pread(descriptor, size, start)

    monkeypatch.setattr(durable, "read", broken)
    monkeypatch.setattr(os, "pread", partly)
    assert [each.key for each in examine(path)] == [A] and opened(path)[1] == {B: b"two"}


def test_what_is_no_file_is_kept_aside_once_something_is_written(path: Path) -> None:
    os.mkfifo(path)
    it, kept = opened(path)
    it.change({A: None})
    assert kept == {} and path.is_fifo()
    it.change({A: b"one"})
    assert opened(path)[1] == {A: b"one"} and path.with_name("some.journal.damaged").is_fifo()


def test_a_file_that_was_replaced_in_use_is_not_written_to(path: Path) -> None:
    it, _ = opened(path)
    it.change({A: b"one"})
    durable.write(path, line(B, b"two"))
    for change in ({A: b"three"}, {A: None}):
        with pytest.raises(OSError, match="start the agent again"):
            it.change(change)
    assert opened(path)[1] == {B: b"two"}


@pytest.mark.parametrize("other", [line(B, b"two"), line(B, b"two") + line(C, b"x" * 500), b""])
def test_a_file_that_was_replaced_in_use_is_not_written_anew_either(
    path: Path, monkeypatch: pytest.MonkeyPatch, other: bytes
) -> None:
    it, _ = opened(path)
    it.change({A: b"one"})

    def failing(descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", failing)
        with pytest.raises(OSError):
            it.change({A: b"two"})
    durable.write(path, other)
    for change in ({A: b"three"}, {C: b"three"}):
        with pytest.raises(OSError, match="start the agent again"):
            it.change(change)
    assert path.read_bytes() == other


@pytest.mark.parametrize("key", ["", "a b", "a\n", "ä", "a" * 101])
def test_what_is_no_line_is_refused_before_anything_is_written(path: Path, key: str) -> None:
    it, _ = opened(path)
    with pytest.raises(ValueError):
        it.change({A: b"one", key: b"two"})
    with pytest.raises(ValueError):
        it.change({A: b"one\ntwo"})
    assert not path.exists()
