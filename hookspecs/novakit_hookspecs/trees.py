"""Trees of resource providers: what each provider of a host can still give, and what a server wants of one.

From which of them a server takes is worked out by `novakit_fit`, the same for filters and the scheduler's claim.
"""

from collections.abc import Mapping

import attrs

from novakit_hookspecs.fields import frozen_names, mapping_field, tuple_field


@attrs.frozen(kw_only=True, order=True)
class Units:
    """What a provider can still give of one resource class, in the class's own unit."""

    free: int
    """How much can still be taken."""
    min_unit: int = 1
    """The least that one server takes."""
    max_unit: int
    """The most that one server takes."""
    step_size: int = 1
    """What every amount must be a multiple of."""

    def give(self, amount: int, beside: int = 0) -> bool:
        """Return whether a server can take an amount, beside what it takes of the same already."""
        return (
            self.min_unit <= amount
            and amount % self.step_size == 0
            and beside + amount <= min(self.free, self.max_unit)
        )


@attrs.frozen(kw_only=True, cache_hash=True)
class ProviderStock:
    """One provider of a host's tree."""

    stock: tuple[tuple[str, Units], ...] = tuple_field()
    """Pairs of a resource class and what there is of it, each class once."""
    traits: frozenset[str] = attrs.field(factory=frozenset, converter=frozen_names)
    """Traits of the provider."""


@attrs.frozen(kw_only=True, cache_hash=True)
class Tree:
    """The providers of a host, its own first; of that one only what others have, too, or what comes in odd units."""

    providers: tuple[ProviderStock, ...] = tuple_field()
    """Every provider, the host's own first."""

    @property
    def classes(self) -> frozenset[str]:
        """List the resource classes that it has amounts of."""
        return frozenset(name for one in self.providers for name, _ in one.stock)


@attrs.frozen(kw_only=True)
class RequestGroup:
    """Resources that come from one provider, and the traits that it must have and must not have."""

    suffix: str
    """What its extra specs have in common: `_GPU` of `resources_GPU:VGPU` and `trait_GPU:CUSTOM_FAST`."""
    resources: Mapping[str, int] = mapping_field()
    """Amounts by resource class."""
    required: frozenset[str] = attrs.field(factory=frozenset, converter=frozen_names)
    """Traits that the provider must have."""
    forbidden: frozenset[str] = attrs.field(factory=frozenset, converter=frozen_names)
    """Traits that the provider must not have."""

    def suits(self, provider: ProviderStock) -> bool:
        """Return whether a provider has the right traits."""
        return self.required <= provider.traits and not self.forbidden & provider.traits

    def described(self) -> str:
        """Describe the group in words: 1 VGPU with CUSTOM_FAST and without CUSTOM_OLD."""
        told = ", ".join(f"{amount} {name}" for name, amount in sorted(self.resources.items()))
        if self.required:
            told += f" with {', '.join(sorted(self.required))}"
        if self.forbidden:
            told += f"{' and' if self.required else ''} without {', '.join(sorted(self.forbidden))}"
        return told
