import pytest

from novakit.store.compute import refused_hosts

OTHERS = "5b2f1f40-0000-4000-8000-000000000001"


async def test_services_are_listed_and_switched_by_id_and_by_name(api, host):
    old = (await api("GET", "/v2.1/os-services", as_="admin")).body["services"]
    fields = {"binary", "host", "id", "zone", "status", "state", "updated_at", "disabled_reason"}
    assert set(old[0]) == fields and old[0]["id"] == 1 and old[0]["state"] == "up"
    new = (await api("GET", "/v2.1/os-services?binary=nova-compute&host=alpha", as_="admin", version="2.69")).body
    service = new["services"][0]
    assert set(service) == fields | {"forced_down"} and len(service["id"]) == 36
    place = f"/v2.1/os-services/{service['id']}"
    off = await api("PUT", place, {"status": "disabled", "disabled_reason": "disk"}, as_="admin", version="2.53")
    assert (off.body["service"]["status"], off.body["service"]["disabled_reason"]) == ("disabled", "disk")
    down = await api("PUT", place, {"forced_down": True}, as_="admin", version="2.53")
    assert (down.body["service"]["state"], down.body["service"]["forced_down"]) == ("down", True)
    for bad in ({}, {"disabled_reason": "x"}, {"status": "gone"}, {"more": 1}):
        assert (await api("PUT", place, bad, as_="admin", version="2.53")).status == 400
    who = {"host": "alpha", "binary": "nova-compute"}
    on = await api("PUT", "/v2.1/os-services/enable", who, as_="admin")
    assert on.body == {"service": {**who, "status": "enabled"}}
    up = await api("PUT", "/v2.1/os-services/force-down", {**who, "forced_down": False}, as_="admin", version="2.11")
    assert up.body == {"service": {**who, "forced_down": False}}
    assert (await api("PUT", "/v2.1/os-services/enable", {**who, "host": "nowhere"}, as_="admin")).status == 404
    assert (await api("PUT", "/v2.1/os-services/enable", {**who, "binary": "nova-api"}, as_="admin")).status == 400
    assert (await api("GET", "/v2.1/os-services")).status == 403


@pytest.mark.parametrize(
    ("place", "version", "body", "words"),
    [
        ("none", "2.53", {}, "No updates were requested. Fields 'status' or 'forced_down' should be specified."),
        ("none", "2.53", {"disabled_reason": "x"}, "Specifying 'disabled_reason' needs status 'disabled'."),
        (
            "none",
            "2.53",
            {"status": "enabled", "disabled_reason": "x"},
            "Specifying 'disabled_reason' when status is 'enabled' is invalid.",
        ),
        ("disable-log-reason", "2.1", {"host": "alpha", "binary": "nova-compute"}, "Missing disabled reason field"),
    ],
)
async def test_a_change_of_a_service_is_held_to_its_schema(api, host, place, version, body, words):
    answer = await api("PUT", f"/v2.1/os-services/{place}", body, as_="admin", version=version)
    assert (answer.status, answer.body["badRequest"]["message"]) == (400, words)


async def test_a_refused_host_that_names_its_deployment_oddly_breaks_no_list(api, host, store):
    async with store.write() as session:
        await refused_hosts.put(session, "stray", "no id")
    for version in ("2.1", "2.69"):
        listed = await api("GET", "/v2.1/os-services", as_="admin", version=version)
        assert [each["host"] for each in listed.body["services"]] == ["alpha", "stray"]


async def test_a_refused_host_that_was_never_known_is_a_service_that_is_down_and_nothing_else(api, host, store):
    async with store.write() as session:
        await refused_hosts.put(session, "stray", OTHERS)
    for version, is_id in (("2.1", lambda id: id == 2), ("2.69", lambda id: len(id) == 36)):
        listed = (await api("GET", "/v2.1/os-services", as_="admin", version=version)).body["services"]
        assert [each["host"] for each in listed] == ["alpha", "stray"]
        shown = listed[1]
        assert (shown["state"], shown["status"], shown["zone"]) == ("down", "disabled", "nova") and is_id(shown["id"])
        assert shown["disabled_reason"] == f"refused: the host belongs to deployment {OTHERS}"
        asked = await api("GET", "/v2.1/os-services?host=stray", as_="admin", version=version)
        assert asked.body["services"] == [shown]
    changed = await api("PUT", f"/v2.1/os-services/{shown['id']}", {"status": "enabled"}, as_="admin", version="2.53")
    assert changed.status == 404 and "never joined this deployment" in changed.body["itemNotFound"]["message"]
    hypervisors = (await api("GET", "/v2.1/os-hypervisors", as_="admin", version="2.53")).body["hypervisors"]
    assert [each["hypervisor_hostname"] for each in hypervisors] == ["alpha.example"], "nothing of it can be used"
    zones = (await api("GET", "/v2.1/os-availability-zone/detail", as_="admin")).body["availabilityZoneInfo"]
    assert "stray" not in str(zones)
    async with store.write() as session:
        await refused_hosts.drop(session, "stray")
    assert len((await api("GET", "/v2.1/os-services", as_="admin")).body["services"]) == 1
