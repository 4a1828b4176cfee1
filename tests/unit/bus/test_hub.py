import asyncio
import contextlib

import pytest
from structlog.testing import capture_logs

from novakit.bus import MemoryBus, NotPermitted, NotTaken, RemoteError, Unreachable
from novakit.bus.enrolments import Enrolments
from novakit.bus.hub import LocalHub
from novakit.bus.wire import LAST_WORDS
from novakit_hookspecs.errors import Busy
from tests.functional.roles.intruder import Intruder
from tests.support.credentials import joining


async def a_hub(bus, state, **seconds):
    hub = LocalHub(bus, state / "bus.sock", Enrolments(state), **seconds)
    await hub.start()
    return hub


@pytest.fixture(params=["memory", "local"])
async def join(request, tmp_path):
    bus, hub, opened = MemoryBus(), None, []
    if request.param == "local":
        hub = await a_hub(bus, tmp_path)

    async def make(identity):
        if hub is None or identity == "conductor":
            return bus.join(identity)
        one = joining(tmp_path, identity)
        await one.open()
        opened.append(one)
        await one.connected()
        return one

    yield make
    for one in opened:
        await one.close()
    if hub:
        await hub.stop()


async def reachable(caller, target, method, body=None):
    async with asyncio.timeout(30):
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
    for caller in (conductor, agent):  # and of such a call it is known that nothing was begun
        with pytest.raises(NotTaken):
            await caller.call("conductor" if caller is agent else "agent.h2", "build")

    async def forever(message):
        await asyncio.Event().wait()

    async def ready(message):
        return True

    async def away(message):
        raise NotTaken("it takes no part")

    agent.serve("agent.h1", {"build": forever, "ready": ready, "destroy": away})
    assert await reachable(conductor, "agent.h1", "ready")
    with pytest.raises(Unreachable) as late:
        await conductor.call("agent.h1", "build", within=0.05)
    assert not isinstance(late.value, NotTaken)

    with pytest.raises(NotTaken, match="takes no part"):
        await conductor.call("agent.h1", "destroy")


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
    await asyncio.wait_for(begun.wait(), 30)
    call.cancel()
    await asyncio.wait_for(ended.wait(), 30)


async def test_topics_reach_every_listener(join):
    api, scheduler = await join("api"), await join("scheduler")
    heard = asyncio.Queue()

    def listener(message):
        heard.put_nowait((message.sender, message.body["n"]))

    scheduler.listen("hosts.changed", listener)
    async with asyncio.timeout(30):
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
    hub = await a_hub(MemoryBus(), tmp_path)
    rogue = joining(tmp_path, "agent:h2", with_that_of="agent:h1")
    await rogue.open()
    try:
        async with asyncio.timeout(30):
            while not rogue.refused:
                await asyncio.sleep(0.01)
        with pytest.raises(Unreachable, match="credential"):
            await rogue.call("conductor", "report_host")
    finally:
        await rogue.close()
        await hub.stop()


async def test_a_participant_comes_back_after_the_hub_was_away(tmp_path):
    bus = MemoryBus()
    hub = await a_hub(bus, tmp_path)
    agent = joining(tmp_path, "agent:h1")

    async def ready(message):
        return True

    agent.serve("agent.h1", {"ready": ready})
    await agent.open()
    conductor = bus.join("conductor")
    assert await reachable(conductor, "agent.h1", "ready")
    await hub.stop()
    hub = await a_hub(bus, tmp_path)
    assert await reachable(conductor, "agent.h1", "ready")
    await agent.close()
    await hub.stop()


async def named(bus, target="scheduler"):
    """Serve a target under its own name, and give what makes its answers wait."""
    gate = asyncio.Event()
    gate.set()

    async def select(message):
        await gate.wait()
        return bus.identity

    bus.serve(target, {"select": select})
    return gate


async def all_serve(caller, *identities):
    async with asyncio.timeout(30):
        while [one.identity for one in await caller.call_each("scheduler", "select", within=1)] != list(identities):
            await asyncio.sleep(0.01)


async def test_several_servers_of_a_target_share_its_calls(join):
    conductor = await join("conductor")
    gates = [await named(await join(f"scheduler:{n}")) for n in range(3)]
    await all_serve(conductor, "scheduler:0", "scheduler:1", "scheduler:2")
    for gate in gates:
        gate.clear()
    calls = [asyncio.ensure_future(conductor.call("scheduler", "select")) for _ in range(30)]
    await asyncio.sleep(0.1)
    for gate in gates:
        gate.set()
    answers = await asyncio.gather(*calls)
    assert {name: answers.count(name) for name in answers} == {f"scheduler:{n}": 10 for n in range(3)}


async def test_who_serves_a_target_again_serves_it_once(join):
    scheduler, caller = await join("scheduler:a"), await join("api")
    scheduler.serve("scheduler", {"select": answers("before")})
    scheduler.serve("scheduler", {"select": answers("after")})
    while await reachable(caller, "scheduler", "select") != "after":
        await asyncio.sleep(0.01)
    assert [one.answer for one in await caller.call_each("scheduler", "select", within=1)] == ["after"]


def answers(what):
    async def select(message):
        return what

    return select


async def test_a_busy_server_is_given_no_more_while_another_is_idle(join):
    conductor = await join("conductor")
    busy, _ = await named(await join("scheduler:busy")), await named(await join("scheduler:idle"))
    await all_serve(conductor, "scheduler:busy", "scheduler:idle")
    busy.clear()
    stuck = []
    while not stuck:
        call = asyncio.ensure_future(conductor.call("scheduler", "select"))
        await asyncio.wait([call], timeout=0.2)
        stuck += [] if call.done() else [call]
    assert {await conductor.call("scheduler", "select") for _ in range(10)} == {"scheduler:idle"}
    busy.set()
    assert await stuck[0] == "scheduler:busy"


async def test_each_server_of_a_target_can_be_asked_and_one_that_fails_costs_only_its_own_answer(join):
    api, good, bad = await join("api"), await join("scheduler:good"), await join("scheduler:bad")

    async def select(message):
        raise Busy("not now")

    await named(good)
    bad.serve("scheduler", {"select": select})
    async with asyncio.timeout(30):
        while len(replies := await api.call_each("scheduler", "select")) < 2:
            await asyncio.sleep(0.01)
    broken, whole = replies
    assert (broken.identity, broken.error.kind, str(broken.error)) == ("scheduler:bad", "Busy", "not now")
    assert (whole.identity, whole.answer, whole.error) == ("scheduler:good", "scheduler:good", None)
    assert await api.call_each("nobody", "select") == []


async def test_a_server_that_is_drained_answers_what_it_was_asked_and_is_asked_no_more(join):
    conductor, first, second = await join("conductor"), await join("scheduler:1"), await join("scheduler:2")
    gate, _ = await named(first), await named(second)
    await all_serve(conductor, "scheduler:1", "scheduler:2")
    gate.clear()
    calls = [asyncio.ensure_future(conductor.call("scheduler", "select")) for _ in range(10)]
    await asyncio.sleep(0.1)
    draining = asyncio.ensure_future(first.drain(5))
    await asyncio.sleep(0.1)
    assert not draining.done()
    assert {await conductor.call("scheduler", "select") for _ in range(5)} == {"scheduler:2"}
    gate.set()
    await draining
    assert {call.result() for call in await _done(calls)} == {"scheduler:1", "scheduler:2"}


async def _done(calls):
    await asyncio.gather(*calls)
    return calls


async def test_a_role_serves_the_target_of_its_own_name_only(join):
    scheduler = await join("scheduler:1")
    for target in ("conductor", "scheduler:1", "agent.h1"):
        with pytest.raises(NotPermitted):
            scheduler.serve(target, {})


async def test_the_calls_of_a_server_that_dies_end_at_once_and_the_next_ones_go_to_the_others(tmp_path):
    bus = MemoryBus()
    hub = await a_hub(bus, tmp_path)
    conductor, survivor = bus.join("conductor"), bus.join("scheduler:survivor")
    await named(survivor)
    async with Intruder.joined(tmp_path, "scheduler:dies", "scheduler:dies") as victim:
        assert (await victim.read())["t"] == "welcome"
        victim.send(t="serve", target="scheduler", methods=["select"])
        calls = []
        async with asyncio.timeout(30):
            while not [frame for frame in await _frames(victim) if frame["t"] == "ask"]:
                calls.append(asyncio.ensure_future(conductor.call("scheduler", "select")))
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    (lost,) = [outcome for outcome in outcomes if outcome != "scheduler:survivor"]
    assert isinstance(lost, Unreachable) and "lost" in str(lost)
    assert {await conductor.call("scheduler", "select") for _ in range(5)} == {"scheduler:survivor"}
    await hub.stop()


async def _frames(participant):
    """Read what a participant was sent a moment ago."""
    found = []
    with contextlib.suppress(TimeoutError):
        while True:
            found.append(await asyncio.wait_for(participant.read(), 0.05))
    return found


async def test_a_server_that_hangs_is_passed_over_and_at_last_hung_up_on(tmp_path):
    bus = MemoryBus()
    hub = await a_hub(bus, tmp_path, beat=0.02, silent_after=0.1, hang_up_after=0.6)
    conductor, lively = bus.join("conductor"), joining(tmp_path, "scheduler:b")
    await named(lively)
    await lively.open()
    await all_serve(conductor, "scheduler:b")
    async with Intruder.joined(tmp_path, "scheduler:a", "scheduler:a") as hangs:
        hangs.send(t="serve", target="scheduler", methods=["select"])
        async with asyncio.timeout(30):
            while len(await conductor.call_each("scheduler", "select", within=0.01)) < 2:
                await asyncio.sleep(0.01)
        calls = [asyncio.ensure_future(conductor.call("scheduler", "select")) for _ in range(2)]
        await asyncio.sleep(0.3)
        assert {await conductor.call("scheduler", "select") for _ in range(5)} == {"scheduler:b"}
        with pytest.raises(Unreachable):
            await asyncio.wait_for(asyncio.gather(*calls), 30)
        while (await hangs.read())["t"] != "ask":
            continue
        while not await hangs.closed():
            continue
    assert await conductor.call("scheduler", "select") == "scheduler:b"
    await lively.close()
    await hub.stop()


@pytest.mark.parametrize("within", ["nan", "inf", None, [1]])
async def test_who_says_nonsense_of_seconds_is_hung_up_on_and_nobody_waits_longer(tmp_path, within):
    hub = await a_hub(MemoryBus(), tmp_path)
    async with Intruder.joined(tmp_path, "agent:h1", "agent:h1") as rogue:
        assert (await rogue.read())["t"] == "welcome"
        rogue.send(t="call", id=1, target="conductor", method="heartbeat", body={}, within=within)
        assert await rogue.closed()
    await hub.stop()


async def test_a_host_that_publishes_is_hung_up_on_at_the_first_word(tmp_path):
    hub = await a_hub(MemoryBus(), tmp_path)
    async with Intruder.joined(tmp_path, "agent:h1", "agent:h1") as rogue:
        assert (await rogue.read())["t"] == "welcome"
        rogue.send(t="publish", topic="operations.new", body={})
        assert await rogue.closed()
    await hub.stop()


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        ({"t": "call", "id": 1, "target": "agent.h2", "method": "destroy", "body": {}, "within": 5}, "agent.h2"),
        ({"t": "call each", "id": 1, "target": "scheduler", "method": "select", "body": {}, "within": 5}, "scheduler"),
        ({"t": "serve", "target": "agent.h2" + "x" * 1_000_000, "methods": ["destroy"]}, "agent.h2xxx"),
        ({"t": "publish", "topic": "t" * 1_000_000, "body": {}}, "tttt"),
        ({"t": "listen", "topic": "operations.new"}, "operations.new"),
        ({"t": "call", "id": 1}, "within is missing"),
        ({"t": "call", "id": 1, "target": ["conductor"], "method": "x", "body": {}, "within": 5}, "list"),
        ({}, "t is missing"),
    ],
)
async def test_what_a_host_may_not_do_is_logged_in_its_name_and_in_few_words(tmp_path, frame, said):
    """As warnings, which are folded: a host that comes back to try it again does not fill the log."""
    bus = MemoryBus()
    hub = await a_hub(bus, tmp_path)
    with capture_logs() as logs:
        async with Intruder.joined(tmp_path, "agent:h1", "agent:h1") as other:
            assert (await other.read())["t"] == "welcome"
            other.send(**frame)
            assert (await other.closed()) or frame["t"].startswith("call")
    await hub.stop()
    told = [line for line in logs if line["log_level"] == "warning"]
    assert told and all(line["identity"] == "agent:h1" for line in told)
    assert any(said in str(line) for line in told)
    assert len(str(logs)) < 2000


async def test_a_message_that_is_too_large_ends_the_connection_with_a_warning(tmp_path):
    hub = await a_hub(MemoryBus(), tmp_path)
    with capture_logs() as logs:
        async with Intruder.joined(tmp_path, "agent:h1", "agent:h1") as other:
            assert (await other.read())["t"] == "welcome"
            other.writer.write(((16 << 20) + 1).to_bytes(4, "big"))
            assert await other.closed()
    await hub.stop()
    assert [line["identity"] for line in logs if "is above" in line.get("why", "")] == ["agent:h1"]
    assert {line["log_level"] for line in logs if "is above" in line.get("why", "")} == {"warning"}


async def test_the_end_of_a_hub_does_not_wait_for_those_who_read_nothing_and_the_others_get_all(tmp_path):
    bus, asked = MemoryBus(), []
    hub, conductor = await a_hub(bus, tmp_path), bus.join("conductor")

    async def much(message):
        asked.append(message.sender)
        return "x" * (8 << 20)

    conductor.serve("conductor", {"much": much})
    async with contextlib.AsyncExitStack() as stack:
        names = [f"agent:h{number}" for number in range(4)]
        joined = [await stack.enter_async_context(Intruder.joined(tmp_path, name, name)) for name in names]
        for each in joined:
            assert (await each.read())["t"] == "welcome"
            each.send(t="call", id=1, target="conductor", method="much", body={}, within=60)
        async with asyncio.timeout(30):
            while len(asked) < len(names):
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        reads = asyncio.ensure_future(joined[0].read())
        began = asyncio.get_running_loop().time()
        async with asyncio.timeout(30):
            await hub.stop()
        assert asyncio.get_running_loop().time() - began < 2 * LAST_WORDS, "all of them are waited for together"
        assert len((await reads)["ok"]) == 8 << 20
        assert await joined[1].closed()
