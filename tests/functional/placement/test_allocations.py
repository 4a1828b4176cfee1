"""What consumers hold."""

from tests.functional.placement.resources import A, B, C, allocation, make, store  # noqa: F401


async def test_a_consumer_is_guarded_by_its_own_generation(http):
    await make(http, "a", id=A, inventory={"VCPU": 8})
    path = f"/allocations/{C}"
    assert (await http("PUT", path, allocation({A: {"VCPU": 1}}, generation=3))).status == 409
    assert (await http("PUT", path, allocation({A: {"VCPU": 1}}))).status == 204
    again = await http("PUT", path, allocation({A: {"VCPU": 1}}))
    assert again.status == 409 and "expected 1 but got null" in again.detail
    assert again.code == "placement.concurrent_update"
    assert (await http("GET", path)).body == {
        "allocations": {A: {"resources": {"VCPU": 1}, "generation": 2}},
        "project_id": "p",
        "user_id": "u",
        "consumer_generation": 1,
        "consumer_type": "INSTANCE",
    }
    assert (await http("PUT", path, allocation({}, generation=1))).status == 204
    assert (await http("GET", path)).body == {"allocations": {}}
    assert (await http("DELETE", path)).status == 404


async def test_an_allocation_from_a_provider_that_is_not_there_says_so_before_anything_that_does_not_fit(http):
    full = await make(http, "full", inventory={"VCPU": 1})
    bare = await make(http, "bare")
    for others in ({bare: {"VCPU": 1}}, {full: {"VCPU": 2}}, {full: {"CUSTOM_NONE": 1}}):
        for amounts in ({**others, C: {"VCPU": 1}}, {C: {"VCPU": 1}, **others}):
            for method, path, body in (
                ("PUT", f"/allocations/{A}", allocation(amounts)),
                ("POST", "/allocations", {A: allocation(others), B: allocation({C: {"VCPU": 1}})}),
            ):
                answer = await http(method, path, body)
                assert (answer.status, C in answer.detail) == (400, True), answer.body
    for consumer in (A, B):
        assert (await http("GET", f"/allocations/{consumer}")).body["allocations"] == {}
