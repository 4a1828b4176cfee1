"""What is remembered of images, so that the builds of many servers read one once."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import attrs
import pytest

from novakit.context import SERVICE, RequestContext
from novakit.image import Images
from novakit.image.records import DEACTIVATED, NewImage
from novakit.store.images import ImageRow
from tests.support.stores import sqlite_store


@attrs.define
class SlowReader(Images):
    """Waits between the reading of a row and what is made of it, where it is asked to."""

    gate: asyncio.Event | None = None
    read: asyncio.Event = attrs.field(factory=asyncio.Event)

    async def visible(self, context: RequestContext, image_id: str) -> ImageRow:
        row = await super().visible(context, image_id)
        if self.gate is not None:
            self.read.set()
            await self.gate.wait()
        return row


@pytest.fixture
async def images(tmp_path: Path) -> AsyncIterator[SlowReader]:
    store = await sqlite_store(tmp_path / "cloud.db")
    made = SlowReader(store, tmp_path / "images")
    await made.open()
    yield made
    await store.close()


async def test_what_was_read_before_a_change_is_not_remembered_after_it(images: SlowReader) -> None:
    owner = attrs.evolve(SERVICE, project_id="p")
    id = str((await images.create(owner, NewImage(name="one", disk_format="raw", container_format="bare")))["id"])
    await images.upload(owner, id, _bytes())
    images.forget()
    images.gate = asyncio.Event()
    early = asyncio.create_task(images.get(SERVICE, id))
    assert await asyncio.wait_for(images.read.wait(), 10)
    await images.set_active(owner, id, False)
    images.gate.set()
    assert (await early).status == "active", "it was asked before the change"
    assert (await images.get(SERVICE, id)).status == DEACTIVATED


async def _bytes() -> AsyncIterator[bytes]:
    yield b"bytes"
