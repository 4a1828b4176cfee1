"""Inventories of resource providers."""

from tests.functional.placement.resources import A, C, allocation, make, store  # noqa: F401


async def test_inventories_are_guarded_by_the_generation_and_kept_while_in_use(http):
    path = f"/resource_providers/{await make(http, 'a', id=A, inventory={'VCPU': 8})}/inventories"
    stale = await http("PUT", f"{path}/VCPU", {"resource_provider_generation": 0, "total": 9})
    assert stale.status == 409 and stale.code == "placement.concurrent_update"
    assert (await http("PUT", f"/allocations/{C}", allocation({A: {"VCPU": 2}}))).status == 204
    generation = (await http("GET", path)).body["resource_provider_generation"]
    gone = await http("PUT", path, {"resource_provider_generation": generation, "inventories": {}})
    assert gone.status == 409 and gone.code == "placement.inventory.inuse"
    assert (await http("DELETE", f"{path}/VCPU")).status == 409
    assert (await http("DELETE", f"/resource_providers/{A}")).code == "placement.resource_provider.inuse"
    made = await http("POST", path, {"resource_class": "DISK_GB", "total": 5, "reserved": 5})
    assert made.status == 201 and made.headers["Location"].endswith("/inventories/DISK_GB")
    full = await http("POST", path, {"resource_class": "MEMORY_MB", "total": 5, "reserved": 5}, version="1.25")
    assert full.status == 400 and "greater than or equal to total" in full.detail


async def test_an_inventory_of_a_class_that_is_not_there_is_not_found_and_of_one_that_the_provider_lacks_is_refused(
    http,
):
    id = await make(http, "one", inventory={"VCPU": 1})
    for name, status in (("vcpu", 404), ("CUSTOM_NONE", 404), ("MEMORY_MB", 400), ("VCPU", 200)):
        body = {"resource_provider_generation": 1, "total": 2}
        assert (await http("PUT", f"/resource_providers/{id}/inventories/{name}", body)).status == status
    stale = await http("PUT", f"/resource_providers/{id}/inventories/CUSTOM_NONE", body)
    assert (stale.status, stale.code) == (409, "placement.concurrent_update")
