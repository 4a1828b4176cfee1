import pytest

SMALL = {"name": "m1.small", "ram": 512, "vcpus": 1, "disk": 1}


BASE = {"id", "name", "ram", "disk", "swap", "OS-FLV-EXT-DATA:ephemeral", "OS-FLV-DISABLED:disabled", "vcpus"} | {
    "os-flavor-access:is_public",
    "rxtx_factor",
    "links",
}


async def make(api, **changes):
    answer = await api("POST", "/v2.1/flavors", {"flavor": {**SMALL, **changes}}, as_="admin", version="2.100")
    assert answer.status == 200, answer.body
    return answer.body["flavor"]


@pytest.mark.parametrize(
    ("version", "more", "swap"),
    [
        ("2.1", set(), ""),
        ("2.54", set(), ""),
        ("2.55", {"description"}, ""),
        ("2.61", {"description", "extra_specs"}, ""),
        ("2.75", {"description", "extra_specs"}, 0),
        ("2.100", {"description", "extra_specs"}, 0),
    ],
)
async def test_a_flavor_has_exactly_the_keys_of_its_version(api, version, more, swap):
    made = await make(api, id="small")
    for answer in (
        await api("GET", f"/v2.1/flavors/{made['id']}", version=version),
        await api("POST", "/v2.1/flavors", {"flavor": {**SMALL, "name": "other"}}, as_="admin", version=version),
    ):
        assert answer.status == 200
        assert set(answer.body["flavor"]) == BASE | more
        assert answer.body["flavor"]["swap"] == swap
    detail = await api("GET", "/v2.1/flavors/detail", version=version)
    assert all(set(flavor) == BASE | more for flavor in detail.body["flavors"])
    brief = await api("GET", "/v2.1/flavors", version=version)
    assert set(brief.body["flavors"][0]) == {"id", "name", "links"} | (more & {"description"})


async def test_links_lead_to_the_flavor(api):
    made = await make(api, id="a b")
    hrefs = {link["rel"]: link["href"] for link in made["links"]}
    assert hrefs["self"].endswith("/compute/v2.1/flavors/a%20b")
    assert hrefs["bookmark"].endswith("/compute/flavors/a%20b")


@pytest.mark.parametrize(
    "bad",
    [
        {"name": ""},
        {"name": " padded"},
        {"name": "x" * 256},
        {"name": "nul\x00"},
        {"ram": 0},
        {"ram": "lots"},
        {"vcpus": -1},
        {"vcpus": True},
        {"disk": 1 << 40},
        {"id": "a/b"},
        {"unknown": 1},
        {"rxtx_factor": 0},
        {"os-flavor-access:is_public": "perhaps"},
    ],
)
async def test_a_bad_flavor_is_a_bad_request_that_says_what_is_wrong(api, bad):
    answer = await api("POST", "/v2.1/flavors", {"flavor": {**SMALL, **bad}}, as_="admin")
    assert answer.status == 400 and answer.body["badRequest"]["code"] == 400
    assert (await api("GET", "/v2.1/flavors")).body["flavors"] == []


async def test_an_unknown_field_is_named(api):
    answer = await api("POST", "/v2.1/flavors", {"flavor": {**SMALL, "color": 1}}, as_="admin")
    assert answer.body["badRequest"]["message"] == "Additional properties are not allowed ('color' was unexpected)"


async def test_description_is_not_known_before_2_55(api):
    answer = await api("POST", "/v2.1/flavors", {"flavor": {**SMALL, "description": "x"}}, as_="admin", version="2.54")
    assert answer.status == 400
    made = await make(api, description="x")
    assert (
        await api("PUT", f"/v2.1/flavors/{made['id']}", {"flavor": {"description": "y"}}, as_="admin", version="2.54")
    ).status in (404, 405)
    changed = await api(
        "PUT", f"/v2.1/flavors/{made['id']}", {"flavor": {"description": None}}, as_="admin", version="2.55"
    )
    assert changed.body["flavor"]["description"] is None


async def test_names_and_ids_are_unique(api):
    await make(api, id="small")
    for clash in ({"id": "small", "name": "b"}, {"id": "other"}):
        answer = await api("POST", "/v2.1/flavors", {"flavor": {**SMALL, **clash}}, as_="admin")
        assert answer.status == 409 and "already exists" in answer.body["conflictingRequest"]["message"]


async def test_ordinary_users_read_and_do_not_write(api):
    await make(api, id="small")
    assert (await api("POST", "/v2.1/flavors", {"flavor": SMALL})).status == 403
    assert (await api("DELETE", "/v2.1/flavors/small")).status == 403
    assert (await api("GET", "/v2.1/flavors/small")).status == 200


async def test_a_private_flavor_is_seen_by_those_it_is_granted_to(api, projects):
    await make(api, id="secret", **{"os-flavor-access:is_public": False})
    assert (await api("GET", "/v2.1/flavors/secret")).status == 404
    grant = {"addTenantAccess": {"tenant": "project-a"}}
    answer = await api("POST", "/v2.1/flavors/secret/action", grant, as_="admin")
    assert answer.body == {"flavor_access": [{"flavor_id": "secret", "tenant_id": "project-a"}]}
    assert (await api("POST", "/v2.1/flavors/secret/action", grant, as_="admin")).status == 409
    assert (await api("GET", "/v2.1/flavors/secret")).status == 200
    assert (await api("GET", "/v2.1/flavors/secret", as_="bob")).status == 404
    assert [f["id"] for f in (await api("GET", "/v2.1/flavors")).body["flavors"]] == ["secret"]
    listed = await api("GET", "/v2.1/flavors/secret/os-flavor-access", as_="admin")
    assert len(listed.body["flavor_access"]) == 1
    take = {"removeTenantAccess": {"tenant": "project-a"}}
    assert (await api("POST", "/v2.1/flavors/secret/action", take, as_="admin")).body == {"flavor_access": []}
    assert (await api("POST", "/v2.1/flavors/secret/action", take, as_="admin")).status == 404
    nobody = {"addTenantAccess": {"tenant": "nobody"}}
    assert (await api("POST", "/v2.1/flavors/secret/action", nobody, as_="admin")).status == 400


async def test_a_public_flavor_has_no_access_list(api, projects):
    await make(api, id="small")
    assert (await api("GET", "/v2.1/flavors/small/os-flavor-access", as_="admin")).status == 404
    grant = {"addTenantAccess": {"tenant": "project-a"}}
    assert (await api("POST", "/v2.1/flavors/small/action", grant, as_="admin", version="2.7")).status == 409
    assert (await api("POST", "/v2.1/flavors/small/action", grant, as_="admin", version="2.6")).status == 200


async def test_admins_choose_by_is_public(api):
    await make(api, id="a")
    await make(api, id="b", name="b", **{"os-flavor-access:is_public": False})

    async def ids(query, as_="admin"):
        return [f["id"] for f in (await api("GET", f"/v2.1/flavors{query}", as_=as_)).body["flavors"]]

    assert await ids("") == ["a"]
    assert await ids("?is_public=None") == ["a", "b"]
    assert await ids("?is_public=false") == ["b"]
    assert await ids("?is_public=None", as_="ann") == ["a"]
    assert (await api("GET", "/v2.1/flavors?is_public=maybe", as_="admin")).status == 400


async def test_lists_are_paged_filtered_and_sorted(api):
    for n in range(3):
        await make(api, id=f"f{n}", name=f"n{n}", ram=512 * (3 - n), disk=n)
    first = await api("GET", "/v2.1/flavors/detail?limit=2")
    assert [f["id"] for f in first.body["flavors"]] == ["f0", "f1"]
    following = first.body["flavors_links"][0]["href"]
    assert "marker=f1" in following and "/flavors/detail?" in following
    second = await api("GET", "/v2.1/flavors?limit=2&marker=f1")
    assert [f["id"] for f in second.body["flavors"]] == ["f2"] and "flavors_links" not in second.body
    by_ram = await api("GET", "/v2.1/flavors?sort_key=memory_mb&sort_dir=asc")
    assert [f["id"] for f in by_ram.body["flavors"]] == ["f2", "f1", "f0"]
    assert [f["id"] for f in (await api("GET", "/v2.1/flavors?minRam=1000&minDisk=1")).body["flavors"]] == ["f1"]
    assert (await api("GET", "/v2.1/flavors?limit=0")).body["flavors"] == []
    for bad in ("limit=-1", "limit=x", "marker=nothing", "sort_key=color", "minRam=x"):
        assert (await api("GET", f"/v2.1/flavors?{bad}")).status == 400, bad
    assert (await api("GET", "/v2.1/flavors?color=red", version="2.74")).status == 200
    assert (await api("GET", "/v2.1/flavors?color=red", version="2.75")).status == 400


async def test_a_deleted_flavor_is_gone(api):
    await make(api, id="small")
    assert (await api("DELETE", "/v2.1/flavors/small", as_="admin")).status == 202
    assert (await api("GET", "/v2.1/flavors/small")).status == 404
    assert (await api("DELETE", "/v2.1/flavors/small", as_="admin")).status == 404


async def test_a_body_that_is_not_an_object_is_a_bad_request(api):
    for raw in (b"{", b"[]", b"\xff", b'"x"', b""):
        assert (await api("POST", "/v2.1/flavors", raw=raw, as_="admin")).status == 400
