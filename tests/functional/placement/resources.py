"""Resource providers and allocations, made over the API."""

import uuid

import pytest

from tests.support.stores import sqlite_store

A, B, C = (str(uuid.UUID(int=n)) for n in (0xA, 0xB, 0xC))


async def make(http, name, *, id=None, parent=None, inventory=None, traits=(), aggregates=()):
    id = id or str(uuid.uuid4())
    body = {"name": name, "uuid": id, "parent_provider_uuid": parent}
    assert (await http("POST", "/resource_providers", body)).status == 200
    path = f"/resource_providers/{id}"
    if inventory:
        stated = {key: value if isinstance(value, dict) else {"total": value} for key, value in inventory.items()}
        await http("PUT", f"{path}/inventories", {"resource_provider_generation": 0, "inventories": stated})
    if traits:
        generation = (await http("GET", path)).body["generation"]
        body = {"resource_provider_generation": generation, "traits": list(traits)}
        assert (await http("PUT", f"{path}/traits", body)).status == 200
    if aggregates:
        generation = (await http("GET", path)).body["generation"]
        body = {"resource_provider_generation": generation, "aggregates": list(aggregates)}
        assert (await http("PUT", f"{path}/aggregates", body)).status == 200
    return id


def allocation(amounts, generation=None):
    return {
        "allocations": {id: {"resources": resources} for id, resources in amounts.items()},
        "project_id": "p",
        "user_id": "u",
        "consumer_generation": generation,
        "consumer_type": "INSTANCE",
    }


@pytest.fixture
async def store(tmp_path):
    """Give these tests one database of SQLite, whatever others run on."""
    opened = await sqlite_store(tmp_path / "placement.db")
    yield opened
    await opened.close()
