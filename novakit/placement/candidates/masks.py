"""Sets of small numbers as the bits of one number, and whether everybody can be seated at once."""

from collections.abc import Callable, Iterable, Iterator, Sequence


def mask_of(numbers: Iterable[int]) -> int:
    """Give the set of these numbers."""
    mask = 0
    for number in numbers:
        mask |= 1 << number
    return mask


def bits(mask: int) -> Iterator[int]:
    """Give the numbers of a set, the lowest first."""
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low


def union(masks: Sequence[int], some: Iterable[int]) -> int:
    """Give what is in some of these sets."""
    found = 0
    for number in some:
        found |= masks[number]
    return found


def matchable(wishes: Sequence[int], seats: Callable[[int], int]) -> bool:
    """Say whether everybody can have a seat at one of the tables they wish; `seats` tells how many a table has."""
    table_of: dict[int, int] = {}
    guests: dict[int, set[int]] = {}
    full = 0
    for number in range(len(wishes)):
        path = _path(number, wishes, guests, full)
        if path is None:
            return False
        table = next(reversed(path))
        guest: int | None = path[table]
        if len(guests.setdefault(table, set())) + 1 == seats(table):
            full |= 1 << table
        while guest is not None:
            guests[table].add(guest)
            left, table_of[guest] = table_of.get(guest), table
            if left is None:
                break
            guests[left].remove(guest)
            table, guest = left, path[left]
    return True


def _path(number: int, wishes: Sequence[int], guests: dict[int, set[int]], full: int) -> dict[int, int] | None:
    """Tell by table who would come there for this one to be seated, up to a table with a free seat."""
    path: dict[int, int] = {}
    tried = 0
    queue = [number]
    for guest in queue:
        fresh = wishes[guest] & ~tried
        if free := fresh & ~full:
            path[(free & -free).bit_length() - 1] = guest
            return path
        tried |= fresh
        for table in bits(fresh):
            path[table] = guest
            queue += guests[table]
    return None
