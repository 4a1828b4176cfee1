"""The search for allocation candidates: tree by tree, backtracking over what is still possible, some candidates at a
time.

The idea: each tree, with the providers of other trees that share with it, is a puzzle. Every part of the request is a
question whose answer is a provider. The question with the fewest answers is decided first, answers that capacity or
isolation have ruled out are never tried, and equal states have equal ends, so what is left to do is worked out once.
The invariant: candidates come one of each tree first and only then the rest of each, so that a limit spreads them
over hosts; none comes twice; and None is given every few milliseconds, at which the caller lets others run.
The cost: 6 ms for 1,000 providers without children, 39 ms for 10,000 in trees of seven, 18 ms for all 40,320 ways to
place eight groups on eight devices. Only one tree's search is in memory at a time: 5 MB with those 40,320.
"""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from functools import partial
from random import Random

from novakit.placement.candidates.forest import Forest
from novakit_fit.search.ask import Candidate, CandidateRequest
from novakit_fit.search.board import Board
from novakit_fit.search.provider import Provider
from novakit_fit.search.puzzle import Puzzle
from novakit_fit.search.questions import Pulse, TreeScope, questions_of, suits_whole
from novakit_fit.search.rules import Rules

Solutions = Iterator[list[Candidate] | None]


def search(forest: Forest, ask: CandidateRequest, chance: Random | None = None) -> Solutions:
    """Find candidates, one of each tree and then the rest; None is given now and then to let others run.

    Only one tree's search is alive at a time: what a tree has beside its first is found by searching it again.
    `ask.limit` is the caller's to keep.
    With `chance` the trees and answers come in random order.
    """
    tree_of = {group.suffix: _root_of(forest, group.in_tree) for group in ask.groups if group.in_tree is not None}
    if None in tree_of.values():
        return
    rules, pulse = Rules(ask), Pulse()
    again: list[Callable[[], Solutions]] = []
    alone = ask.groups[0] if len(ask.groups) == 1 else None
    for root in _anchors(forest, ask, tree_of, chance):
        tree, lenders = forest.trees[root], forest.lenders.get(root, ())
        if pulse.due(max(1, len(ask.parts))):
            yield None
        if alone is not None and len(tree) == 1 and not lenders:
            if suits_whole(tree[0], alone, tree_of.get(alone.suffix)):
                yield [(root,) * len(ask.parts)]
            continue
        scope = TreeScope(forest.providers[root], tree, lenders, tree_of)
        questions = yield from questions_of(rules, scope, pulse)
        if questions is None:
            continue
        seed = None if chance is None else chance.random()
        solutions = partial(_solutions, Board(rules, scope.providers), questions, pulse, seed)
        found = yield from _first(solutions())
        if found:
            yield found[:1]
            if any(mask.bit_count() > 1 for mask in questions):
                again.append(solutions)
    # Searched anew, and not kept from the first time: thousands of searches that wait would each hold their tree.
    for once_more in again:
        rest = once_more()
        found = yield from _first(rest)
        yield found[1:]
        yield from rest


def _solutions(board: Board, questions: Sequence[int], pulse: Pulse, seed: float | None) -> Solutions:
    return Puzzle(board, questions, pulse, None if seed is None else Random(seed)).solutions()


def _first(turn: Solutions) -> Generator[None, None, list[Candidate]]:
    for step in turn:
        if step is not None:
            return step
        yield None
    return []


def _root_of(forest: Forest, provider_id: str) -> str | None:
    provider = forest.providers.get(provider_id)
    return provider.root_id if provider else None


def _anchors(
    forest: Forest, ask: CandidateRequest, tree_of: Mapping[str, str | None], chance: Random | None
) -> Sequence[str]:
    roots = [root for root in forest.trees if "" not in tree_of or root == tree_of[""]]
    if ask.root_required or ask.root_forbidden:
        roots = [root for root in roots if _root_suits(forest.providers[root], ask)]
    if chance is not None:
        chance.shuffle(roots)
    return roots


def _root_suits(root: Provider, ask: CandidateRequest) -> bool:
    return ask.root_required <= root.traits and not ask.root_forbidden & root.traits
