"""Limits and quotas."""

import pytest

from novakit.network.security_groups import NewSecurityGroup
from tests.functional.compute_api.conftest import authenticate

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


async def test_old_versions_show_what_the_network_service_keeps(api, compute, projects):
    told = ("maxSecurityGroups", "maxSecurityGroupRules", "maxTotalFloatingIps", "totalSecurityGroupsUsed")
    absolute = (await api("GET", "/v2.1/limits")).body["limits"]["absolute"]
    assert [absolute[name] for name in (*told, "totalFloatingIpsUsed")] == [10, 100, 50, 0, 0]
    context = await authenticate("ann", "req-0")
    await compute.networks.security_groups.create(context, [NewSecurityGroup(name="web")])
    await compute.networks.quotas.set_limits("project-a", {"security_group": 7}, checked=False)
    absolute = (await api("GET", "/v2.1/limits")).body["limits"]["absolute"]
    assert absolute["maxSecurityGroups"] == 7
    assert absolute["totalSecurityGroupsUsed"] == 2  # with the group named default, which comes with the first one
    shown = (await api("GET", "/v2.1/os-quota-sets/project-a")).body["quota_set"]
    assert [shown[name] for name in ("security_groups", "security_group_rules", "floating_ips", "fixed_ips")] == [
        *(7, 100, 50, -1)
    ]
    detail = (await api("GET", "/v2.1/os-quota-sets/project-a/detail")).body["quota_set"]
    assert detail["security_groups"] == {"in_use": 2, "limit": 7, "reserved": 0}
    defaults = (await api("GET", "/v2.1/os-quota-sets/project-a/defaults")).body["quota_set"]
    assert defaults["security_groups"] == 10


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
