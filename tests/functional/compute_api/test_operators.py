import pytest

LIMITS = {"maxTotalRAMSize", "maxTotalInstances", "maxTotalCores", "maxTotalKeypairs", "maxServerMeta"} | {
    "maxServerGroups",
    "maxServerGroupMembers",
    "totalRAMUsed",
    "totalCoresUsed",
    "totalInstancesUsed",
    "totalServerGroupsUsed",
}


async def test_limits_show_what_is_used(api, boot):
    await boot()
    absolute = (await api("GET", "/v2.1/limits", version="2.57")).body["limits"]["absolute"]
    assert set(absolute) == LIMITS
    assert (absolute["totalInstancesUsed"], absolute["totalCoresUsed"], absolute["totalRAMUsed"]) == (1, 1, 512)
    old = (await api("GET", "/v2.1/limits")).body["limits"]["absolute"]
    assert {"maxImageMeta", "maxPersonality", "maxTotalFloatingIps", "maxSecurityGroups"} <= set(old)
    assert "maxImageMeta" not in (await api("GET", "/v2.1/limits", version="2.39")).body["limits"]["absolute"]
    assert (await api("GET", "/v2.1/limits?tenant_id=project-b")).status == 403


async def test_a_quota_that_is_used_up_refuses_servers_and_says_so(api, projects, image_id, flavor_id):
    answer = await api("PUT", "/v2.1/os-quota-sets/project-a", {"quota_set": {"instances": 1}}, as_="admin")
    assert answer.status == 200 and answer.body["quota_set"]["instances"] == 1 and "id" not in answer.body["quota_set"]
    body = {"server": {"name": "web", "imageRef": image_id, "flavorRef": flavor_id}}
    assert (await api("POST", "/v2.1/servers", body)).status == 202
    refused = await api("POST", "/v2.1/servers", body)
    assert refused.status == 403
    assert refused.body["forbidden"]["message"].startswith(
        "Quota exceeded for instances: Requested 1, but already used 1"
    )
    low = await api("PUT", "/v2.1/os-quota-sets/project-a", {"quota_set": {"instances": 0}}, as_="admin")
    assert low.status == 400
    forced = {"quota_set": {"instances": 0, "force": True}}
    assert (await api("PUT", "/v2.1/os-quota-sets/project-a", forced, as_="admin")).status == 200
    detail = (await api("GET", "/v2.1/os-quota-sets/project-a/detail", version="2.57")).body["quota_set"]
    assert detail["instances"] == {"in_use": 1, "limit": 0, "reserved": 0}
    assert (await api("DELETE", "/v2.1/os-quota-sets/project-a", as_="admin")).status == 202
    assert (await api("GET", "/v2.1/os-quota-sets/project-a")).body["quota_set"]["instances"] == 10


@pytest.mark.parametrize(("version", "count"), [("2.1", 14), ("2.36", 10), ("2.57", 7)])
async def test_quota_sets_have_the_resources_of_their_version(api, projects, version, count):
    for place in ("", "/detail", "/defaults"):
        shown = (await api("GET", f"/v2.1/os-quota-sets/project-a{place}", version=version)).body["quota_set"]
        assert shown.pop("id") == "project-a" and len(shown) == count
    bad = {"quota_set": {"floating_ips": 1}}
    assert (await api("PUT", "/v2.1/os-quota-sets/project-a", bad, as_="admin", version=version)).status == 400


async def test_quotas_of_others_and_of_nobody_are_kept_shut(api, projects):
    assert (await api("GET", "/v2.1/os-quota-sets/project-b")).status == 403
    assert (await api("PUT", "/v2.1/os-quota-sets/project-a", {"quota_set": {"cores": 1}})).status == 403
    assert (await api("GET", "/v2.1/os-quota-sets/nobody", as_="admin")).status == 400
    for bad in ({"cores": -2}, {"cores": "x"}, {"colors": 1}, {"cores": 1 << 40}):
        answer = await api("PUT", "/v2.1/os-quota-sets/project-a", {"quota_set": bad}, as_="admin")
        assert answer.status == 400


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


async def test_aggregates_are_made_changed_and_removed(api, host):
    async def ask(method, path="", body=None, version="2.41"):
        return await api(method, f"/v2.1/os-aggregates{path}", body, as_="admin", version=version)

    made = (await ask("POST", "", {"aggregate": {"name": "rack"}})).body["aggregate"]
    fields = {"availability_zone", "created_at", "deleted", "deleted_at", "id", "name", "updated_at"}
    assert set(made) == fields | {"uuid"}
    place = f"/{made['id']}"
    assert set((await ask("GET", place, version="2.40")).body["aggregate"]) == fields | {"hosts", "metadata"}
    assert (await ask("POST", "", {"aggregate": {"name": "rack"}})).status == 409
    assert (await ask("POST", "", {"aggregate": {"name": "x", "availability_zone": "a:b"}})).status == 400
    changed = await ask("POST", f"{place}/action", {"set_metadata": {"metadata": {"ssd": "true", "old": None}}})
    assert changed.body["aggregate"]["metadata"] == {"ssd": "true"}
    assert (await ask("PUT", place, {"aggregate": {"name": "rack2"}})).body["aggregate"]["name"] == "rack2"
    assert (await ask("POST", f"{place}/action", {"add_host": {"host": "nowhere"}})).status == 404
    assert (await ask("POST", f"{place}/action", {"add_host": {"host": "alpha"}})).status == 200
    assert (await ask("POST", f"{place}/action", {"add_host": {"host": "alpha"}})).status == 409
    assert (await ask("DELETE", place)).status == 400
    assert (await ask("POST", f"{place}/action", {"remove_host": {"host": "alpha"}})).status == 200
    assert (await ask("POST", f"{place}/action", {"remove_host": {"host": "alpha"}})).status == 404
    assert (await ask("POST", f"{place}/action", {"paint": {}})).status == 400
    assert (await ask("DELETE", place)).status == 200
    assert (await ask("GET", place)).status == 404
    assert (await ask("GET", "/rack2")).status == 400
    assert (await api("GET", "/v2.1/os-aggregates")).status == 403


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


HYPERVISOR = {"id", "hypervisor_hostname", "state", "status"}
DETAIL = HYPERVISOR | {"hypervisor_type", "hypervisor_version", "host_ip", "service"}
OLD = {"vcpus", "memory_mb", "local_gb", "vcpus_used", "memory_mb_used", "local_gb_used", "free_ram_mb", "cpu_info"} | {
    "free_disk_gb",
    "current_workload",
    "running_vms",
    "disk_available_least",
}


@pytest.mark.parametrize(("version", "more"), [("2.1", OLD), ("2.53", OLD), ("2.87", OLD), ("2.88", {"uptime"})])
async def test_hypervisors_have_exactly_the_keys_of_their_version(api, host, version, more):
    brief = (await api("GET", "/v2.1/os-hypervisors", as_="admin", version=version)).body["hypervisors"]
    assert [set(each) for each in brief] == [HYPERVISOR]
    detail = (await api("GET", "/v2.1/os-hypervisors/detail", as_="admin", version=version)).body["hypervisors"]
    assert [set(each) for each in detail] == [DETAIL | more]
    one = await api("GET", f"/v2.1/os-hypervisors/{brief[0]['id']}", as_="admin", version=version)
    assert one.body["hypervisor"] == detail[0]


async def test_hypervisors_add_up_their_servers(api, host, boot, become):
    await become(await boot(), host="alpha", vm_state="active", task_state=None)
    shown = (await api("GET", "/v2.1/os-hypervisors/1", as_="admin", version="2.28")).body["hypervisor"]
    assert (shown["vcpus"], shown["vcpus_used"], shown["memory_mb_used"], shown["running_vms"]) == (8, 1, 1024, 1)
    assert shown["cpu_info"] == {"arch": "x86_64", "model": "qemu64"}
    assert shown["local_gb_used"] == 1 and shown["hypervisor_hostname"] == "alpha.example"
    sums = (await api("GET", "/v2.1/os-hypervisors/statistics", as_="admin")).body["hypervisor_statistics"]
    assert (sums["count"], sums["vcpus"], sums["running_vms"]) == (1, 8, 1)
    assert (await api("GET", "/v2.1/os-hypervisors/statistics", as_="admin", version="2.88")).status == 404
    found = await api(
        "GET", "/v2.1/os-hypervisors?with_servers=true&hypervisor_hostname_pattern=alp", as_="admin", version="2.88"
    )
    assert len(found.body["hypervisors"][0]["servers"]) == 1
    for path, version, status in [
        ("/alpha", "2.52", 404),
        ("/alpha", "2.53", 400),
        ("?hypervisor_hostname_pattern=zzz", "2.53", 404),
        ("?with_servers=perhaps", "2.53", 400),
        ("?marker=none", "2.33", 400),
        ("/alpha/search", "2.52", 200),
        ("/zzz/servers", "2.52", 404),
        ("/alpha/search", "2.53", 404),
    ]:
        answer = await api("GET", f"/v2.1/os-hypervisors{path}", as_="admin", version=version)
        assert answer.status == status, (path, answer.body)
    assert (await api("GET", "/v2.1/os-hypervisors")).status == 403


@pytest.mark.parametrize(
    ("version", "group", "words"),
    [
        ("2.63", {"policy": "affinity"}, "'policy' needs microversion 2.64 or later; 2.63 takes 'policies'"),
        ("2.1", {"policy": "affinity", "rules": {}}, "'policy' and 'rules' need microversion 2.64"),
        ("2.15", {"policies": ["affinity"], "rules": {}}, "'rules' needs microversion 2.64"),
        ("2.64", {"policies": ["affinity"]}, "'policies' is for microversions before 2.64; 2.64 takes 'policy'"),
        ("2.14", {"policies": ["soft-affinity"]}, "Soft policies need microversion 2.15"),
        ("2.14", {"policies": [[]]}, "Invalid input"),
        ("2.14", [], "Invalid input"),
    ],
)
async def test_a_server_group_that_another_version_would_take_is_refused_with_that_version(api, version, group, words):
    asked = {"server_group": {"name": "g", **group} if group else group}
    answer = await api("POST", "/v2.1/os-server-groups", asked, version=version)
    assert answer.status == 400 and words in answer.body["badRequest"]["message"]


async def test_server_groups_follow_their_version(api):
    body = {"server_group": {"name": "g", "policies": ["anti-affinity"]}}
    old = (await api("POST", "/v2.1/os-server-groups", body)).body["server_group"]
    assert set(old) == {"id", "name", "members", "policies", "metadata"}
    soft = {"server_group": {"name": "g", "policies": ["soft-affinity"]}}
    assert (await api("POST", "/v2.1/os-server-groups", soft, version="2.14")).status == 400
    new = {"server_group": {"name": "n", "policy": "anti-affinity", "rules": {"max_server_per_host": "2"}}}
    made = (await api("POST", "/v2.1/os-server-groups", new, version="2.64")).body["server_group"]
    assert set(made) == {"id", "name", "members", "policy", "rules", "project_id", "user_id"}
    assert made["rules"] == {"max_server_per_host": 2}
    new["server_group"]["policy"] = "affinity"
    assert (await api("POST", "/v2.1/os-server-groups", new, version="2.64")).status == 400
    assert len((await api("GET", "/v2.1/os-server-groups")).body["server_groups"]) == 2
    assert (await api("GET", f"/v2.1/os-server-groups/{made['id']}", as_="bob")).status == 404
    assert (await api("DELETE", f"/v2.1/os-server-groups/{made['id']}")).status == 204
    assert (await api("DELETE", f"/v2.1/os-server-groups/{made['id']}")).status == 404
