"""Typed contracts: one declaration for who asks and who answers."""

import ast
from abc import abstractmethod
from functools import partial, reduce
from pathlib import Path
from typing import Any

import attrs
import orjson
import pytest
from structlog.testing import capture_logs

from novakit.agent import agent as agents
from novakit.bus import (
    READS,
    BadAnswer,
    Contract,
    MemoryBus,
    RemoteBusy,
    RemoteError,
    RemoteNotFound,
    RemoteRefused,
    Targets,
    Unreachable,
    ask_each,
    bounds,
    call,
    client,
    serve,
    settles,
    time_left,
    topics,
)
from novakit.bus.contract import methods_of
from novakit.bus.interface import plain_of
from novakit.bus.repeats import named
from novakit.calls.conductor import AgentReport, ConductorCalls
from novakit.calls.counts import SchedulerCounts, SpreadCounts
from novakit.calls.host import MARGIN, UPLOADING, BuildPlan, HostCalls
from novakit.calls.scheduler import SchedulerCalls
from novakit.config import AgentOptions, Config
from novakit.errors import Unavailable
from novakit_hookspecs.errors import Busy, NotFound, Refused
from novakit_hookspecs.networks import Applied, Topology
from novakit_hookspecs.servers import Guest, GuestPlan, Power
from tests.support.targets import serve_some

CONTRACTS = (HostCalls, SchedulerCalls, ConductorCalls)
ID = "0b3cf1a2-1111-4222-8333-444455556666"
FACTS = {"hypervisor_type": "simulated", "hypervisor_version": 1, "hypervisor_hostname": "a"}
DEEP: Any = reduce(lambda inner, _: {"a": inner}, range(bounds.DEEPEST), {})


@attrs.frozen(kw_only=True)
class Wish:
    name: str
    count: int = 1


class Shop(Contract):
    """A target of these tests."""

    __slots__ = ()
    target = "shop.{}"

    @call(
        within=lambda config: config.agent.create_within + 5,
        plus="patience",
        repeat_by=settles("wish.name"),
        by=("api",),
    )
    @abstractmethod
    async def order(self, wish: Wish, patience: float = 0.0) -> Wish | None:
        """Order something."""

    @call(within=2.0, repeat_by=READS, by=("api", "conductor"))
    @abstractmethod
    async def left(self) -> float:
        """Say how much time is left."""


class Open(Shop):
    def __init__(self, sender: str = "", outcome: Any = None) -> None:
        self.sender, self.outcome = sender, outcome

    async def order(self, wish: Wish, patience: float = 0.0) -> Wish | None:
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return attrs.evolve(wish, name=f"{wish.name} for {self.sender}") if self.outcome is None else self.outcome

    async def left(self) -> float:
        return time_left(1000.0)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(state=tmp_path, agent=AgentOptions(create_within=7.0))


def shop(config: Config, outcome: Any = None) -> MemoryBus:
    bus = MemoryBus()
    serve(bus.join("shop.a"), Shop, lambda sender: Open(sender, outcome), "a")
    return bus


@pytest.fixture(autouse=True)
def anybody_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("novakit.bus.memory.check_permitted", lambda *_: None)


async def test_records_go_out_and_come_back_and_the_server_knows_who_asks(config: Config) -> None:
    asked = Targets(Shop, shop(config).join("api"), config).at("a")
    assert await asked.order(Wish(name="tea", count=2), patience=1.0) == Wish(name="tea for api", count=2)


async def test_a_server_that_lacks_a_method_cannot_be_made(config: Config) -> None:
    half: Any = type("Half", (Shop,), {"order": Open.order})
    with pytest.raises(TypeError, match="left"):
        serve(MemoryBus().join("shop.a"), Shop, lambda _: half(), "a")


@pytest.mark.parametrize(
    ("raised", "kind"),
    [(Busy("later"), RemoteBusy), (Refused("never"), RemoteRefused), (NotFound("gone"), RemoteNotFound)],
)
async def test_what_the_other_side_raises_is_an_error_of_its_kind(
    config: Config, raised: Exception, kind: type[RemoteError]
) -> None:
    asked = client(Shop, shop(config, raised).join("api"), config, "a")
    with pytest.raises(kind, match=str(raised)):
        await asked.order(Wish(name="tea"))


async def test_only_the_roles_that_are_declared_may_call(config: Config) -> None:
    bus = shop(config)
    assert await client(Shop, bus.join("conductor"), config, "a").left() > 0
    with pytest.raises(RemoteError, match="conductor may not call order") as refused:
        await client(Shop, bus.join("conductor"), config, "a").order(Wish(name="tea"))
    assert refused.value.kind == "NotPermitted"


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({}, "order needs wish."),
        ({"wish": {}}, "wish: Wish needs name."),
        ({"wish": {"name": 7}}, "wish: Wish.name: expected a text, not a whole number."),
        ({"wish": {"name": "a", "count": True}}, "wish: Wish.count: expected a whole number, not true or false."),
        ({"wish": ["a"]}, "wish: expected an object for Wish, not a list."),
        ({"wish": {"name": "a"}, "patience": "x"}, "patience: expected a number, not a text."),
    ],
)
async def test_what_is_missing_or_of_another_type_is_refused_with_a_sentence(
    config: Config, body: Any, sentence: str
) -> None:
    with pytest.raises(RemoteError) as refused:
        await shop(config).join("api").call("shop.a", "order", body)
    assert refused.value.kind == "BadCall" and str(refused.value).endswith(sentence)


async def test_fields_that_the_other_side_does_not_know_yet_are_passed_over(config: Config) -> None:
    body = {"wish": {"name": "tea", "colour": "green"}, "urgent": True}
    answer: Any = plain_of(await shop(config).join("api").call("shop.a", "order", body))
    assert answer["name"] == "tea for api"


async def test_an_answer_that_is_none_is_an_error_in_the_name_of_who_gave_it(config: Config) -> None:
    async def order(message: Any) -> Any:
        return {"count": 1}

    bus = MemoryBus()
    bus.join("shop.a").serve("shop.a", {"order": order})
    with pytest.raises(BadAnswer, match=r"shop\.a answered order with something that cannot be read: Wish needs name"):
        await client(Shop, bus.join("api"), config, "a").order(Wish(name="tea"))


async def test_the_deadline_follows_the_option_it_belongs_to_and_travels_with_the_call(config: Config) -> None:
    method = methods_of(Shop)["order"]
    assert method.seconds(config, {"patience": 3.0}) == 15.0
    longer = Config(state=config.state, agent=AgentOptions(create_within=100.0))
    assert method.seconds(longer, {"patience": 0.0}) == 105.0
    assert 1.0 < await client(Shop, shop(config).join("api"), config, "a").left() <= 2.0
    assert time_left(9.0) == 9.0, "nobody waits"


LIMITS = [field.name for field in attrs.fields(AgentOptions) if field.name.endswith("_within")]


def limits_of(method: str) -> set[str]:
    """Return the options that limit what the agent does for a call, as its code says."""
    (agent,) = [
        node for node in ast.parse(Path(agents.__file__).read_text()).body if getattr(node, "name", "") == "Agent"
    ]
    bodies = {each.name: each for each in agent.body if isinstance(each, ast.AsyncFunctionDef | ast.FunctionDef)}
    found: set[str] = set()
    to_see, seen = [method], set()
    while to_see:
        name = to_see.pop()
        if name not in seen and name in bodies:
            seen.add(name)
            named = {node.attr for node in ast.walk(bodies[name]) if isinstance(node, ast.Attribute)}
            found |= named & set(LIMITS)
            to_see += named
    return found


@pytest.mark.parametrize("method", methods_of(HostCalls).values(), ids=lambda each: each.name)
def test_a_host_is_waited_for_longer_than_its_options_let_its_drivers_take(method: Any) -> None:
    limits, given = limits_of(method.name), {method.declared.plus: 0.0} if method.declared.plus else {}
    for option in LIMITS:
        short, long = (
            method.seconds(Config(state=Path(), agent=AgentOptions(**{option: value})), given)
            for value in (1.0, 5000.0)
        )
        if option in limits:
            assert short >= 1.0 + MARGIN and long >= 5000.0 + MARGIN, option
        else:
            assert short == long, f"{option} limits nothing that the agent does for {method.name}"


def test_each_limit_of_a_host_is_one_of_a_call() -> None:
    assert set().union(*map(limits_of, methods_of(HostCalls))) == set(LIMITS)


def test_an_upload_may_take_the_copy_that_is_made_anew_before() -> None:
    config = Config(state=Path())
    calls = {name: method.seconds(config, {}) for name, method in methods_of(HostCalls).items() if "snapshot" in name}
    assert calls["upload_snapshot"] >= calls["snapshot"] + UPLOADING


def test_a_shutdown_is_waited_for_as_long_as_the_guest_may_take() -> None:
    power, config = methods_of(HostCalls)["set_power"], Config(state=Path())
    assert power.seconds(config, {"grace": 60.0}) == power.seconds(config, {"grace": 0.0}) + 60


async def test_each_server_of_a_target_is_asked_and_what_it_says_is_read(config: Config) -> None:
    none = SpreadCounts(bounds=(), counts=(0,), total=0.0)
    counts = dict.fromkeys(("hosts", "placed", "refused", "failed", "conflicts", "batches"), 1)
    spreads = dict.fromkeys(("waited", "claimed", "batched"), none)
    told = SchedulerCounts(scheduler="good", seconds=1.0, **counts, **spreads)

    async def good() -> Any:
        return told

    async def bad() -> Any:
        return 7

    async def dead() -> Any:
        raise Unreachable("it hangs")

    bus = MemoryBus()
    for name, counts in (("good", good), ("bad", bad), ("dead", dead)):
        serve_some(bus.join(f"scheduler:{name}"), SchedulerCalls, counts=counts)
    found = await ask_each(SchedulerCalls.counts, bus.join("api"), config)
    assert [(one.identity, one.value, type(one.error)) for one in found] == [
        ("scheduler:bad", None, BadAnswer),
        ("scheduler:dead", None, Unreachable),
        ("scheduler:good", told, type(None)),
    ]


async def test_a_topology_that_is_none_is_refused_by_the_host(config: Config) -> None:
    async def apply_network(topology: Topology) -> Any:
        raise AssertionError("it must not come this far")

    bus = MemoryBus()
    serve_some(bus.join("agent:a"), HostCalls, "a", apply_network=apply_network)
    for nonsense in ({}, {"rules": [], "ports": [{"rules": 9}], "revision": 1}, 7, [], {"rules": {}, "ports": []}):
        with pytest.raises(RemoteError) as refused:
            await bus.join("conductor").call("agent.a", "apply_network", {"topology": nonsense})
        assert refused.value.kind == "BadCall", nonsense


async def test_a_topology_is_itself_within_a_process_and_plain_data_on_a_wire(config: Config) -> None:
    taken: list[Topology] = []

    async def apply_network(topology: Topology) -> Applied:
        taken.append(topology)
        return Applied(revision=topology.revision)

    bus, sent = MemoryBus(), Topology(revision=7)
    serve_some(bus.join("agent:a"), HostCalls, "a", apply_network=apply_network)
    await client(HostCalls, bus.join("conductor"), config, "a").apply_network(sent)
    assert taken == [sent] and taken[0] is sent
    written = orjson.loads(orjson.dumps(methods_of(HostCalls)["apply_network"].write({"topology": sent}), plain_of))
    assert methods_of(HostCalls)["apply_network"].read(written) == {"topology": sent}


async def test_a_record_that_cannot_change_is_itself_within_a_process_and_read_anew_where_it_can(
    config: Config,
) -> None:
    bus, asked = MemoryBus(), list[BuildPlan]()

    async def build(operation: str, plan: BuildPlan) -> Guest:
        asked.append(plan)
        return guest

    serve_some(bus.join("agent:a"), HostCalls, "a", build=build)
    plan = BuildPlan(guest=GuestPlan(id=ID, name="a", hostname="a", vcpus=1, memory_mb=64, root_gb=1))
    guest = Guest(id=ID, power=Power.RUNNING)
    host = client(HostCalls, bus.join("conductor"), config, "a")
    assert await host.build("one", plan) is guest
    listed = attrs.evolve(plan, guest=attrs.evolve(plan.guest, name=Text("b")))
    assert await host.build("two", listed) == guest
    assert asked[0] is plan
    assert asked[1] == listed and asked[1] is not listed and type(asked[1].guest.name) is str


class Text(str):
    """A text that is more than one."""

    __slots__ = ()


async def test_what_a_host_of_this_process_says_is_held_to_the_same_bounds(config: Config) -> None:
    async def console_log(server: str, max_bytes: int) -> bytes:
        return b"x" * (bounds.LONGEST + max_bytes)

    bus = MemoryBus()
    serve_some(bus.join("agent:a"), HostCalls, "a", console_log=console_log)
    asked = client(HostCalls, bus.join("api"), config, "a")
    assert len(await asked.console_log(ID, 0)) == bounds.LONGEST
    with pytest.raises(BadAnswer, match=r"has 4194305 characters"):
        await asked.console_log(ID, 1)


async def test_news_are_records_and_nonsense_is_passed_over() -> None:
    bus, heard = MemoryBus(), []

    def hear(news: topics.BuildEnded) -> None:
        heard.append(news)

    topics.BUILDS_ENDED.listen(bus.join("scheduler"), hear)
    conductor = bus.join("conductor")
    await conductor.publish("builds.ended", {"host": 7})
    await topics.BUILDS_ENDED.publish(conductor, topics.BuildEnded(host="a", worked=True))
    assert heard == [topics.BuildEnded(host="a", worked=True)]


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda each: each.__name__)
def test_every_call_declares_a_deadline_who_may_and_what_makes_it_the_same_call(contract: type[Contract]) -> None:
    config = Config(state=Path())
    assert contract.__abstractmethods__ == methods_of(contract).keys(), "every method is declared with call"
    for method in methods_of(contract).values():
        declared = method.declared
        given = {declared.plus: 0.0} if declared.plus else {}
        assert 0 < method.seconds(config, given) <= 4000, method.name
        assert declared.by and set(declared.by) <= {"api", "conductor", "scheduler", "agent"}, method.name
        repeat = declared.repeat_by
        says = bool(repeat.by) or not method.arguments
        assert repeat == READS or (repeat.changes and says), f"{method.name} says what makes two calls the same"
        named = {path.partition(".")[0] for path in (*repeat.by, repeat.about) if path}
        assert named <= method.arguments.keys(), method.name
        assert repeat.about or not repeat.is_kept, f"{method.name}: only what is about something can be kept"
        assert getattr(contract, method.name).__doc__, method.name


TOO_MUCH = (
    {"guests": [{"id": ID, "power": "running"}] * (bounds.MOST + 1)},
    {"building": ["x" * (bounds.LONGEST + 1)]},
    {"metrics": {str(number): 1 for number in range(bounds.MOST + 1)}},
    {"facts": {**FACTS, "hypervisor_version": 1 << 63}},
    {"facts": {**FACTS, "hypervisor_version": -(1 << 63)}},
    {"facts": {**FACTS, "inventory": {"VCPU": {"total": (1 << 64) - 1}}}},
    {"facts": {**FACTS, "cpu_info": DEEP}},
    {"metrics": {"x" * (bounds.LONGEST + 1): 1}},
)


@pytest.mark.parametrize("change", TOO_MUCH, ids=lambda change: next(iter(change)))
async def test_a_host_that_says_too_much_is_refused_in_its_name(config: Config, change: Any) -> None:
    heard = []

    async def report_host(report: AgentReport) -> None:
        heard.append(report)

    bus = MemoryBus()
    serve_some(bus.join("conductor"), ConductorCalls, report_host=report_host)
    good = {"facts": FACTS, "started": False}
    with capture_logs() as logs, pytest.raises(RemoteError) as refused:
        await bus.join("agent:a").call("conductor", "report_host", {"report": {**good, **change}})
    assert refused.value.kind == "BadCall"
    assert [(one["event"], one["sender"], one["method"]) for one in logs] == [
        ("a bus call could not be read", "agent:a", "report_host")
    ]
    await bus.join("agent:a").call("conductor", "report_host", {"report": good})
    assert len(heard) == 1


async def test_an_error_is_told_in_the_words_of_who_serves_and_another_one_as_it_is(config: Config) -> None:
    """A fault of the database quotes SQL, which is nothing for a client."""
    explained = {"[SQL: SELECT]": Unavailable("The database could not do it just now.")}
    outcomes = {"[SQL: SELECT]": "The database could not do it just now.", "no shelf": "no shelf"}
    for raised, said in outcomes.items():
        bus, error = MemoryBus(), ValueError(raised)
        of = partial(Open, outcome=error)
        serve(bus.join("shop.a"), Shop, of, "a", explain=lambda error: explained.get(str(error)))
        with pytest.raises(RemoteError) as told:
            await client(Shop, bus.join("api"), config, "a").order(Wish(name="x"))
        assert str(told.value) == said
        assert told.value.kind == ("Unavailable" if said != raised else "ValueError")


async def test_an_error_that_is_told_as_it_is_is_no_cause_of_itself(config: Config) -> None:
    """Who looks for what is behind an error would go round for ever."""
    bus, error = MemoryBus(), Unavailable("The shop is closed.")
    serve(bus.join("shop.a"), Shop, partial(Open, outcome=error), "a", explain=lambda error: error)
    with pytest.raises(RemoteError, match="The shop is closed"):
        await client(Shop, bus.join("api"), config, "a").order(Wish(name="x"))
    assert error.__cause__ is None


async def test_an_answer_of_a_host_is_held_to_the_same_bounds(config: Config) -> None:
    async def holdings(message: Any) -> Any:
        return {"guests": [{"id": ID, "power": "running"}] * (bounds.MOST + 1)}

    bus = MemoryBus()
    bus.join("agent:a").serve("agent.a", {"holdings": holdings})
    with pytest.raises(BadAnswer, match=r"agent\.a answered holdings .* 50001 members"):
        await client(HostCalls, bus.join("conductor"), config, "a").holdings()


def test_what_makes_two_calls_the_same_is_read_from_what_they_are_given() -> None:
    methods = methods_of(HostCalls)
    revision = methods["apply_network"].declared.repeat_by.by
    assert [named(path, {"topology": Topology(revision=7)}) for path in revision] == [7]
    power = methods["set_power"].declared.repeat_by
    assert [named(path, {"operation": "o", "to": Power.RUNNING}) for path in power.by] == ["o", Power.RUNNING]
    assert named(power.about, {"server": "s"}) == "s"
    assert methods["holdings"].declared.repeat_by == READS


def test_a_heartbeat_is_declared_as_what_changes_something_though_it_is_given_nothing() -> None:
    heartbeat = methods_of(ConductorCalls)["heartbeat"].declared.repeat_by
    assert heartbeat == settles() and heartbeat.changes and heartbeat != READS and not READS.changes


def test_a_plan_tells_nothing_secret_when_it_is_printed() -> None:
    from novakit.calls.host import ImageSource

    source = ImageSource(id=ID, sha256="0" * 64, size=1, disk_format="raw", url="http://x", ticket="very secret")
    guest = GuestPlan(id=ID, name="a", hostname="a", vcpus=1, memory_mb=1, root_gb=1)
    plan = BuildPlan(guest=guest, image=source)
    assert "very secret" not in repr(plan)
