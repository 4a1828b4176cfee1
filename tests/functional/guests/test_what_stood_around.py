"""What stands around a guest's ports is brought back with it from nothing: rules, routers, floating IPs, DHCP."""

import asyncio
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from novakit.conductor.guests.adoption import AdoptionRequest
from novakit.network import bootstrap, floating_ips, ports, routers, security_group_rules, security_groups
from novakit.network.records import WantedGateway
from novakit.network.security_group_rules import NewRule, ensure_default
from novakit.store import Store
from novakit.store.compute import strangers
from novakit.store.network.ports import ports as table_of_ports
from novakit_hookspecs.networks import Topology
from tests.functional.guests.cloud import ADMIN, Cloud, copied, put_back

PUBLIC = {"cidr": "192.0.2.0/24", "gateway": "192.0.2.1", "physical_network": "public"}


async def _public(cloud: Cloud) -> str:
    """Make the external network, as every start of a new cloud does."""

    async def make(session: Any, touched: Any) -> Any:
        return await bootstrap.external_network(session, touched, project_id="p", **PUBLIC)

    return str((await cloud.parts.networks.write(make)).network.id)


async def _surround(cloud: Cloud, server: str) -> dict[str, str]:
    """Give a server a router with a gateway, a floating IP, an open port 22, and a group that its rules trust."""
    public = await _public(cloud)
    ((port,),) = (await cloud.parts.networks.ports_of([server])).values()

    async def make(session: Any, touched: Any) -> dict[str, str]:
        wanted = routers.NewRouter(name="r", gateway=WantedGateway(network_id=public))
        router = (await routers.create(session, touched, ADMIN, wanted)).router.id
        joined = routers.WantedInterface(subnet_id=port.addresses[0].subnet.id)
        await routers.add_interface(session, touched, ADMIN, router, joined)
        group = await ensure_default(session, "p")
        asked = floating_ips.NewFloatingIp(floating_network_id=public, port_id=port.id)
        floating = (await floating_ips.create(session, touched, ADMIN, asked)).floating_ip
        trusted = security_groups.NewSecurityGroup(name="trusted")
        other = (await security_groups.create(session, touched, ADMIN, trusted)).group.id
        inward = partial(NewRule, security_group_id=group, direction="ingress")
        for rule in (
            inward(protocol="tcp", port_min=22, port_max=22, remote_ip_prefix="198.51.100.0/24"),
            inward(protocol="udp", remote_group_id=other),
        ):
            await security_group_rules.create(session, touched, ADMIN, rule)
        change = ports.PortChange(name="front", security_groups=[group])
        await ports.update(session, touched, ADMIN, port.id, change)
        return {"router": router, "floating": floating.id, "address": floating.address}

    return await cloud.parts.networks.write(make)


async def _topology(cloud: Cloud, host: str) -> Topology:
    return (await cloud.parts.networks.build([host])).topologies[host]


def _seen(topology: Topology, *, same_store: bool) -> Mapping[str, Any]:
    """Say what guests and clients see of a topology; a new database numbers networks anew, the external one too."""
    return {
        "ports": {
            (port.id, port.mac, port.addresses, port.port_security, frozenset(map(str, port.rules)))
            for port in topology.ports
        },
        "networks": {
            (one.id, one.segment if same_store else 0, one.mtu, one.subnets, one.dhcp, one.leases)
            for one in topology.networks
            if same_store or one.physical_network is None
        },
        "routers": {
            (
                router.id,
                frozenset(router.interfaces),
                router.gateway and (router.gateway.port_id, router.gateway.mac, router.gateway.addresses),
                frozenset(router.floating_ips),
                router.routes,
            )
            for router in topology.routers
        },
    }


async def _noted_guest(cloud: Cloud) -> tuple[str, dict[str, str]]:
    """Make a guest with what stands around it, which its host has, and has noted. Returns it, and what was made."""
    await cloud.begin()
    guest = await cloud.create("a")
    made = await _surround(cloud, guest)
    await cloud.report()
    await cloud.parts.wiring.ensure("a")
    await cloud.note_networks()
    return guest, made


@pytest.mark.parametrize("same_project", [True, False])
async def test_after_a_total_loss_an_adopted_guest_has_its_floating_ip_and_its_rules(
    store: Store, tmp_path: Path, same_project: bool
) -> None:
    async with Cloud.on(store, tmp_path, ("a",)) as cloud:
        guest, made = await _noted_guest(cloud)
        before = _seen(await _topology(cloud, "a"), same_store=False)
        assert (await cloud.audit()).orphaned == ()
    await put_back(store, {})
    async with Cloud.on(store, tmp_path, ("a",)) as cloud:
        await cloud.report(2)
        await cloud.note_networks()
        assert {(each.kind, each.name) for each in (await cloud.audit()).orphaned} == {("guest", guest)}
        async with store.read() as session:
            (kept,) = [row["keeps"] for row in await strangers.every(session)]
        assert made["router"] in kept["around"] and made["floating"] in kept["around"]
        await cloud.begin(project="p" if same_project else "other")
        await _public(cloud)
        project = None if same_project else "other"
        settled = await cloud.desk.adopt(guest, None, AdoptionRequest(project_id=project, user_id="u"))
        assert settled.why == "" and settled.left == ()
        await cloud.parts.wiring.ensure("a")
        assert _seen(await _topology(cloud, "a"), same_store=False) == before
        ((port,),) = (await cloud.parts.networks.ports_of([guest])).values()
        assert port.addresses[0].floating_ips == (made["address"],)
        ((_, name),) = port.security_groups
        assert name == ("default" if same_project else "default of p")
        await cloud.report(2)
        assert (await cloud.audit()).orphaned == () and await cloud.guests("a") == {guest}


async def test_a_host_that_joins_a_new_deployment_brings_back_what_stood_around_at_an_operators_word(
    store: Store, tmp_path: Path
) -> None:
    async with Cloud.on(store, tmp_path, ("a",)) as cloud:
        guest, made = await _noted_guest(cloud)
        before = _seen(await _topology(cloud, "a"), same_store=False)
    notes = tmp_path / "agents" / "a" / "guests"
    only = (notes / "networks.json").read_bytes()
    await put_back(store, {})
    (tmp_path / "deployment").unlink()
    (tmp_path / "agents" / "a" / "deployment").unlink()
    async with Cloud.on(store, tmp_path, ("a",)) as cloud:
        assert cloud.parts.notary.deployment.origin == "new"
        await cloud.report(2)
        await cloud.note_networks()
        assert (notes / "networks.json").read_bytes() == only, "the only note stays while there are strangers"
        assert {(each.kind, each.name) for each in (await cloud.audit()).orphaned} == {("guest", guest)}
        await cloud.begin(project="other")
        await _public(cloud)
        settled = await cloud.desk.adopt(guest, None, AdoptionRequest(project_id="other", user_id="u"))
        assert settled.why == "" and settled.left == ()
        await cloud.parts.wiring.ensure("a")
        assert _seen(await _topology(cloud, "a"), same_store=False) == before
        ((port,),) = (await cloud.parts.networks.ports_of([guest])).values()
        assert port.addresses[0].floating_ips == (made["address"],)
        await cloud.report(2)
        await cloud.note_networks()
        assert (await cloud.audit()).orphaned == ()
        (aside,) = notes.glob("networks.json.*")
        assert aside.read_bytes() == only != (notes / "networks.json").read_bytes()


async def test_a_note_of_another_database_is_kept_aside_also_where_nobody_is_adopted(
    store: Store, tmp_path: Path
) -> None:
    async with Cloud.on(store, tmp_path, ("a",)) as cloud:
        await cloud.begin()
        guest = await cloud.create("a")
        made = await _surround(cloud, guest)
        await cloud.report()
        await cloud.note_networks()
        await cloud.report()
        await cloud.note_networks()
    notes = tmp_path / "agents" / "a" / "guests"
    assert list(notes.glob("networks.json.*")) == [], "a database replaces its own note"
    await put_back(store, {})
    async with Cloud.on(store, tmp_path, ("a",)) as cloud:
        await cloud.report(2)
        assert (await cloud.desk.remove(guest, None)).why == ""
        await cloud.note_networks()
        assert made["floating"] not in (notes / "networks.json").read_text()
        (aside,) = notes.glob("networks.json.*")
        assert made["floating"] in aside.read_text()
    async with Cloud.on(store, tmp_path, ("a",)) as cloud:
        assert list(cloud.agents["a"].notes_kept._versions) == [], "what was kept aside is no guest's note"


async def test_what_somebody_else_has_now_is_left_out_and_said(store: Store, tmp_path: Path) -> None:
    async with Cloud.on(store, tmp_path, ("a",)) as cloud:
        await cloud.begin()
        guest = await cloud.create("a")
        made = await _surround(cloud, guest)
        await cloud.report()
        await cloud.note_networks()
    await put_back(store, {})
    async with Cloud.on(store, tmp_path, ("a",)) as cloud:
        await cloud.begin()
        public = await _public(cloud)

        async def take(session: Any, touched: Any) -> None:
            wanted = floating_ips.NewFloatingIp(floating_network_id=public, floating_ip_address=made["address"])
            await floating_ips.create(session, touched, ADMIN, wanted)

        await cloud.parts.networks.write(take)
        await cloud.report()
        settled = await cloud.desk.adopt(guest, None, AdoptionRequest(user_id="u"))
        assert settled.why == ""
        (sentence,) = settled.left
        assert made["address"] in sentence and "belongs to another port now" in sentence
        assert [router.id for router in (await _topology(cloud, "a")).routers] == [made["router"]]


async def test_an_adoption_without_a_note_of_networks_says_what_is_not_known(store: Store, tmp_path: Path) -> None:
    async with Cloud.on(store, tmp_path, ("a",)) as cloud:
        await cloud.begin()
        guest = await cloud.create("a")
    (tmp_path / "agents" / "a" / "guests" / "networks.json").unlink(missing_ok=True)
    await put_back(store, {})
    async with Cloud.on(store, tmp_path, ("a",)) as cloud:
        await cloud.begin()
        settled = await cloud.desk.adopt(guest, None, AdoptionRequest(user_id="u"))
        assert settled.why == "" and "keeps no note" in settled.left[0] and "are not restored" in settled.left[0]


async def test_guests_newer_than_a_backup_bring_back_what_is_newer_around_them(store: Store, tmp_path: Path) -> None:
    async with Cloud.on(store, tmp_path, ("a",)) as cloud:
        await cloud.begin()
        await _public(cloud)
        backup = await copied(store)
        guest = await cloud.create("a")
        await _surround(cloud, guest)
        await cloud.report()
        await cloud.parts.wiring.ensure("a")
        await cloud.note_networks()
        before = _seen(await _topology(cloud, "a"), same_store=True)
    await put_back(store, backup)
    async with Cloud.on(store, tmp_path, ("a",)) as cloud:
        await cloud.report(2)
        assert await cloud.strangers() == {}
        assert _seen(await _topology(cloud, "a"), same_store=True) == before


async def test_a_note_of_networks_that_was_not_sealed_here_is_not_taken_by_itself(store: Store, tmp_path: Path) -> None:
    async with Cloud.on(store, tmp_path, ("a",)) as cloud:
        await cloud.begin()
        await _public(cloud)
        backup = await copied(store)
        guest = await cloud.create("a")
        made = await _surround(cloud, guest)
        await cloud.report()
        await cloud.note_networks()
    path = tmp_path / "agents" / "a" / "guests" / "networks.json"
    path.write_text(path.read_text().replace("198.51.100.0", "0.0.0.0"))
    await put_back(store, backup)
    async with Cloud.on(store, tmp_path, ("a",)) as cloud:
        await cloud.report(2)
        assert await cloud.strangers() == {} and await cloud.guests("a") == {guest}
        assert made["router"] not in [router.id for router in (await _topology(cloud, "a")).routers]


async def test_a_push_that_shows_a_host_nothing_new_has_names_noted_that_are_new(store: Store, tmp_path: Path) -> None:
    async with Cloud.on(store, tmp_path, ("a",)) as cloud:
        _, made = await _noted_guest(cloud)

        async def rename(session: Any, touched: Any) -> None:
            await routers.update(session, touched, ADMIN, made["router"], routers.RouterChange(name="named-anew"))

        await cloud.parts.networks.write(rename)
        await cloud.parts.wiring.ensure("a")
        await cloud.conductor.reports.network_notes.write()
    assert "named-anew" in (tmp_path / "agents" / "a" / "guests" / "networks.json").read_text()


async def test_a_host_whose_note_could_not_be_written_has_it_written_without_another_change(
    store: Store, tmp_path: Path
) -> None:
    async with Cloud.on(store, tmp_path, ("a",)) as cloud:
        await cloud.begin()
        guest = await cloud.create("a")
        await cloud.report()
        await cloud.note_networks()
        notes, before = cloud.conductor.reports.network_notes, await cloud.parts.hosts.at("a").noted_networks()
        ((port,),) = (await cloud.parts.networks.ports_of([guest])).values()
        async with store.write() as session:
            await session.execute(sa.update(table_of_ports).where(table_of_ports.c.id == port.id).values(name="front"))
            await session.execute(sa.text("ALTER TABLE strangers RENAME TO elsewhere"))
        notes.changed(["a"])
        with pytest.raises(DBAPIError):
            await notes.write()
        async with store.write() as session:
            await session.execute(sa.text("ALTER TABLE elsewhere RENAME TO strangers"))
        async with asyncio.timeout(8):
            while await cloud.parts.hosts.at("a").noted_networks() == before:
                await asyncio.sleep(0.02)
