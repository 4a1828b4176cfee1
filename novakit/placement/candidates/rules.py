"""What the parts of a request have to do with one another, whichever tree they are asked of; parts go by number."""

from collections.abc import Mapping

import attrs

from novakit.placement.candidates.ask import Ask


@attrs.frozen
class Contest:
    """Something that several parts take of the same provider, which has only so much of it."""

    name: str | None
    """The resource class; None is the provider itself, of which isolation lets everybody take one."""
    takes: Mapping[int, int]
    """How much each part takes."""


@attrs.frozen
class Rules:
    """Which parts contend, and which are looked at together."""

    ask: Ask
    contests: tuple[Contest, ...] = attrs.field(init=False)
    contests_of: tuple[tuple[Contest, ...], ...] = attrs.field(init=False)
    """By part, those that it is in."""
    wide: frozenset[int] = attrs.field(init=False)
    """Parts of the group without a suffix."""
    wide_traits: tuple[frozenset[str], ...] = attrs.field(init=False)
    """Sets of traits of which the providers of those must have one each, together."""
    subtrees: tuple[frozenset[int], ...] = attrs.field(init=False)
    """Sets of parts of which one's provider must stand above (or be) those of the others."""
    consuming: frozenset[int] = attrs.field(init=False)
    """Parts with resources."""
    work: int = attrs.field(init=False)
    """How many looks it takes to try one answer."""

    @contests.default
    def _contests(self) -> tuple[Contest, ...]:
        apart = {n: 1 for n, part in enumerate(self.ask.parts) if self.ask.isolate and part.group.suffix}
        takes: dict[str | None, dict[int, int]] = {None: apart}
        for number, part in enumerate(self.ask.parts):
            for name, amount in part.resources:
                takes.setdefault(name, {})[number] = amount
        return tuple(
            Contest(name, some)
            for name, some in takes.items()
            if len(some) > 1 and (name is None or not some.keys() <= apart.keys())
        )

    @contests_of.default
    def _contests_of(self) -> tuple[tuple[Contest, ...], ...]:
        return tuple(
            tuple(contest for contest in self.contests if number in contest.takes)
            for number in range(len(self.ask.parts))
        )

    @wide.default
    def _wide(self) -> frozenset[int]:
        return self._of(frozenset({""}))

    @wide_traits.default
    def _wide_traits(self) -> tuple[frozenset[str], ...]:
        return next((group.required for group in self.ask.groups if not group.suffix), ())

    @subtrees.default
    def _subtrees(self) -> tuple[frozenset[int], ...]:
        return tuple(self._of(suffixes) for suffixes in self.ask.same_subtrees)

    @consuming.default
    def _consuming(self) -> frozenset[int]:
        return frozenset(n for n, part in enumerate(self.ask.parts) if part.resources)

    @work.default
    def _work(self) -> int:
        return len(self.ask.parts) + sum(len(contest.takes) for contest in self.contests)

    def _of(self, suffixes: frozenset[str]) -> frozenset[int]:
        return frozenset(n for n, part in enumerate(self.ask.parts) if part.group.suffix in suffixes)
