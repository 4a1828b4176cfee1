"""Sets of small numbers as the bits of one number."""

from collections.abc import Iterable, Iterator, Sequence


def mask_of(numbers: Iterable[int]) -> int:
    """Return the set of these numbers."""
    mask = 0
    for number in numbers:
        mask |= 1 << number
    return mask


def bits(mask: int) -> Iterator[int]:
    """Yield the numbers of a set, the lowest first."""
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low


def union(masks: Sequence[int], some: Iterable[int]) -> int:
    """Return what is in some of these sets."""
    found = 0
    for number in some:
        found |= masks[number]
    return found
