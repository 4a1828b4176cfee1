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
