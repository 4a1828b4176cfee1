"""How values of columns are written and read."""

import tracemalloc
from collections.abc import Callable
from datetime import UTC as ZONE
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from novakit.store.schema import UTC, SharedJSON, SortedRows

PARIS = timezone(timedelta(hours=2))


@pytest.mark.parametrize(
    "moment,text",
    [
        (datetime(2026, 11, 29, 22, 15, 1, 120, tzinfo=ZONE), "2026-11-29 22:15:01.000120"),
        (datetime(2026, 11, 29, 22, 15, 1, tzinfo=ZONE), "2026-11-29 22:15:01.000000"),
        (datetime(2026, 1, 1, 1, 30, 0, 999999, tzinfo=PARIS), "2025-12-31 23:30:00.999999"),
        (datetime(1, 1, 2, tzinfo=ZONE), "0001-01-02 00:00:00.000000"),
        (None, None),
    ],
)
def test_a_moment_is_written_as_sqlalchemy_writes_it_and_read_back(moment: datetime | None, text: str | None) -> None:
    dialect = sqlite.dialect()
    write, read = UTC().bind_processor(dialect), UTC().result_processor(dialect, None)
    plainly = sa.DateTime().dialect_impl(dialect).bind_processor(dialect)
    assert write is not None and read is not None and plainly is not None
    naive = None if moment is None else moment.astimezone(ZONE).replace(tzinfo=None)
    assert write(moment) == plainly(naive) == text
    assert read(text) == moment


@pytest.mark.parametrize("kind", [SharedJSON(), SortedRows.type])
def test_of_long_json_nothing_is_kept_and_of_short_json_what_was_read(kind: sa.types.TypeEngine[Any]) -> None:
    read: Callable[[str], Any] | None = kind.result_processor(sqlite.dialect(), None)
    assert read is not None
    short = '["b", "a"]'
    assert set(read(short)) == {"a", "b"} and read(short) is read(short)
    tracemalloc.start()
    try:
        for number in range(200):
            assert len(read(f'["{number:0>50000}"]')) == 1
        assert tracemalloc.get_traced_memory()[0] < 1_000_000
    finally:
        tracemalloc.stop()
