"""Availability zones."""


async def test_zones_come_from_aggregates(api, host):
    zones = (await api("GET", "/v2.1/os-availability-zone")).body["availabilityZoneInfo"]
    assert zones == [{"zoneName": "nova", "zoneState": {"available": True}, "hosts": None}]
    made = await api(
        "POST", "/v2.1/os-aggregates", {"aggregate": {"name": "r1", "availability_zone": "az1"}}, as_="admin"
    )
    aggregate = made.body["aggregate"]
    action = f"/v2.1/os-aggregates/{aggregate['id']}/action"
    assert (await api("POST", action, {"add_host": {"host": "alpha"}}, as_="admin")).body["aggregate"]["hosts"] == [
        "alpha"
    ]
    zones = (await api("GET", "/v2.1/os-availability-zone")).body["availabilityZoneInfo"]
    assert [(zone["zoneName"], zone["zoneState"]["available"]) for zone in zones] == [("az1", True), ("nova", False)]
    detail = (await api("GET", "/v2.1/os-availability-zone/detail", as_="admin")).body["availabilityZoneInfo"]
    service = detail[0]["hosts"]["alpha"]["nova-compute"]
    assert service["available"] is True and service["active"] is True and service["updated_at"]
    assert (await api("GET", "/v2.1/os-availability-zone/detail")).status == 403
