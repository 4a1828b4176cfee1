"""Extra specs of flavors."""

import pytest

SMALL = {"name": "m1.small", "ram": 512, "vcpus": 1, "disk": 1}


async def make(api, **changes):
    answer = await api("POST", "/v2.1/flavors", {"flavor": {**SMALL, **changes}}, as_="admin", version="2.100")
    assert answer.status == 200, answer.body
    return answer.body["flavor"]


async def test_extra_specs_are_added_read_replaced_and_removed(api):
    await make(api, id="small")
    place = "/v2.1/flavors/small/os-extra_specs"
    assert (await api("POST", place, {"extra_specs": {"a:b": "1", "n": 2}}, as_="admin")).body == {
        "extra_specs": {"a:b": "1", "n": "2"}
    }
    assert (await api("PUT", f"{place}/n", {"n": "3"}, as_="admin")).body == {"n": "3"}
    assert (await api("PUT", f"{place}/n", {"m": "3"}, as_="admin")).status == 400
    assert (await api("GET", place)).body == {"extra_specs": {"a:b": "1", "n": "3"}}
    assert (await api("GET", f"{place}/n")).body == {"n": "3"}
    assert (await api("DELETE", f"{place}/n", as_="admin")).status == 200
    assert (await api("DELETE", f"{place}/n", as_="admin")).status == 404
    assert (await api("GET", f"{place}/n")).status == 404
    assert (await api("POST", place, {"extra_specs": {"a/b": "1"}}, as_="admin")).status == 400
    assert (await api("POST", place, {"extra_specs": {"a": "1"}})).status == 403


@pytest.mark.parametrize(
    ("key", "value", "status"),
    [
        ("hw:cpu_policy", "dedicated", 200),
        ("hw:cpu_policy", "whatever", 400),
        ("hw:cpu_polcy", "dedicated", 400),
        ("hw:numa_mem.0", "512", 200),
        ("trait:HW_CPU_X86_AVX2", "required", 200),
        ("trait:HW_NO_SUCH", "required", 400),
        ("hw:cpu_realtime", "no", 200),
        ("os:secure_boot", "disabled", 200),
        ("os:secure_boot", "required", 200),
        ("resources:VGPU", "1", 200),
        ("resources:VGPU", "x", 400),
        ("resources_GPU:VGPU", "1", 200),
        ("resources1:VGPUS", "1", 400),
        ("trait1:CUSTOM_A", "forbidden", 200),
        ("trait1:CUSTOM_A", "optional", 400),
        ("group_policy", "isolate", 200),
        ("group_policy", "apart", 400),
        ("acme:anything", "x", 200),
    ],
)
async def test_known_extra_specs_are_checked_from_2_86_on(api, key, value, status):
    await make(api, id="small")
    place = "/v2.1/flavors/small/os-extra_specs"
    assert (await api("POST", place, {"extra_specs": {key: value}}, as_="admin", version="2.86")).status == status
    assert (await api("POST", place, {"extra_specs": {key: value}}, as_="admin", version="2.85")).status == 200


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("hw:cpu_realtime", "yes"),
        ("hw:mem_encryption", "true"),
        ("hw:tpm_version", "2.0"),
        ("hw:vif_multiqueue_enabled", "true"),
        ("quota:vif_inbound_average", "1000"),
        ("member_of1", "x"),
        ("resources1", "1"),
    ],
)
@pytest.mark.parametrize("version", ["2.1", "2.85", "2.86"])
async def test_an_extra_spec_without_effect_is_refused_in_every_version(api, version, key, value):
    await make(api, id="small")
    place = "/v2.1/flavors/small/os-extra_specs"
    for method, at, body in (
        ("POST", place, {"extra_specs": {key: value}}),
        ("PUT", f"{place}/{key}", {key: value}),
    ):
        answer = await api(method, at, body, as_="admin", version=version)
        assert answer.status == 400
        assert f"Extra spec '{key}' is not supported yet" in answer.body["badRequest"]["message"]
    assert (await api("GET", place)).body == {"extra_specs": {}}
