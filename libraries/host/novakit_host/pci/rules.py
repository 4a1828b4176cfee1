"""The rules by which an operator hands a host's PCI devices to guests."""

import functools
import re
import string
from collections.abc import Sequence

import attrs

from novakit_hookspecs.pci import KIND_PATTERN

_HEX = frozenset("0123456789abcdef")
_LONGEST_GLOB = 64
"""Characters; an address has 12, and a set in brackets for each of its digits still fits."""


@attrs.frozen(kw_only=True)
class PciRule:
    """Which PCI devices of a host guests may have, and what flavors call them; drivers take a list in their options.

    A device is matched when all that is set agrees; of several rules for one device the first counts.
    """

    kind: str = attrs.field()
    """What flavors ask for: the alias of `pci_passthrough:alias`, the type of `gpu:type`."""
    vendor_id: str = attrs.field(default="")
    """Four hexadecimal digits, as `lspci -n` shows them."""
    product_id: str = attrs.field(default="")
    """Four hexadecimal digits, as `lspci -n` shows them."""
    address: str = attrs.field(default="")
    """A glob over domain:bus:slot.function: `*` any characters, `?` one, `[0-3]` one of these."""

    @kind.validator
    def _kind_is_a_name(self, field: "attrs.Attribute[str]", value: str) -> None:
        if not re.fullmatch(KIND_PATTERN, value):
            name = "a name of letters, digits, '.', '_' and '-', 63 characters at most"
            raise ValueError(f"{field.name} takes {name}, not {value[:80]!r}")

    @vendor_id.validator
    @product_id.validator
    def _id_is_hexadecimal(self, field: "attrs.Attribute[str]", value: str) -> None:
        if value and not re.fullmatch(r"[0-9a-fA-F]{4}", value):
            raise ValueError(f"{field.name} takes four hexadecimal digits, such as '10de', not {value[:40]!r}")

    @address.validator
    def _address_can_match(self, _: "attrs.Attribute[str]", value: str) -> None:
        if value and not any(_fits(_parsed(value), form) for form in _FORMS):
            raise ValueError(
                f"address takes a pattern over domain:bus:slot.function, such as '0000:3b:*';"
                f" no PCI address matches {value[:40]!r}"
            )

    def __attrs_post_init__(self) -> None:
        if not (self.vendor_id or self.product_id or self.address):
            raise ValueError("a rule needs at least one of vendor_id, product_id and address")

    def matches(self, address: str, vendor_id: str, product_id: str) -> bool:
        """Return whether the rule is about a device; ids are four lower-case hexadecimal digits, empty when unknown."""
        return (
            self.vendor_id.lower() in ("", vendor_id)
            and self.product_id.lower() in ("", product_id)
            and (not self.address or _fits(_parsed(self.address), [frozenset(letter) for letter in address]))
        )


@functools.lru_cache(maxsize=1024)
def _parsed(glob: str) -> tuple[frozenset[str] | None, ...]:
    """Read a glob: a set of characters for one place, None for any number of them. Raises ValueError for a bad one."""
    if len(glob) > _LONGEST_GLOB:
        raise ValueError(f"address takes a pattern of {_LONGEST_GLOB} characters at most")
    tokens: list[frozenset[str] | None] = []
    rest = glob.lower()
    while rest:
        letter, rest = rest[0], rest[1:]
        if letter == "*":
            tokens.append(None)
        elif letter == "?":
            tokens.append(_HEX | frozenset(":."))
        elif letter == "[":
            inside, closing, rest = rest.partition("]")
            if not closing or not re.fullmatch(r"([0-9a-f](-[0-9a-f])?)+", inside):
                raise ValueError(f"address takes a pattern in which '[' has its ']', as in '[0-3]', not {glob[:40]!r}")
            tokens.append(_one_of(inside))
        else:
            tokens.append(frozenset(letter))
    return tuple(tokens)


def _one_of(inside: str) -> frozenset[str]:
    """Return the digits of `0-3a`."""
    found: set[str] = set()
    for first, last in re.findall(r"(.)(?:-(.))?", inside):
        found.update(string.hexdigits[int(first, 16) : int(last or first, 16) + 1])
    return frozenset(found)


def _fits(tokens: Sequence[frozenset[str] | None], places: Sequence[frozenset[str]]) -> bool:
    """Return whether a glob matches some text with one of these characters in each place."""
    ends = {0}
    for token in tokens:
        if token is None:
            ends = set(range(min(ends), len(places) + 1))
        else:
            ends = {end + 1 for end in ends if end < len(places) and token & places[end]}
        if not ends:
            return False
    return len(places) in ends


_FORMS = [
    [_HEX] * digits
    + [frozenset(":"), _HEX, _HEX, frozenset(":"), frozenset("01"), _HEX, frozenset("."), frozenset("01234567")]
    for digits in range(4, 9)
]
