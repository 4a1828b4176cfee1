"""The records of verbs: what they remember outlives an update, and what they name exists."""

import importlib
import json
import pkgutil
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
import pytest

from novakit import tracing
from novakit.api.compute.policies import RULES
from novakit.api.compute.servers import servers
from novakit.api.compute.servers.actions import PLAIN
from novakit.compute.rules import ActionRule
from novakit.conductor import verbs
from novakit.conductor.moves import NEW
from novakit.conductor.verb import Verb
from novakit.conductor.verbs import ACTIONS, VERBS
from novakit.conductor.verbs.create import CREATE, Creating
from novakit.conductor.work import ENGINE_NAMES, EngineMemory, Failure, HandedOver, Memory, Seen, evolve, remembered
from novakit.network import Requested
from novakit_hookspecs.plain import to_plain

ENDED = datetime(2030, 1, 1, tzinfo=UTC)
OLD = {
    "create": {
        "networks": [{"network_id": "n", "fixed_ip": None, "port_id": None, "tag": "uplink", "groups": ["g"]}],
        "availability_zone": None, "forced_host": None, "forced_node": None, "forced": False,
        "excluded": ["h1"], "failures": ["h1: no"], "tries": 2, "host": "h2", "node": "h2", "zone": "nova",
        "numa": [{"cell": 0, "cpus": [2, 3], "pins": [[0, 2], [1, 3]], "vcpus": [0, 1], "memory_mb": 512,
                  "page_kb": 4}],
        "devices": [{"address": "0000:3b:00.0", "kind": "pci"}], "alternates": ["h3"], "decision": "d",
        "builds": [["h1", False]], "trace": {"traceparent": "x"},
    },
    "delete": {"snapshot": None, "host": "h1"},
    "stop": {"host": "h1", "was": "active"},
    "start": {"host": "h1", "was": "stopped"},
    "reboot": {"host": "h1", "was": "active", "hard": True},
    "shelve": {"host": "h1", "was": "stopped", "kept": False, "failure": {"message": "no", "code": 500, "details": ""}},
    "shelveOffload": {"host": "h1", "was": "shelved"},
    "unshelve": {"snapshot": "i", "stays": False, "host": None, "availability_zone": "z", "forced_host": None,
                 "excluded": [], "tries": 1, "left": None, "power": "running"},
}  # fmt: skip
"""What operations remembered before each verb had a record of its own, as it stands in databases."""


@pytest.mark.parametrize("kind", sorted(OLD))
def test_what_an_operation_remembered_before_an_update_is_still_known(kind: str) -> None:
    verb = VERBS[kind]
    memory = remembered(verb.remembers, OLD[kind])
    again = json.loads(json.dumps(to_plain(memory)))
    known = {field.name for field in attrs.fields(verb.remembers)}
    assert {name: value for name, value in again.items() if name in OLD[kind]} == {
        name: value for name, value in OLD[kind].items() if name in known
    }
    assert remembered(verb.remembers, again) == memory


@pytest.mark.parametrize("kind", sorted(VERBS))
def test_what_a_later_version_adds_or_an_earlier_one_lacked_keeps_nobody_from_going_on(kind: str) -> None:
    remembers = VERBS[kind].remembers
    assert remembered(remembers, {"host": "h1", "a field of tomorrow": 1}) == remembers(host="h1")


@pytest.mark.parametrize("kind", sorted(VERBS))
def test_the_policy_has_every_rule_of_a_verb_as_its_record_says_it(kind: str) -> None:
    for way in VERBS[kind].ways:
        for rule in way.rules:
            assert (RULES[rule.name].check, RULES[rule.name].operations) == (rule.check, (way.operation,))


def test_each_rule_that_a_module_of_a_verb_names_stands_in_the_record() -> None:
    """A rule that `begin` asks and no record names is in no table: whoever asks for the verb is answered 500."""
    for one in pkgutil.iter_modules(verbs.__path__):
        named = vars(importlib.import_module(f"{verbs.__name__}.{one.name}")).values()
        asked = {rule for verb in named if isinstance(verb, Verb) for way in verb.ways for rule in way.rules}
        assert {rule for rule in named if isinstance(rule, ActionRule)} <= asked, one.name


def test_the_verbs_with_a_route_of_their_own_are_served_there() -> None:
    routes = {(verb.route.method, verb.route.path): verb.route for verb in VERBS.values() if verb.route}
    assert routes.keys() == {("POST", "/servers"), ("DELETE", "/servers/{id}")}
    served = {(route.method, route.path): route.rule for route in servers.ROUTES}
    for (method, path), route in routes.items():
        assert served[method, f"/v2.1{path}"] == route.rule.name


def test_a_user_can_ask_for_every_verb() -> None:
    assert not [verb.kind for verb in VERBS.values() if verb.action is None and verb.route is None]


def test_one_verb_makes_servers() -> None:
    making = [verb.kind for verb in VERBS.values() for move in verb.moves if not move.before]
    assert making == ["create"]
    assert {("building", "scheduling")} == NEW


def test_the_reference_of_the_api_names_every_action_that_is_served() -> None:
    page = (Path(__file__).parents[3] / "docs/reference/compute-api.md").read_text()
    line = next(line for line in page.splitlines() if line.startswith("| server actions |"))
    assert set(re.findall(r"`(\S+)`", line)) == {*ACTIONS, *PLAIN}


def _row(data: Mapping[str, object], **more: Any) -> Any:
    names = ("id", "kind", "server_id", "project_id", "user_id", "request_id")
    return {**dict.fromkeys(names, "x"), "attempt": 1, "events": [], "data": data, **more}


def test_what_was_just_written_is_not_read_anew_and_would_be_read_as_the_same() -> None:
    nic = Requested(network_id="n", fixed_ip="10.0.0.4", port_id=None, tag="uplink", groups=("g",))
    memory = Creating(networks=(nic,), admin_pass="x", availability_zone="z", forced_host="h", forced=True)
    row, seen = _row(to_plain(memory)), Seen(chosen="h")
    work = CREATE.work(row, HandedOver(memory, seen))
    assert work.memory is memory and work.seen is seen
    assert CREATE.work(row).memory == memory and CREATE.work(row).seen == Seen()
    assert CREATE.work(row, HandedOver(Memory(host="h"), Seen())).memory == memory


@pytest.mark.parametrize("kind", sorted(VERBS))
def test_no_memory_has_a_field_of_a_name_that_is_the_engines(kind: str) -> None:
    remembers = VERBS[kind].remembers
    assert not ENGINE_NAMES & {field.name for field in attrs.fields(remembers)}
    told = EngineMemory(failure=Failure("no"), noted_end=ENDED, trace={"traceparent": "x"})
    assert told.plain().keys() == ENGINE_NAMES, "every name that is written is on the list"
    work = VERBS[kind].work(_row({**to_plain(remembers(host="h1")), **told.plain()}))
    assert (work.memory, work.beside) == (remembers(host="h1"), told)


def test_a_verb_whose_memory_has_a_name_of_the_engine_cannot_be_made() -> None:
    @attrs.frozen(kw_only=True)
    class Clashing(Memory):
        failure: str = ""

    with pytest.raises(TypeError, match="Clashing has failure, under which the engine remembers its own"):
        Verb(kind="clash", remembers=Clashing, moves=())


WRITTEN: Sequence[tuple[Mapping[str, object], EngineMemory]] = (
    ({}, EngineMemory()),
    ({"failure": {"message": "no", "code": 409, "details": "d"}}, EngineMemory(failure=Failure("no", 409, "d"))),
    ({"noted_end": "2030-01-01T00:00:00+00:00"}, EngineMemory(noted_end=ENDED)),
    ({"trace": {"traceparent": "00-1-2-01"}}, EngineMemory(trace={"traceparent": "00-1-2-01"})),
    ({"was": "active"}, EngineMemory(unknown={"was": "active"})),
)
"""What stands beside memories in the rows of databases, and what it is read as."""


@pytest.mark.parametrize(("written", "read"), WRITTEN, ids=lambda each: "".join(each) if isinstance(each, dict) else "")
def test_what_an_earlier_version_wrote_beside_a_memory_is_read_and_written_as_it_was(
    written: Mapping[str, object], read: EngineMemory
) -> None:
    work = VERBS["stop"].work(_row({"host": "h1", **written}))
    assert work.beside == read and work.data == {"host": "h1", **written}
    assert json.loads(json.dumps(work.data)) == work.data


def test_what_a_later_version_writes_beside_a_memory_keeps_nobody_from_going_on_and_is_kept_for_it() -> None:
    failure = {"message": "no", "code": 500, "details": "", "cause": "tomorrow"}
    work = VERBS["stop"].work(_row({"host": "h1", "failure": failure, "budget": {"left": 3}, "trace": "of tomorrow"}))
    assert work.beside == EngineMemory(failure=Failure("no"), unknown={"budget": {"left": 3}})
    work.note_end(ENDED)
    assert work.data == {
        "host": "h1",
        "budget": {"left": 3},
        "failure": {"message": "no", "code": 500, "details": ""},
        "noted_end": ENDED.isoformat(),
    }


@pytest.mark.parametrize("written", [{"failure": "no"}, {"failure": {}}, {"noted_end": "once"}])
def test_what_cannot_be_read_beside_a_memory_is_refused_and_not_taken_for_nothing(
    written: Mapping[str, object],
) -> None:
    with pytest.raises((TypeError, ValueError)):
        VERBS["stop"].work(_row(written))


def test_a_secret_that_another_version_remembered_goes_with_the_end_like_those_that_are_known() -> None:
    work = VERBS["stop"].work(_row({"host": "h1", "admin_pass": "x", "budget": 3}))
    work.forget_secrets()
    assert work.data == {"host": "h1", "budget": 3}


def test_a_trace_is_written_under_the_name_under_which_messages_carry_it() -> None:
    assert tracing.KEY in ENGINE_NAMES


def test_what_an_operation_learns_takes_the_place_of_what_it_knew_and_nothing_else_is_lost() -> None:
    memory = Creating(networks=(Requested(network_id="n"),), admin_pass="x", excluded=("a",), tries=2)
    assert evolve(memory, host="h", excluded=["a", "b"]) == attrs.evolve(memory, host="h", excluded=("a", "b"))
    assert evolve(Memory(host="h1"), host="h2") == Memory(host="h2")
    with pytest.raises(TypeError):
        evolve(memory, unknown=1)
