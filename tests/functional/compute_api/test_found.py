"""Answers of the compute API that other people's clients compare: where a server is reached, names, groups, zones."""

from typing import Any

import pytest

from novakit.conductor.verbs.create import hostname_of
from novakit.network.networks import NewNetwork
from novakit.network.subnets import NewSubnet
from novakit.store import operations
from tests.functional.compute_api.conftest import authenticate


async def _shown(api: Any, server_id: str, as_: str = "ann") -> dict[str, Any]:
    answer = await api("GET", f"/v2.1/servers/{server_id}", as_=as_, version="2.100")
    assert answer.status == 200
    return dict(answer.body["server"])


async def test_where_a_server_is_reached_is_kept_and_changed(api: Any, boot: Any) -> None:
    server_id = await boot(accessIPv4="192.0.2.7", accessIPv6="2001:db8::0:7")
    shown = await _shown(api, server_id)
    assert (shown["accessIPv4"], shown["accessIPv6"]) == ("192.0.2.7", "2001:db8::7")
    change = {"server": {"accessIPv4": "192.0.2.8"}}
    changed = await api("PUT", f"/v2.1/servers/{server_id}", change, version="2.1")
    assert (changed.body["server"]["accessIPv4"], changed.body["server"]["accessIPv6"]) == ("192.0.2.8", "2001:db8::7")
    assert (await _shown(api, server_id))["accessIPv4"] == "192.0.2.8"
    for query, count in (("access_ip_v4=192.0.2.8", 1), ("access_ip_v4=192.0.2.7", 0), ("access_ip_v6=db8", 1)):
        found = await api("GET", f"/v2.1/servers?all_tenants=1&{query}", as_="admin")
        assert len(found.body["servers"]) == count, query
    for wrong in (
        {"accessIPv4": "2001:db8::7"},
        {"accessIPv6": "192.0.2.7"},
        {"accessIPv4": "x"},
        {"accessIPv6": "2001:db8::7%eth0"},
    ):
        assert (await api("PUT", f"/v2.1/servers/{server_id}", {"server": wrong})).status == 400


async def test_the_disk_configuration_is_kept_and_changed(api: Any, image_id: str, flavor_id: str) -> None:
    body = {"name": "x", "imageRef": image_id, "flavorRef": flavor_id, "networks": "none", "OS-DCF:diskConfig": "AUTO"}
    made = await api("POST", "/v2.1/servers", {"server": body}, version="2.37")
    assert made.body["server"]["OS-DCF:diskConfig"] == "AUTO"
    server_id = made.body["server"]["id"]
    assert (await _shown(api, server_id))["OS-DCF:diskConfig"] == "AUTO"
    await api("PUT", f"/v2.1/servers/{server_id}", {"server": {"OS-DCF:diskConfig": "MANUAL"}})
    assert (await _shown(api, server_id))["OS-DCF:diskConfig"] == "MANUAL"


@pytest.mark.parametrize(
    ("query", "count"),
    [("kernel_id=x", 0), ("ramdisk_id=x", 0), ("soft_deleted=true", 0), ("soft_deleted=false", 1)],
)
async def test_filters_for_administrators_are_obeyed(api: Any, boot: Any, query: str, count: int) -> None:
    await boot()
    found = await api("GET", f"/v2.1/servers?all_tenants=1&{query}", as_="admin")
    assert len(found.body["servers"]) == count


@pytest.mark.parametrize(
    ("name", "suffix", "host"),
    [
        ("web", "", "web"),
        ("Web 1_2", "-1", "web-1-2-1"),
        ("日本", "-1", ""),
        ("...", "", ""),
        ("a..b.example", "", "a--b-example"),
        ("-a-", "-12", "a-12"),
        ("n" * 255, "", "n" * 63),
        ("n" * 255, "-100", "n" * 59 + "-100"),
        ("n" * 60 + "-" * 9, "-7", "n" * 60 + "-7"),
    ],
)
def test_a_host_name_is_one_label_that_tells_servers_apart(name: str, suffix: str, host: str) -> None:
    assert hostname_of(name, suffix) == host


@pytest.mark.parametrize(("name", "count"), [("日本", 2), ("n" * 255, 3), ("one", 2)])
async def test_names_of_several_servers_fit(api: Any, boot: Any, name: str, count: int) -> None:
    await boot(name=name, min_count=count)
    listed = await api("GET", "/v2.1/servers/detail", as_="ann", version="2.100")
    servers = listed.body["servers"]
    assert len({one["name"] for one in servers}) == len({one["OS-EXT-SRV-ATTR:hostname"] for one in servers}) == count
    assert all(len(one["name"]) <= 255 and len(one["OS-EXT-SRV-ATTR:hostname"]) <= 63 for one in servers)
    if name == "日本":
        assert all(one["OS-EXT-SRV-ATTR:hostname"] == f"server-{one['id']}" for one in servers)


@pytest.mark.parametrize("zone", ["", "x:y", "a" * 256, " x"])
async def test_a_zone_is_the_same_by_every_door(api: Any, zone: str) -> None:
    made = await api("POST", "/v2.1/os-aggregates", {"aggregate": {"name": "r1"}}, as_="admin")
    place = f"/v2.1/os-aggregates/{made.body['aggregate']['id']}"
    bad = {"availability_zone": zone}
    for method, path, body in (
        ("POST", "/v2.1/os-aggregates", {"aggregate": {"name": "r2", **bad}}),
        ("PUT", place, {"aggregate": bad}),
        ("POST", f"{place}/action", {"set_metadata": {"metadata": bad}}),
    ):
        assert (await api(method, path, body, as_="admin")).status == 400, path
    for good in ("az1", None):
        body = {"set_metadata": {"metadata": {"availability_zone": good}}}
        assert (await api("POST", f"{place}/action", body, as_="admin")).body["aggregate"]["availability_zone"] == good


@pytest.mark.parametrize(("number", "status"), [("-1", 404), ("999", 404), ("x", 400), ("1.5", 400)])
async def test_numbers_that_no_aggregate_has_are_not_found(api: Any, number: str, status: int) -> None:
    for method in ("GET", "DELETE"):
        assert (await api(method, f"/v2.1/os-aggregates/{number}", as_="admin")).status == status


async def _created(api: Any, image_id: str, flavor_id: str, **more: Any) -> dict[str, Any]:
    body = {"name": "x", "imageRef": image_id, "flavorRef": flavor_id, "networks": "none", **more}
    answer = await api("POST", "/v2.1/servers", {"server": body}, version="2.37")
    assert answer.status == 202, answer.body
    return dict(answer.body["server"])


async def test_a_create_answers_with_the_password_that_was_given_or_made(
    api: Any, compute: Any, store: Any, image_id: str, flavor_id: str
) -> None:
    made = [(await _created(api, image_id, flavor_id))["adminPass"] for _ in range(2)]
    assert made[0] != made[1] and all(len(one) == 12 and one.isalnum() for one in made)
    given = await _created(api, image_id, flavor_id, adminPass="correct horse", config_drive=True, min_count=2)
    assert given["adminPass"] == "correct horse"
    compute.shows_passwords = False
    assert "adminPass" not in await _created(api, image_id, flavor_id, adminPass="correct horse")
    async with store.read() as session:
        told = [row["data"].get("admin_pass") for row in await operations.unfinished(session)]
    # Without a config drive there is no way to tell the guest, and so nothing is kept.
    assert told == [None, None, "correct horse", "correct horse", None]


async def test_a_password_is_never_shown_again(api: Any, image_id: str, flavor_id: str) -> None:
    made = await _created(api, image_id, flavor_id, adminPass="correct horse", config_drive=True)
    place = f"/v2.1/servers/{made['id']}"
    for path in (place, "/v2.1/servers/detail", f"{place}/os-instance-actions"):
        answer = await api("GET", path, as_="admin", version="2.100")
        assert answer.status == 200 and "correct horse" not in str(answer.body)


async def test_ids_in_capitals_are_the_same_ids(
    api: Any, compute: Any, projects: None, image_id: str, flavor_id: str
) -> None:
    context = await authenticate("ann", "req-0")
    (made,) = await compute.networks.networks.create(context, [NewNetwork(name="n")])
    await compute.networks.subnets.create(context, [NewSubnet(network_id=made.network.id, cidr="10.0.0.0/24")])
    asked = {"name": "x", "imageRef": image_id.upper(), "flavorRef": flavor_id}
    body = {"server": {**asked, "networks": [{"uuid": made.network.id.upper()}]}}
    answer = await api("POST", "/v2.1/servers", body, version="2.37")
    assert answer.status == 202, answer.body
    shown = await _shown(api, answer.body["server"]["id"])
    assert shown["image"]["id"] == image_id
    found = await api("GET", f"/v2.1/servers?all_tenants=1&uuid={shown['id'].upper()}", as_="admin")
    assert [one["id"] for one in found.body["servers"]] == [shown["id"]]
