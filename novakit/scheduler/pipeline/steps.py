"""One installed filter or weigher with a border around it: whatever it does wrong costs only itself.

The idea: each call of a plugin is a task with one way in and one way out. Stock plugins run on the event loop; those
of others in a thread of their own with a time limit, on a copy of the facts that they declared.
The invariant: whatever a plugin does (raise, hang, answer in another shape, explain itself with megabytes) comes out
as its answer, checked and bounded, or as `Broken` with a sentence that names the plugin. Its faults are counted and
the first different ones logged, so that a plugin which fails for every request fills no log.
The cost: some microseconds for a stock plugin, about 50 µs and a copy of its columns for others.
"""

import itertools
import threading
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

import attrs
import numpy as np
import structlog
from numpy.typing import NDArray

from novakit import world
from novakit.concurrency.own_thread import OwnThread, Stuck
from novakit.scheduler.pipeline.view import View
from novakit_hookspecs.columns import Kind, find
from novakit_hookspecs.ranking import SchedulerSpec
from novakit_hookspecs.scheduling import Abstains, Ask, ColumnFilter, Explains, FilterSpec, IfBroken, Reason
from novakit_hookspecs.weighing import ColumnWeigher, ScalesItself, WeigherSpec

Spec = TypeVar("Spec", bound=FilterSpec | WeigherSpec | SchedulerSpec, covariant=True)
T = TypeVar("T")
log = structlog.get_logger(__name__)

DIFFERENT = 20
"""Faults of one plugin that are logged each, with traceback, because they differ; after that only every so many."""


MAX_NAME, MAX_TEXT, MAX_ITEMS, MAX_DEPTH = 100, 500, 50, 4
"""Bounds of what a plugin's reason may say: characters of a name and of a text, and how long and deep a value is."""


STANDING = frozenset(
    {
        *(
            "node",
            "host_ip",
            "hypervisor_type",
            "hypervisor_version",
            "cpu_info",
            "supported_instances",
            "machine_types",
        ),
        *("up", "enabled", "disabled_reason", "availability_zone", "cell", "failed_builds"),
    }
)
"""Facts of a host that no claim on it changes."""


class Broken(Exception):
    """A filter or weigher did not do its part; the sentence says which and how."""


@attrs.define(eq=False)
class PipelineStep(Generic[Spec]):
    """An installed filter or weigher and what became of its calls."""

    spec: Spec
    work: Any
    view: View
    plugin: str
    """The distribution it came from."""
    trusted: bool
    """Whether it is part of novakit itself and may run on the event loop."""
    calls: int = 0
    faults: int = 0
    seconds: float = 0.0
    removed: int = 0
    last_fault: str = ""
    failing: str = ""
    """The fault for which requests fail, until a call works again."""
    name: str = attrs.field(init=False)
    """The record's."""
    by_column: bool = attrs.field(init=False)
    """Whether it looks at all hosts at once."""
    explains: bool = attrs.field(init=False)
    scales_itself: bool = attrs.field(init=False)
    stands: bool = attrs.field(init=False)
    """Whether a claim on a host changes nothing of what it says of that host, except to a member of a group."""
    _abstains: bool = attrs.field(init=False)
    _aside: OwnThread = attrs.field(
        default=attrs.Factory(lambda self: OwnThread(f"{self.plugin}/{self.spec.name}"), takes_self=True)
    )
    _logged: set[str] = attrs.field(factory=set)

    def __attrs_post_init__(self) -> None:
        """Look at the facets once: comparing an object with a protocol takes longer than most filters."""
        self.name = self.spec.name
        self.by_column = isinstance(self.work, ColumnFilter | ColumnWeigher)
        self.explains = isinstance(self.work, Explains)
        self.scales_itself = isinstance(self.work, ScalesItself)
        self.stands = self.trusted and self.spec.reads <= STANDING
        self._abstains = isinstance(self.work, Abstains)

    def skips(self, ask: Ask) -> bool:
        """Return whether it has no opinion on this request."""
        return self._abstains and not self.work.applies(ask)

    async def call(
        self, task: Callable[[View, threading.Event | None], T], rows: NDArray[np.intp] | slice | None = None
    ) -> T:
        """Run one task of the plugin, timed. Raises Broken with a sentence for everything it does wrong."""
        started = world.monotonic()
        try:
            if self.trusted:
                result = task(self.view if rows is None else self.view.of(rows), None)
            else:
                everybody = np.arange(self.view.size)
                own = self.view.of(everybody if rows is None else everybody[rows])
                result = await self._aside.run(lambda given_up: task(own, given_up), self.spec.within)
        except Exception as error:
            raise self._fault(error) from error
        finally:
            self.calls += 1
            self.seconds += world.monotonic() - started
        return result

    def _fault(self, error: Exception) -> Broken:
        self.faults += 1
        what = (str(error) if isinstance(error, Broken | Stuck) else f"{type(error).__name__}: {error}")[:500]
        self.last_fault = f"{self.name} of {self.plugin} failed: {what}"[:500]
        new = what not in self._logged and len(self._logged) < DIFFERENT
        if new or self.faults in (10, 100) or self.faults % 1000 == 0:
            self._logged.add(what)
            log.warning(
                "scheduler plugin failed",
                plugin=self.plugin,
                step=self.name,
                faults=self.faults,
                why=what,
                exc_info=None if isinstance(error, Broken | Stuck) else error,
            )
        return Broken(self.last_fault)

    @property
    def may_be_skipped(self) -> bool:
        """Return whether a request goes on without it when it is broken."""
        return self.spec.if_broken is IfBroken.SKIP


AnyPipelineStep = PipelineStep[FilterSpec | WeigherSpec | SchedulerSpec]
"""A filter or a weigher: what either declares is kept by the step and may be replaced, so neither stands for both."""


def applies_mask(
    step: PipelineStep[FilterSpec], ask: Ask
) -> Callable[[View, threading.Event | None], NDArray[np.bool_]]:
    """Make the task that asks a filter about every host of a view, whichever form it has."""
    if step.by_column:
        return lambda view, _: _checked_mask(step.work.mask(view, ask), view.size)
    return lambda view, given_up: _one_by_one(step, view, ask, given_up)


def _checked_mask(mask: object, size: int) -> NDArray[np.bool_]:
    if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_ or mask.shape != (size,):
        shape = f"{mask.dtype} {mask.shape}" if isinstance(mask, np.ndarray) else type(mask).__name__
        raise Broken(f"its mask is {shape}; return a boolean array with one element for each of the {size} hosts")
    return mask


def _one_by_one(
    step: PipelineStep[FilterSpec], view: View, ask: Ask, given_up: threading.Event | None
) -> NDArray[np.bool_]:
    facts = sorted(step.spec.reads)
    values = [_values(view, fact) for fact in facts]
    host = _row_class(tuple(facts))()
    answer = np.zeros(view.size, np.bool_)
    for index, row in enumerate(zip(view.names, *values, strict=True)):
        host.name, *rest = row
        for fact, value in zip(facts, rest, strict=True):
            setattr(host, fact, value)
        verdict = step.work.passes(host, ask)
        if verdict is not True and verdict is not False and not isinstance(verdict, np.bool_):
            raise Broken(f"passes() gave {type(verdict).__name__}; return True or False")
        answer[index] = verdict
        if given_up is not None and given_up.is_set():
            break
    return answer


def _values(view: View, name: str) -> list[object]:
    fact = find(name)
    if fact is not None and fact.kind is Kind.CATEGORY:
        words = view.vocabulary(name)
        return [words[code] for code in view.codes(name).tolist()]
    listed: list[object] = view.column(name).tolist()
    return listed


_row_classes: dict[tuple[str, ...], object] = {}


def _row_class(facts: tuple[str, ...]) -> Any:
    """Make a class whose attributes are exactly these facts; slots are five times as fast as `__getattr__`."""
    if facts not in _row_classes:
        _row_classes[facts] = type("HostRow", (), {"__slots__": ("name", *facts)})
    return _row_classes[facts]


def checked_scores(
    step: PipelineStep[WeigherSpec], ask: Ask
) -> Callable[[View, threading.Event | None], NDArray[np.float64]]:
    """Make the task that asks a weigher for a score of every host of a view."""
    return lambda view, _: _numbers(step.work.score(view, ask), view.size, "score")


def checked_ranks(
    step: PipelineStep[SchedulerSpec], ask: Ask
) -> Callable[[View, threading.Event | None], NDArray[np.float64]]:
    """Make the task that asks a scheduler driver about every host of a view; what it refuses comes as -inf."""

    def task(view: View, _: threading.Event | None) -> NDArray[np.float64]:
        ranks = _numbers(step.work.rank(view, ask), view.size, "ranking")
        if np.isposinf(ranks).any():
            raise Broken("its ranking has an infinite best host; return finite numbers, or NaN or -inf for a refusal")
        return np.where(np.isnan(ranks), -np.inf, ranks)

    return task


def _numbers(given: object, size: int, what: str) -> NDArray[np.float64]:
    if not isinstance(given, np.ndarray) or given.dtype.kind not in "fiub" or given.shape != (size,):
        shape = f"{given.dtype} {given.shape}" if isinstance(given, np.ndarray) else type(given).__name__
        raise Broken(f"its {what} is {shape}; return one number for each of the {size} hosts")
    return given.astype(np.float64, copy=False)


async def reasons(step: AnyPipelineStep, rows: NDArray[np.intp], ask: Ask) -> list[Reason]:
    """Ask a filter why it removed these hosts; a filter that cannot say gets one plain reason."""
    plain = Reason(
        code=f"{step.name}_refused", count=len(rows), message=f"did not pass the {step.name.replace('_', ' ')} check"
    )
    if not step.explains:
        return [plain]
    try:
        given = await step.call(lambda view, _: [_tamed(one, plain) for one in step.work.why(view, ask)], rows)
    except Broken:
        return [plain]
    return given if given and sum(reason.count for reason in given) == len(rows) else [plain]


def _tamed(reason: object, plain: Reason) -> Reason:
    """Make what a plugin says fit to be stored and shown: texts of a bounded length, and plain values."""
    if not isinstance(reason, Reason):
        raise Broken(f"why() gave {type(reason).__name__}; return Reason records")
    shortfall = reason.shortfall if isinstance(reason.shortfall, int | float) else 1.0
    return Reason(
        code=_text(reason.code, MAX_NAME) or plain.code,
        count=int(reason.count),
        message=_text(reason.message, MAX_TEXT) or plain.message,
        wanted=_value(reason.wanted),
        available=_value(reason.available),
        remedy=_text(reason.remedy, MAX_TEXT),
        shortfall=shortfall if 0 <= shortfall <= 1 else 1.0,
    )


def _text(value: object, most: int) -> str:
    text = value if isinstance(value, str) else ""
    return text[:most].encode(errors="replace").decode().replace("\0", "?")


def _value(value: object, depth: int = 0) -> object:
    """Keep numbers, texts, and lists and tables of them; of anything else keep how it writes itself."""
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value) if abs(value) < 2**53 else float(value) if abs(value) < 1e300 else str(value)[:MAX_NAME]
    if isinstance(value, float):
        return value if np.isfinite(value) else str(value)
    if isinstance(value, str):
        return _text(value, MAX_TEXT)
    if depth < MAX_DEPTH and isinstance(value, list | tuple | set | frozenset):
        some = sorted(value, key=str) if isinstance(value, set | frozenset) else value
        return [_value(one, depth + 1) for one in some[:MAX_ITEMS]]
    if depth < MAX_DEPTH and isinstance(value, Mapping):
        some_items = itertools.islice(value.items(), MAX_ITEMS)
        return {_text(str(key), MAX_NAME): _value(one, depth + 1) for key, one in some_items}
    return _text(repr(value), MAX_TEXT)


__all__ = ["Broken", "PipelineStep", "applies_mask", "checked_ranks", "checked_scores", "reasons"]
