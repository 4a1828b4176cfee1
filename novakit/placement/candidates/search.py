"""The search: tree by tree, backtracking over what is still possible, one candidate at a time.

Each tree, with the providers that share with it, is a small puzzle: every group with a suffix, and every class of the
group without one, is a question to be answered with a provider.
The question with the fewest answers is decided first, answers that capacity or isolation have ruled out are never
tried, and a state from which nothing was found is not entered again, whoever led there.
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from random import Random

import attrs

from novakit.placement.candidates.ask import Ask
from novakit.placement.candidates.forest import Forest, Provider
from novakit.placement.candidates.puzzle import Candidate, Puzzle
from novakit.placement.candidates.questions import Pulse, Question, Scope, questions_of, suits_whole


def search(forest: Forest, ask: Ask, chance: Random | None = None) -> Iterator[Candidate | None]:
    """Find candidates, one of each tree and then the rest; None is given now and then to let others run.

    Only one tree's search is alive at a time: what a tree has beside its first is found by searching it again.
    `ask.limit` is the caller's to keep.
    With `chance` the trees and answers come in random order.
    """
    tree_of = {group.suffix: _root_of(forest, group.in_tree) for group in ask.groups if group.in_tree is not None}
    if None in tree_of.values():
        return
    again: list[list[Question]] = []
    alone = ask.groups[0] if len(ask.groups) == 1 else None
    pulse = Pulse()
    for root in _anchors(forest, ask, tree_of, chance):
        tree, lenders = forest.trees[root], forest.lenders.get(root, ())
        if pulse.due(1):
            yield None
        if alone is not None and len(tree) == 1 and not lenders:
            if suits_whole(tree[0], alone, tree_of.get(alone.suffix)):
                yield Candidate({root: alone.resources}, {alone.suffix: (root,)})
            continue
        scope = Scope(forest.providers[root], tree, lenders, tree_of)
        questions = yield from questions_of(ask, scope, pulse)
        if questions is None:
            continue
        if chance is not None:
            questions = [attrs.evolve(one, answers=chance.sample(one.answers, len(one.answers))) for one in questions]
        found = yield from _first(Puzzle(ask, questions, pulse).solutions())
        if found is not None:
            yield found
            if any(len(one.answers) > 1 for one in questions):
                again.append(questions)
    for questions in again:
        rest = Puzzle(ask, questions, pulse).solutions()
        yield from _first(rest)
        yield from rest


def _first(turn: Iterator[Candidate | None]) -> Generator[None, None, Candidate | None]:
    for step in turn:
        if step is not None:
            return step
        yield None
    return None


def _root_of(forest: Forest, provider_id: str) -> str | None:
    provider = forest.providers.get(provider_id)
    return provider.root_id if provider else None


def _anchors(forest: Forest, ask: Ask, tree_of: Mapping[str, str | None], chance: Random | None) -> Sequence[str]:
    roots = [root for root in forest.trees if "" not in tree_of or root == tree_of[""]]
    if ask.root_required or ask.root_forbidden:
        roots = [root for root in roots if _root_suits(forest.providers[root], ask)]
    if chance is not None:
        chance.shuffle(roots)
    return roots


def _root_suits(root: Provider, ask: Ask) -> bool:
    return ask.root_required <= root.traits and not ask.root_forbidden & root.traits
