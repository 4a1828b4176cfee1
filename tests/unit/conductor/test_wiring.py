"""Pushing topologies: joined, batched, and one host's trouble is its own."""

import asyncio
import gc
import itertools
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest

from novakit.bus import RemoteError, RemoteNotFound, RemoteRefused, Targets, Unreachable
from novakit.bus.topologies import NextTopology
from novakit.calls.host import HostCalls, Kept, Wired
from novakit.conductor import wiring as module
from novakit.conductor.wiring import Wiring
from novakit.conductor.work import Postponed
from novakit.config import Config
from novakit.network.hosts.topology import Built
from novakit_hookspecs.networks import Applied, Router, Topology, Vif
from novakit_hookspecs.plain import to_plain
from novakit_hookspecs.testing.topologies import Draft, allow_tcp
from tests.support.jumping import run

ROUTER = Router(id="7a1f3c1e-5b1e-4a6c-9d59-0c2f5c3c9a10", interfaces=())


@attrs.define
class Revisions:
    """A network service that knows revisions alone."""

    wanted: dict[str, int] = attrs.field(factory=dict)
    reads: list[set[str]] = attrs.field(factory=list)
    recorded: list[tuple[str, int]] = attrs.field(factory=list)
    applied: list[Applied] = attrs.field(factory=list)
    together: list[dict[str, int]] = attrs.field(factory=list)
    """What was recorded in one go."""
    broken: set[str] = attrs.field(factory=set)
    lost: set[str] = attrs.field(factory=set)
    """Hosts of which nothing can be recorded."""
    unrecorded: int = 0
    """How many answers cannot be recorded before one can."""
    serving: set[str] = attrs.field(factory=set)
    strangers: bool = False
    drawn: Topology | None = None
    """What every host is told, but for its revision; None where that is nothing."""
    meanwhile: Callable[[Collection[str]], None] = lambda hosts: None
    """Called with the hosts that are being read."""

    async def build(self, hosts: Collection[str]) -> Built:
        read = {
            host: Topology(revision=self.wanted.get(host, 0), routers=(ROUTER,) if host in self.serving else ())
            for host in hosts
        }
        if self.drawn is not None:
            read = {host: attrs.evolve(self.drawn, revision=one.revision) for host, one in read.items()}
        self.reads.append(set(hosts))
        self.meanwhile(hosts)
        await asyncio.sleep(0)
        if self.broken & set(hosts):
            raise ValueError("a row that nobody can read")
        return Built(topologies=read, strangers=self.strangers)

    async def record_applied(self, host: str, applied: Applied) -> None:
        await self.record_late({host: applied})

    async def record_late(self, made: Mapping[str, Applied]) -> None:
        if self.lost & made.keys():
            raise OSError("the database refuses it")
        if self.unrecorded:
            self.unrecorded -= 1
            raise OSError("the database is away")
        self.recorded += [(host, applied.revision) for host, applied in made.items()]
        self.applied += made.values()
        self.together.append({host: applied.revision for host, applied in made.items()})


@attrs.define
class Agents:
    """Agents that take what they are given, wait, or refuse."""

    taken: list[tuple[str, int]] = attrs.field(factory=list)
    when: list[float] = attrs.field(factory=list)
    """When each was taken, in the loop's time."""
    gone: set[str] = attrs.field(factory=set)
    slow: dict[str, asyncio.Event] = attrs.field(factory=dict)
    refusal: Exception | None = None
    asked: list[str] = attrs.field(factory=list)
    kept: list[list[str]] = attrs.field(factory=list)
    """Guests that are to stay though they are strangers, of each call."""
    has: dict[str, list[str]] = attrs.field(factory=dict)
    """Marks of what each was given."""
    wires: Callable[[NextTopology | None], Wired] | None = None
    """What becomes of what is given; None for agents of a version that takes no changes."""

    async def call(self, target: str, method: str, body: Mapping[str, Any], *, within: float) -> Any:
        host = target.removeprefix("agent.")
        if host in self.gone:
            raise Unreachable(f"no process serves {target}")
        if self.refusal:
            raise self.refusal
        if host in self.slow:
            await self.slow[host].wait()
        self.asked.append(method)
        topology, given = body.get("topology"), body.get("change")
        self.kept.append(list(body["kept"].record.guests))
        revision = (topology or given).record.revision
        if given and given.record.base not in self.has.get(host, ()):
            return None
        self.taken.append((host, revision))
        self.when.append(asyncio.get_running_loop().time())
        if self.wires is None:
            return to_plain(Applied(revision=revision))
        self.has.setdefault(host, []).append(f"{host}/{len(self.taken)}")
        wired = self.wires(given.record if given else None)
        return to_plain(attrs.evolve(wired, revision=revision, mark=self.has[host][-1]))


@pytest.fixture
def networks() -> Revisions:
    return Revisions()


@pytest.fixture
def agents() -> Agents:
    return Agents()


@pytest.fixture
def wiring(networks: Revisions, agents: Agents, tmp_path: Path) -> Wiring:
    bus: Any = agents
    known: Any = networks
    return Wiring(known, Targets(HostCalls, bus, Config(state=tmp_path)))


async def until(condition: Any) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)


async def test_hosts_that_are_waited_for_together_are_read_together(wiring: Wiring, networks: Revisions) -> None:
    hosts = [f"h{number}" for number in range(5)]
    await asyncio.gather(*(wiring.ensure(host) for host in hosts for _ in range(3)))
    assert networks.reads == [set(hosts)]
    assert sorted(host for host, _ in networks.recorded) == hosts


async def test_whoever_asks_while_a_push_is_under_way_gets_the_next_one(
    wiring: Wiring, networks: Revisions, agents: Agents
) -> None:
    agents.slow["h"] = asyncio.Event()
    networks.wanted["h"] = 1
    first = asyncio.ensure_future(wiring.ensure("h"))
    await until(lambda: networks.reads)
    networks.wanted["h"] = 2
    second = asyncio.ensure_future(wiring.ensure("h"))
    await asyncio.sleep(0)
    agents.slow["h"].set()
    assert (await first).revision == 1
    assert (await second).revision == 2


async def test_a_slow_host_holds_nobody_up(wiring: Wiring, agents: Agents) -> None:
    agents.slow["slow"] = asyncio.Event()
    waiting = asyncio.ensure_future(wiring.ensure("slow"))
    for _ in range(3):
        await wiring.ensure("quick")
    assert not waiting.done()
    agents.slow["slow"].set()
    await waiting


async def test_a_host_that_is_gone_fails_only_who_waits_for_it(wiring: Wiring, agents: Agents) -> None:
    agents.gone.add("gone")
    gone, there = await asyncio.gather(wiring.ensure("gone"), wiring.ensure("there"), return_exceptions=True)
    assert isinstance(gone, Unreachable) and isinstance(there, Applied)


async def test_what_hosts_keep_is_read_before_the_topology_where_there_are_strangers_and_else_not(
    wiring: Wiring, networks: Revisions, agents: Agents
) -> None:
    read: list[int] = []

    async def kept(hosts: Sequence[str]) -> Mapping[str, Kept]:
        read.append(len(networks.reads))
        return {host: Kept(guests=("stranger",)) for host in hosts}

    wiring.kept = kept
    for strangers, keeps, reads in (
        (False, True, 1),  # whether there were any before is not known at first
        (False, False, 1),
        (True, True, 2),  # there are some now: all is read again, in that order
        (True, True, 1),
        (False, True, 1),
        (False, False, 1),
    ):
        networks.strangers = strangers
        networks.reads.clear()
        read.clear()
        await wiring.ensure("h")
        assert len(networks.reads) == reads
        assert read == ([reads - 1] if keeps else []), "before the topology that is pushed"
        assert agents.kept[-1] == (["stranger"] if keeps else [])


async def test_a_topology_that_cannot_be_read_postpones_only_its_host(wiring: Wiring, networks: Revisions) -> None:
    networks.broken.add("broken")
    broken, whole = await asyncio.gather(wiring.ensure("broken"), wiring.ensure("whole"), return_exceptions=True)
    assert isinstance(broken, Postponed) and isinstance(whole, Applied)
    networks.broken.clear()
    assert isinstance(await wiring.ensure("broken"), Applied)


def test_pokes_without_a_waiter_are_joined_and_follow_each_other_at_beats(
    wiring: Wiring, networks: Revisions, agents: Agents
) -> None:
    async def poked() -> None:
        await asyncio.sleep(0.2)
        for _ in range(400):
            wiring.poke(["h", "other"])
            await asyncio.sleep(0.01)
        await asyncio.sleep(1)

    run(poked())
    assert networks.reads == [{"h", "other"}] * 6
    first, *others = agents.when[::2]
    assert first == pytest.approx(0.2 + module.LEISURE, abs=0.01)
    assert others == pytest.approx([1, 2, 3, 4, 5], abs=0.01)


@pytest.mark.parametrize("every", [0.5, 0.51, 0.37])
def test_servers_that_are_made_one_after_another_cost_hosts_one_push_a_beat_in_one_round_for_all(
    wiring: Wiring, networks: Revisions, agents: Agents, every: float
) -> None:
    hosts = [f"h{number}" for number in range(20)]
    agents.wires = lambda given: Wired(revision=0)

    async def made() -> None:
        for host in hosts * 2:
            wiring.poke(hosts)
            await wiring.ensure(host)
            await asyncio.sleep(every - module.GATHER)
        await asyncio.sleep(module.REST)

    run(made())
    beats = int(40 * every) + 2
    assert len(networks.reads) <= 40 + beats, "that of who waits, and one for all others"
    assert len(agents.taken) <= 40 + beats * len(hosts)


def test_what_is_poked_while_it_is_read_or_pushed_to_rests_as_it_would_afterwards(
    wiring: Wiring, networks: Revisions, agents: Agents
) -> None:
    networks.meanwhile = wiring.poke

    async def poked() -> None:
        wiring.poke(["h"])
        await asyncio.sleep(2.5)
        agents.slow["h"] = asyncio.Event()
        await asyncio.sleep(0.8)  # it is pushed to at the third beat
        agents.slow["h"].set()
        await asyncio.sleep(4)

    run(poked())
    assert agents.when[:4] == pytest.approx([0.1, 1, 2, 3.3], abs=0.01)
    assert agents.when[4] >= 3.3 + 0.3 * module.CALM


async def test_a_poke_of_hosts_that_wait_already_wakes_nobody(wiring: Wiring) -> None:
    for hosts, wakes in (["a", "b"], True), (["b", "a"], False), (["b", "c"], True):
        wiring.poke(hosts)
        assert wiring._wake.is_set() == wakes
        await asyncio.sleep(0.001)
        assert not wiring._wake.is_set()


async def test_somebody_who_waits_makes_a_poked_host_due_at_once(wiring: Wiring, networks: Revisions) -> None:
    await wiring.ensure("h")
    wiring.poke(["h"])
    began = asyncio.get_running_loop().time()
    await wiring.ensure("h")
    assert asyncio.get_running_loop().time() - began < module.REST / 2
    assert networks.reads == [{"h"}, {"h"}]


async def test_an_agent_that_refuses_is_heard(wiring: Wiring, agents: Agents) -> None:
    agents.refusal = RemoteRefused("Refused", "no bridge")
    with pytest.raises(RemoteError, match="no bridge"):
        await wiring.ensure("h")


async def test_a_failure_that_nobody_waits_for_is_told_once(
    wiring: Wiring, networks: Revisions, agents: Agents
) -> None:
    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, what: told.append(what))
    agents.refusal = RemoteRefused("Refused", "no bridge")
    networks.broken = {"broken"}
    wiring.poke(["h", "broken"])
    await until(lambda: networks.reads and not wiring._running)
    await until(lambda: not wiring._pushing)
    gc.collect()
    assert told == [], "the log has it already"


async def test_a_host_whose_push_took_very_long_rests_five_seconds_at_most(
    wiring: Wiring, agents: Agents, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CALM", 1e6)
    wiring.poke(["h"])
    loop = asyncio.get_running_loop()
    await until(lambda: agents.taken)
    before_end = loop.time()
    await until(lambda: not wiring._pushing)
    wiring.poke(["h"])
    assert before_end + module.REST < wiring._dues()["h"] <= loop.time() + module.LONGEST


async def test_a_host_that_nobody_waits_for_rests_the_longer_the_longer_its_push_took(
    wiring: Wiring, networks: Revisions, agents: Agents
) -> None:
    agents.slow = {"slow": asyncio.Event(), "gateway": asyncio.Event()}
    networks.serving.add("gateway")
    loop = asyncio.get_running_loop()
    wiring.poke(["slow", "gateway"])
    await until(lambda: networks.reads)
    await asyncio.sleep(0.2)
    for event in agents.slow.values():
        event.set()
    await until(lambda: len(agents.taken) == 2)
    before_end = loop.time()
    # What was taken is recorded before the push is at its end, from which on a host rests.
    await until(lambda: not wiring._pushing)
    ended = loop.time()
    wiring.poke(["slow", "gateway"])
    assert before_end + 0.2 * module.CALM <= wiring._dues()["slow"] <= ended + module.LONGEST
    assert wiring._dues()["gateway"] <= ended + module.REST
    assert (await wiring.ensure("slow")).revision == 0 and loop.time() < ended + module.REST


WHOLE, CHANGE = "apply_network", "change_network"
ONE, TWO = Vif(device="tap1", mtu=1500), Vif(device="tap2", mtu=1500)


async def test_a_host_that_answered_is_given_what_changed_and_all_that_it_has_is_recorded(
    wiring: Wiring, networks: Revisions, agents: Agents
) -> None:
    agents.wires = lambda given: Wired(revision=0, vifs={"a": ONE, "b": ONE}) if given is None else AFTER
    for revision in (1, 2):
        networks.wanted["h"] = revision
        applied = await wiring.ensure("h")
    assert agents.asked == [WHOLE, CHANGE]
    assert applied == Applied(revision=2, vifs={"b": TWO, "c": ONE}, faults={"a": "gone"})
    assert networks.applied[-1] == applied


AFTER = Wired(revision=0, vifs={"b": TWO, "c": ONE}, unwired=("a",), faults={"a": "gone"})


async def test_a_host_that_does_not_know_what_it_was_given_is_given_the_whole_at_once(
    wiring: Wiring, networks: Revisions, agents: Agents
) -> None:
    agents.wires = lambda given: Wired(revision=0, vifs={"a": ONE} if given is None else {})
    await wiring.ensure("h")
    agents.has.clear()  # as after a restart
    assert (await wiring.ensure("h")).vifs == {"a": ONE}
    assert agents.asked == [WHOLE, CHANGE, WHOLE]
    assert (await wiring.ensure("h")).vifs == {"a": ONE}
    assert agents.asked[3:] == [CHANGE]


async def test_of_a_push_of_members_alone_nobody_hears(wiring: Wiring, networks: Revisions, agents: Agents) -> None:
    heard: list[str] = []
    wiring.on_pushed = heard.append
    agents.wires = lambda given: Wired(revision=0)
    draft = Draft()
    group = draft.group("10.1.0.11/32")
    draft.port(draft.network(), "10.1.0.12", (allow_tcp(80, group=group),))
    first = networks.drawn = draft.topology()
    await wiring.ensure("h")
    assert heard == ["h"]
    networks.drawn = attrs.evolve(first, groups=(attrs.evolve(group, members=()),))
    await wiring.ensure("h")
    assert heard == ["h"] and agents.asked == [WHOLE, CHANGE]
    networks.drawn = attrs.evolve(first, ports=[*first.ports])
    await wiring.ensure("h")
    assert heard == ["h"] * 2, "what was read anew may be another row, though the host is told the same"
    networks.drawn = None
    for _ in range(2):
        await wiring.ensure("h")
    assert heard == ["h"] * 4, "without a group nothing says that nothing else has changed"


@attrs.define
class Members:
    """Hosts of one security group, whose members change with each revision."""

    networks: Revisions
    first: Topology
    revision: int = 1

    def change(self, **other: Any) -> None:
        """Let the group have another member, and the hosts be told of `other` things, too."""
        self.revision += 1
        groups = [attrs.evolve(group, members=[f"10.1.0.{self.revision}/32"]) for group in self.first.groups]
        self.networks.drawn = attrs.evolve(self.first, groups=groups, **other)
        self.networks.wanted = dict.fromkeys(("a", "b", "c"), self.revision)


@pytest.fixture
def members(wiring: Wiring, networks: Revisions, agents: Agents) -> Members:
    agents.wires = lambda given: Wired(revision=0)
    draft = Draft()
    draft.port(draft.network(), "10.1.0.12", (allow_tcp(80, group=draft.group("10.1.0.1/32")),))
    networks.drawn = draft.topology()
    networks.wanted = dict.fromkeys(("a", "b", "c"), 1)
    return Members(networks, networks.drawn)


async def _known(wiring: Wiring, networks: Revisions) -> None:
    await asyncio.gather(*(wiring.ensure(host) for host in ("a", "b", "c")))
    networks.together.clear()


def test_that_hosts_have_news_is_recorded_with_what_somebody_waits_for(
    wiring: Wiring, networks: Revisions, members: Members
) -> None:
    async def told() -> None:
        await _known(wiring, networks)
        members.change()
        wiring.poke(["a", "b", "c"])
        await asyncio.sleep(1.5 * module.REST)
        assert networks.together == [], "it waits"
        members.change(ports=[])
        await wiring.ensure("a")
        assert networks.together == [{"a": 3}, {"b": 2, "c": 2}], "and goes with the next, of a host but once"
        await asyncio.sleep(2 * module.REST)

    run(told())
    assert len(networks.together) == 2


def test_that_hosts_have_news_is_recorded_in_the_end_though_nobody_waits(
    wiring: Wiring, networks: Revisions, members: Members
) -> None:
    async def told() -> None:
        await _known(wiring, networks)
        for _ in range(3):
            members.change()
            wiring.poke(["a", "b", "c"])
            await asyncio.sleep(2 * module.REST)

    run(told())
    assert networks.together == [dict.fromkeys("abc", revision) for revision in (2, 3, 4)]


def test_news_of_hosts_that_somebody_waited_for_meanwhile_are_not_recorded_again(
    wiring: Wiring, networks: Revisions, members: Members
) -> None:
    async def told() -> None:
        await _known(wiring, networks)
        members.change()
        wiring.poke(["a", "b"])
        await asyncio.sleep(1.5 * module.REST)
        assert networks.together == [] and len(wiring._unrecorded) == 2
        await asyncio.gather(wiring.ensure("a"), wiring.ensure("b"))
        await asyncio.sleep(3 * module.REST)

    run(told())
    assert {} not in networks.together
    assert wiring._recording is not None and wiring._recording.done()


def test_news_of_many_hosts_are_recorded_some_at_a_time_and_nobody_waits_for_all_of_them(
    wiring: Wiring, networks: Revisions, members: Members, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TOGETHER", 2)
    late, record = asyncio.Event(), Revisions.record_late

    async def slow(self: Revisions, made: Mapping[str, Applied]) -> None:
        if len(made) > 1:
            await late.wait()
        await record(self, made)

    async def told() -> None:
        await _known(wiring, networks)
        await wiring.ensure("d")
        networks.together.clear()
        monkeypatch.setattr(Revisions, "record_late", slow)
        members.change()
        networks.wanted["d"] = members.revision
        wiring.poke(["a", "b", "c"])
        await asyncio.sleep(1.5 * module.REST)
        await wiring.ensure("d")
        assert networks.together == [{"d": 2}]
        late.set()
        await asyncio.sleep(module.REST)

    run(told())
    assert networks.together == [{"d": 2}, {"a": 2, "b": 2}, {"c": 2}]


def test_what_is_more_than_news_is_recorded_at_once(
    wiring: Wiring, networks: Revisions, agents: Agents, members: Members
) -> None:
    answers: list[dict[str, Any]] = [
        {"faults": {"p": "no bridge"}},  # told of now
        {},  # and no more
        {"vifs": {"p": ONE}},
        {"unwired": ("p",)},
        {},  # which somebody waits for
    ]
    agents.wires = lambda given: Wired(revision=0, **(answers.pop(0) if given else {}))

    async def told() -> None:
        await wiring.ensure("a")
        for revision in range(2, 1 + len(answers)):
            members.change()
            wiring.poke(["a"])
            await asyncio.sleep(module.REST)
            await until(lambda revision=revision: ("a", revision) in agents.taken)
            assert networks.recorded[-1] == ("a", revision)
        members.change()
        await wiring.ensure("a")
        assert networks.recorded[-1] == ("a", members.revision), "somebody waited for it"

    run(told())


def test_news_that_cannot_be_recorded_cost_nobody_who_waits(
    wiring: Wiring, networks: Revisions, members: Members
) -> None:
    async def told() -> None:
        await _known(wiring, networks)
        members.change()
        wiring.poke(["b"])
        await asyncio.sleep(1.5 * module.REST)
        members.change(ports=[])
        networks.lost = {"b"}
        assert (await wiring.ensure("a")).revision == 3

    run(told())
    assert networks.recorded[-1] == ("a", 3)


async def test_of_a_push_whose_answer_could_not_be_recorded_somebody_hears(
    wiring: Wiring, networks: Revisions, agents: Agents
) -> None:
    heard: list[str] = []
    wiring.on_pushed = heard.append
    agents.wires = lambda given: Wired(revision=0)
    draft = Draft()
    group = draft.group("10.1.0.11/32")
    draft.port(draft.network(), "10.1.0.12", (allow_tcp(80, group=group),))
    networks.drawn = draft.topology()
    networks.unrecorded = 1
    with pytest.raises(Postponed):
        await wiring.ensure("h")
    await wiring.ensure("h")
    assert agents.asked == [WHOLE, CHANGE] and heard == ["h"]


async def test_after_a_failure_a_host_is_given_the_whole(wiring: Wiring, agents: Agents) -> None:
    agents.wires = lambda given: Wired(revision=0)
    await wiring.ensure("h")
    agents.gone.add("h")
    with pytest.raises(Unreachable):
        await wiring.ensure("h")
    agents.gone.clear()
    await wiring.ensure("h")
    assert agents.asked == [WHOLE, WHOLE]


async def test_an_agent_of_an_older_version_is_given_the_whole(wiring: Wiring, agents: Agents) -> None:
    for _ in range(2):
        await wiring.ensure("h")
    assert agents.asked == [WHOLE, WHOLE], "it gives no mark"

    def older(given: NextTopology | None) -> Wired:
        if given is not None:
            raise RemoteNotFound("NotFound", "agent.h has no change_network")
        return Wired(revision=0)

    agents.wires = older
    for _ in range(2):
        await wiring.ensure("h")
    assert agents.asked[2:] == [WHOLE, CHANGE, WHOLE]


async def test_of_a_host_that_tells_of_ports_without_end_nothing_is_remembered(
    wiring: Wiring, networks: Revisions, agents: Agents, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wiring._known, "most", 100)
    told = itertools.count()
    agents.wires = lambda _: Wired(revision=0, vifs={f"p{next(told)}": Vif(device="tap", mtu=1) for _ in range(40)})
    for _ in range(6):
        await wiring.ensure("h")
    assert agents.asked == [WHOLE, CHANGE, CHANGE] * 2
    assert max(len(each.vifs) for each in networks.applied) == 120, "one answer more than is remembered"


@pytest.mark.parametrize(
    "vifs", [{"p" * 256: Vif(device="tap", mtu=1)}, {"p": Vif(device="tap" * 86, mtu=1)}], ids=["port", "device"]
)
async def test_nothing_long_that_a_host_tells_is_remembered(
    wiring: Wiring, agents: Agents, vifs: dict[str, Vif]
) -> None:
    agents.wires = lambda _: Wired(revision=0, vifs=vifs)
    for _ in range(2):
        await wiring.ensure("h")
    assert agents.asked == [WHOLE, WHOLE]


async def test_no_long_mark_is_remembered(wiring: Wiring, agents: Agents) -> None:
    agents.wires = lambda _: Wired(revision=0)
    await wiring.ensure("h" * 256)
    await wiring.ensure("h" * 256)
    assert agents.asked == [WHOLE, WHOLE]
