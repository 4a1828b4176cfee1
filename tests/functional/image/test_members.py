"""With whom an image is shared."""

from typing import Any


async def test_a_shared_image_is_listed_once_its_member_accepts(cloud: Any) -> None:
    image = await cloud.image(cloud.admin, visibility="shared")
    project = (await cloud.context()).project_id
    path = f"/v2/images/{image['id']}"
    assert (await cloud.ask("GET", path))[0] == 404
    status, member = await cloud.ask("POST", f"{path}/members", {"member": project}, cloud.admin)
    assert (status, member["status"]) == (200, "pending")
    assert (await cloud.ask("GET", path))[0] == 200
    assert (await cloud.ask("GET", "/v2/images"))[1]["images"] == []
    assert (await cloud.ask("PUT", f"{path}/members/{project}", {"status": "accepted"}))[0] == 200
    assert [one["id"] for one in (await cloud.ask("GET", "/v2/images"))[1]["images"]] == [image["id"]]
    assert (await cloud.ask("DELETE", f"{path}/members/{project}"))[0] == 403
    assert (await cloud.ask("DELETE", f"{path}/members/{project}", token=cloud.admin))[0] == 204
    assert (await cloud.ask("GET", path))[0] == 404
