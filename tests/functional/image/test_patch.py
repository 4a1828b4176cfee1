"""Changes of an image."""

from typing import Any

import pytest


async def test_both_kinds_of_patch_change_attributes_and_properties(cloud: Any) -> None:
    image = await cloud.image(hw_rng="1", tags=["old"])
    status, said = await cloud.patch(
        image["id"],
        {"op": "replace", "path": "/name", "value": "two"},
        {"op": "add", "path": "/hw_disk_bus", "value": "scsi"},
        {"op": "remove", "path": "/hw_rng"},
        {"op": "replace", "path": "/tags", "value": ["b", "a"]},
    )
    assert status == 200
    assert (said["name"], said["hw_disk_bus"], said["tags"]) == ("two", "scsi", ["a", "b"])
    assert "hw_rng" not in said
    status, said = await cloud.patch(image["id"], {"replace": "/min_ram", "value": 64}, version="2.0")
    assert (status, said["min_ram"]) == (200, 64)


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        ({"op": "replace", "path": "/status", "value": "active"}, 403),
        ({"op": "replace", "path": "/id", "value": "x"}, 403),
        ({"op": "replace", "path": "/visibility", "value": "public"}, 403),
        ({"op": "replace", "path": "/owner", "value": "somebody"}, 403),
        ({"op": "remove", "path": "/name"}, 403),
        ({"op": "remove", "path": "/absent"}, 409),
        ({"op": "replace", "path": "/min_ram", "value": "much"}, 400),
        ({"op": "replace", "path": "/min_ram", "value": -1}, 400),
        ({"op": "add", "path": "/a/b", "value": "x"}, 400),
        ({"op": "add", "path": "/p", "value": {"deep": 1}}, 400),
        ({"op": "add", "path": "/p"}, 400),
        ({"op": "move", "path": "/p"}, 400),
        ("nonsense", 400),
    ],
)
async def test_a_patch_that_is_refused_changes_nothing(cloud: Any, operation: Any, expected: int) -> None:
    image = await cloud.image()
    status, said = await cloud.patch(image["id"], {"op": "replace", "path": "/name", "value": "changed"}, operation)
    assert status == expected, said
    assert (await cloud.ask("GET", f"/v2/images/{image['id']}"))[1]["name"] == "one"
