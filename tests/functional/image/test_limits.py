"""What one project may keep of images holds on both databases, also for many who ask at once."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import attrs
import pytest
import sqlalchemy as sa

from novakit import errors
from novakit.config import ImageOptions
from novakit.context import RequestContext
from novakit.identity import Identity
from novakit.identity.service import Scope
from novakit.image import Images, limits
from novakit.image.records import ImageValues, NewImage
from novakit.image.service import ImageEdit
from novakit.store.images import deleted_images
from tests.support.stores import store_on

NEW = NewImage(name="i", disk_format="raw", container_format="bare")
LIMITS = ImageOptions(images_each=5, bytes_each=3000, members_each=3)


@attrs.frozen
class Place:
    images: Images
    context: RequestContext

    async def image(self) -> str:
        return str((await self.images.create(self.context, NEW))["id"])

    async def upload(self, image_id: str, size: int, *, announced: int | None = None) -> None:
        async def pieces() -> AsyncIterator[bytes]:
            yield bytes(size)

        await self.images.upload(self.context, image_id, pieces(), announced=announced)


@pytest.fixture(params=["sqlite", "postgresql"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    store = await store_on(request.param, request, tmp_path / "x.db")
    identity = Identity(store, tmp_path / "keys", {})
    await identity.bootstrap(admin_password="a", demo_password="d")
    scope = Scope(project_name="demo", domain="default")
    _, grant = await identity.login(user_name="demo", user_domain="default", password="d", scope=scope)
    images = Images(store, tmp_path / "images", limits=LIMITS)
    await images.open()
    yield Place(images, grant.asker()(request_id="req-1"))
    await store.close()


async def test_no_more_images_than_the_limit_are_made_by_many_at_once(place: Place) -> None:
    made = await asyncio.gather(*(place.image() for _ in range(30)), return_exceptions=True)
    assert sum(isinstance(one, str) for one in made) == LIMITS.images_each
    assert all(isinstance(one, str | errors.TooLarge) for one in made)
    first = next(one for one in made if isinstance(one, str))
    await place.images.delete(place.context, first)
    await place.image()


async def test_what_is_stored_counts_and_not_what_was_announced(place: Place) -> None:
    ids = [await place.image() for _ in range(5)]
    done = await asyncio.gather(*(place.upload(one, 1000) for one in ids), return_exceptions=True)
    assert sum(one is None for one in done) == 3 and all(
        one is None or isinstance(one, errors.TooLarge) for one in done
    )
    assert len(list(place.images.directory.iterdir())) == 3
    refused = next(one for one, answer in zip(ids, done, strict=True) if answer is not None)
    with pytest.raises(errors.TooLarge, match="keeps 3000; "):
        await place.upload(refused, 1)
    kept = next(one for one, answer in zip(ids, done, strict=True) if answer is None)
    await place.images.delete(place.context, kept)
    with pytest.raises(errors.TooLarge):
        await place.upload(refused, 10, announced=5000)
    await place.upload(refused, 600, announced=600)


async def test_an_image_is_shared_with_so_many_projects(place: Place) -> None:
    image = await place.image()
    shared = await asyncio.gather(
        *(place.images.members.share(place.context, image, f"p{number}") for number in range(12)),
        return_exceptions=True,
    )
    assert sum(not isinstance(one, BaseException) for one in shared) == LIMITS.members_each
    assert all(isinstance(one, errors.TooLarge) for one in shared if isinstance(one, BaseException))


async def test_properties_that_patches_add_up_are_bounded_by_their_bytes(place: Place) -> None:
    image = await place.image()

    def add(number: int) -> ImageEdit:
        return lambda image: attrs.evolve(image, properties={**image.properties, f"p{number}": "ü" * 30_000})

    for number in range(4):
        await place.images.update(place.context, image, add(number))
    with pytest.raises(errors.TooLarge, match="262144 bytes"):
        await place.images.update(place.context, image, add(4))
    shown = await place.images.show(place.context, image)
    assert "p3" in shown and "p4" not in shown


async def test_so_many_images_and_no_more_are_ever_opened_to_others(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MOST_OPENED", 3)
    images, context = place.images, place.context

    def show(image: ImageValues) -> ImageValues:
        return attrs.evolve(image, visibility="community")

    def hide(image: ImageValues) -> ImageValues:
        return attrs.evolve(image, visibility="private")

    made = str((await images.create(context, attrs.evolve(NEW, visibility="community")))["id"])
    shared, patched = await place.image(), await place.image()
    await images.members.share(context, shared, "p")
    await images.members.share(context, shared, "q")
    await images.update(context, patched, show)
    for each in (made, patched):
        await images.update(context, each, hide)
        await images.update(context, each, show)
        await images.update(context, each, hide)
    for each in (made, shared, patched):
        await images.delete(context, each)
    one = await place.image()
    with pytest.raises(errors.TooLarge, match="shared or published 3 images"):
        await images.update(context, one, show)
    with pytest.raises(errors.TooLarge):
        await images.members.share(context, one, "p")
    with pytest.raises(errors.TooLarge):
        await images.create(context, attrs.evolve(NEW, visibility="community"))
    await images.delete(context, one)
    async with images.store.read() as session:
        rows = await session.all(sa.select(deleted_images), of=sa.RowMapping)
    assert {row["id"]: row["was_open"] for row in rows} == {made: True, shared: True, patched: True, one: False}
    assert {row["owner"] for row in rows} == {context.project_id}
