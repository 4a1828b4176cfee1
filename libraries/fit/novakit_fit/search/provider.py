"""Resource providers as a search sees them: what each can still give, its traits and aggregates, and its tree."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import attrs


class Stock(NamedTuple):
    """One inventory, as far as the search needs it."""

    capacity: int
    used: int
    min_unit: int
    max_unit: int
    step_size: int

    def fits(self, amount: int) -> bool:
        """Return whether this amount can be taken at once."""
        return (
            self.used + amount <= self.capacity
            and self.min_unit <= amount <= self.max_unit
            and amount % self.step_size == 0
        )


@attrs.define(eq=False)
class Provider:
    """One resource provider with all that can be asked of it; nobody changes one."""

    id: str
    root_id: str
    parent_id: str | None
    stock: Mapping[str, Stock]
    traits: frozenset[str]
    aggregates: frozenset[str]
    ancestors: frozenset[str] = frozenset()
    """Ids of all above it, and its own."""
    said: dict[Any, Any] = attrs.field(factory=dict)
    """Whatever is worth keeping as long as the provider does not change, such as its summary as JSON."""
