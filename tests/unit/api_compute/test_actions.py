"""Each action of a server has a rule of its own in the policy."""

import attrs
import pytest

from novakit.api.compute.servers.actions import require_rules
from novakit.conductor.verb import Action
from novakit.conductor.verbs import ACTIONS


@pytest.mark.parametrize("change", [{"name": "chime"}, {"rule": "os_compute_api:os-chime"}], ids=["name", "rule"])
def test_an_action_that_the_policy_does_not_know_is_refused_before_anybody_asks_for_it(change: dict[str, str]) -> None:
    known = ACTIONS["pause"].action
    assert isinstance(known, Action)
    require_rules([known])
    with pytest.raises(LookupError, match=r"policies\.py has no row .*: add one"):
        require_rules([known, attrs.evolve(known, **change)])
