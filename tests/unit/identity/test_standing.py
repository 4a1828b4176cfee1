"""What a token stands for is one question to the database, on both databases."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import attrs
import pytest
import sqlalchemy as sa

from novakit import world
from novakit.errors import Unauthorized
from novakit.identity import Identity
from novakit.identity.service import Grant, Scope
from novakit.store import Store
from novakit.store.identity import directory as table
from tests.support.stores import store_on


@pytest.fixture(params=["sqlite", "postgresql"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    opened = await store_on(request.param, request, tmp_path / "x.db")
    yield opened
    await opened.close()


@pytest.fixture
async def identity(store: Store, tmp_path: Path) -> Identity:
    made = Identity(store, tmp_path / "keys", {})
    await made.bootstrap(admin_password="admin", demo_password="demo")
    return made


async def token_of(identity: Identity, project: str | None = "admin", **scope: bool) -> str:
    wanted = Scope(project_name=project, domain="default" if project else "", **scope)
    text, _ = await identity.login(user_name="admin", user_domain="default", password="admin", scope=wanted)
    return text


async def test_a_token_is_judged_by_one_statement_with_all_that_its_roles_imply(identity: Identity) -> None:
    text = await token_of(identity)
    before = identity.store.tally.statements
    grant = await identity.validate(text)
    assert identity.store.tally.statements - before == 1
    assert grant.project is not None and grant.project.name == "admin" and grant.project.domain_name == "Default"
    assert [role["name"] for role in grant.roles] == ["admin", "manager", "member", "reader"]


async def test_a_system_token_has_the_roles_of_the_system_and_an_unscoped_one_none(identity: Identity) -> None:
    of_system = await identity.validate(await token_of(identity, None, system=True))
    unscoped = await identity.validate(await token_of(identity, None, unscoped=True))
    assert of_system.project is None and "admin" in {role["name"] for role in of_system.roles}
    assert unscoped.project is None and unscoped.roles == []


@pytest.mark.parametrize("lost", ["user", "its domain", "project", "the project's domain", "roles", "revoked", "ended"])
async def test_a_token_that_stands_on_nothing_any_more_is_refused(identity: Identity, lost: str) -> None:
    text = await token_of(identity)
    token = identity.ring.read(text)
    changes = {
        "user": sa.update(table.users).values(enabled=False),
        "its domain": sa.update(table.users).values(domain_id="elsewhere"),
        "project": sa.update(table.projects).values(enabled=False),
        "the project's domain": sa.update(table.projects).values(domain_id="elsewhere"),
        "roles": sa.delete(table.assignments).where(table.assignments.c.target_id == token.project_id),
        "ended": sa.update(table.users).values(tokens_valid_from=world.now() + timedelta(hours=1)),
    }
    if lost == "revoked":
        await identity.revoke(text)
    else:
        async with identity.store.write() as session:
            await session.execute(sa.insert(table.domains).values(id="elsewhere", name="elsewhere", enabled=False))
            await session.execute(changes[lost])
    with pytest.raises(Unauthorized):
        await identity.validate(text)


@attrs.define
class SlowReader(Identity):
    """Waits between the judgement of a token and what is remembered of it, where it is asked to."""

    gate: asyncio.Event | None = None
    judged: asyncio.Event = attrs.field(factory=asyncio.Event)

    async def validate(self, text: str) -> Grant:
        grant = await super().validate(text)
        if self.gate is not None:
            self.judged.set()
            await self.gate.wait()
        return grant


async def test_a_token_that_was_judged_before_its_end_is_not_remembered_after_it(store: Store, tmp_path: Path) -> None:
    identity = SlowReader(store, tmp_path / "keys", {})
    await identity.bootstrap(admin_password="admin", demo_password="demo")
    text = await token_of(identity)
    identity.gate = asyncio.Event()
    early = asyncio.create_task(identity.authenticate(text, "req-1"))
    await identity.judged.wait()
    await identity.revoke(text)
    identity.gate.set()
    assert (await early).request_id == "req-1", "it was asked before the end"
    with pytest.raises(Unauthorized):
        await identity.authenticate(text, "req-2")
