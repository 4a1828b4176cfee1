"""What operators change over the APIs holds for the next decision; here no clock ever makes the scheduler look."""

import pytest

from tests.support.service import Service

OPTIONS = """
[agent]
host = "vm"

[scheduler]
refresh_every = 3600

[filters.aggregate_multitenancy_isolation]
enabled = true
"""
COMPUTE = "/compute/v2.1"
PLACEMENT = "/placement/resource_providers"


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    state = tmp_path_factory.mktemp("changes") / "state"
    state.mkdir()
    (state / "novakit.toml").write_text(OPTIONS)
    with Service(state, "--simulate", "4") as running:
        yield running


async def left(admin, name, **asked):
    """Give how many hosts a filter leaves over."""
    told = await admin.ok("POST", "/novakit/v1/explain", {"flavor": "1", **asked})
    return next(stage["after"] for stage in told["decision"]["filters"] if stage["name"] == name)


async def test_a_change_of_an_aggregate_holds_for_the_next_decision(admin):
    isolation = "aggregate_multitenancy_isolation"
    for turn in range(3):
        new = {"aggregate": {"name": f"a{turn}"}}
        made = (await admin.ok("POST", f"{COMPUTE}/os-aggregates", new))["aggregate"]["id"]

        async def act(action, made=made, **values):
            await admin.ok("POST", f"{COMPUTE}/os-aggregates/{made}/action", {action: values})

        await act("set_metadata", metadata={"filter_tenant_id": "another"})
        await act("add_host", host="vm-1")
        assert await left(admin, isolation) == 3
        await act("add_host", host="vm-2")
        assert await left(admin, isolation) == 2
        await act("set_metadata", metadata={"filter_tenant_id": None})
        assert await left(admin, isolation) == 4
        await admin.ok("PUT", f"{COMPUTE}/os-aggregates/{made}", {"aggregate": {"availability_zone": "az1"}})
        assert await left(admin, "availability_zone", availability_zone="az1") == 2
        await act("remove_host", host="vm-1")
        assert await left(admin, "availability_zone", availability_zone="az1") == 1
        await act("remove_host", host="vm-2")
        await admin.ok("DELETE", f"{COMPUTE}/os-aggregates/{made}")


async def test_a_host_that_is_disabled_or_declared_down_is_out_of_the_next_decision(admin):
    services = (await admin.ok("GET", f"{COMPUTE}/os-services"))["services"]
    place = f"{COMPUTE}/os-services/{services[0]['id']}"
    for change, hosts in (
        ({"status": "disabled"}, 3),
        ({"status": "enabled"}, 4),
        ({"forced_down": True}, 3),
        ({"forced_down": False}, 4),
    ):
        await admin.ok("PUT", place, change)
        assert await left(admin, "compute") == hosts


async def test_a_server_group_that_gets_another_rule_or_loses_a_member_does_so_for_the_next_decision(admin):
    groups = "/novakit/v1/server-groups"
    made = (await admin.ok("POST", groups, {"server_group": {"name": "g", "policy": "anti-affinity"}}))["server_group"]
    image = await admin.image()
    asked = {"server": {"name": "s", "imageRef": image, "flavorRef": "1", "networks": "none"}}
    asked["os:scheduler_hints"] = {"group": made["id"]}
    server = (await admin.ok("POST", f"{COMPUTE}/servers", asked))["server"]["id"]
    await admin.reach(server, "ACTIVE")

    async def change(**values):
        await admin.ok("PATCH", f"{groups}/{made['id']}", {"server_group": values})

    assert await left(admin, "group_anti_affinity", group=made["id"]) == 3
    await change(rules={"max_server_per_host": 2})
    assert await left(admin, "group_anti_affinity", group=made["id"]) == 4
    await change(policy="affinity", rules={})
    assert await left(admin, "group_affinity", group=made["id"]) == 1
    await admin.ok("DELETE", f"{groups}/{made['id']}/members/{server}")
    assert await left(admin, "group_affinity", group=made["id"]) == 4


async def test_what_is_written_over_the_placement_api_holds_for_the_next_decision(admin):
    provider = (await admin.ok("GET", f"{PLACEMENT}?name=vm-1"))["resource_providers"][0]["uuid"]
    place = f"{PLACEMENT}/{provider}/inventories/VCPU"
    inventory = await admin.ok("GET", place)
    for reserved, hosts in ((inventory["total"], 3), (inventory["reserved"], 4)):
        inventory = await admin.ok("PUT", place, {**inventory, "reserved": reserved})
        assert await left(admin, "resources") == hosts
