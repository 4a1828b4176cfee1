"""The console's log as a ring on the disk."""

from pathlib import Path

from novakit_driver_qemu.console import KEEP, tail, trim


def test_a_guest_that_printed_nothing_has_an_empty_log(tmp_path: Path) -> None:
    assert tail(tmp_path / "console.log", 100) == b""


async def test_the_log_is_bounded_on_the_disk_and_its_writer_goes_on(tmp_path: Path) -> None:
    log = tmp_path / "console.log"
    with log.open("ab", buffering=0) as writer:
        for number in range(5):
            writer.write(bytes([65 + number]) * KEEP)
            await trim(log)
            assert log.stat().st_blocks * 512 <= 3 * KEEP
        writer.write(b"the end")
    assert tail(log, 10) == b"EEEthe end"
    whole = tail(log, 1 << 40)
    assert len(whole) == KEEP
    assert b"\0" not in whole, "what is kept has no holes"


async def test_a_short_log_is_left_as_it_is(tmp_path: Path) -> None:
    log = tmp_path / "console.log"
    log.write_bytes(b"short")
    await trim(log)
    await trim(tmp_path / "none")
    assert tail(log, 100) == b"short"
    assert tail(log, 0) == b""
