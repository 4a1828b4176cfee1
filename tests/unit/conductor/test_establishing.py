"""Database and state directory are of one deployment, whichever of the two is lost or mixed up."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from novakit import identities, world
from novakit.conductor import establishing
from novakit.errors import ConfigError
from novakit.store import Store, tables  # noqa: F401
from novakit.store import deployment as rows
from novakit.store.identity import directory as people
from tests.support.stores import sqlite_store

OTHER = "00000000-0000-4000-8000-000000000001"


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = await sqlite_store(tmp_path / "cloud.db")
    yield store
    await store.close()


async def _use(store: Store) -> None:
    async with store.write() as session:
        row = {"id": "default", "name": "Default", "enabled": True, "description": ""}
        await people.ensure(session, people.domains, [row])
        user = {"id": "u", "name": "u", "domain_id": "default", "tokens_valid_from": world.now(), "description": ""}
        await people.ensure(session, people.users, [{**user, "enabled": True}])


async def test_the_first_start_makes_one_identity_and_later_ones_keep_it(store: Store, tmp_path: Path) -> None:
    first = await establishing.establish(store, tmp_path)
    assert first.origin == "new" and identities.read(tmp_path) == first.id
    assert await establishing.establish(store, tmp_path) == first
    await establishing.check(store, tmp_path)


async def test_an_empty_database_takes_the_identity_of_its_directory_and_a_secret_of_its_own(
    store: Store, tmp_path: Path
) -> None:
    identities.take(tmp_path, OTHER)
    found = await establishing.establish(store, tmp_path)
    assert (found.id, found.origin) == (OTHER, "directory")
    fresh = await sqlite_store(tmp_path / "another.db")
    try:
        again = await establishing.establish(fresh, tmp_path)
    finally:
        await fresh.close()
    assert again.id == OTHER and again.secret != found.secret


async def test_a_directory_without_an_identity_takes_that_of_the_database(store: Store, tmp_path: Path) -> None:
    found = await establishing.establish(store, tmp_path)
    (tmp_path / identities.NAME).unlink()
    assert await establishing.establish(store, tmp_path) == found
    assert identities.read(tmp_path) == found.id


async def test_a_database_older_than_identities_keeps_its_directory(store: Store, tmp_path: Path) -> None:
    await _use(store)
    identities.take(tmp_path, OTHER)
    found = await establishing.establish(store, tmp_path)
    assert (found.id, found.origin) == (OTHER, "upgrade")


async def test_the_database_of_another_deployment_is_refused_and_nothing_is_written(
    store: Store, tmp_path: Path
) -> None:
    found = await establishing.establish(store, tmp_path)
    identities.take(tmp_path, OTHER)
    for start in (establishing.establish, establishing.check):
        with pytest.raises(ConfigError, match=f"{found.id}.*{OTHER}"):
            await start(store, tmp_path)
    assert identities.read(tmp_path) == OTHER
    async with store.read() as session:
        assert await rows.recorded(session) == found


@pytest.mark.parametrize("content", ["", "nonsense\n", OTHER[:-1]])
async def test_a_broken_identity_is_one_sentence(store: Store, tmp_path: Path, content: str) -> None:
    (tmp_path / identities.NAME).write_text(content)
    with pytest.raises(ConfigError, match="holds no id of a deployment"):
        await establishing.establish(store, tmp_path)


async def test_what_was_purged_is_remembered_as_a_moment_that_only_grows(store: Store, tmp_path: Path) -> None:
    assert (await establishing.establish(store, tmp_path)).forgotten_before is None
    late, early = world.now(), world.now() - timedelta(days=1)
    for moment in (early, late, early):
        async with store.write() as session:
            await rows.forgot(session, moment)
    assert (await establishing.establish(store, tmp_path)).forgotten_before == late
