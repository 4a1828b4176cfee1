"""Moments as SQLite keeps them: text of UTC with microseconds, whatever zone they were given in."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from novakit.store import UTC as UTC_COLUMN

EAST = timezone(timedelta(hours=5, minutes=30))


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02 03:04:05.000000"),
        (datetime(2026, 1, 2, 3, 4, 5, 60, tzinfo=EAST), "2026-01-01 21:34:05.000060"),
        (datetime(987, 1, 2, tzinfo=UTC), "0987-01-02 00:00:00.000000"),
        (None, None),
    ],
)
def test_a_moment_is_written_as_sqlalchemy_writes_it_and_read_as_it_was(
    moment: datetime | None, text: str | None
) -> None:
    kept = UTC_COLUMN().dialect_impl(sqlite.dialect())
    write, read = kept.bind_processor(sqlite.dialect()), kept.result_processor(sqlite.dialect(), None)
    assert write is not None and read is not None
    assert write(moment) == text and read(text) == moment
    theirs = sa.DateTime().dialect_impl(sqlite.dialect()).bind_processor(sqlite.dialect())
    assert theirs is not None
    assert theirs(moment and moment.astimezone(UTC).replace(tzinfo=None)) == text


def test_postgresql_is_given_a_moment_without_a_zone() -> None:
    write = UTC_COLUMN().dialect_impl(postgresql.dialect()).bind_processor(postgresql.dialect())
    assert write is not None
    assert write(datetime(2026, 1, 2, tzinfo=EAST)) == datetime(2026, 1, 1, 18, 30)


def test_moments_that_are_written_in_turn_and_again_are_each_their_own() -> None:
    write = UTC_COLUMN().dialect_impl(sqlite.dialect()).bind_processor(sqlite.dialect())
    assert write is not None
    first, second = (datetime(2026, 1, 2, 3, 4, 5, micro, tzinfo=UTC) for micro in (1, 2))
    written = [write(each) for each in (first, first, second, None, second, first)]
    assert [text and text[-1] for text in written] == ["1", "1", "2", None, "2", "1"]
