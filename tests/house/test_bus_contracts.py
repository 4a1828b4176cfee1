"""Who talks over the bus names a contract or a topic, never a string."""

import ast

import pytest

from novakit.bus import topics
from novakit.bus.contract import methods_of
from novakit.calls.conductor import ConductorCalls
from tests.house.bus_uses import OTHERS, past_contracts
from tests.house.figures import calls_by_string
from tests.support.distributions import ROOT


def test_nobody_but_the_bus_names_a_target_a_method_or_a_topic_by_a_string() -> None:
    found = calls_by_string().examples
    assert not found, "use a contract (novakit/calls) or novakit.bus.topics:\n" + "\n".join(found)


@pytest.mark.parametrize(
    "use",
    [
        'self.bus.call("conductor", "audit")',
        'parts.bus.call(f"agent.{host}", "destroy", body)',
        "bus.serve(TARGET, methods)",
        'participant.publish("hosts.changed", {})',
        "self._bus.listen(topic, hear)",
        'caller.call_each("scheduler", "counts")',
        'transport.call(target="agent.a", method="destroy")',
        "transport.call(name, method)",
        "ask = self.bus.call",
        "ask = self.call",
        'getattr(self.bus, "call")("agent.a", "destroy")',
        'operator.methodcaller("publish", "hosts.changed", {})(bus)',
        "step.call(name, rows)",
        "topics.bus.call(name, method)",
        "self.call(name, method)",
    ],
)
def test_the_check_sees_each_way_to_go_past_the_contracts(use: str) -> None:
    assert list(past_contracts(ast.parse(use), "novakit/conductor/past.py"))


def test_the_check_passes_contracts_topics_and_what_only_has_the_name() -> None:
    plain = "topics.HOSTS_CHANGED.publish(bus, news)\nserve(bus, Calls, of)\nhosts.at(name).destroy(id)\n"
    assert not list(past_contracts(ast.parse(plain), "novakit/conductor/plain.py"))
    assert not list(past_contracts(ast.parse("step.call(work, rows)"), "novakit/scheduler/pipeline/pipeline.py"))
    assert not list(past_contracts(ast.parse("self.call.version"), "novakit/api/compute/servers/views.py"))


@pytest.mark.parametrize(("receiver", "place"), [(one[0], place) for one, place in OTHERS.items()])
def test_what_only_has_the_name_of_a_method_of_the_bus_is_there(receiver: str, place: str) -> None:
    paths = [ROOT / place] if place.endswith(".py") else sorted((ROOT / place).rglob("*.py"))
    assert any(receiver in path.read_text() for path in paths), (
        f"nobody says {receiver} in {place}: take it off the list"
    )


def test_topics_have_names_of_their_own() -> None:
    names = [each.name for each in vars(topics).values() if isinstance(each, topics.Topic)]
    assert len(names) > 5 and len(set(names)) == len(names)


def test_a_host_may_call_only_what_it_tells_of_itself() -> None:
    """What is new among these is looked at for whose rows it touches, see `tests/functional/roles`."""
    by_agents = {method.name for method in methods_of(ConductorCalls).values() if "agent" in method.declared.by}
    assert by_agents == {"report_host", "heartbeat", "guest_event", "metadata", "ticket_key"}
