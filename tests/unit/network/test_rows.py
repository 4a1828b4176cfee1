"""The records of rows: whatever a table has, its record has, in the same order."""

import attrs
import pytest

import novakit.store.tables  # noqa: F401
from novakit.store.network import rows
from novakit.store.network.networks import StoredNetwork
from novakit.store.network.rows import StoredResource, StoredRow


def _records(kind: type[StoredRow] = StoredRow) -> list[type[StoredRow]]:
    return [one for below in kind.__subclasses__() for one in (below, *_records(below)) if one is not StoredResource]


@pytest.mark.parametrize("kind", _records(), ids=lambda one: one.__name__)
def test_the_fields_of_a_record_are_the_columns_of_its_table(kind: type[StoredRow]) -> None:
    assert [field.name for field in attrs.fields(kind)] == [column.name for column in kind.table.columns]


def test_every_table_of_the_network_service_has_a_record() -> None:
    assert len({kind.table.name for kind in _records()}) == len(_records()) >= 10


async def test_a_record_that_was_written_is_read_back_as_it_was(bench: object) -> None:
    made = await bench.network()  # type: ignore[attr-defined]
    async with bench.networks.store.read() as session:  # type: ignore[attr-defined]
        (found,) = await rows.find(session, StoredNetwork, id=made.id)
        assert await rows.find(session, StoredNetwork, id=made.id, name="another") == []
        assert await rows.count(session, StoredNetwork, name=[made.name, "another"]) == 1
        assert await rows.one(session, StoredNetwork, physical_network=None) == found
    assert found == made
