"""Image files: what a kill leaves is cleared away, and what might be somebody's is left alone."""

from collections.abc import Collection
from pathlib import Path

import pytest

from novakit.disk_images import Inspection
from novakit.image import files

BYTES = b"\0" * 512


async def _upload(directory: Path) -> files.Upload:
    draft = await files.Upload.begin(directory, "an-image", Inspection("raw", False))
    await draft.write(BYTES)
    return draft


def _there(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def _die(draft: files.Upload) -> None:
    """Let go of the file as a kill would: nothing else happens."""
    assert draft._file is not None
    draft._file.close()


async def _collect(directory: Path, *named: str) -> int:
    async def known() -> Collection[str]:
        return named

    return await files.collect(directory, known)


async def _strangers(directory: Path, *named: str) -> list[str]:
    async def known() -> Collection[str]:
        return named

    return await files.strangers(directory, known)


async def test_an_upload_that_ends_well_leaves_one_file(tmp_path: Path) -> None:
    draft = await _upload(tmp_path)
    stored = await draft.finish()
    draft.keep()
    await draft.close()
    assert _there(tmp_path) == [stored.name] and (tmp_path / stored.name).read_bytes() == BYTES
    assert await _collect(tmp_path, stored.name) == 0 and _there(tmp_path) == [stored.name]


async def test_an_upload_that_is_refused_leaves_nothing(tmp_path: Path) -> None:
    draft = await _upload(tmp_path)
    await draft.finish()
    await draft.close()
    assert _there(tmp_path) == []


@pytest.mark.parametrize("finished", [False, True], ids=["while it is written", "before its row"])
async def test_an_upload_that_is_killed_is_cleared_away(tmp_path: Path, finished: bool) -> None:
    draft = await _upload(tmp_path)
    if finished:
        await draft.finish()
    assert await _collect(tmp_path) == 0, "it is being written"
    _die(draft)
    assert await _strangers(tmp_path) == []
    assert await _collect(tmp_path) == 1 and _there(tmp_path) == []


async def test_an_upload_that_is_killed_after_its_row_is_whole(tmp_path: Path) -> None:
    draft = await _upload(tmp_path)
    stored = await draft.finish()
    _die(draft)
    assert await _collect(tmp_path, stored.name) == 0
    assert _there(tmp_path) == [stored.name] and (tmp_path / stored.name).read_bytes() == BYTES


@pytest.mark.parametrize("steps", [1, 2, 3])
async def test_a_deletion_that_is_killed_is_done_at_the_next_start(tmp_path: Path, steps: int) -> None:
    path = tmp_path / "an-image.1"
    path.write_bytes(BYTES)
    files.doom(path)
    if steps > 1:
        path.unlink()
    if steps > 2:
        files.spare(path)
    await _collect(tmp_path)
    assert _there(tmp_path) == [] and await _strangers(tmp_path) == []


async def test_a_deletion_whose_row_stayed_keeps_the_file(tmp_path: Path) -> None:
    path = tmp_path / "an-image.1"
    path.write_bytes(BYTES)
    files.doom(path)
    assert await _strangers(tmp_path, path.name) == []
    assert await _collect(tmp_path, path.name) == 0 and _there(tmp_path) == [path.name]


async def test_a_file_that_no_row_names_is_told_of_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "an-image.1").write_bytes(BYTES)
    (tmp_path / "an-image.2").write_bytes(BYTES)
    assert await _strangers(tmp_path, "an-image.2") == ["an-image.1"]
    assert await _collect(tmp_path) == 0 and _there(tmp_path) == ["an-image.1", "an-image.2"]


async def test_a_link_that_was_planted_is_neither_written_through_nor_taken_for_a_draft(tmp_path: Path) -> None:
    secret, images = tmp_path / "secret", tmp_path / "images"
    secret.write_bytes(b"secret")
    images.mkdir()
    planted = images / f"an-image{files.DRAFT}"
    planted.symlink_to(secret)
    with pytest.raises(FileExistsError):
        files.Upload(planted, files.Content(Inspection("raw", False)))._open()
    assert await _collect(images) == 0
    assert planted.is_symlink() and secret.read_bytes() == b"secret"
