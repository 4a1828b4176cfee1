"""The records of verbs: what they remember outlives an update, and what they name exists."""

import importlib
import json
import pkgutil
import re
from pathlib import Path

import attrs
import pytest

from novakit.api.compute.policies import RULES
from novakit.api.compute.servers import servers
from novakit.api.compute.servers.actions import PLAIN
from novakit.compute.rules import ActionRule
from novakit.conductor import verbs
from novakit.conductor.moves import NEW
from novakit.conductor.verb import Verb
from novakit.conductor.verbs import ACTIONS, VERBS
from novakit.conductor.verbs.create import CREATE, Creating
from novakit.conductor.work import MEMORY, Memory, remembered
from novakit.network import Requested
from novakit_hookspecs.plain import to_plain

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


def test_what_was_just_written_is_not_read_anew_and_would_be_read_as_the_same() -> None:
    nic = Requested(network_id="n", fixed_ip="10.0.0.4", port_id=None, tag="uplink", groups=("g",))
    memory = Creating(networks=(nic,), admin_pass="x", availability_zone="z", forced_host="h", forced=True)
    parts = ("id", "kind", "server_id", "project_id", "user_id", "request_id")
    row = {**dict.fromkeys(parts, "x"), "attempt": 1, "events": [], "data": {**to_plain(memory), "trace": "t"}}
    work = CREATE.work(row, {"server": {}, MEMORY: memory})
    assert work.memory is memory and work.seen == {"server": {}} and work.beside == {"trace": "t"}
    assert CREATE.work(row, {}).memory == memory
    assert CREATE.work(row, {MEMORY: Memory(host="h")}).memory == memory


def test_what_an_operation_learns_takes_the_place_of_what_it_knew_and_nothing_else_is_lost() -> None:
    memory = Creating(networks=(Requested(network_id="n"),), admin_pass="x", excluded=("a",), tries=2)
    row = {**dict.fromkeys(("id", "kind", "server_id", "project_id", "user_id", "request_id"), "x"), "attempt": 1}
    work = CREATE.work({**row, "events": [], "data": to_plain(memory)}, {})
    work.remember(host="h", excluded=["a", "b"])
    assert work.memory == attrs.evolve(memory, host="h", excluded=("a", "b"))
    with pytest.raises(TypeError):
        work.remember(unknown=1)
