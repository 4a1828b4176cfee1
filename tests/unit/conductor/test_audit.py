"""The audit: every kind of thing that belongs to nobody is found, and nothing else is."""

from typing import Any

import attrs
import pytest

from novakit.conductor.audit import HostContents, compare, needed
from novakit.store.audit import Picture
from novakit.store.placement.hosts import device_id

FLAVOR = {"vcpus": 1, "ram": 512, "disk": 1, "ephemeral": 0, "swap": 0, "extra_specs": {}}
SERVER: dict[str, Any] = {
    "id": "s1",
    "name": "s1",
    "project_id": "p",
    "host": "a",
    "vm_state": "active",
    "task_state": None,
    "power_state": 1,
    "flavor": FLAVOR,
    "image_properties": {},
}


def _held(provider: str = "root-a", kind: str | None = "INSTANCE", **amounts: int) -> tuple[dict[str, Any], ...]:
    wanted = amounts or {"VCPU": 1, "MEMORY_MB": 512, "DISK_GB": 1}
    return tuple(
        {"provider_id": provider, "resource_class": name, "used": used, "type": kind, "project_id": "p"}
        for name, used in wanted.items()
    )


def _picture(**changes: Any) -> Picture:
    """Give a cloud in order: server s1 on host a, with its claim and its port."""
    fields: dict[str, Any] = {
        "hosts": {"a": "root-a", "b": "root-b"},
        "servers": {"s1": SERVER},
        "once": frozenset({"gone"}),
        "operations": (),
        "held": {"s1": _held()},
        "roots": {"root-a": "root-a", "root-b": "root-b", "cell-a": "root-a"},
        "ports": {"p1": {"id": "p1", "server_id": "s1", "host": "a", "project_id": "p"}},
        "networks": frozenset({"n1"}),
        "routers": frozenset({"r1"}),
        "drift": (),
    }
    return Picture(**{**fields, **changes})


def _holding(kind: str, name: str, owner: str) -> dict[str, str]:
    return {"kind": kind, "name": name, "owner": owner}


HOLDINGS = (
    _holding("domain", "novakit-s1", "s1"),
    _holding("disk", "s1.disk", "s1"),
    _holding("tap", "tapp1", "p1"),
    _holding("namespace", "qdhcp-n1", "n1"),
    _holding("namespace", "qrouter-r1", "r1"),
)
ON_A = HostContents(guests=frozenset({"s1"}), holdings=HOLDINGS)
EMPTY = HostContents(guests=frozenset(), holdings=())
IN_ORDER = {"a": ON_A, "b": EMPTY}


def _server(**changes: Any) -> dict[str, Any]:
    return {"servers": {"s1": {**SERVER, **changes}}}


def test_a_cloud_in_order_has_nothing_orphaned() -> None:
    report = compare(_picture(), IN_ORDER)
    assert (report.orphaned, report.foreign, report.unchecked) == ((), (), ())
    assert report.counted == {"servers": 1, "allocations": 1, "ports": 1, "guests": 1, "holdings": 5}


def test_a_claim_may_be_spread_over_the_tree_of_the_host() -> None:
    spread = (*_held("root-a", DISK_GB=1), *_held("cell-a", VCPU=1, MEMORY_MB=512))
    assert compare(_picture(held={"s1": spread}), IN_ORDER).orphaned == ()


@pytest.mark.parametrize(
    ("changes", "kind", "sentence"),
    [
        (_server(task_state="spawning"), "server", "spawning and no operation"),
        (_server(vm_state="building"), "server", "building and no operation"),
        (_server(host=None), "server", "has no host"),
        ({"held": {}}, "allocation", "nothing are claimed"),
        ({"held": {"s1": _held(VCPU=2, MEMORY_MB=512, DISK_GB=1)}}, "allocation", "2 VCPU are claimed"),
        ({"held": {"s1": (*_held(), *_held("root-b"))}}, "allocation", "a claim on root-b too"),
        ({"held": {"s1": _held(), "gone": _held()}}, "allocation", "a server that is deleted"),
        (
            {"drift": ({"provider_id": "root-a", "resource_class": "VCPU", "used": 9, "held": 1},)},
            "inventory",
            "9 are counted as used, 1 are allocated",
        ),
        ({"operations": ({"id": "o", "kind": "create", "server_id": "gone"},)}, "operation", "its server is gone"),
        (
            {"ports": {**_picture().ports, "p2": {"id": "p2", "server_id": "gone", "host": "a"}}},
            "port",
            "server does not exist",
        ),
        (
            {"ports": {**_picture().ports, "p2": {"id": "p2", "server_id": "s1", "host": "b"}}},
            "port",
            "wired on b and its server runs on a",
        ),
    ],
)
def test_what_is_wrong_in_the_store_is_found(changes: dict[str, Any], kind: str, sentence: str) -> None:
    findings = [each for each in compare(_picture(**changes), IN_ORDER).orphaned if each.kind == kind]
    assert len(findings) == 1 and sentence in findings[0].problem and findings[0].remedy


@pytest.mark.parametrize(
    ("found", "kind", "sentence"),
    [
        ({"a": EMPTY, "b": EMPTY}, "server", "its host has no guest of it"),
        ({"a": attrs.evolve(ON_A, guests=frozenset({"s1", "x"})), "b": EMPTY}, "guest", "belongs to no server"),
        ({"a": attrs.evolve(ON_A, guests=frozenset({"s1", "gone"})), "b": EMPTY}, "guest", "is deleted"),
        ({"a": ON_A, "b": HostContents(guests=frozenset({"s1"}), holdings=())}, "guest", "server is on a"),
        ({"a": ON_A, "b": HostContents(frozenset(), [_holding("disk", "s1.disk", "s1")])}, "disk", "server is on a"),
        ({"a": ON_A, "b": HostContents(frozenset(), [_holding("tap", "tapp1", "p1")])}, "tap", "bound to a"),
        (
            {"a": ON_A, "b": HostContents(frozenset(), [_holding("file", "/x", "gone")])},
            "file",
            "Nothing has the id gone",
        ),
        ({"a": ON_A, "b": HostContents(frozenset(), [_holding("tap", "tapx", "")])}, "tap", "owner is unknown"),
    ],
)
def test_what_is_wrong_on_a_host_is_found(found: dict[str, HostContents], kind: str, sentence: str) -> None:
    (finding,) = compare(_picture(), found).orphaned
    assert finding.kind == kind and sentence in finding.problem and finding.remedy


@pytest.mark.parametrize("is_busy", [True, False])
@pytest.mark.parametrize("host", [None, "b"])
def test_a_guest_that_is_newer_than_the_database_is_named_once_and_nothing_is_said_to_remove_it(
    is_busy: bool, host: str | None
) -> None:
    row = {"host": "a", "guest": "s1", "why": "It is newer than this database.", "keeps": {"ports": ["p1"]}}
    opened = ({"id": "o", "kind": "shelve", "server_id": "s1"},) if is_busy else ()
    picture = _picture(
        servers={"s1": {**SERVER, "vm_state": "shelved_offloaded", "host": host}},
        held={},
        ports={"p1": {"id": "p1", "server_id": "s1", "host": host, "project_id": "p"}},
        operations=opened,
        strangers={("a", "s1"): {**row, "claim_id": "c"}},
    )
    (told,) = (each for each in compare(picture, IN_ORDER).orphaned if each.kind not in ("allocation", "port"))
    assert (told.kind, told.name, told.host) == ("guest", "s1", "a")
    assert "newer than this database" in told.problem and "guest adopt s1" in told.remedy


def test_what_is_beside_a_guest_that_is_not_judged_yet_is_not_said_to_go_by_itself() -> None:
    picture = _picture(**_server(host="b"), ports={"p1": {"id": "p1", "server_id": "s1", "host": "b"}})
    told = {each.kind: each.remedy for each in compare(picture, IN_ORDER).orphaned if each.host == "a"}
    assert "if this database knows it to be left over" in told["guest"]
    assert {told[kind] for kind in ("domain", "disk", "tap")} == {
        "It stays or goes with its guest, which is named here too."
    }


def test_what_an_operation_works_on_is_left_alone() -> None:
    busy = {"operations": ({"id": "o", "kind": "delete", "server_id": "s1"},)}
    everything_odd = {**_server(task_state="deleting", host="b"), "held": {}}
    assert compare(_picture(**busy, **everything_odd), IN_ORDER).orphaned == ()


def test_what_others_claimed_is_foreign_and_not_orphaned() -> None:
    report = compare(_picture(held={"s1": _held(), "theirs": _held(kind="BAREMETAL", VCPU=3)}), IN_ORDER)
    assert report.orphaned == ()
    assert [(each.name, each.problem) for each in report.foreign] == [("theirs", "BAREMETAL holds 3 VCPU.")]


def test_a_host_that_does_not_answer_is_named_and_nothing_is_said_of_its_guests() -> None:
    report = compare(_picture(), {"b": EMPTY})
    assert (report.orphaned, report.unchecked) == ((), ("a",))


def test_what_a_server_needs_is_what_the_scheduler_claims_for_it() -> None:
    flavor = {
        **FLAVOR,
        "ephemeral": 2,
        "swap": 1025,
        "extra_specs": {"resources:CUSTOM_GPU": "1", "resources:VCPU": "0"},
    }
    assert needed(flavor, {}) == {"MEMORY_MB": 512, "DISK_GB": 5, "CUSTOM_GPU": 1}


def test_what_a_server_needs_follows_from_its_image_and_its_devices_too() -> None:
    flavor = {**FLAVOR, "extra_specs": {"pci_passthrough:alias": "a100:2", "gpu:type": "a100", "gpu:count": "1"}}
    assert needed(flavor, {"hw_cpu_policy": "dedicated"}) == {
        "PCPU": 1,
        "MEMORY_MB": 512,
        "DISK_GB": 1,
        "CUSTOM_PCI_A100": 3,
    }


def test_devices_and_claims_on_them_go_together() -> None:
    root, address = "11111111-1111-1111-1111-111111111111", "0000:3b:00.0"
    provider = device_id(root, address)
    flavor = {**FLAVOR, "extra_specs": {"pci_passthrough:alias": "a100"}}
    tree = {"hosts": {"a": root}, "roots": {root: root, provider: root}}
    claim = (*_held(root), *_held(provider, CUSTOM_PCI_A100=1))
    with_device = HostContents(guests=frozenset({"s1"}), holdings=[_holding("device", address, "s1")])
    assert compare(_picture(**tree, **_server(flavor=flavor), held={"s1": claim}), {"a": with_device}).orphaned == ()

    (unneeded,) = compare(_picture(**tree, held={"s1": claim}), {"a": ON_A}).orphaned
    assert "1 CUSTOM_PCI_A100, 1 DISK_GB" in unneeded.problem and unneeded.kind == "allocation"
    (unclaimed,) = compare(_picture(**tree, held={"s1": _held(root)}), {"a": with_device}).orphaned
    assert (unclaimed.kind, unclaimed.name) == ("device", address) and "no claim" in unclaimed.problem
