"""What may be set of a server that is there."""

import typing
from datetime import datetime

import sqlalchemy as sa

from novakit.store.compute.servers import ServerColumns, servers

FIXED = {
    "id", "number", "cell", "project_id", "user_id", "flavor", "vcpus", "memory_mb", "image_id", "key_name",
    "config_drive", "reservation_id", "launch_index", "root_device_name", "created_at",
}  # fmt: skip
"""Columns that stay as the server was made, unless a server of the same id is adopted in its place."""
PYTHON = {sa.String: str, sa.Text: str, sa.Integer: int, sa.Boolean: bool}


def test_every_column_may_be_set_that_does_not_stay_as_the_server_was_made() -> None:
    assert typing.get_type_hints(ServerColumns).keys() == {*servers.c.keys()} - FIXED


def test_a_column_is_set_to_what_it_holds_and_to_none_where_it_may_be_null() -> None:
    for name, kind in typing.get_type_hints(ServerColumns).items():
        column = servers.c[name]
        kinds = set(typing.get_args(kind)) if type(None) in typing.get_args(kind) else {kind}
        assert (type(None) in kinds) == column.nullable, name
        held = kinds - {type(None)}
        if not isinstance(column.type, sa.JSON):
            assert held == {PYTHON.get(type(column.type), datetime)}, name
