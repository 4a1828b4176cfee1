"""What a host says of itself is checked before anybody reads it."""

from pathlib import Path

import pytest

from novakit.bus.contract import methods_of
from novakit.calls.conductor import AgentReport, ConductorCalls
from novakit.calls.host import HostCalls
from novakit.cli import client
from novakit.conductor.audit import PAUSES
from novakit.config import AgentOptions, Config
from novakit_hookspecs.hosts import HostFacts
from novakit_hookspecs.plain import to_plain, to_record

ID = "abcdef99-0000-4000-8000-000000000001"
FACTS = HostFacts(hypervisor_type="x", hypervisor_version=1, hypervisor_hostname="x")


@pytest.mark.parametrize("field", ["deployment", "directory"])
def test_a_report_names_a_deployment_and_a_directory_by_an_id_or_not_at_all(field: str) -> None:
    plain = to_plain(AgentReport(facts=FACTS, started=True))
    for said in ("", ID):
        assert getattr(to_record({**plain, field: said}, AgentReport), field) == said
    for odd in ("no id", ID.upper(), f"{ID}\n", f"{ID}/../x", "x" * 100_000):
        with pytest.raises(ValueError):
            to_record({**plain, field: odd}, AgentReport)


@pytest.mark.parametrize("agent", [AgentOptions(), AgentOptions(apply_within=1000.0)])
def test_who_has_hosts_asked_waits_for_as_long_as_a_host_may_take(agent: AgentOptions) -> None:
    config = Config(state=Path(), agent=agent)
    host = {name: one.seconds(config, {}) for name, one in methods_of(HostCalls).items()}
    within = {name: one.seconds(config, {}) for name, one in methods_of(ConductorCalls).items()}
    look = host["holdings"] + host["abandoned"]
    assert within["audit"] > look + sum(PAUSES) and within["remains"] > look
    assert within["remove_remains"] > 2 * look + max(host["remove_abandoned"], host["remove_remains"])
    assert within["adopt_guest"] > host["notes"] + host["noted_networks"]
    assert within["remove_guest"] > host["destroy"] + host["apply_network"]


def test_commands_wait_longer_than_the_service() -> None:
    by_operators = [one for one in methods_of(ConductorCalls).values() if one.declared.by == ("api",)]
    assert max(one.seconds(Config(state=Path()), {}) for one in by_operators) < client.WITHIN
