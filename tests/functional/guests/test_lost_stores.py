"""Whatever store a control plane finds, no guest is lost: what it does not know runs on, wired, and is told of."""

import asyncio
import shutil
from pathlib import Path

import attrs
import pytest

from novakit import identities
from novakit.bus import Unreachable
from novakit.compute.hosts import Hosts
from novakit.conductor.guests.adoption import AdoptionRequest
from novakit.conductor.guests.strangers import NOT_OURS
from novakit.conductor.reports import DISAPPEARED, Reports
from novakit.store import Store
from novakit.store import deployment as rows
from novakit.store.compute import hosts, servers
from novakit_hookspecs.networks import Topology
from novakit_hookspecs.servers import Power
from tests.functional.guests.cloud import Cloud, copied, put_back, rewrite

A = ("a",)


async def _row(cloud: Cloud, id: str) -> dict[str, object]:
    async with cloud.store.read() as session:
        row = await servers.server(session, id, deleted=True)
    assert row is not None
    return dict(row)


async def test_the_guests_of_a_lost_database_run_on_wired_and_reserved_until_they_are_adopted(
    store: Store, tmp_path: Path
) -> None:
    async with Cloud.on(store, tmp_path, A) as cloud:
        await cloud.begin()
        one, two = await cloud.create("a", "one"), await cloud.create("a", "two")
        await cloud.report()
        before, ports = await _row(cloud, one), await cloud.wired("a")
        assert len(ports) == 2 and (await cloud.audit()).orphaned == ()
    await put_back(store, {})
    async with Cloud.on(store, tmp_path, A) as cloud:
        await cloud.report(3)
        assert await cloud.guests("a") == {one, two} and await cloud.wired("a") == ports
        found = await cloud.audit()
        assert {(each.kind, each.name) for each in found.orphaned} == {("guest", one), ("guest", two)}
        assert found.foreign == () and "one of project p" in next(e.problem for e in found.orphaned if e.name == one)
        async with store.read() as session:
            (used,) = (await cloud.parts.placement.usages(session)).values()
        assert used == {"VCPU": 2, "MEMORY_MB": 1024, "DISK_GB": 2}
        refused = await cloud.desk.adopt(one, None, AdoptionRequest(user_id="x"))
        assert "project p is not in this database" in refused.why
        await cloud.begin()
        assert (await cloud.desk.adopt(one, None, AdoptionRequest(user_id="x", request_id="req-1"))).why == ""
        after = await _row(cloud, one)
        differ = {name for name in before if before[name] != after[name]}
        assert differ <= {"number", "updated_at"}, differ
        await cloud.report(3)
        assert await cloud.guests("a") == {one, two} and await cloud.wired("a") == ports
        assert {each.name for each in (await cloud.audit()).orphaned} == {two}
        assert (await cloud.desk.remove(two, "a")).why == ""
        assert await cloud.guests("a") == {one} and (await cloud.audit()).orphaned == ()
        await cloud.delete(one, "a")
        await cloud.report()
        assert await cloud.guests("a") == set() and (await cloud.audit()).orphaned == ()


async def test_guests_that_are_newer_than_a_backup_are_servers_again_by_themselves(
    store: Store, tmp_path: Path
) -> None:
    async with Cloud.on(store, tmp_path, A) as cloud:
        await cloud.begin()
        old = await cloud.create("a")
        backup = await copied(store)
        new = await cloud.create("a")
        before, ports = await _row(cloud, new), await cloud.wired("a")
    await put_back(store, backup)
    async with Cloud.on(store, tmp_path, A) as cloud:
        await cloud.report(3)
        assert await cloud.guests("a") == {old, new} and await cloud.wired("a") == ports
        after = await _row(cloud, new)
        differ = {name for name in before if before[name] != after[name]}
        assert differ <= {"number", "updated_at", "launched_at"}, "its note is that of the build"
        assert await cloud.strangers() == {} and (await cloud.audit()).orphaned == ()


async def test_what_somebody_else_has_meanwhile_keeps_a_guest_a_stranger_with_the_reason(
    store: Store, tmp_path: Path
) -> None:
    async with Cloud.on(store, tmp_path, A) as cloud:
        await cloud.begin()
        backup, network = await copied(store), cloud.network
        lost = await cloud.create("a")
        await cloud.stop_host("a")
        await put_back(store, backup)
    async with Cloud.on(store, tmp_path, ("b",)) as cloud:
        cloud.network = network
        other = await cloud.create("b")
        await cloud.start_host("a")
        await cloud.report(3)
        assert await cloud.guests("a") == {lost}
        assert "belongs to another port now; free it, or adopt" in (await cloud.strangers())[lost]
        assert (await cloud.desk.adopt(lost, None, AdoptionRequest(with_ports=False))).why == ""
        assert await cloud.strangers() == {}
        await cloud.delete(other, "b")


async def test_a_guest_that_may_have_been_purged_stays_a_stranger(store: Store, tmp_path: Path) -> None:
    async with Cloud.on(store, tmp_path, A) as cloud:
        await cloud.begin()
        backup = await copied(store)
        lost = await cloud.create("a")
        created = (await _row(cloud, lost))["created_at"]
        await put_back(store, backup)
        async with store.write() as session:
            await rows.forgot(session, created)  # type: ignore[arg-type]
        await cloud.report(3)
        assert "as old as servers that this database has forgotten" in (await cloud.strangers())[lost]
        assert await cloud.guests("a") == {lost}


async def test_only_what_is_known_to_be_left_over_is_removed(store: Store, tmp_path: Path) -> None:
    async with Cloud.on(store, tmp_path, ("a", "b")) as cloud:
        await cloud.begin()
        deleted, left, back = [await cloud.create("a") for _ in range(3)]
        await cloud.leave(back, "a")
        backup = await copied(store)
        await cloud.come_back(back, "a")
        await cloud.stop_host("a")
        await cloud.delete(deleted, "a")
        await cloud.leave(left, "a")
        now = await copied(store)
        await put_back(store, backup)
        await cloud.start_host("a")
        await cloud.report(3)
        assert await cloud.guests("a") == {deleted, left, back}, "the backup knows two of them, and not why one is here"
        assert "newer than this database" in (await cloud.strangers())[back]
        await put_back(store, now)
        await cloud.report(3)
        assert await cloud.guests("a") == {back} and await cloud.strangers() == {}


async def test_a_host_can_invent_no_guest(store: Store, tmp_path: Path) -> None:
    async with Cloud.on(store, tmp_path, A) as cloud:
        await cloud.begin()
        backup = await copied(store)
        lost = await cloud.create("a")
        await put_back(store, backup)
        notes = cloud.agents["a"].notes_kept
        mine, its = '"project_id":"p"', '"project_id":"q"'
        await rewrite(notes, lost, lambda note: attrs.evolve(note, text=note.text.replace(mine, its)))
        await cloud.report(3)
        assert "did not seal its note" in (await cloud.strangers())[lost]
        await cloud.stop_host("a")
        path = tmp_path / "agents" / "a" / "guests" / "notes.journal"
        path.write_text("nonsense\n")
        await cloud.start_host("a")
        await cloud.report(3)
        assert "no note" in (await cloud.strangers())[lost] and await cloud.guests("a") == {lost}


async def test_a_host_takes_no_orders_of_another_deployment(store: Store, tmp_path: Path) -> None:
    async with Cloud.on(store, tmp_path, A) as cloud:
        await cloud.begin()
        mine = await cloud.create("a")
        first = identities.read(tmp_path)
        ports = await cloud.wired("a")
    assert first == identities.read(tmp_path / "agents" / "a")
    (tmp_path / identities.NAME).unlink()
    old = await copied(store)
    await put_back(store, {})
    async with Cloud.on(store, tmp_path, A) as cloud:
        await cloud.report(3)
        assert cloud.agents["a"].membership.refusal.startswith("The host a belongs to deployment")
        async with store.read() as session:
            assert await hosts.every(session) == [], "nothing is placed there"
        host = cloud.parts.hosts.at("a")
        topology = Topology(revision=1 << 40)
        for order in (host.destroy(mine), host.apply_network(topology), host.discard_snapshot(mine)):
            with pytest.raises(Unreachable, match="takes no part"):
                await order
        assert (await host.holdings()).guests and await cloud.wired("a") == ports
        listed = await cloud.desk.listed()
        assert listed.guests == () and [(each.host, each.deployment) for each in listed.hosts] == [("a", first)]
        assert [(each.kind, each.name) for each in (await cloud.audit()).orphaned] == [("host", "a")]
        (service,) = await Hosts(store, cloud.bus.join("api")).services()
        assert (service.name, service.up, service.enabled) == ("a", False, False)
        assert service.disabled_reason == f"refused: the host belongs to deployment {first}"
        await cloud.conductor.reports.forget("a")
        assert (await cloud.desk.listed()).hosts == (), "one that is revoked reports no more, and is told of no more"
    await put_back(store, old)
    identities.take(tmp_path, str(first))
    async with Cloud.on(store, tmp_path, A) as cloud:
        await cloud.report(2)
        assert await cloud.guests("a") == {mine} and (await cloud.audit()).orphaned == ()


async def test_after_the_loss_of_all_but_the_hosts_a_guest_is_adopted_by_the_notes_of_its_host(
    store: Store, tmp_path: Path
) -> None:
    """Every seal is of a key that is gone, and the deployment is another one: notes are the word of their hosts."""
    async with Cloud.on(store, tmp_path, A) as cloud:
        await cloud.begin()
        lost = await cloud.create("a")
        await cloud.report()
        await cloud.note_networks()
        before, ports = await _row(cloud, lost), await cloud.wired("a")
    await put_back(store, {})
    (tmp_path / identities.NAME).unlink()
    async with Cloud.on(store, tmp_path, A) as cloud:
        assert cloud.agents["a"].membership.refusal and await cloud.strangers() == {}
    (tmp_path / "agents" / "a" / identities.NAME).unlink()
    async with Cloud.on(store, tmp_path, A) as cloud:
        await cloud.report(3)
        assert not cloud.parts.notary.has_lost_its_seal
        assert "adopt it only if you know" in (await cloud.strangers())[lost], "nothing is adopted by itself"
        assert await cloud.guests("a") == {lost} and await cloud.wired("a") == ports
        await cloud.begin()
        settled = await cloud.desk.adopt(lost, None, AdoptionRequest(user_id="u"))
        assert (settled.why, settled.left) == ("", ()), "what an operator vouches for is also what was around it"
        after = await _row(cloud, lost)
        assert {name for name in before if before[name] != after[name]} <= {"number", "updated_at"}
        await cloud.report(2)
        assert await cloud.guests("a") == {lost} and await cloud.wired("a") == ports
        assert await cloud.strangers() == {} and (await cloud.audit()).orphaned == ()


async def test_no_scheduler_sees_a_host_without_what_its_strangers_take(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Cloud.on(store, tmp_path, A) as cloud:
        await cloud.begin()
        guests = {await cloud.create("a"), await cloud.create("a")}
    await put_back(store, {})

    async def killed(*_: object) -> None:
        raise RuntimeError("the process dies right after the facts of the host are committed")

    with monkeypatch.context() as patch:
        patch.setattr(Reports, "_compare", killed)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(8), Cloud.on(store, tmp_path, A):
                raise AssertionError("unreachable")
    async with Cloud.on(store, tmp_path, ()) as cloud:
        async with store.read() as session:
            ((host, used),) = (await cloud.parts.placement.usages(session)).items()
            assert [row["provider_id"] for row in await hosts.every(session)] == [host]
        assert used == {"VCPU": 2, "MEMORY_MB": 1024, "DISK_GB": 2}
        assert (await cloud.strangers()).keys() == guests
        await cloud.start_host("a")
        await cloud.report()
        assert {*(await cloud.strangers()).values()} == {NOT_OURS}


async def test_a_directory_without_the_guests_takes_no_part_in_the_place_of_the_one_that_has_them(
    store: Store, tmp_path: Path
) -> None:
    own, away = tmp_path / "agents" / "a", tmp_path / "away"
    async with Cloud.on(store, tmp_path, A) as cloud:
        await cloud.begin()
        mine = await cloud.create("a")
        await cloud.report(2)
        wired = await cloud.wired("a")
        first = identities.read_own(own)
        await cloud.stop_host("a")
        own.rename(away)
        await cloud.start_host("a")
        await cloud.report(3)
        refusal = cloud.agents["a"].membership.refusal
        assert f"1 in all, such as {mine}" in refusal and f"write {first} into {own / 'directory'}" in refusal
        assert (await _row(cloud, mine))["vm_state"] == "active"
        (told,) = (await cloud.desk.listed()).hosts
        assert told.host == "a" and mine in told.why
        with pytest.raises(Unreachable, match="takes no part"):
            await cloud.parts.hosts.at("a").destroy(mine)
        assert [(each.kind, each.name) for each in (await cloud.audit()).orphaned][:1] == [("host", "a")]
        await cloud.stop_host("a")
        shutil.rmtree(own)
        away.rename(own)
        await cloud.start_host("a")
        await cloud.report(3)
        assert (await _row(cloud, mine))["vm_state"] == "active" and await cloud.wired("a") == wired
        assert (await cloud.desk.listed()).hosts == () and (await cloud.audit()).orphaned == ()


async def test_an_operator_says_that_a_directory_is_lost_and_its_guests_come_back_with_it(
    store: Store, tmp_path: Path
) -> None:
    own, away = tmp_path / "agents" / "a", tmp_path / "away"
    async with Cloud.on(store, tmp_path, A) as cloud:
        await cloud.begin()
        running, off = await cloud.create("a"), await cloud.create("a")
        await cloud.agents["a"].driver.set_power(off, Power.SHUTDOWN, 0.0)
        await cloud.report(2)
        assert (await _row(cloud, off))["vm_state"] == "stopped"
        first = str(identities.read_own(own))
        await cloud.stop_host("a")
        own.rename(away)
        own.mkdir()
        identities.make_own(own, first)
        await cloud.start_host("a")
        await cloud.report(3)
        lost = await _row(cloud, running)
        assert (lost["vm_state"], lost["fault"]["message"]) == ("error", DISAPPEARED)
        await cloud.stop_host("a")
        shutil.rmtree(own)
        away.rename(own)
        await cloud.start_host("a")
        await cloud.report(2)
        for id, state in ((running, "active"), (off, "stopped")):
            row = await _row(cloud, id)
            assert (row["vm_state"], row["fault"]) == (state, None)
        assert await cloud.guests("a") == {running, off} and (await cloud.audit()).orphaned == ()


async def test_another_directory_takes_the_place_of_one_that_had_nothing(store: Store, tmp_path: Path) -> None:
    own = tmp_path / "agents" / "a"
    async with Cloud.on(store, tmp_path, A) as cloud:
        await cloud.begin()
        await cloud.delete(await cloud.create("a"), "a")
        await cloud.stop_host("a")
        shutil.rmtree(own)
        await cloud.start_host("a")
        await cloud.report(2)
        assert cloud.agents["a"].membership.refusal == ""
        async with store.read() as session:
            assert (await hosts.host(session, "a"))["directory"] == identities.read_own(own)
