"""Identity and images on PostgreSQL: the questions that databases answer differently."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from novakit.errors import Conflict, Unauthorized
from novakit.identity import Identity
from novakit.identity.service import Scope
from novakit.identity.values import ProjectValues
from novakit.image import Images
from novakit.image.records import NewImage
from novakit.store import Store
from novakit.store.images import ImageQuery
from tests.support.stores import open_store


@pytest.fixture
async def store(postgres_with_tables: str) -> AsyncIterator[Store]:
    store = await open_store(postgres_with_tables)
    yield store
    await store.close()


async def test_logins_conflicts_and_bootstrap_work_on_postgresql(store: Store, tmp_path: Path) -> None:
    identity = Identity(store, tmp_path / "keys", {"identity": "http://localhost/identity"})
    for _ in range(2):
        await identity.bootstrap(admin_password="a", demo_password="d")
    scope = Scope(project_name="demo", domain="Default")
    token, _ = await identity.login(user_name="demo", user_domain="default", password="d", scope=scope)
    assert (await identity.authenticate(token, "req-1")).roles == {"member", "reader"}
    with pytest.raises(Conflict):
        await identity.directory.create(ProjectValues(name="demo", domain_id="default", parent_id="default"))
    await identity.revoke(token)
    with pytest.raises(Unauthorized):
        await identity.authenticate(token, "req-2")


async def test_images_are_filtered_and_paged_on_postgresql(store: Store, tmp_path: Path) -> None:
    identity = Identity(store, tmp_path / "keys", {})
    await identity.bootstrap(admin_password="a", demo_password="d")
    scope = Scope(project_name="demo", domain="default")
    _, grant = await identity.login(user_name="demo", user_domain="default", password="d", scope=scope)
    context = grant.asker()(request_id="req-1")
    images = Images(store, tmp_path / "images")
    await images.open()
    (tmp_path / "disk").write_bytes(b"x" * 2048)
    await images.ingest(context, name="n0", path=tmp_path / "disk", disk_format="raw", properties={"kind": "0"})
    for number in (1, 2, 3):
        tags = ["Odd" if number % 2 else "even"]
        await images.create(context, NewImage(name=f"n{number}", tags=tags, properties={"kind": "1"}))

    async def names(**wanted: object) -> list[str]:
        return [one["name"] for one in await images.list(ImageQuery(project_id=context.project_id, **wanted))]  # type: ignore[arg-type]

    assert await names(order=(("size", True), ("name", False))) == ["n0", "n1", "n2", "n3"]
    assert await names(tags=["Odd"], order=(("name", False),)) == ["n1", "n3"]
    assert await names(tags=["odd"]) == []
    assert await names(properties={"kind": "0"}) == ["n0"]
    assert await names(size_min=1) == ["n0"]
    (second,) = [one for one in await images.list(ImageQuery(project_id=context.project_id)) if one["name"] == "n2"]
    marker = await images.visible(context, second["id"])
    assert await names(order=(("name", False),), marker=marker) == ["n3"]
