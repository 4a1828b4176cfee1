"""From whatever schema a database has to the one this version wants; safe to be killed and run again.

An empty database gets its tables as they stand in the code, without Alembic, which takes a tenth of a first start to be
imported and to go through every revision. That both ways lead to the same schema is tested.
"""

import asyncio
from pathlib import Path

import sqlalchemy as sa
import structlog

from novakit.errors import ConfigError
from novakit.store import tables  # noqa: F401
from novakit.store.engine import Store
from novakit.store.schema import make_partial, metadata

log = structlog.get_logger(__name__)

SCRIPTS = Path(__file__).parent / "migrations"

_VERSION = sa.Table(
    "alembic_version",
    sa.MetaData(),
    sa.Column("version_num", sa.String(32), nullable=False),
    sa.PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)
"""Where Alembic keeps the revision of a database, as it makes it."""


def head() -> str:
    """Name the newest revision: revisions are numbered, and so are their files."""
    return max(path.name.partition("_")[0] for path in (SCRIPTS / "versions").glob("[0-9]*.py"))


async def migrate(url: str) -> bool:
    """Bring the schema up to date in one transaction. Returns whether there was anything to do.

    Raises ConfigError when the database is of a newer version than this program.
    """
    store = await Store.open(url)
    try:
        async with store.read() as session:
            present = await session.connection.run_sync(_revision)
        if present == head():
            return False
        if present is not None and present > head():
            raise ConfigError(f"The database is at revision {present}, this novakit knows {head()}; upgrade novakit.")
        async with store.write() as session:
            await session.serialise("migrate")
            # Asked again: another process may have made the schema while this one waited.
            fresh = await session.connection.run_sync(_revision) is None
            await session.connection.run_sync(_create if fresh else _upgrade)
    finally:
        await store.close()
    return True


async def migrated(url: str) -> None:
    """Wait until another process has brought the schema up to date: for a role that may not write it."""
    while True:
        present = await revision(url)
        if present is not None and present >= head():
            return
        log.info("waiting for another role to make the schema", present=present, wanted=head())
        await asyncio.sleep(0.5)


async def revision(url: str) -> str | None:
    """Name the revision a database is at; None for one without a schema."""
    store = await Store.open(url)
    try:
        async with store.read() as session:
            return await session.connection.run_sync(_revision)
    finally:
        await store.close()


def _revision(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(sa.select(_VERSION.c.version_num)).scalar()


def _create(connection: sa.Connection) -> None:
    metadata.create_all(connection, checkfirst=False)
    _VERSION.create(connection)
    connection.execute(_VERSION.insert().values(version_num=head()))


def _upgrade(connection: sa.Connection) -> None:
    from alembic import command

    command.upgrade(_settings(connection), "head")


def draft(connection: sa.Connection, revision: str, message: str) -> None:
    """Write a migration that takes the database at `connection` to what the tables in the code are, for review."""
    from alembic import command

    if connection.dialect.name == "postgresql":
        make_partial(metadata)
    command.revision(_settings(connection), message, autogenerate=True, rev_id=revision)


def _settings(connection: sa.Connection):  # type: ignore[no-untyped-def]
    from alembic.config import Config

    settings = Config()
    settings.set_main_option("script_location", str(SCRIPTS))
    settings.attributes["connection"] = connection
    return settings
