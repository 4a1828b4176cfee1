import enum
import json
from collections.abc import Mapping

import attrs
import pytest

from novakit_hookspecs.devices import MdevAttachment, PciAttachment
from novakit_hookspecs.networks import Address, AddressGroup, Applied, Port, Rule, Topology, Vif
from novakit_hookspecs.plain import to_plain, to_record
from novakit_hookspecs.servers import GuestPlan, Nic

ID = "0b3cf1a2-1111-4222-8333-444455556666"


def roundtrip(record):
    return to_record(json.loads(json.dumps(to_plain(record))), type(record))


def test_a_topology_crosses_unchanged():
    port = Port(
        id=ID, network_id=ID, server_id=ID, mac="fa:16:3e:00:00:01", addresses=[Address(ip="10.0.0.3", subnet_id=ID)],
        allowed_pairs=[("fa:16:3e:00:00:01", "10.9.0.0/16")],
        rules=[Rule(direction="ingress", ethertype="IPv4", protocol=6, port_min=22, remotes=(), remote_group=ID)],
    )  # fmt: skip
    topology = Topology(revision=7, ports=[port], groups=[AddressGroup(id=ID, members=("10.0.0.9/32",))])
    assert roundtrip(topology) == topology


def test_a_rule_of_a_group_means_nobody_to_who_knows_no_groups():
    with pytest.raises(ValueError, match="needs remotes"):
        Rule(direction="ingress", ethertype="IPv4", remote_group=ID)
    older = to_plain(Rule(direction="ingress", ethertype="IPv4", remotes=(), remote_group=ID))
    del older["remote_group"]
    assert to_record(older, Rule) == Rule(direction="ingress", ethertype="IPv4", remotes=())


def test_a_plan_keeps_bytes_unions_and_nones():
    plan = GuestPlan(
        id=ID, name="a", hostname="a", vcpus=1, memory_mb=64, root_gb=1,
        nics=[Nic(port_id=ID, mac="fa:16:3e:00:00:01", device="tap0", mtu=1450)],
        config_drive={"openstack/latest/user_data": b"\x00\xff#!"},
        attachments=[PciAttachment(address="0000:01:00.0"), MdevAttachment(uuid=ID, parent="x")],
    )  # fmt: skip
    assert roundtrip(plan) == plan


def test_what_was_applied_crosses_unchanged():
    applied = Applied(revision=1, vifs={ID: Vif(device="tap1", mtu=1450)}, faults={"x": "why"})
    assert roundtrip(applied) == applied


@attrs.frozen
class Loose:
    one: object = None
    named: Mapping[str, object] = attrs.field(factory=dict)
    listed: tuple[object, ...] = ()


@pytest.mark.parametrize("value", [None, True, 3, 1.5, "a", [1, None], {"a": [True]}])
def test_a_field_that_holds_any_object_takes_what_is_sent(value):
    record = Loose(one=value, named={"a": value}, listed=(value,))
    assert to_record(to_plain(record), Loose) == record


@pytest.mark.parametrize("wrong", [{"revision": "7"}, {"revision": 7, "extra": 1}, {"revision": 7, "ports": [5]}, 5])
def test_what_does_not_fit_is_refused(wrong):
    with pytest.raises((TypeError, ValueError)):
        to_record(wrong, Topology)


class Colour(enum.Enum):
    RED = "red"


@attrs.frozen
class Mixed:
    share: float | int | None = None
    count: int | float = 0
    colour: Colour | str = "none"
    by_name: Mapping[str, int] = attrs.field(factory=dict)
    numbers: tuple[int, ...] = ()


@pytest.mark.parametrize(
    ("field", "plain", "expected"),
    [
        ("share", 3, 3.0), ("share", None, None), ("count", 3, 3), ("count", 0.5, 0.5),
        ("colour", "red", Colour.RED), ("colour", "blue", "blue"),
        ("by_name", {"a": 1}, {"a": 1}), ("numbers", [1], (1,)),
    ],
)  # fmt: skip
def test_of_several_kinds_the_first_that_fits_is_read(field, plain, expected):
    value = getattr(to_record({field: plain}, Mixed), field)
    assert value == expected and type(value) is type(expected)


@pytest.mark.parametrize(
    "wrong",
    [
        {"share": True}, {"count": "1"}, {"colour": 5}, {"by_name": {"a": True}}, {"by_name": {1: 1}},
        {"numbers": [True]},
    ],
)  # fmt: skip
def test_a_value_of_a_kind_that_only_looks_alike_is_refused(wrong):
    with pytest.raises(TypeError):
        to_record(wrong, Mixed)


def test_what_is_missing_or_too_much_is_named():
    with pytest.raises(TypeError, match="Topology needs revision"):
        to_record({}, Topology)
    with pytest.raises(TypeError, match="Topology has no extra, more"):
        to_record({"revision": 1, "more": 1, "extra": 2}, Topology)
    assert to_record({"revision": 1, "more": 1}, Topology, tolerant=True) == Topology(revision=1)


def test_a_record_of_one_field_and_one_of_none_cross_unchanged():
    @attrs.frozen
    class One:
        name: tuple[str, ...]

    @attrs.frozen
    class Empty:
        pass

    assert to_plain(One(("a",))) == {"name": ["a"]} and roundtrip(One(("a",))) == One(("a",))
    assert to_plain(Empty()) == {} and roundtrip(Empty()) == Empty()
