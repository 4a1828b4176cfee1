"""Hypervisors."""

import pytest

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
    assert shown["cpu_info"] == {
        "arch": "x86_64",
        "model": "qemu64",
        "vendor": "",
        "features": [],
        "topology": {"sockets": 1, "cores": 1, "threads": 1},
    }
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
