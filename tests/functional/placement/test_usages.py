"""What projects, users and kinds of consumers use."""

from tests.functional.placement.resources import A, B, C, allocation, make, store  # noqa: F401


async def test_usages_are_told_by_project_user_and_consumer_type(http):
    await make(http, "a", id=A, inventory={"VCPU": 8, "DISK_GB": 10})
    await http("PUT", f"/allocations/{B}", allocation({A: {"VCPU": 1, "DISK_GB": 2}}))
    old = {key: value for key, value in allocation({A: {"VCPU": 2}}).items() if key != "consumer_type"}
    assert (await http("PUT", f"/allocations/{C}", old, version="1.37")).status == 204
    assert (await http("GET", "/usages?project_id=p", version="1.37")).body == {"usages": {"VCPU": 3, "DISK_GB": 2}}
    assert (await http("GET", "/usages?project_id=p")).body["usages"] == {
        "INSTANCE": {"VCPU": 1, "DISK_GB": 2, "consumer_count": 1},
        "unknown": {"VCPU": 2, "consumer_count": 1},
    }
    everything = (await http("GET", "/usages?project_id=p&consumer_type=all")).body["usages"]
    assert everything == {"all": {"VCPU": 3, "DISK_GB": 2, "consumer_count": 2}}
    assert (await http("GET", "/usages?project_id=p&user_id=other")).body == {"usages": {}}
