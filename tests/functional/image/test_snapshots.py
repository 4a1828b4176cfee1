from typing import Any


async def test_a_compute_host_fills_snapshots_of_its_project_and_changes_nothing_else(cloud: Any) -> None:
    demo, admin = await cloud.context(), await cloud.context(cloud.admin)
    mine = await cloud.identity.service_token(project_id=demo.project_id)
    foreign = await cloud.identity.service_token(project_id=admin.project_id)
    plain = await cloud.image()
    snapshot = await cloud.image(image_type="snapshot")
    assert (await cloud.upload(plain["id"], b"x" * 512, mine))[0] == 403
    assert (await cloud.upload(snapshot["id"], b"x" * 512, foreign))[0] == 404
    assert (await cloud.patch(snapshot["id"], {"op": "replace", "path": "/name", "value": "x"}, token=mine))[0] == 403
    assert (await cloud.ask("DELETE", f"/v2/images/{snapshot['id']}", token=mine))[0] == 403
    assert (await cloud.upload(snapshot["id"], b"x" * 512, mine))[0] == 204
    assert (await cloud.upload(snapshot["id"], b"y" * 512, mine))[0] == 409
