"""What a host says of itself is checked before anybody reads it."""

import pytest

from novakit.calls.conductor import AgentReport
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
