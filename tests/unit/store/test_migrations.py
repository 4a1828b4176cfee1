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


async def upgraded(url):
    """Make the schema by every revision, as a database has it that is older than all of them."""
    store = await Store.open(url)
    async with store.write() as session:
        await session.connection.run_sync(patiently, migrate._upgrade)
    await store.close()


def patiently(connection, work):
    """Do what waits for this process alone between its statements, for which PostgreSQL grants ten seconds else."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
    return work(connection)


async def asked(url, question):
    store = await Store.open(url)
    async with store.read() as session:
        answer = await session.connection.run_sync(patiently, question)
    await store.close()
    return answer


async def test_a_migrated_database_is_what_the_code_wants(url):
    await upgraded(url)

    def differences(connection):
        return compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata)

    assert await asked(url, differences) == []


@pytest.fixture(params=["sqlite", "postgresql"])
def two_urls(request, tmp_path):
    if request.param == "sqlite":
        return [f"sqlite+aiosqlite:///{tmp_path}/{name}.db" for name in ("new", "old")]
    cluster = request.getfixturevalue("postgres_cluster")
    return [cluster.database(), cluster.database()]


def schema(connection):
    """Tell all that there is of each table, whatever the order of its columns."""
    inspector = sa.inspect(connection)

    def told(found):
        texts = [{what: str(said) for what, said in each.items() if what != "dialect_options"} for each in found]
        options = [{what: str(said) for what, said in each.get("dialect_options", {}).items()} for each in found]
        return sorted(zip(texts, options, strict=True), key=str)

    return {
        name: {
            "columns": told(inspector.get_columns(name)),
            "key": inspector.get_pk_constraint(name),
            "indexes": told(inspector.get_indexes(name)),
            "uniques": told(inspector.get_unique_constraints(name)),
            "references": told(inspector.get_foreign_keys(name)),
            "checks": told(inspector.get_check_constraints(name)),
            "rows": connection.execute(sa.text(f"SELECT * FROM {name}")).all(),
        }
        for name in inspector.get_table_names()
    }


async def test_a_new_database_has_the_schema_that_all_revisions_come_to(two_urls):
    new, old = two_urls
    assert await migrate.migrate(new) is True
    await upgraded(old)
    made, grown = await asked(new, schema), await asked(old, schema)
    assert set(made) == set(grown) == {*metadata.tables, "alembic_version"}
    for name in made:
        assert made[name] == grown[name], name
    assert made["alembic_version"]["rows"] == [(migrate.head(),)]


async def test_a_database_with_tables_that_nobody_migrated_is_left_alone(url):
    store = await Store.open(url)
    await store.create_all()
    await store.close()
    with pytest.raises(sa.exc.OperationalError, match="already exists"):
        await migrate.migrate(url)
    assert "alembic_version" not in await asked(url, lambda connection: sa.inspect(connection).get_table_names())


async def test_migrating_again_changes_nothing(url):
    await migrate.migrate(url)
    assert await migrate.migrate(url) is False


@pytest.mark.parametrize("making", [migrate._upgrade, migrate._create])
async def test_a_migration_that_is_cut_off_leaves_nothing(url, making):
    store = await Store.open(url)
    with pytest.raises(RuntimeError):
        async with store.write() as session:
            await session.connection.run_sync(making)
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
