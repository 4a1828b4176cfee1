"""Tags."""

from typing import Any

from tests.functional.network.scenes import names


async def test_one_tag_is_asked_for(cloud: Any) -> None:
    made = await cloud.make("networks", tags=["blue"])
    assert await cloud.call("GET", f"networks/{made['id']}/tags/blue") == (204, None)
    assert await cloud.refused("GET", f"networks/{made['id']}/tags/red") == (404, "TagNotFound")


async def test_tags_are_added_filtered_and_removed(cloud: Any) -> None:
    made = await cloud.make("networks", name="a")
    path = f"networks/{made['id']}/tags"
    assert (await cloud.call("PUT", path, {"tags": ["red", "blue"]}))[1] == {"tags": ["blue", "red"]}
    assert (await cloud.call("PUT", f"{path}/green"))[0] == 201
    assert await names(cloud, "tags=red,green") == ["a"]
    assert await names(cloud, "not-tags=red") == []
    assert (await cloud.call("DELETE", f"{path}/green"))[0] == 204
    assert await cloud.refused("DELETE", f"{path}/green") == (404, "TagNotFound")
    assert (await cloud.call("PUT", path, {"tags": ["x"]}, token="bob"))[0] == 404


async def test_tags_that_are_put_one_by_one_end_at_the_limit(cloud: Any) -> None:
    path = f"networks/{(await cloud.network())['id']}/tags"
    assert (await cloud.call("PUT", path, {"tags": [f"t{number}" for number in range(49)]}))[0] == 200
    assert (await cloud.call("PUT", f"{path}/last"))[0] == 201
    status, told = await cloud.call("PUT", f"{path}/more")
    assert status == 400 and "50 is the most" in told["NeutronError"]["message"]
    assert (await cloud.call("PUT", f"{path}/last"))[0] == 201
    assert len((await cloud.call("GET", path))[1]["tags"]) == 50
