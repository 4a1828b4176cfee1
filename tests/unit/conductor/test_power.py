"""Bringing guests to a power state."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from novakit.conductor.parts import Parts
from novakit.conductor.steps.power import set_power, start_wired
from novakit.conductor.work import Failed, Memory, Work
from novakit_hookspecs.servers import Power


async def test_no_host_is_asked_for_the_guest_of_a_server_that_is_on_none() -> None:
    asked: list[str] = []

    async def ensure(host: str) -> None:
        asked.append(host)

    parts = cast(Parts, SimpleNamespace(hosts=SimpleNamespace(at=asked.append), wiring=SimpleNamespace(ensure=ensure)))
    ids: dict[str, Any] = dict.fromkeys(("id", "kind", "server_id", "project_id", "user_id", "request_id"), "x")
    work = Work(**ids, moves=(), attempt=1, memory=Memory(host=None), events=[])
    for ask in (set_power(work, parts, Power.SHUTDOWN), start_wired(work, parts)):
        with pytest.raises(Failed, match="on no host"):
            await ask
    assert asked == []
