"""Who talks over the bus names a contract or a topic, never a string."""

import ast
from collections.abc import Iterator
from pathlib import Path

from novakit.bus import topics
from novakit.bus.contract import methods_of
from novakit.calls.conductor import ConductorCalls

ROOT = Path(__file__).parents[2]
CORE = ROOT / "novakit"
ASKING = {"call", "call_each", "publish", "serve", "listen"}


def _by_string(path: Path) -> Iterator[str]:
    """Give each use of the bus that names its target, method or topic by a string, or goes past the contracts."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ASKING):
            continue
        receiver, first = ast.unparse(node.func.value), node.args[0] if node.args else None
        is_named = isinstance(first, ast.JoinedStr) or (
            isinstance(first, ast.Constant) and isinstance(first.value, str)
        )
        if is_named or receiver.lower().rpartition(".")[2].strip("_") == "bus":
            yield f"{path.name}:{node.lineno} {receiver}.{node.func.attr}"


def test_nobody_but_the_bus_names_a_target_a_method_or_a_topic_by_a_string() -> None:
    inside = CORE / "bus"
    found = [use for path in sorted(CORE.rglob("*.py")) if inside not in path.parents for use in _by_string(path)]
    assert not found, "use a contract (calls.py of the role) or novakit.bus.topics:\n" + "\n".join(found)


def test_the_check_sees_each_way_to_go_past_the_contracts(tmp_path: Path) -> None:
    uses = (
        'self.bus.call("conductor", "audit")',
        'parts.bus.call(f"agent.{host}", "destroy", body)',
        "bus.serve(TARGET, methods)",
        'participant.publish("hosts.changed", {})',
        "self._bus.listen(topic, hear)",
        'caller.call_each("scheduler", "counts")',
    )
    module = tmp_path / "past.py"
    module.write_text("\n".join(uses))
    assert len(list(_by_string(module))) == len(uses)
    module.write_text("topics.HOSTS_CHANGED.publish(bus, news)\nstep.call(work, rows)\nserve(bus, Calls, of)\n")
    assert not list(_by_string(module))


def test_topics_have_names_of_their_own() -> None:
    names = [each.name for each in vars(topics).values() if isinstance(each, topics.Topic)]
    assert len(names) > 5 and len(set(names)) == len(names)


def test_a_host_may_call_only_what_it_tells_of_itself() -> None:
    """What is new among these is looked at for whose rows it touches, see `tests/functional/roles`."""
    by_agents = {method.name for method in methods_of(ConductorCalls).values() if "agent" in method.declared.by}
    assert by_agents == {"report_host", "heartbeat", "guest_event", "metadata", "ticket_key"}
