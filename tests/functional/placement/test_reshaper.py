"""Inventory that moves with what is held of it."""

from tests.functional.placement.resources import A, B, C, allocation, make, store  # noqa: F401


async def test_only_services_reshape(http):
    body = {"inventories": {}, "allocations": {}}
    refused = await http("POST", "/reshaper", body)
    assert refused.status == 403 and "placement:reshaper:reshape" in refused.detail
    assert (await http("POST", "/reshaper", body, token="service")).status == 400


async def test_reshaping_moves_inventory_and_what_is_held_of_it_or_nothing(http):
    await make(http, "a", id=A, inventory={"VCPU": 8, "DISK_GB": 10})
    await make(http, "b", id=B, parent=A)
    await http("PUT", f"/allocations/{C}", allocation({A: {"VCPU": 4, "DISK_GB": 1}}))
    body = {
        "inventories": {
            A: {"resource_provider_generation": 2, "inventories": {"DISK_GB": {"total": 10}}},
            B: {"resource_provider_generation": 0, "inventories": {"VCPU": {"total": 8}}},
        },
        "allocations": {},
    }
    in_use = await http("POST", "/reshaper", body, token="service")
    assert in_use.status == 409 and in_use.code == "placement.inventory.inuse"
    assert (await http("GET", f"/resource_providers/{B}/inventories")).body["inventories"] == {}
    body["allocations"] = {C: allocation({A: {"DISK_GB": 1}, B: {"VCPU": 4}}, generation=1)}
    assert (await http("POST", "/reshaper", body, token="service")).status == 204
    assert (await http("GET", f"/resource_providers/{A}/usages")).body["usages"] == {"DISK_GB": 1}
    assert (await http("GET", f"/resource_providers/{B}/usages")).body["usages"] == {"VCPU": 4}
