"""A network service on a database of its own."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from novakit.context import RequestContext
from novakit.network import Networks
from novakit.network.networks import NewNetwork
from novakit.network.subnets import NewSubnet
from novakit.store.network.networks import StoredNetwork
from tests.support.stores import sqlite_store, store_on

PROJECT = "11111111111111111111111111111111"


def caller(project: str = PROJECT, *roles: str) -> RequestContext:
    """Make the context of somebody in a project."""
    return RequestContext(request_id="req-1", user_id="u", project_id=project, roles=frozenset({"member", *roles}))


@attrs.define
class Bench:
    """The service, what it told of changed hosts, and short ways to make things."""

    networks: Networks
    told: list[set[str]]
    member: RequestContext
    admin: RequestContext

    async def network(self, cidr: str | None = "10.0.0.0/24", **values: Any) -> StoredNetwork:
        """Make a network with a subnet."""
        (made,) = await self.networks.networks.create(self.member, [NewNetwork(**{"name": "net", **values})])
        if cidr:
            await self.networks.subnets.create(self.member, [NewSubnet(network_id=made.network.id, cidr=cidr)])
        return made.network


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    store = await sqlite_store(tmp_path / "x.db")
    told: list[set[str]] = []
    yield Bench(Networks(store, told.append), told, caller(), caller("admin-project", "admin"))
    await store.close()


@pytest.fixture(params=["sqlite", "postgresql"])
async def bench_on_each_database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    """Make one on SQLite, and one on PostgreSQL."""
    store = await store_on(request.param, request, tmp_path / "x.db")
    told: list[set[str]] = []
    yield Bench(Networks(store, told.append), told, caller(), caller("admin-project", "admin"))
    await store.close()
