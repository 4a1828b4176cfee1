"""Notes of guests: all of a server is in them, and nobody but the database can write one."""

from typing import Any

import attrs
import orjson

from novakit import world
from novakit.conductor.guests.note import Notary, NotedServer, read
from novakit.network import PortInfo
from novakit.store.compute.servers import servers
from novakit.store.deployment import Deployment
from novakit_hookspecs.numa import Taken
from novakit_hookspecs.plain import to_plain

NOT_NOTED = {
    *("number", "cell"),  # the new database's own
    *("vm_state", "task_state", "power_state", "host", "node", "fault", "progress"),  # what the guest itself says
    *("updated_at", "terminated_at", "deleted_at"),
}
"""Columns of a server that its host need not know."""


def test_every_column_of_a_server_is_noted_or_left_out_on_purpose() -> None:
    noted = {field.name for field in attrs.fields(NotedServer)}
    assert noted | NOT_NOTED == {column.name for column in servers.c} and not noted & NOT_NOTED


def _notary(secret: bytes = b"s" * 32) -> Notary:
    now = world.now()
    return Notary(Deployment(id=world.new_id(), secret=secret, origin="new", begun_at=now, forgotten_before=None))


def _row() -> dict[str, Any]:
    now = world.now()
    empty = {column.name: None for column in servers.c}
    texts = dict.fromkeys(("project_id", "user_id", "name", "hostname", "reservation_id", "root_device_name"), "x")
    kinds = {"flavor": {"ram": 1}, "image_properties": {}, "metadata": {"a": "b"}, "scheduler_hints": {}, "tags": ["t"]}
    numbers = {"vcpus": 1, "memory_mb": 1, "launch_index": 0, "config_drive": False, "auto_disk_config": True}
    return {**empty, **texts, **kinds, **numbers, "id": world.new_id(), "created_at": now, "updated_at": now}


def _port() -> PortInfo:
    return PortInfo(
        id=world.new_id(),
        server_id=world.new_id(),
        project_id="p",
        network_id=world.new_id(),
        network_name="n",
        mac="fa:16:3e:00:00:01",
        mtu=1450,
        addresses=(),
        security_groups=(("g", "default"),),
        status="ACTIVE",
        fault=None,
        host="a",
        tag=None,
        made=True,
    )


def test_a_note_is_read_as_it_was_written_and_believed_of_its_host_alone() -> None:
    notary, row = _notary(), _row()
    kept = notary.write("a", "op", row, [], claim={"a": {"VCPU": 1}})
    note = read(kept)
    assert (note.server.id, note.host, note.operation, note.claim) == (row["id"], "a", "op", {"a": {"VCPU": 1}})
    assert note.server.tags == ("t",) and note.server.auto_disk_config
    assert kept.version == notary.version(row) != notary.version({**row, "updated_at": world.now()})
    assert notary.is_sealed("a", kept) and not notary.is_sealed("b", kept)
    assert not notary.is_sealed("a", attrs.evolve(kept, text=kept.text.replace('"name":"x"', '"name":"y"')))
    assert not _notary(b"t" * 32).is_sealed("a", kept)


def test_the_note_of_a_build_that_has_ended_is_the_one_that_would_be_written_then() -> None:
    notary, row, ended, port = _notary(), _row(), world.now(), _port()
    build = notary.write("a", "op", row, [port], devices=["0000:01:00.0"])
    assert build.version == "" and read(build).ended is None
    anew = {**row, "launched_at": ended}
    there = notary.write("a", "op", anew, [port], ended=ended, devices=["0000:01:00.0"])
    assert notary.write_ended("a", "op", build, ended) == there
    assert read(there).server.launched_at == read(there).ended == ended.isoformat()


def test_a_note_is_written_as_the_record_that_is_read_of_it() -> None:
    notary = _notary()
    numa = (Taken(cell=0, cpus=(1, 2), memory_mb=512),)
    kept = notary.write("a", "op", _row(), [_port()], claim={"a": {"VCPU": 1}}, devices=["0000:01:00.0"], numa=numa)
    assert orjson.loads(kept.text) == to_plain(read(kept)) and read(kept).numa == numa
