"""What becomes of a call that comes twice: declared beside each method, and held by whoever serves it.

The idea: an answer may be lost after the work was done, so its caller asks again. A call declared with `kept` is then
answered from memory with the first answer, and one that comes while the first is at work waits for its end. A call
declared with `settles` needs no memory: its method compares what is asked with what is there, so it has the same end
however often it comes.
The invariant: a kept answer is given only to the same call, and only while nothing else that changes its subject has
been asked since; so a guest that was built, destroyed and built again is built twice. An error is never kept: what
failed is tried again. Memory ends with the process and with the `MOST` latest subjects; what a method guarantees
beyond that, it says itself.
The cost: 5 µs for a call that is kept, 10 for a build, most of it the digest of the key; a megabyte for `MOST` answers.
"""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping

import attrs
import orjson

from novakit.bus.interface import BadCall
from novakit_hookspecs.plain import to_plain

MOST = 1000
"""Subjects of which one server of a target keeps the latest answer: about as many guests as the largest host has."""


@attrs.frozen
class Repeat:
    """What makes two calls of a method the same call, and who sees to it that they have one end."""

    by: tuple[str, ...] = ()
    """Arguments, or attributes of them, that make two calls the same; without any all calls of one caller are."""
    about: str = ""
    """The argument, or attribute of one, that names what is changed: `server`, `plan.guest.id`."""
    is_kept: bool = False
    """Whether the first answer is kept and given again."""
    changes: bool = True
    """Whether the call changes anything."""


READS = Repeat(changes=False)
"""The call changes nothing."""


def kept(*by: str, about: str) -> Repeat:
    """Have the first answer kept for the calls that are the same; one without a key is refused."""
    return Repeat(by, about, is_kept=True)


def settles(*by: str, about: str = "") -> Repeat:
    """Say that the method has the same end however often it comes, as it compares with what is there.

    A call that is given nothing settles by nothing: that its caller asks at all is what is noted.
    """
    return Repeat(by, about)


def named(path: str, given: Mapping[str, object]) -> object:
    """Return the argument, or the attribute of one, that a path names."""
    name, *rest = path.split(".")
    value = given[name]
    for each in rest:
        value = getattr(value, each)
    return value


@attrs.define(eq=False)
class _KeptAnswer:
    key: bytes
    ended: asyncio.Event = attrs.field(factory=asyncio.Event)
    is_answered: bool = False
    answer: object = None


@attrs.define
class KeptAnswers:
    """The latest answers of one server of a target, by what they are about."""

    most: int = MOST
    _latest: OrderedDict[object, _KeptAnswer] = attrs.field(factory=OrderedDict)

    async def answer(
        self,
        repeat: Repeat,
        method: str,
        sender: str,
        given: Mapping[str, object],
        work: Callable[[], Awaitable[object]],
    ) -> object:
        """Answer a call about a subject with `work`, or as the same call was answered before.

        Raises BadCall for one without a key.
        """
        subject = named(repeat.about, given)
        if not repeat.is_kept:
            self._latest.pop(subject, None)
            try:
                return await work()
            finally:
                # Again: what was asked meanwhile may have been done before this one or after it.
                self._latest.pop(subject, None)
        key = _digest(repeat, method, sender, given)
        while (before := self._latest.get(subject)) is not None and before.key == key:
            self._latest.move_to_end(subject)
            await before.ended.wait()
            if before.is_answered:
                return before.answer
        self._latest[subject] = one = _KeptAnswer(key)
        self._latest.move_to_end(subject)
        while len(self._latest) > self.most:
            self._latest.popitem(last=False)
        try:
            one.answer = await work()
            one.is_answered = True
            return one.answer
        finally:
            if not one.is_answered and self._latest.get(subject) is one:
                del self._latest[subject]
            one.ended.set()


def _digest(repeat: Repeat, method: str, sender: str, given: Mapping[str, object]) -> bytes:
    """Make the key of a call: of any length it may be, for a guest's whole plan is part of one."""
    values = [named(path, given) for path in repeat.by]
    for path, value in zip(repeat.by, values, strict=True):
        if value is None or value == "":
            raise BadCall(f"{method} needs {path}: without it nobody could tell whether this call was answered before.")
    # By role and not by name: of several conductors another one may ask again.
    role = sender.partition(":")[0]
    return hashlib.blake2b(orjson.dumps([role, method, to_plain(values)]), digest_size=16).digest()
