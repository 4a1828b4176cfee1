"""What a scheduler may write: the database itself refuses the rest."""

import re
from pathlib import Path

import attrs
import pytest
import sqlalchemy as sa

from novakit.calls.scheduler import Selection
from novakit.placement import Placement
from novakit.scheduler.limits import SchedulerLimits
from novakit.scheduler.pipeline.ask import from_plain
from novakit.store import Store, tables
from novakit.store.compute import servers
from novakit.store.migrate import migrate
from novakit.store.schema import metadata
from novakit_hookspecs.hosts import PciDevice
from novakit_hookspecs.numa import NumaCell
from tests.functional.scheduler.conftest import Cloud, request

HOW_TO = Path(__file__).parents[3] / "docs/how-to/run-roles-apart.md"
PLAIN = {"server_id": "s", "project_id": "p", "user_id": "u"}


async def test_on_postgresql_a_scheduler_is_kept_from_other_tables_before_a_statement_is_sent(
    postgres_url: str,
) -> None:
    owner = await Store.open(postgres_url)
    await owner.create_all()
    scheduler = await Store.open(postgres_url, writes=tables.SCHEDULER_WRITES)
    for name, table in metadata.tables.items():
        async with scheduler.read() as session:
            await session.all(sa.select(table).limit(1), of=sa.RowMapping)
        if name in tables.SCHEDULER_WRITES:
            async with scheduler.write() as session:
                await session.execute(sa.delete(table))
        else:
            for statement in (sa.delete(table), sa.insert(table), sa.text(f"DELETE FROM {name}")):
                with pytest.raises(PermissionError, match=name):
                    async with scheduler.write() as session:
                        await session.execute(statement)
    await scheduler.close()
    await owner.close()


async def test_the_role_of_the_how_to_is_enough_for_a_scheduler_and_postgresql_refuses_the_rest(
    postgres_url: str,
) -> None:
    await migrate(postgres_url)
    owner = await Store.open(postgres_url)
    cloud = Cloud(owner, Placement(owner))
    devices = [PciDevice(address=f"0000:{bus:02x}:00.0", kind="a100") for bus in (16, 17)]
    cells = [NumaCell(id=0, dedicated=tuple(range(8)), memory_mb=8192)]
    await cloud.add_hosts(3, pci=devices, numa=cells)
    (grants,) = re.findall(r"```sql\n(.*?)```", HOW_TO.read_text(), flags=re.DOTALL)
    async with owner.write() as session:
        for statement in grants.strip().rstrip(";").split(";\n"):
            await session.execute(sa.text(statement))

    limited = await Store.open(postgres_url.replace("novakit@", "novakit_scheduler@"))
    guarded = Cloud(limited, Placement(limited))
    scheduler = guarded.scheduler(limits=SchedulerLimits(keep_decisions=1))
    one, other = request(), request()
    group = await cloud.group("anti-affinity", [one.server_id, other.server_id])
    asks = [attrs.evolve(each, group=from_plain({**PLAIN, "group": group}).group) for each in (one, other)]
    asks.append(request(extra_specs={"pci_passthrough:alias": "a100:1", "hw:cpu_policy": "dedicated"}))
    answers = await scheduler.select(asks)
    assert all(isinstance(each, Selection) for each in answers), answers
    assert len({each.host for each in answers[:2]}) == 2 and answers[2].devices and answers[2].numa
    assert await scheduler.select(asks[:1]) != []
    assert (await scheduler.dry_run(request())).weights
    assert (await scheduler.trace(10)).hosts and await scheduler.capacity(request(), 1)
    await scheduler._prune()
    assert len(await scheduler.decisions(server_id=asks[2].server_id)) == 1

    for name, table in metadata.tables.items():
        if name not in tables.SCHEDULER_WRITES:
            with pytest.raises(sa.exc.ProgrammingError, match="permission denied"):
                async with limited.write() as session:
                    await session.execute(sa.delete(table))
    for secret in ("identity_users", "keypairs", "images"):
        with pytest.raises(sa.exc.ProgrammingError, match="permission denied"):
            async with limited.read() as session:
                await session.all(sa.select(metadata.tables[secret]), of=sa.RowMapping)
    await limited.close()
    await owner.close()


async def test_a_scheduler_can_write_its_own_tables_and_no_others(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path}/cloud.db"
    owner = await Store.open(url)
    await owner.create_all()
    scheduler = await Store.open(url, writes=tables.SCHEDULER_WRITES)
    assert set(metadata.tables) >= tables.SCHEDULER_WRITES
    for name, table in metadata.tables.items():
        if name in tables.SCHEDULER_WRITES:
            async with scheduler.write() as session:
                await session.execute(sa.delete(table))
        else:
            with pytest.raises(sa.exc.DBAPIError, match="not authorized"):
                async with scheduler.write() as session:
                    await session.execute(sa.delete(table))
    with pytest.raises(sa.exc.DBAPIError, match="not authorized"):
        async with scheduler.write() as session:
            await session.execute(sa.update(servers.servers).values(host="elsewhere"))
    await scheduler.close()
    await owner.close()
