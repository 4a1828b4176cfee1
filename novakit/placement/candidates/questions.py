"""The questions a tree has to answer: each with the providers that could, taken alone, be its answer."""

from collections.abc import Generator, Mapping, Sequence

import attrs

from novakit.placement.candidates.ask import Ask, Group
from novakit.placement.candidates.forest import Provider


@attrs.frozen
class Question:
    """What has to be answered with one provider."""

    group: Group
    resources: tuple[tuple[str, int], ...]
    answers: Sequence[Provider]


@attrs.frozen
class Scope:
    """One tree and what may be used with it."""

    root: Provider
    tree: Sequence[Provider]
    lenders: Sequence[Provider]
    tree_of: Mapping[str, str | None]
    """By suffix, the root that `in_tree` of a group means."""


def _suits(one: Provider, group: Group) -> bool:
    """Say whether a provider has the traits and aggregates of a group, by itself."""
    return (
        not group.forbidden & one.traits
        and all(some & one.traits for some in group.required)
        and _in_aggregates(one, group)
        and not group.not_member_of & one.aggregates
    )


def _in_aggregates(one: Provider, group: Group) -> bool:
    return all(some & one.aggregates for some in group.member_of)


def _fits(one: Provider, resources: Sequence[tuple[str, int]]) -> bool:
    for name, amount in resources:
        stock = one.stock.get(name)
        if stock is None or not stock.fits(amount):
            return False
    return True


def suits_whole(one: Provider, group: Group, tree: str | None) -> bool:
    """Say whether one provider satisfies a whole group; `tree` is the root that its `in_tree` means."""
    if tree is not None and one.root_id != tree:
        return False
    return _fits(one, tuple(group.resources.items())) and _suits(one, group)


@attrs.define
class Pulse:
    """Counts the work of one search, and tells when it is time to let others run."""

    every: int = 2048
    """Looks at a provider or a question between two such moments: a few milliseconds."""
    _work: int = 0

    def due(self, work: int) -> bool:
        """Count some work; say whether it is time."""
        self._work += work
        if self._work < self.every:
            return False
        self._work = 0
        return True


def questions_of(ask: Ask, scope: Scope, pulse: Pulse) -> Generator[None, None, list[Question] | None]:
    """Make the questions of one tree, or tell that one of them has no answer."""
    found: list[Question] = []
    for group in ask.groups:
        if pulse.due((len(scope.tree) + len(scope.lenders)) * len(group.resources)):
            yield
        if group.suffix:
            found.append(_question_for_one(group, scope))
        else:
            found += [_question_for_class(group, item, scope) for item in group.resources.items()]
        if not found or not found[-1].answers:
            return None
    if not all(one.answers for one in found) or not _enough(found):
        return None
    return found


def _question_for_one(group: Group, scope: Scope) -> Question:
    resources = tuple(group.resources.items())
    tree = scope.tree_of.get(group.suffix)
    answers = [
        one
        for one in (*scope.tree, *scope.lenders)
        if (tree is None or one.root_id == tree) and _fits(one, resources) and _suits(one, group)
    ]
    return Question(group, resources, answers)


def _question_for_class(group: Group, item: tuple[str, int], scope: Scope) -> Question:
    """A class of the group without a suffix: traits are had together, aggregates by the tree or the provider."""
    root_in = _in_aggregates(scope.root, group)
    if group.not_member_of & scope.root.aggregates:
        return Question(group, (item,), ())
    candidates = [one for one in scope.tree if root_in or _in_aggregates(one, group)]
    if "" not in scope.tree_of:
        candidates += [one for one in scope.lenders if _in_aggregates(one, group)]
    answers = [
        one
        for one in candidates
        if _fits(one, (item,)) and not group.forbidden & one.traits and not group.not_member_of & one.aggregates
    ]
    return Question(group, (item,), answers)


def _enough(questions: Sequence[Question]) -> bool:
    """Say whether what is asked of each class is there at all, counting all who could give it."""
    wanted: dict[str, int] = {}
    givers: dict[str, dict[str, int]] = {}
    for question in questions:
        for name, amount in question.resources:
            wanted[name] = wanted.get(name, 0) + amount
            free = givers.setdefault(name, {})
            for one in question.answers:
                stock = one.stock[name]
                free[one.id] = min(stock.capacity - stock.used, stock.max_unit)
    return all(sum(givers[name].values()) >= amount for name, amount in wanted.items())
