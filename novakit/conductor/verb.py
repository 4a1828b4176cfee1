"""What a verb is: one record, from which the API's route and policy, the table of moves and the engine are read.

A verb lives in one module of `novakit/conductor/verbs/`, which holds its record, what it remembers and its steps.
Nothing else names it: `VERBS` finds it there, the API serves its action by it, the page of states shows its moves.
"""

from abc import abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Generic, TypeVar

import attrs

from novakit import world
from novakit.compute.rules import ActionRule
from novakit.compute.states import REQUEST, UNDO, Move, move_if, when
from novakit.conductor.parts import Parts
from novakit.conductor.work import AnyWork, Commit, Failure, HandedOver, M, Memory, Work, move_of, require_own_names
from novakit.context import RequestContext
from novakit.store.compute.servers import ServerColumns, ServerRow
from novakit.store.engine import Session
from novakit.store.operations import OperationRow
from novakit_hookspecs.plain import to_plain

V = TypeVar("V")
BodySchema = Mapping[str, object]
Version = tuple[int, int]
NOT_READ: BodySchema = {}
"""The schema of a value that is not looked at, whatever it is."""
ANYTHING: Sequence[tuple[Version, BodySchema]] = (((2, 1), NOT_READ),)
"""The body of an action whose value no version looks at."""


@attrs.frozen
class FieldRule:
    """A further rule that the caller must meet when the value has a field."""

    name: str
    since: Version
    rule: ActionRule


@attrs.frozen(kw_only=True)
class Way:
    """One way to ask for something to be done to a server, and who may."""

    rule: ActionRule
    """What the caller must meet before anything else is looked at."""
    fields: Sequence[FieldRule] = ()
    asks: Sequence[ActionRule] = ()
    """Rules that are asked while it is done, where more than a field of the value decides whether they are."""

    @property
    @abstractmethod
    def operation(self) -> str:
        """Say in the policy's words what its rules are about."""

    @property
    def rules(self) -> Sequence[ActionRule]:
        """Return every rule that is asked on this way, each once."""
        return tuple(dict.fromkeys((self.rule, *(field.rule for field in self.fields), *self.asks)))


@attrs.frozen(kw_only=True)
class Action(Way):
    """How users ask for a verb: POST /servers/ID/action with `{name: value}`, answered with 202."""

    name: str
    bodies: Sequence[tuple[Version, BodySchema]] = ANYTHING
    """JSON schemas of the value, each from a version on."""
    value: type | None = None
    """The record that the verb gets of the value, with its defaults for null and for a value that is not looked at.

    None where no version looks at it.
    """
    since: Version | None = None
    until: Version | None = None
    """The last version that has it."""

    @property
    def operation(self) -> str:
        """Say in the policy's words what its rules are about."""
        return f"POST /servers/{{id}}/action ({self.name})"

    def is_in(self, version: Version) -> bool:
        """Return whether a version has it."""
        return (self.since is None or version >= self.since) and (self.until is None or version <= self.until)

    def is_read(self, version: Version) -> bool:
        """Return whether a version looks at the value."""
        return [schema for since, schema in self.bodies if since <= version][-1] is not NOT_READ


@attrs.frozen(kw_only=True)
class OwnRoute(Way):
    """A path of its own at which users ask for a verb, beside its action or instead of one.

    Its handler and the schema of its body stand in the API: what is told here is where it is, and who may.
    """

    method: str
    path: str
    """Below `/v2.1`, as `/servers/{id}`."""

    @property
    def operation(self) -> str:
        """Say in the policy's words what its rules are about."""
        return f"{self.method} {self.path}"


@attrs.frozen(kw_only=True)
class Asked:
    """One request for a verb, inside the transaction that is to write its operation; the server's row is locked."""

    session: Session
    context: RequestContext
    server: ServerRow
    value: object = None
    """The record of the action's value; None of a verb whose action has none."""

    def given(self, kind: type[V]) -> V:
        """Return the value as the record that the verb's action names. Raises TypeError for a request without it."""
        if not isinstance(self.value, kind):
            raise TypeError(f"expected a {kind.__name__}, not {type(self.value).__name__}")
        return self.value

    def may(self, rule: ActionRule) -> bool:
        """Return whether the caller meets a rule that the record names under `asks`, for this server."""
        return self.context.may(rule.name, {"project_id": self.server["project_id"], "user_id": self.server["user_id"]})


@attrs.frozen(kw_only=True)
class Begun(Generic[M]):
    """What `begin` of a verb makes of a request."""

    memory: M
    event: str = REQUEST
    """The move that is made at once."""
    values: ServerColumns = attrs.field(factory=ServerColumns)
    """Columns of the server that are set with it."""
    cancels: bool = False
    """Whether operations under way are to stop: this one takes their place."""


@attrs.frozen(kw_only=True)
class Step(Generic[M]):
    """One step of a verb; done again, also after it was cut off, it comes to the same."""

    name: str
    do: Callable[[Work[M], Parts], Awaitable[Commit | None]]
    """Gives what is to be written with it.

    Raises Failed, Postponed or Rewind, or lets through what a host said.
    """
    undo: Callable[[Work[M], Parts], Awaitable[Commit | None]] | None = None
    """Takes back what the step did, or may have done in part; tried until it works."""
    shown_as: str | None = None
    """The event's name in the list of instance actions; by default VERB_STEP."""
    interruptible: bool = False
    """Whether a delete may stop it in the middle; a step that claims something runs to its end."""
    holds: bool = False
    """Whether what was done up to here stays, whatever fails later."""
    is_flushed_later: bool = False
    """Whether that it is done need not be on the disk before the next step begins.

    Only for a step after which nothing is done outside of the database until `Store.settled` was waited for.
    """
    is_written_later: bool = False
    """Whether that it is done may be written together with the next step, if that one is quick.

    Only for a step that finds the same when it is done again, and whose commit nothing that follows relies on.
    """


@attrs.frozen(kw_only=True)
class Verb(Generic[M]):
    """What can be done to a server."""

    kind: str
    """Its name in the store, in the list of instance actions, and for observers."""
    remembers: type[M] = attrs.field(validator=lambda verb, field, kind: require_own_names(kind))
    moves: Sequence[Move]
    """Every change of the server's states; all begin with the event `request` or `undo`, or are made by a step.

    A request that begins from no state makes the server.
    """
    steps: Sequence[Step[M]] = ()
    """What an operation does after the request; without any, the request itself does everything at once."""
    action: Action | None = None
    """How users ask for it among a server's actions; None for what no server is asked for."""
    route: OwnRoute | None = None
    """Where else they ask for it."""
    begin: Callable[[Asked], Awaitable[Begun[M] | None]] | None = None
    """Works out what the operation remembers; None for what no action asks for.

    Gives None where the server is so already: the request is granted and changes nothing.
    Raises a NovakitError for what cannot be.
    """
    needs: type | None = None
    """The facet that the driver of the server's host must have; the request is refused where it has not."""
    needs_host: bool = True
    """Whether the request is refused for a server that is on no host."""
    places: bool = False
    """Whether it brings the guest to a host or takes it away, and judges by itself whether an older backup asks for it.

    Every other verb that an older backup has open is not gone on with where the guest has seen more since.
    """
    locks_out: bool = True
    """Whether a locked server keeps all but administrators from it."""
    repeats: bool = False
    """Whether a request while the same is under way is granted and changes nothing; by default it is refused."""
    tireless: bool = False
    """Whether a step that fails is done again for as long as it takes, instead of being taken back."""
    fails_first: bool = False
    """Whether the server shows the failure before it is taken back; by default after it."""

    @property
    def ways(self) -> Sequence[Way]:
        """Return how users ask for it."""
        return [way for way in (self.action, self.route) if way is not None]

    def move(self, event: str) -> Move:
        """Return the move of an event."""
        return move_of(self.moves, event)

    def work(self, row: OperationRow, handed: HandedOver | None = None) -> Work[M]:
        """Take an operation's row, and what is known of it by whoever has just written it.

        Raises TypeError or ValueError when what it remembers cannot be read.
        """
        return Work.of(row, self.moves, self.remembers, handed)

    def after(self, step: str | None) -> Sequence[Step[M]]:
        """Return the steps that are left once `step` is done."""
        names = [each.name for each in self.steps]
        return self.steps[names.index(step) + 1 :] if step in names else self.steps

    def before(self, step: str) -> str | None:
        """Return the name of the step before `step`."""
        names = [each.name for each in self.steps]
        place = names.index(step)
        return names[place - 1] if place else None

    def begun(self, step: str | None) -> Sequence[Step[M]]:
        """Return the steps that may have left something once `step` is the last that is done, latest first."""
        done = len(self.steps) - len(self.after(step))
        held = max((place + 1 for place, each in enumerate(self.steps[:done]) if each.holds), default=0)
        return self.steps[held : done + 1][::-1]

    def event_of(self, step: Step[M]) -> str:
        """Return the name that a step has in the list of instance actions."""
        return step.shown_as or f"{self.kind}_{step.name}"


AnyVerb = Verb[Memory]
"""Whichever verb; its steps take work with its own memory and no other, so that no wider record could stand for all."""
AnyStep = Step[Memory]
"""A step of whichever verb."""


def simple_moves(
    before: Sequence[str], during: str, after: str, step: str, before_task: str | None = None
) -> Sequence[Move]:
    """Return the moves of a verb of one step: from vm_states at rest, through a task_state, to a vm_state at rest.

    One that fails leaves the server as it was.
    """
    return (
        Move(REQUEST, when(before, before_task), None, during),
        Move(step, when(before, during), after, None),
        Move(UNDO, when(before, during), None, None),
    )


def same_state(before: Sequence[str]) -> Sequence[Move]:
    """Return the moves of a verb that changes no state: it is asked for in these vm_states at rest and leaves them."""
    return Move(REQUEST, when(before, None), None, None), Move(UNDO, when(before, None), None, None)


async def begin_on_host(asked: Asked) -> Begun[Memory]:
    """Begin a verb that has to remember nothing but the server's host."""
    return Begun(memory=Memory(host=asked.server["host"]))


def undone(work: AnyWork, failure: Failure) -> Commit:
    """Return the commit of the undo move that the server's state allows, with the failure as its fault.

    It changes nothing where somebody has set the state meanwhile.
    """
    shown = {**to_plain(failure), "created": world.now().strftime("%Y-%m-%dT%H:%M:%SZ")}

    async def commit(session: Session) -> None:
        for move in work.moves:
            if move.event.startswith(UNDO) and await move_if(session, work.server_id, move, fault=shown):
                return

    return commit
