"""From which providers of a host's tree a server takes: one function for the filter and the scheduler's claim."""

from collections.abc import Iterator, Mapping, Sequence

import attrs

from novakit_hookspecs.trees import ProviderStock, RequestGroup, Units

STEPS = 5000
"""Answers that are tried before a host counts as unfit."""


def plain(resources: Mapping[str, int], groups: Sequence[RequestGroup], devices: Mapping[str, int]) -> dict[str, int]:
    """Give what is left of the amounts of a request without its groups and without its devices."""
    left = dict(resources)
    for amounts in (*(group.resources for group in groups), devices):
        for name, amount in amounts.items():
            left[name] = left.get(name, 0) - amount
    return {name: amount for name, amount in left.items() if amount > 0}


Shares = tuple[Mapping[str, int], ...]
"""What to take of each provider of a tree, in its order, by resource class."""


def assign(
    tree: Sequence[ProviderStock],
    plain: Mapping[str, int],
    groups: Sequence[RequestGroup] = (),
    *,
    isolate: bool = False,
) -> Shares | None:
    """Say what to take of which provider; None where it cannot all be had.

    Each class of `plain` comes from one provider, and so does each group; with `isolate` no two groups come from the
    same.
    The first provider is the host's own: a class that no provider lists is taken from it, however much it is.
    """
    return _Search.of(tree, plain, groups, isolate).found()


@attrs.frozen
class _Question:
    """What one provider is to be found for, and those that could be it."""

    resources: tuple[tuple[str, int], ...]
    group: bool
    answers: tuple[int, ...]


@attrs.define
class _Search:
    stocks: Sequence[Mapping[str, Units]]
    kinds: Sequence[object]
    """What of each provider matters here; providers of one kind are as good as each other."""
    questions: Sequence[_Question]
    isolate: bool
    _taken: list[dict[str, int]]
    _chosen: set[int] = attrs.field(factory=set)
    """The providers that groups come from."""
    _dead: set[object] = attrs.field(factory=set)
    _steps: int = 0

    @classmethod
    def of(
        cls, tree: Sequence[ProviderStock], plain: Mapping[str, int], groups: Sequence[RequestGroup], isolate: bool
    ) -> "_Search":
        stocks = [dict(one.stock) for one in tree]
        listed = {name for stock in stocks for name in stock}
        wanted = [(tuple(sorted(group.resources.items())), group) for group in groups]
        alone: list[tuple[tuple[tuple[str, int], ...], RequestGroup | None]] = [
            (((name, amount),), None) for name, amount in plain.items() if name in listed and amount
        ]
        questions = []
        for resources, group in (*wanted, *alone):
            bound = [item for item in resources if item[0] in listed]
            answers = [
                place
                for place, stock in enumerate(stocks)
                if (group is None or group.suits(tree[place]))
                and (place == 0 or len(bound) == len(resources))
                and all(name in stock and stock[name].give(amount) for name, amount in bound)
            ]
            questions.append(_Question(resources, group is not None, tuple(answers)))
        questions.sort(key=lambda one: (len(one.answers), [-amount for _, amount in one.resources]))
        named = {trait for group in groups for trait in (*group.required, *group.forbidden)}
        classes = {name for one in questions for name, _ in one.resources}
        kinds = [
            (place == 0, tuple(item for item in one.stock if item[0] in classes), one.traits & named)
            for place, one in enumerate(tree)
        ]
        rest = {name: amount for name, amount in plain.items() if name not in listed and amount}
        taken: list[dict[str, int]] = [rest, *({} for _ in tree[1:])]
        return cls(stocks, kinds, questions, isolate, taken)

    def found(self) -> Shares | None:
        """Answer all questions, in the order of how few answers they have."""
        if not self._answer(0):
            return None
        return tuple({name: amount for name, amount in taken.items() if amount} for taken in self._taken)

    def _answer(self, number: int) -> bool:
        if number == len(self.questions):
            return True
        self._steps += 1
        state = self._state(number)
        if self._steps > STEPS or state in self._dead:
            return False
        question = self.questions[number]
        for place in self._different(question):
            for name, amount in question.resources:
                self._taken[place][name] = self._taken[place].get(name, 0) + amount
            fresh = question.group and place not in self._chosen
            if fresh:
                self._chosen.add(place)
            if self._answer(number + 1):
                return True
            if fresh:
                self._chosen.discard(place)
            for name, amount in question.resources:
                self._taken[place][name] -= amount
        self._dead.add(state)
        return False

    def _different(self, question: _Question) -> Iterator[int]:
        """Give the providers that can answer now, one of those that are alike, those with the least to spare first."""
        seen = set()
        for place in sorted(question.answers, key=lambda place: (place != 0, self._spare(place, question))):
            if self.isolate and question.group and place in self._chosen:
                continue
            stock, taken = self.stocks[place], self._taken[place]
            if all(name not in stock or stock[name].give(n, taken.get(name, 0)) for name, n in question.resources):
                kind = self._kind(place)
                if kind not in seen:
                    seen.add(kind)
                    yield place

    def _spare(self, place: int, question: _Question) -> int:
        stock, taken = self.stocks[place], self._taken[place]
        return sum(stock[name].free - taken.get(name, 0) for name, _ in question.resources if name in stock)

    def _kind(self, place: int) -> object:
        taken = frozenset((name, amount) for name, amount in self._taken[place].items() if amount)
        return self.kinds[place], taken, place in self._chosen

    def _state(self, number: int) -> object:
        """Tell all that decides what can follow: how many of each kind of provider are in use."""
        counts: dict[object, int] = {}
        for place, taken in enumerate(self._taken):
            if place in self._chosen or any(taken.values()):
                kind = self._kind(place)
                counts[kind] = counts.get(kind, 0) + 1
        return number, frozenset(counts.items())
