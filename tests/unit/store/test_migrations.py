import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from novakit.errors import ConfigError
from novakit.store import Store, migrate, tables
from novakit.store.schema import metadata


@pytest.fixture
async def url(tmp_path):
    return f"sqlite+aiosqlite:///{tmp_path}/x.db"


async def test_a_migrated_database_is_what_the_code_wants(url):
    assert await migrate.migrate(url) is True
    store = await Store.open(url)

    def differences(connection):
        return compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata)

    async with store.read() as session:
        assert await session.connection.run_sync(differences) == []
    await store.close()


async def test_migrating_again_changes_nothing(url):
    await migrate.migrate(url)
    assert await migrate.migrate(url) is False


async def test_a_migration_that_is_cut_off_leaves_nothing(url):
    store = await Store.open(url)
    with pytest.raises(RuntimeError):
        async with store.write() as session:
            await session.connection.run_sync(migrate._upgrade)
            raise RuntimeError("power cut")
    async with store.read() as session:
        assert await session.connection.run_sync(lambda connection: sa.inspect(connection).get_table_names()) == []
    await store.close()
    assert await migrate.migrate(url) is True


async def test_a_newer_database_is_refused_with_what_to_do(url):
    await migrate.migrate(url)
    store = await Store.open(url)
    async with store.write() as session:
        await session.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    await store.close()
    with pytest.raises(ConfigError, match="upgrade novakit"):
        await migrate.migrate(url)


def test_the_scheduler_may_write_only_tables_that_exist():
    assert set(metadata.tables) >= tables.SCHEDULER_WRITES
    assert not tables.SCHEDULER_WRITES & {"servers", "operations", "hosts", "identity_users", "ports"}
