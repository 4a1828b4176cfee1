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


NOT_A_PATCH = "Request body must be a JSON array of operation objects."
NO_SUCH_VERB = "Operations must be add, replace or remove."
NO_PATH = "Each operation needs a path that begins with a slash."
NO_VALUE = "Operations add and replace require a member named value."
ODD_NAME = "The name of a property has 1 to 255 characters and no control characters."


@pytest.mark.parametrize(
    ("version", "sent", "status", "told"),
    [
        ("2.1", {"op": "add"}, 400, NOT_A_PATCH),
        ("2.1", ["add"], 400, NOT_A_PATCH),
        ("2.1", [{"path": "/a"}], 400, NO_SUCH_VERB),
        ("2.1", [{"op": ["add"], "path": "/a", "value": "x"}], 400, NO_SUCH_VERB),
        ("2.1", [{"op": "add", "value": "x"}], 400, NO_PATH),
        ("2.1", [{"op": "add", "path": "a", "value": "x"}], 400, NO_PATH),
        ("2.1", [{"op": "add", "path": 5, "value": "x"}], 400, NO_PATH),
        ("2.1", [{"op": "replace", "path": "/a"}], 400, NO_VALUE),
        ("2.1", [{"op": "remove", "path": "/a/b"}], 400, "Invalid JSON pointer for this resource: /a/b; name one"),
        ("2.1", [{"op": "remove", "path": "/"}], 400, "Invalid JSON pointer for this resource: /; name one"),
        ("2.1", [{"op": "remove", "path": "/a\n"}], 400, ODD_NAME),
        ("2.1", [{"op": "add", "path": f"/{'n' * 256}", "value": "x"}], 400, ODD_NAME),
        ("2.1", [{"op": "add", "path": "/status", "value": "x"}], 403, "Attribute 'status' is read-only."),
        ("2.1", [{"op": "remove", "path": "/id"}], 403, "Attribute 'id' is read-only."),
        ("2.1", [{"op": "remove", "path": "/stores"}], 403, "Attribute 'stores' is read-only."),
        ("2.1", [{"op": "remove", "path": "/tags"}], 403, "Property tags may not be removed."),
        (
            "2.1",
            [{"op": "add", "path": "/min_ram", "value": -1}],
            400,
            "does not match schema 'image': min_ram: it must be",
        ),
        ("2.1", [{"op": "add", "path": "/status", "value": "x"}, 5], 400, NOT_A_PATCH),
        ("2.0", [{"move": "/a"}], 400, NO_SUCH_VERB),
        ("2.0", [{"add": "/a", "remove": "/b", "value": "x"}], 400, NO_SUCH_VERB),
        ("2.0", [{"add": "a", "value": "x"}], 400, NO_PATH),
        ("2.0", [{"replace": "/a"}], 400, NO_VALUE),
        ("2.0", [{"remove": "/a/b"}], 400, "Invalid JSON pointer for this resource: /a/b; name one"),
    ],
)
async def test_what_is_wrong_with_a_patch_is_told(cloud: Any, version: str, sent: Any, status: int, told: str) -> None:
    image = await cloud.image()
    headers = {"Content-Type": f"application/openstack-images-v{version}-json-patch"}
    answer, said = await cloud.ask("PATCH", f"/v2/images/{image['id']}", sent, headers=headers)
    assert (answer, told in said["message"]) == (status, True), said


async def test_a_property_whose_name_has_a_slash_or_a_tilde_is_named_as_a_pointer_says(cloud: Any) -> None:
    image = await cloud.image()
    status, said = await cloud.patch(image["id"], {"op": "add", "path": "/a~1b~0c", "value": "x"})
    assert (status, said["a/b~c"]) == (200, "x")
    status, said = await cloud.patch(image["id"], {"remove": "/a~1b~0c"}, version="2.0")
    assert status == 200 and "a/b~c" not in said


@pytest.mark.parametrize(
    ("sent", "status", "told"),
    [
        ({"status": "active"}, 403, "Attribute 'status' is read-only."),
        ({"locations": []}, 403, "Attribute 'locations' is read-only."),
        ({"n" * 256: "x"}, 400, ODD_NAME),
        ({"a\tb": "x"}, 400, ODD_NAME),
        ({"": "x"}, 400, ODD_NAME),
        ({"p": 5}, 400, "does not match schema 'image': p: it must be a string"),
    ],
)
async def test_a_new_image_is_held_to_the_same_schema(cloud: Any, sent: Any, status: int, told: str) -> None:
    answer, said = await cloud.ask("POST", "/v2/images", {"name": "one", **sent})
    assert (answer, told in said["message"]) == (status, True), said
