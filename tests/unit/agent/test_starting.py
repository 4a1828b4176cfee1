"""Of which hosts a process has agents, and where they may not run."""

from pathlib import Path

import attrs
import pytest

from novakit.agent.starting import check_apart, host_names
from novakit.bus.enrolments import Enrolments, directory, write
from novakit.config import Config
from novakit.errors import ConfigError


def config(state: Path, **fields: object) -> Config:
    made = Config(state=state)
    return attrs.evolve(made, agent=attrs.evolve(made.agent, **fields))


def test_simulated_hosts_are_numbered_in_the_order_of_their_names(tmp_path: Path) -> None:
    names = host_names(attrs.evolve(config(tmp_path, host="sim"), simulate=12))
    assert (names[0], names[-1], len(names)) == ("sim-01", "sim-12", 12)
    assert names == sorted(names)


def test_a_directory_with_the_credential_of_one_host_is_that_hosts(tmp_path: Path) -> None:
    own = tmp_path / "own"
    write(Enrolments(tmp_path / "control").enrol("agent:alpha"), directory(own))
    assert host_names(config(own)) == ["alpha"]
    assert host_names(config(own, host="beta")) == ["beta"], "what is configured is stronger"


def test_an_agent_runs_neither_beside_the_control_planes_keys_nor_without_a_credential(tmp_path: Path) -> None:
    own = attrs.evolve(config(tmp_path), roles=("agent",))
    with pytest.raises(ConfigError, match="no credential"):
        check_apart(own, ["alpha"])
    (tmp_path / "keys").mkdir()
    with pytest.raises(ConfigError, match="is the control plane's"):
        check_apart(own, ["alpha"])
