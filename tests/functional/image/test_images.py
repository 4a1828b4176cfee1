"""Images over HTTP: their life, who sees them, lists and patches."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import openstack
import pytest

from novakit.image import Images


async def test_discovery_needs_no_token_and_points_at_the_mount(cloud: Any) -> None:
    for path, status in (("/image", 300), ("/image/", 300), ("/image/versions", 200)):
        async with cloud.http.get(cloud.base + path) as answer:
            assert answer.status == status
            assert (await answer.json())["versions"][0]["links"][0]["href"] == f"{cloud.base}/image/v2/"
    async with cloud.http.get(f"{cloud.base}/image/v2/images") as answer:
        assert answer.status == 401


async def test_deletion_removes_row_and_file_and_protection_prevents_it(cloud: Any) -> None:
    image = await cloud.image(protected=True)
    await cloud.upload(image["id"], b"x" * 1024)
    status, said = await cloud.ask("DELETE", f"/v2/images/{image['id']}")
    assert status == 403
    assert "protected" in said["message"]
    assert (await cloud.patch(image["id"], {"op": "replace", "path": "/protected", "value": False}))[0] == 200
    assert (await cloud.ask("DELETE", f"/v2/images/{image['id']}"))[0] == 204
    assert (await cloud.ask("GET", f"/v2/images/{image['id']}"))[0] == 404
    assert cloud.files() == []


async def test_a_deactivated_image_is_read_by_administrators_alone(cloud: Any) -> None:
    image = await cloud.image()
    path = f"/v2/images/{image['id']}"
    assert (await cloud.ask("POST", f"{path}/actions/deactivate"))[0] == 403
    await cloud.upload(image["id"], b"x" * 1024)
    assert (await cloud.ask("POST", f"{path}/actions/deactivate"))[0] == 204
    assert (await cloud.ask("GET", path))[1]["status"] == "deactivated"
    assert (await cloud.ask("GET", f"{path}/file"))[0] == 403
    assert (await cloud.ask("GET", f"{path}/file", token=cloud.admin))[0] == 200
    assert (await cloud.ask("POST", f"{path}/actions/reactivate"))[0] == 204
    assert (await cloud.ask("GET", f"{path}/file"))[0] == 200


async def test_visibility_decides_who_sees_and_the_owner_alone_changes(cloud: Any) -> None:
    made = {name: await cloud.image(cloud.admin, visibility=name) for name in ("public", "private", "community")}
    seen = {name: (await cloud.ask("GET", f"/v2/images/{one['id']}"))[0] for name, one in made.items()}
    assert seen == {"public": 200, "private": 404, "community": 200}
    _, said = await cloud.ask("GET", "/v2/images")
    assert [one["visibility"] for one in said["images"]] == ["public"]
    _, said = await cloud.ask("GET", "/v2/images?visibility=community")
    assert [one["visibility"] for one in said["images"]] == ["community"]
    rename = {"op": "replace", "path": "/name", "value": "mine"}
    assert (await cloud.patch(made["public"]["id"], rename))[0] == 403
    assert (await cloud.patch(made["private"]["id"], rename))[0] == 404
    assert (await cloud.ask("DELETE", f"/v2/images/{made['public']['id']}"))[0] == 403
    assert (await cloud.ask("DELETE", f"/v2/images/{made['private']['id']}"))[0] == 404
    assert (await cloud.upload(made["private"]["id"], b"x"))[0] == 404
    status, _ = await cloud.ask("POST", "/v2/images", {"name": "x", "visibility": "public"})
    assert status == 403


async def test_lists_filter_sort_and_page(cloud: Any) -> None:
    for number in range(5):
        await cloud.image(name=f"n{number}", tags=["odd" if number % 2 else "even", "ODD"], kind=str(number % 2))

    async def names(query: str) -> list[str]:
        status, said = await cloud.ask("GET", f"/v2/images?{query}")
        assert status == 200, said
        return [one["name"] for one in said["images"]]

    assert await names("") == ["n4", "n3", "n2", "n1", "n0"]
    assert await names("sort=name:asc") == ["n0", "n1", "n2", "n3", "n4"]
    assert await names("sort_key=name&sort_dir=asc&tag=odd") == ["n1", "n3"]
    assert await names("name=in:n1,n3&sort=name:asc") == ["n1", "n3"]
    assert await names("kind=1&sort=name:desc") == ["n3", "n1"]
    assert await names("status=active") == []
    assert await names("size_min=1") == []
    found, path = [], "/v2/images?limit=2&sort=disk_format:asc,name:asc"
    while path:
        _, said = await cloud.ask("GET", path)
        found += [one["name"] for one in said["images"]]
        path = said.get("next")
    assert found == ["n0", "n1", "n2", "n3", "n4"]


@pytest.mark.parametrize(
    "query", ["limit=-1", "limit=x", "sort=nonsense", "visibility=x", "marker=absent", "size_min=a", "a%27b=1"]
)
async def test_filters_that_say_nothing_are_refused(cloud: Any, query: str) -> None:
    assert (await cloud.ask("GET", f"/v2/images?{query}"))[0] == 400


async def test_only_drafts_of_the_dead_are_removed_at_the_start(cloud: Any) -> None:
    image = await cloud.image()
    await cloud.upload(image["id"], b"x" * 1024)
    kept = cloud.files()
    (cloud.images.directory / "left-by-a-kill.draft").write_bytes(b"x")
    (cloud.images.directory / "of-a-lost-database").write_bytes(b"x")
    gate, reached = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b"y" * (2 << 20)
        reached.set()
        await gate.wait()

    other = await cloud.image()
    upload = asyncio.ensure_future(cloud.images.upload(await cloud.context(), other["id"], slow()))
    await reached.wait()
    await Images(cloud.images.store, cloud.images.directory).open()
    assert set(cloud.files()) > set(kept)
    assert "left-by-a-kill.draft" not in cloud.files()
    assert await cloud.images.strangers() == ["of-a-lost-database"]
    gate.set()
    assert (await upload).status == "active"


async def test_a_local_file_is_ingested_or_leaves_nothing(cloud: Any, tmp_path: Path) -> None:
    context = await cloud.context(cloud.admin)
    (tmp_path / "disk").write_bytes(b"x" * 2048)
    image = await cloud.images.ingest(
        context, name="local", path=tmp_path / "disk", disk_format="raw", visibility="public", properties={"a": "b"}
    )
    assert (image.status, image.size, image.properties) == ("active", 2048, {"a": "b"})
    assert await cloud.images.list_names(context, [image.id, "absent"]) == {image.id: "local"}
    with pytest.raises(Exception, match="declared as qcow2"):
        await cloud.images.ingest(context, name="bad", path=tmp_path / "disk", disk_format="qcow2")
    assert [one["name"] for one in (await cloud.ask("GET", "/v2/images"))[1]["images"]] == ["local"]
    assert len(cloud.files()) == 1


async def test_schemas_are_published(cloud: Any) -> None:
    for name in ("image", "images", "member", "members"):
        status, said = await cloud.ask("GET", f"/v2/schemas/{name}")
        assert (status, said["name"]) == (200, name)
    assert (await cloud.ask("GET", "/v2/schemas/x"))[0] == 404


async def test_openstacksdk_works_with_images(cloud: Any, tmp_path: Path) -> None:
    (tmp_path / "disk.raw").write_bytes(b"z" * 4096)

    def work() -> tuple[str, int, bytes, list[str]]:
        with openstack.connect(
            auth={
                "auth_url": f"{cloud.base}/identity/v3",
                "username": "demo",
                "password": "a secret",
                "project_name": "demo",
                "user_domain_name": "Default",
                "project_domain_name": "Default",
            },
            region_name="RegionOne",
        ) as sdk:
            image = sdk.image.create_image(
                "sdk", filename=str(tmp_path / "disk.raw"), disk_format="raw", container_format="bare", wait=True
            )
            image = sdk.image.update_image(image, min_ram=32)
            data = sdk.image.download_image(image).content
            names = [one.name for one in sdk.image.images(limit=1)]
            sdk.image.delete_image(image)
            return image.status, image.min_ram, data, names

    assert await asyncio.to_thread(work) == ("active", 32, b"z" * 4096, ["sdk"])


async def test_the_command_line_works_with_images(cloud: Any, tmp_path: Path) -> None:
    (tmp_path / "rec.raw").write_bytes(b"z" * 4096)
    create = ("image", "create", "--disk-format", "raw", "--container-format", "bare", "-f", "value", "-c", "status")
    assert await cloud.cli(*create, "--file", str(tmp_path / "rec.raw"), "rec_img") == "active"
    await cloud.cli("image", "set", "--property", "hw_rng=1", "--min-disk", "2", "rec_img")
    assert "rec_img" in await cloud.cli("image", "list", "-f", "value", "-c", "Name")
    shown = await cloud.cli("image", "show", "rec_img", "-f", "json")
    assert '"hw_rng": "1"' in shown
    await cloud.cli("image", "delete", "rec_img")
    assert cloud.files() == []
