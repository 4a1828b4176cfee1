"""The hosts of one process begin together: they are written in a few transactions, and not before all can be used."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from novakit import app
from novakit.agent import agent
from novakit.agent.agent import Agent
from novakit.conductor.reports import Reports
from novakit.config import Config
from novakit.errors import ConfigError
from tests.support.service import free_port

HOSTS = 8


def config(tmp_path: Path) -> Config:
    return Config(state=tmp_path / "state", port=free_port(), simulate=HOSTS)


async def test_hosts_of_one_process_are_written_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    batches: list[int] = []
    write = Reports._write_together

    async def counted(self: Reports, batch: Sequence[object]) -> None:
        batches.append(len(batch))
        await write(self, batch)

    monkeypatch.setattr(Reports, "_write_together", counted)
    async with app.running(config(tmp_path)):
        pass
    assert sum(batches) == HOSTS
    assert len(batches) <= 3


async def test_no_host_is_told_of_or_asked_where_one_of_them_cannot_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[str] = []
    start = Agent.start
    serve = agent.serve

    def served(*which: Any, **how: Any) -> Callable[[], None]:
        begun.append("to serve")
        return serve(*which, **how)

    async def started(self: Agent) -> None:
        await start(self)
        if self.host.endswith(f"-{HOSTS}"):
            raise ConfigError("The last one cannot be used.")

    monkeypatch.setattr(agent, "serve", served)
    monkeypatch.setattr(Agent, "start", started)
    monkeypatch.setattr(Agent, "begin", lambda self: begun.append(self.host))
    with pytest.raises(ConfigError, match="The last one"):
        async with app.running(config(tmp_path)):
            pass
    assert begun == []
