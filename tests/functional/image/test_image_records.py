"""What is known of images without asking the store."""

from typing import Any

import attrs
import pytest

from novakit.errors import NotFound


async def test_a_record_that_is_known_follows_every_change_made_here(cloud: Any) -> None:
    context = await cloud.context()
    image = await cloud.image()

    async def get() -> Any:
        return await cloud.images.get(context, image["id"])

    assert (await get()).status == "queued"
    await cloud.upload(image["id"], b"x" * 1024)
    assert (await get()).status == "active"
    await cloud.patch(image["id"], {"op": "replace", "path": "/name", "value": "two"})
    assert (await get()).name == "two"
    with pytest.raises(NotFound):
        await cloud.images.get(attrs.evolve(context, project_id="another"), image["id"])
    await cloud.ask("DELETE", f"/v2/images/{image['id']}")
    with pytest.raises(NotFound):
        await get()
