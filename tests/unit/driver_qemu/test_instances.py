"""The directories of guests: one whose plan is damaged costs itself and no other guest."""

import json
import random
from pathlib import Path

import attrs
import pytest

from novakit_driver_qemu.instances import BUILT, PLAN, GuestDirectories
from novakit_driver_qemu.machine import Machine
from novakit_hookspecs.errors import NotFound, Refused
from novakit_hookspecs.servers import GuestPlan, LocalImage
from novakit_host import guest_users

GOOD, BAD, HALF = (f"{digit}0000000-0000-4000-8000-000000000000" for digit in "123")
NO_IMAGE = LocalImage(id=BAD, path="/nowhere/image", disk_format="raw", virtual_size=1 << 20)


@pytest.fixture
def instances(tmp_path: Path) -> GuestDirectories:
    """Two guests that are built, and one that has a directory alone."""
    made = GuestDirectories(tmp_path)
    for guest in (GOOD, BAD):
        (tmp_path / guest).mkdir()
        plan = GuestPlan(id=guest, name="x", hostname="x", vcpus=1, memory_mb=64, root_gb=1)
        machine = attrs.evolve(Machine.of(plan), devices=("0000:01:00.0",))
        (tmp_path / guest / PLAN).write_text(json.dumps({"machine": attrs.asdict(machine), "user": 70_000}))
        (tmp_path / guest / BUILT).touch()
    (tmp_path / HALF).mkdir()
    return made


DAMAGE = {
    "empty": b"",
    "cut off": b'{"machine": {"id"',
    "no text": b"\xff\xfe\x00",
    "no object": b"[]",
    "a number": b"5",
    "no machine": b"{}",
    "another machine": b'{"machine": {"disks": [], "cards": [], "wheels": 4}}',
    "no list of disks": b'{"machine": {"disks": 5, "cards": []}}',
}


@pytest.mark.parametrize("content", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_plan_is_refused_by_name_and_stands_in_the_way_of_no_other_guest(
    instances: GuestDirectories, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = instances.of(BAD) / PLAN
    path.write_bytes(content)
    with pytest.raises(Refused, match=f"the plan of guest {BAD}, {path}, is damaged: restore it"):
        instances.machine(BAD)
    assert instances.devices() == {GOOD: ("0000:01:00.0",)}
    assert instances.machine(GOOD).id == GOOD and instances.built() == [GOOD, BAD]
    monkeypatch.setattr(guest_users, "may_be_given", lambda: True)
    assert instances.user(GOOD) == 70_000
    with pytest.raises(Refused, match="is damaged"):
        instances.user(BAD)
    instances.remove(BAD)
    assert instances.held() == [GOOD, HALF]


def test_a_guest_gets_no_user_that_a_guest_with_a_damaged_plan_most_likely_has(
    instances: GuestDirectories, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guest_users, "may_be_given", lambda: True)
    monkeypatch.setattr(guest_users, "COUNT", 1)
    (instances.of(BAD) / PLAN).write_bytes(b"")
    plan = json.loads((instances.of(GOOD) / PLAN).read_text())
    (instances.of(GOOD) / PLAN).write_text(json.dumps({"machine": plan["machine"]}))
    with pytest.raises(Refused, match=f"guest {GOOD} cannot be given a user"):
        instances.user(GOOD)
    instances.remove(BAD)
    assert instances.user(GOOD) == guest_users.FIRST
    assert json.loads((instances.of(GOOD) / PLAN).read_text())["user"] == guest_users.FIRST


def test_whatever_befalls_a_plan_it_is_read_or_refused(instances: GuestDirectories) -> None:
    path = instances.of(BAD) / PLAN
    whole, chance, refused = path.read_bytes(), random.Random(5), 0
    for _ in range(400):
        content = bytearray(whole)
        for _ in range(chance.randint(1, 3)):
            content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        path.write_bytes(content[: chance.randrange(len(content))] if chance.random() < 0.3 else content)
        try:
            instances.machine(BAD)
        except Refused:
            refused += 1
        assert GOOD in instances.devices()
    assert 100 < refused < 400


def test_a_guest_without_a_plan_is_not_there(instances: GuestDirectories) -> None:
    with pytest.raises(NotFound):
        instances.machine(HALF)
    assert HALF not in instances.devices()


@pytest.mark.parametrize("content", [*DAMAGE.values(), None], ids=[*DAMAGE, "lost"])
@pytest.mark.parametrize("older", [False, True], ids=["built now", "built by an older version"])
async def test_devices_of_a_guest_that_is_off_stay_with_it_whatever_became_of_its_plan(
    tmp_path: Path, content: bytes | None, older: bool
) -> None:
    instances, devices = GuestDirectories(tmp_path), ("0000:02:00.0", "0000:02:00.1")
    plan = GuestPlan(id=BAD, name="x", hostname="x", vcpus=1, memory_mb=64, root_gb=1)
    machine = attrs.evolve(Machine.of(plan), devices=devices)
    if older:
        instances.of(BAD).mkdir()
        (instances.of(BAD) / PLAN).write_text(json.dumps({"machine": attrs.asdict(machine)}))
        instances.note_devices()
    else:
        with pytest.raises(Refused):  # its image is not there: cut off in the middle, once the plan is written
            await instances.build(attrs.evolve(plan, image=NO_IMAGE), machine)
    path = instances.of(BAD) / PLAN
    assert path.exists()
    path.unlink() if content is None else path.write_bytes(content)
    assert {guest: (*some,) for guest, some in instances.devices().items()} == {BAD: devices}
    (instances.of(BAD) / "devices").write_bytes(b"\xff\n0000:02:00.0\n../../x\n")
    assert [*instances.devices()[BAD]] == ["0000:02:00.0"]
    instances.remove(BAD)
    assert instances.devices() == {}
