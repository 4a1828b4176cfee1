"""NICs that are made are known without being read again, and addresses are chosen by what is read with their subnet."""

import uuid
from typing import Any

import pytest

from novakit import errors
from novakit.network.networks import NewNetwork
from novakit.network.ports import NewPort
from novakit.network.records import WantedAddress
from novakit.network.security_groups import NewSecurityGroup
from novakit.network.subnets import NewSubnet
from novakit.store.network.new_nics import NEAR
from novakit_hookspecs.networks import VifBinding
from tests.unit.network.conftest import Bench, caller


@pytest.fixture
def bench(bench_on_each_database: Bench) -> Bench:
    return bench_on_each_database


async def make(bench: Any, requested: Any, groups: Any = (), **more: Any) -> Any:
    nics = await bench.networks.check_request(bench.member, requested, groups)
    key = str(uuid.uuid4())
    asked = {"project_id": bench.member.project_id, "hostname": "web", "requested": nics, **more}
    return key, await bench.networks.allocate(server_id=key, **asked)


async def test_what_is_told_of_new_nics_is_what_is_read_of_them(bench: Any) -> None:
    await bench.networks.host_up("alpha", VifBinding(vif_type="bridge", port_filter=True))
    one, two = await bench.network(), await bench.network("10.1.0.0/24", mtu=1400)
    (group,) = await bench.networks.security_groups.create(bench.member, [NewSecurityGroup(name="web")])
    names = ["default", "web", group.group.id]
    asked = [{"uuid": two.id, "tag": "a"}, {"uuid": one.id, "fixed_ip": "10.0.0.9"}, {"uuid": two.id}]
    key, told = await make(bench, asked, names, host="alpha", zone="here")
    assert told == (await bench.networks.ports_of([key]))[key]
    assert [nic.vif_type for nic in told] == ["bridge"] * 3 and len(told[0].security_groups) == 2


async def test_an_adopted_nic_is_told_of_beside_a_new_one_in_the_order_they_were_asked_for(bench: Any) -> None:
    net = await bench.network()
    (port,) = await bench.networks.ports.create(bench.member, [NewPort(network_id=net.id)])
    key, told = await make(bench, [{"uuid": net.id}, {"port": port.port.id}], host="alpha")
    assert told == (await bench.networks.ports_of([key]))[key]
    assert [nic.made for nic in told] == [True, False] and {nic.host for nic in told} == {"alpha"}


async def test_a_server_is_asked_for_and_given_a_nic_in_seven_statements(bench: Any) -> None:
    net = await bench.network()
    await make(bench, [{"uuid": net.id}], host="alpha")
    tally = bench.networks.store.tally
    await make(bench, [{"uuid": net.id}], host="alpha")
    added = 2 if bench.networks.store.dialect == "postgresql" else 0  # the locks of the quota and of the subnets
    assert bench.networks.store.tally.statements - tally.statements <= 7 + added


async def test_a_server_is_given_one_more_nic_in_nine_statements_and_it_is_bound_at_once(bench: Any) -> None:
    net = await bench.network()
    key, _ = await make(bench, [{"uuid": net.id}], host="alpha")
    (nic,) = await bench.networks.check_request(bench.member, [{"uuid": net.id}], ())
    asked = {"server_id": key, "project_id": bench.member.project_id, "hostname": "web", "host": "alpha"}
    tally = bench.networks.store.tally
    told = await bench.networks.attach(**asked, port_id=str(uuid.uuid4()), requested=nic)
    added = 2 if bench.networks.store.dialect == "postgresql" else 0  # the locks of the quota and of the subnets
    assert bench.networks.store.tally.statements - tally.statements <= 9 + added
    assert told == (await bench.networks.ports_of([key]))[key][1] and (told.host, told.status) == ("alpha", "BUILD")


async def test_an_address_near_the_cursor_that_is_taken_is_passed_over_and_one_beyond_is_found(bench: Any) -> None:
    net = await bench.network("10.0.0.0/24")
    await make(bench, [{"uuid": net.id}])
    wanted = [f"10.0.0.{number}" for number in range(3, 4 + NEAR)]
    for ip in wanted:
        await bench.networks.ports.create(
            bench.member, [NewPort(network_id=net.id, fixed_ips=[WantedAddress(ip_address=ip)])]
        )
    _, (nic,) = await make(bench, [{"uuid": net.id}])
    assert nic.addresses[0].ip == f"10.0.0.{4 + NEAR}"


async def test_the_quota_counts_what_is_there_and_what_was_set(bench: Any) -> None:
    net = await bench.network()
    await bench.networks.quotas.set_limits(bench.member.project_id, {"port": 1}, checked=False)
    nics = await bench.networks.check_request(bench.member, [{"uuid": net.id}], ())
    with pytest.raises(errors.Forbidden):
        await bench.networks.check_request(bench.member, [{"uuid": net.id}, {"uuid": net.id}], ())
    asked = {"project_id": bench.member.project_id, "hostname": "web", "requested": nics}
    first = await bench.networks.allocate(server_id=str(uuid.uuid4()), **asked)
    with pytest.raises(errors.Forbidden):
        await bench.networks.allocate(server_id=str(uuid.uuid4()), **asked)
    with pytest.raises(errors.Forbidden):
        await bench.networks.check_request(bench.member, [{"uuid": net.id}], ())
    assert len(first) == 1


async def test_others_use_shared_networks_and_administrators_each_that_they_name(bench: Any) -> None:
    own = await bench.network()
    (made,) = await bench.networks.networks.create(bench.admin, [NewNetwork(name="all", shared=True)])
    await bench.networks.subnets.create(bench.admin, [NewSubnet(network_id=made.network.id, cidr="10.9.0.0/24")])
    stranger = caller("another-project")
    with pytest.raises(errors.BadRequest):
        await bench.networks.check_request(stranger, [{"uuid": own.id}], ())
    (automatic,) = await bench.networks.check_request(stranger, None, ())
    (named,) = await bench.networks.check_request(bench.admin, [{"uuid": own.id}], ())
    (by_default,) = await bench.networks.check_request(bench.admin, None, ())
    assert automatic.network_id == by_default.network_id == made.network.id
    assert named.network_id == own.id


async def test_a_group_of_another_project_is_not_found_by_name_nor_by_id(bench: Any) -> None:
    net = await bench.network()
    (group,) = await bench.networks.security_groups.create(caller("another"), [NewSecurityGroup(name="theirs")])
    for said in ("theirs", group.group.id):
        with pytest.raises(errors.BadRequest, match="not found"):
            await bench.networks.check_request(bench.member, [{"uuid": net.id}], [said])
    assert await bench.networks.check_request(bench.member, "none", ()) == []
    with pytest.raises(errors.BadRequest, match="not found"):
        await bench.networks.check_request(bench.member, "none", ["theirs"])


async def test_a_security_group_that_was_deleted_since_it_was_asked_for_is_named(bench: Any) -> None:
    net = await bench.network()
    (group,) = await bench.networks.security_groups.create(bench.member, [NewSecurityGroup(name="web")])
    nics = await bench.networks.check_request(bench.member, [{"uuid": net.id}], ["web"])
    await bench.networks.security_groups.delete(bench.member, group.group.id)
    asked = {"server_id": str(uuid.uuid4()), "project_id": bench.member.project_id, "hostname": "web"}
    with pytest.raises(errors.BadRequest, match=f"Security group {group.group.id} not found"):
        await bench.networks.allocate(**asked, requested=nics, host="alpha")
    with pytest.raises(errors.BadRequest, match="not found"):
        await bench.networks.attach(**asked, port_id=str(uuid.uuid4()), requested=nics[0], host="alpha")
