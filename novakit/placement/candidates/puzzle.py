"""Answering the questions of one tree in every possible way."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import attrs

from novakit.placement.candidates.ask import Ask, Group
from novakit.placement.candidates.forest import Provider
from novakit.placement.candidates.questions import Pulse, Question


@attrs.frozen
class Candidate:
    """One way to satisfy a request."""

    allocations: Mapping[str, Mapping[str, int]]
    """Amounts by provider and class."""
    mappings: Mapping[str, tuple[str, ...]]
    """The providers of each group, by its suffix."""

    def key(self) -> object:
        """Give something that is equal for equal candidates."""
        amounts = frozenset((p, c, n) for p, classes in self.allocations.items() for c, n in classes.items())
        return amounts, frozenset(self.mappings.items())


Open = tuple[tuple[int, Sequence[Provider]], ...]
"""Questions without an answer yet, by their number, with the answers that are still possible."""


@attrs.define
class Puzzle:
    """The questions of one tree, and how far they are answered."""

    ask: Ask
    questions: Sequence[Question]
    pulse: Pulse
    _answers: dict[int, Provider] = attrs.field(factory=dict)
    _taken: dict[tuple[str, str], int] = attrs.field(factory=dict)
    _dead: set[object] = attrs.field(factory=set)

    _wide: Group | None = attrs.field(init=False)
    """The group without a suffix, when it has traits that its providers must have together."""

    def __attrs_post_init__(self) -> None:
        self._wide = next((one for one in self.ask.groups if not one.suffix and one.required), None)

    def solutions(self) -> Iterator[Candidate | None]:
        """Answer all questions in every possible way; None now and then."""
        still = tuple((number, one.answers) for number, one in enumerate(self.questions))
        if self._possible(still):
            yield from self._solve(still)

    def _solve(self, still: Open) -> Iterator[Candidate | None]:
        if self.pulse.due(1 + len(still or self.questions)):
            yield None
        if not still:
            found = self._candidate()
            if self.ask.nested or _one_of_each_tree(found, self._answers.values()):
                yield found
            return
        if self._dead and self._state(still) in self._dead:
            return
        number, answers = min(still, key=lambda item: len(item[1]))
        rest = tuple(item for item in still if item[0] != number)
        fruitful = False
        for one in answers:
            self._take(number, one, 1)
            narrowed = self._narrowed(number, one, rest)
            if narrowed is not None and self._possible(narrowed):
                for step in self._solve(narrowed):
                    fruitful = fruitful or step is not None
                    yield step
            self._take(number, one, -1)
        if not fruitful:
            self._dead.add(self._state(still))

    def _take(self, number: int, one: Provider, sign: int) -> None:
        if sign > 0:
            self._answers[number] = one
        else:
            del self._answers[number]
        for name, amount in self.questions[number].resources:
            key = (one.id, name)
            self._taken[key] = self._taken.get(key, 0) + sign * amount

    def _narrowed(self, number: int, one: Provider, rest: Open) -> Open | None:
        """Take a provider out of the answers that it is no longer able to be; None when a question has none left."""
        alone = self.ask.isolate and bool(self.questions[number].group.suffix)
        narrowed = []
        for other, answers in rest:
            question = self.questions[other]
            gone = (alone and question.group.suffix) or not self._room(one, question)
            left = [answer for answer in answers if answer is not one] if gone else answers
            if not left:
                return None
            narrowed.append((other, left))
        return tuple(narrowed)

    def _room(self, one: Provider, question: Question) -> bool:
        for name, amount in question.resources:
            taken = self._taken.get((one.id, name), 0)
            if taken:
                stock = one.stock.get(name)
                if stock is None or taken + amount > min(stock.capacity - stock.used, stock.max_unit):
                    return False
        return True

    def _possible(self, still: Open) -> bool:
        """Rule out what no answer to the open questions can mend."""
        return self._separable(still) and self._traits_possible(still) and self._subtrees_possible(still)

    def _separable(self, still: Open) -> bool:
        if not self.ask.isolate:
            return True
        apart = [answers for number, answers in still if self.questions[number].group.suffix]
        return not apart or min(map(len, apart)) >= len(apart) or _matchable(apart)

    def _traits_possible(self, still: Open) -> bool:
        group = self._wide
        if group is None:
            return True
        had = self._chosen_for("")
        open_answers = [answers for number, answers in still if not self.questions[number].group.suffix]
        return all(
            any(some & one.traits for one in had)
            or any(some & one.traits for answers in open_answers for one in answers)
            for some in group.required
        )

    def _subtrees_possible(self, still: Open) -> bool:
        for suffixes in self.ask.same_subtrees:
            chosen = [one for suffix in suffixes for one in self._chosen_for(suffix)]
            if not chosen:
                continue
            common = frozenset.intersection(*(one.ancestors for one in chosen))
            if any(one.id in common for one in chosen):
                continue
            tops = (answers for number, answers in still if self.questions[number].group.suffix in suffixes)
            if not any(one.id in common for answers in tops for one in answers):
                return False
        return True

    def _chosen_for(self, suffix: str) -> list[Provider]:
        return [one for number, one in self._answers.items() if self.questions[number].group.suffix == suffix]

    def _state(self, still: Open) -> object:
        """Tell all that decides what can follow; equal states have equal ends."""
        ask = self.ask
        watched = {suffix for suffixes in ask.same_subtrees for suffix in suffixes}
        if self._wide is not None or not ask.nested:
            watched.add("")
        named = frozenset(
            (number, one.id) for number, one in self._answers.items() if self.questions[number].group.suffix in watched
        )
        apart = ask.isolate and frozenset(
            one.id for number, one in self._answers.items() if self.questions[number].group.suffix
        )
        trees = ask.nested or frozenset(one.id for one in self._answers.values())
        taken = frozenset(item for item in self._taken.items() if item[1])
        return tuple(number for number, _ in still), taken, named, apart, trees

    def _candidate(self) -> Candidate:
        allocations: dict[str, dict[str, int]] = {}
        mappings: dict[str, dict[str, None]] = {}
        for number, one in sorted(self._answers.items()):
            question = self.questions[number]
            for name, amount in question.resources:
                amounts = allocations.setdefault(one.id, {})
                amounts[name] = amounts.get(name, 0) + amount
            mappings.setdefault(question.group.suffix, {})[one.id] = None
        return Candidate(allocations, {suffix: tuple(sorted(ids)) for suffix, ids in mappings.items()})


def _one_of_each_tree(found: Candidate, used: Iterable[Provider]) -> bool:
    holders = {one.id: one.root_id for one in used if one.id in found.allocations}
    return len(holders) == len(set(holders.values()))


def _matchable(questions: Sequence[Sequence[Provider]]) -> bool:
    """Say whether every question can have a provider of its own (Kuhn's augmenting paths)."""
    owner: dict[str, int] = {}

    def assign(number: int, tried: set[str]) -> bool:
        for one in questions[number]:
            if one.id in tried:
                continue
            tried.add(one.id)
            if one.id not in owner or assign(owner[one.id], tried):
                owner[one.id] = number
                return True
        return False

    return all(assign(number, set()) for number in range(len(questions)))
