import asyncio

import pytest

from novakit.bus import MemoryBus, NotPermitted, RemoteError, Unreachable
from novakit.bus.local import LocalBus, LocalHub, credential
from novakit_hookspecs.errors import Busy

KEY = b"k" * 32


@pytest.fixture(params=["memory", "local"])
async def join(request, tmp_path):
    bus, hub, opened = MemoryBus(), None, []
    if request.param == "local":
        hub = LocalHub(bus, tmp_path / "bus.sock", KEY)
        await hub.start()

    async def make(identity, *, key=KEY):
        if hub is None:
            return bus.join(identity)
        one = LocalBus(hub.path, identity, credential(key, identity))
        await one.open()
        opened.append(one)
        if key == KEY:
            await one.connected()
        return one

    yield make
    for one in opened:
        await one.close()
    if hub:
        await hub.stop()


async def reachable(caller, target, method, body=None):
    async with asyncio.timeout(5):
        while True:
            try:
                return await caller.call(target, method, body)
            except Unreachable:
                await asyncio.sleep(0.01)


async def test_a_call_is_answered_and_says_who_asked(join):
    conductor, agent = await join("conductor"), await join("agent:h1")

    async def echo(message):
        return {"from": message.sender, "body": dict(message.body)}

    conductor.serve("conductor", {"echo": echo})
    assert await reachable(agent, "conductor", "echo", {"a": [1, "ü"]}) == {"from": "agent:h1", "body": {"a": [1, "ü"]}}


async def test_what_a_handler_raises_reaches_the_caller_by_kind(join):
    conductor, agent = await join("conductor"), await join("agent:h1")

    async def busy(message):
        raise Busy("not now")

    agent.serve("agent.h1", {"build": busy})
    with pytest.raises(RemoteError, match="not now") as caught:
        await reachable(conductor, "agent.h1", "build")
    assert caught.value.kind == "Busy"


async def test_nobody_there_and_no_answer_are_unreachable(join):
    conductor, agent = await join("conductor"), await join("agent:h1")
    with pytest.raises(Unreachable):
        await conductor.call("agent.h2", "build")

    async def forever(message):
        await asyncio.Event().wait()

    async def ready(message):
        return True

    agent.serve("agent.h1", {"build": forever, "ready": ready})
    assert await reachable(conductor, "agent.h1", "ready")
    with pytest.raises(Unreachable):
        await conductor.call("agent.h1", "build", within=0.05)


async def test_a_call_that_is_given_up_is_stopped_on_the_other_side(join):
    conductor, agent = await join("conductor"), await join("agent:h1")
    begun, ended = asyncio.Event(), asyncio.Event()

    async def build(message):
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def ready(message):
        return True

    agent.serve("agent.h1", {"build": build, "ready": ready})
    await reachable(conductor, "agent.h1", "ready")
    call = asyncio.ensure_future(conductor.call("agent.h1", "build"))
    await asyncio.wait_for(begun.wait(), 5)
    call.cancel()
    await asyncio.wait_for(ended.wait(), 5)


async def test_topics_reach_every_listener(join):
    api, scheduler = await join("api"), await join("scheduler")
    heard = asyncio.Queue()

    async def listener(message):
        await heard.put((message.sender, message.body["n"]))

    scheduler.listen("hosts.changed", listener)
    async with asyncio.timeout(5):
        while heard.empty():
            await api.publish("hosts.changed", {"n": 1})
            await asyncio.sleep(0.01)
    assert heard.get_nowait() == ("api", 1)


@pytest.mark.parametrize(
    "misdeed",
    [
        lambda agent: agent.call("agent.h2", "destroy"),
        lambda agent: agent.call("scheduler", "select"),
        lambda agent: agent.publish("operations.new", {}),
    ],
)
async def test_an_agent_may_only_call_the_conductor(join, misdeed):
    agent = await join("agent:h1")
    with pytest.raises(NotPermitted):
        await misdeed(agent)


async def test_an_agent_may_not_serve_or_hear_for_others(join):
    agent = await join("agent:h1")
    with pytest.raises(NotPermitted):
        agent.serve("agent.h2", {})
    with pytest.raises(NotPermitted):
        agent.listen("operations.new", None)


async def test_a_credential_of_one_host_does_not_open_the_door_for_another(tmp_path):
    hub = LocalHub(MemoryBus(), tmp_path / "bus.sock", KEY)
    await hub.start()
    rogue = LocalBus(hub.path, "agent:h2", credential(KEY, "agent:h1"))
    await rogue.open()
    try:
        async with asyncio.timeout(5):
            while not rogue.refused:
                await asyncio.sleep(0.01)
        with pytest.raises(Unreachable, match="credential"):
            await rogue.call("conductor", "report_host")
    finally:
        await rogue.close()
        await hub.stop()


async def test_a_participant_comes_back_after_the_hub_was_away(tmp_path):
    bus = MemoryBus()
    hub = LocalHub(bus, tmp_path / "bus.sock", KEY)
    await hub.start()
    agent = LocalBus(hub.path, "agent:h1", credential(KEY, "agent:h1"))

    async def ready(message):
        return True

    agent.serve("agent.h1", {"ready": ready})
    await agent.open()
    conductor = bus.join("conductor")
    assert await reachable(conductor, "agent.h1", "ready")
    await hub.stop()
    hub = LocalHub(bus, tmp_path / "bus.sock", KEY)
    await hub.start()
    assert await reachable(conductor, "agent.h1", "ready")
    await agent.close()
    await hub.stop()
