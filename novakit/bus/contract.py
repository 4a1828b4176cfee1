"""Typed contracts: what one target of the bus can be asked, declared once for who asks and who answers.

The idea: a contract is an abstract class whose methods carry their deadline, their idempotency key and who may call
them. `client` gives an object of that class whose methods call over any `Bus`; `serve` lets an object of that class
answer. A broker between machines or a simulation of the bus carries the same contracts: nothing here knows how.
The invariant: a method that is missing or misspelt, or a field of another type, is found by the type checker, and a
server that lacks a method cannot be made. What crosses is plain data: a field that the other side does not know yet is
passed over, one that is missing is refused with a sentence, and so is an answer that is not what was declared.
The cost: one pass over the records on each side; 10 microseconds for a small call, 70 for placing a server. Within a
process what cannot change crosses as it is, and is looked at once: see `novakit.bus.crossing`.

Every call may come twice: what was asked may have been done although no answer came. `repeat_by` says what makes two
calls the same call, and `serve` holds it: see `novakit.bus.repeats`.
"""

import typing
from abc import ABC
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from functools import cache, partial
from types import FunctionType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import attrs
import structlog

from novakit import world
from novakit.bus import bounds
from novakit.bus.crossing import Fits, fitting, never
from novakit.bus.interface import (
    BadAnswer,
    BadCall,
    Bus,
    BusError,
    Message,
    MessageHandler,
    Sealed,
    not_permitted,
)
from novakit.bus.repeats import KeptAnswers, Repeat
from novakit.errors import in_words
from novakit_hookspecs.plain import to_plain, to_record

if TYPE_CHECKING:
    from novakit.config import Config

log = structlog.get_logger(__name__)

C = TypeVar("C", bound="Contract")
T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Awaitable[object]])

WITHIN = "within"
"""Where a message says how many seconds its caller waits."""
_DECLARED, _CONTRACT = "__bus_call__", "__bus_contract__"
_until: ContextVar[float | None] = ContextVar("until", default=None)


class Contract(ABC):
    """What one target can be asked; every method is abstract and declared with `call`."""

    __slots__ = ()
    target: typing.ClassVar[str]
    """The target's name, with `{}` for what tells several of a kind apart: `agent.{}`."""
    is_bounded: typing.ClassVar[bool] = False
    """Whether those who serve it are compute hosts, whose answers are held to `novakit.bus.bounds`."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for function in vars(cls).values():
            if hasattr(function, _DECLARED):
                setattr(function, _CONTRACT, cls)


@attrs.frozen
class Encoded:
    """How an argument is written that has a shorter form than its fields: `Annotated[Topology, Encoded(...)]`."""

    write: Callable[[Any], object]
    read: Callable[[Any], object]
    fits: Fits = never
    """Says whether a value is written only where it leaves the process: it is what was declared, and cannot change."""

    def sealed(self, value: object) -> object:
        """Put a value into a message: itself where it fits, else as plain data."""
        return Sealed(value, self.write) if self.fits(value) else self.write(value)


@attrs.frozen
class _Declaration:
    within: "float | Callable[[Config], float]"
    plus: str | None
    repeat_by: Repeat
    by: tuple[str, ...]


def call(
    *, within: "float | Callable[[Config], float]", repeat_by: Repeat, by: tuple[str, ...], plus: str | None = None
) -> Callable[[F], F]:
    """Declare an abstract method as a call of its contract.

    `within` is the deadline in seconds, or reads it from the caller's configuration; `plus` names an argument whose
    seconds are added to it. `repeat_by` says what makes two calls the same: `kept(...)`, `settles(...)` or `READS`.
    `by` names the roles that may call it.
    """

    def declare(method: F) -> F:
        setattr(method, _DECLARED, _Declaration(within, plus, repeat_by, by))
        return method

    return declare


@attrs.frozen
class Method:
    """One call of a contract."""

    name: str
    declared: _Declaration
    arguments: Mapping[str, Encoded]
    defaults: Mapping[str, object]
    needed: frozenset[str]
    """Arguments without a default."""
    answer: Encoded
    is_bounded: bool

    def seconds(self, config: "Config", given: Mapping[str, object]) -> float:
        """Return how many seconds its caller waits."""
        within = self.declared.within
        seconds = float(within(config) if callable(within) else within)
        plus = self.declared.plus
        more = given.get(plus, self.defaults.get(plus)) if plus else None
        return seconds + more if isinstance(more, int | float) else seconds

    def write(self, given: Mapping[str, object]) -> dict[str, object]:
        """Turn arguments into the body of a message."""
        return {name: self.arguments[name].sealed(value) for name, value in given.items()}

    def read(self, body: Mapping[str, object]) -> dict[str, object]:
        """Turn the body of a message into arguments. Raises BadCall."""
        if not body.keys() >= self.needed:
            raise BadCall(f"{self.name} needs {', '.join(sorted(self.needed - body.keys()))}.")
        given = {}
        for name, kind in self.arguments.items():
            if name in body:
                try:
                    sent = body[name]
                    given[name] = sent.record if isinstance(sent, Sealed) else kind.read(sent)
                except (TypeError, ValueError, LookupError) as error:
                    raise BadCall(f"{self.name} was not understood: {name}: {in_words(error)}.") from error
        return given


@cache
def methods_of(contract: type[Contract]) -> Mapping[str, Method]:
    """Return the calls of a contract, by name."""
    found = {}
    for name in sorted(dir(contract)):
        function = getattr(contract, name)
        if (declared := getattr(function, _DECLARED, None)) is not None:
            found[name] = _method(name, function, declared, contract.is_bounded)
    return found


def _method(name: str, function: FunctionType, declared: _Declaration, is_bounded: bool) -> Method:
    hints = typing.get_type_hints(function, include_extras=True)
    answer = hints.pop("return")
    values = function.__defaults__ or ()
    defaults = dict(zip(list(hints)[len(hints) - len(values) :], values, strict=True))
    return Method(
        name=name,
        declared=declared,
        arguments={each: _encoded(hint) for each, hint in hints.items()},
        defaults=defaults,
        needed=frozenset(hints.keys() - defaults.keys()),
        answer=_encoded(answer),
        is_bounded=is_bounded,
    )


def _encoded(hint: object) -> Encoded:
    for extra in getattr(hint, "__metadata__", ()):
        if isinstance(extra, Encoded):
            return extra
    kind: Any = hint
    # Plain data is no shorter for being sealed.
    fits = never if kind in (str, int, float, bool, type(None)) else fitting(kind)
    return Encoded(to_plain, lambda plain: to_record(plain, kind, tolerant=True), fits)


def client(contract: type[C], bus: Bus, config: "Config", name: str = "") -> C:
    """Return an object whose methods ask the target of a contract; `name` tells it from others of its kind.

    Its methods raise what `Bus.call` raises, and `BadAnswer` for an answer that is not what was declared.
    """
    made: C = _caller(contract)(bus, config, contract.target.format(name))
    return made


@attrs.frozen
class Targets(Generic[C]):
    """The targets of one kind, such as the agents of all hosts."""

    contract: type[C]
    bus: Bus
    config: "Config" = attrs.field(repr=False)

    def at(self, name: str) -> C:
        """Return the one of this name, whether anybody serves it or not."""
        return client(self.contract, self.bus, self.config, name)


@attrs.frozen(kw_only=True)
class Answer(Generic[T]):
    """What one of several servers of a target said."""

    identity: str
    value: T | None = None
    error: BusError | None = None
    """Why there is no value."""


async def ask_each(method: Callable[[C], Awaitable[T]], bus: Bus, config: "Config") -> list[Answer[T]]:
    """Ask every server of a target the same, such as `ask_each(SchedulerCalls.counts, ...)`; sorted by identity."""
    contract: type[Contract] = getattr(method, _CONTRACT)
    one = methods_of(contract)[method.__name__]
    answers = []
    for reply in await bus.call_each(contract.target, one.name, within=one.seconds(config, {})):
        error, value = reply.error, typing.cast("T | None", None)
        if error is None:
            try:
                value = typing.cast(T, _read_answer(one, reply.identity, reply.answer))
            except BusError as bad:
                error = bad
        answers.append(Answer(identity=reply.identity, value=value, error=error))
    return answers


@attrs.frozen
class _TargetCaller:
    bus: Bus
    config: "Config" = attrs.field(repr=False)
    to: str


@cache
def _caller(contract: type[Contract]) -> type:
    """Make the class of those who call by a contract."""
    methods = {name: _asking(method, getattr(contract, name)) for name, method in methods_of(contract).items()}
    return type(f"{contract.__name__}Caller", (_TargetCaller, contract), methods)


def _asking(method: Method, declared: FunctionType) -> object:
    names = tuple(method.arguments)

    async def ask(self: _TargetCaller, *args: object, **kwargs: object) -> object:
        given = {**dict(zip(names, args, strict=False)), **kwargs}
        within = method.seconds(self.config, given)
        body = {**method.write(given), WITHIN: within}
        return _read_answer(method, self.to, await self.bus.call(self.to, method.name, body, within=within))

    ask.__name__, ask.__qualname__, ask.__doc__ = method.name, declared.__qualname__, declared.__doc__
    return ask


def _read_answer(method: Method, who: str, plain: object) -> object:
    if isinstance(plain, Sealed):
        return plain.record
    try:
        if method.is_bounded:
            bounds.check(plain, "the answer")
        return method.answer.read(plain)
    except (TypeError, ValueError, LookupError) as error:
        raise BadAnswer(
            f"{who} answered {method.name} with something that cannot be read: {in_words(error)}."
        ) from error


def serve(
    bus: Bus,
    contract: type[C],
    of: Callable[[str], C],
    name: str = "",
    *,
    require: Callable[[str], None] = lambda deployment: None,
    explain: Callable[[BaseException], Exception | None] = lambda error: None,
) -> Callable[[], None]:
    """Answer the calls of a contract with `of(sender)`; the result takes that back.

    `require` is asked before each call that changes something, with the deployment that it comes from, and raises what
    the caller is told where that is refused.
    `explain` gives what the caller is told in the place of an error, such as one of the database, which quotes SQL.
    Raises TypeError when it lacks a method of the contract.
    """
    of(bus.identity)
    answers = KeptAnswers()
    handlers = {each: _handler(method, of, require, explain, answers) for each, method in methods_of(contract).items()}
    return bus.serve(contract.target.format(name), handlers)


def _handler(
    method: Method,
    of: Callable[[str], Contract],
    require: Callable[[str], None],
    explain: Callable[[BaseException], Exception | None],
    answers: KeptAnswers,
) -> MessageHandler:
    repeat = method.declared.repeat_by

    async def handle(message: Message) -> object:
        within = message.body.get(WITHIN)
        token = _until.set(world.monotonic() + within if isinstance(within, int | float) else None)
        try:
            if message.sender.partition(":")[0] not in method.declared.by:
                raise not_permitted(message.sender, "call", method.name)
            if repeat.changes:
                require(message.deployment)
            given = _given(method, message)
            by = of(message.sender)
            if not repeat.about:
                return await _answered(method, by, given)
            work = partial(_answered, method, by, given)
            return await answers.answer(repeat, method.name, message.sender, given, work)
        except Exception as error:  # a border: what is known of is told in its own words, the rest as it is
            told = explain(error)
            if told is None or told is error:
                raise
            raise told from error
        finally:
            _until.reset(token)

    return handle


async def _answered(method: Method, by: Contract, given: Mapping[str, object]) -> object:
    return method.answer.sealed(await getattr(by, method.name)(**given))


def _given(method: Method, message: Message) -> dict[str, object]:
    """Read what a call came with; what is wrong with it is logged in the name of who sent it. Raises BadCall."""
    try:
        if message.sender.startswith("agent:"):
            bounds.check(message.body, method.name)
        return method.read(message.body)
    except (BadCall, ValueError) as error:
        log.warning("a bus call could not be read", sender=message.sender, method=method.name, why=str(error)[:500])
        raise error if isinstance(error, BadCall) else BadCall(f"{method.name} was refused: {error}.") from error


def time_left(most: float) -> float:
    """Return how many seconds there are, `most` at most, until the caller of what is being answered waits no longer."""
    until = _until.get()
    return most if until is None else min(most, max(until - world.monotonic(), 0.0))
