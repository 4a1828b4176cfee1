"""What the ledger tells those who ask: providers, their inventories, and who holds or uses how much."""

from datetime import datetime

import attrs

from novakit.store.placement.allocations import ConsumerAllocation, ProviderAllocation
from novakit.store.placement.tables import InventoryRow, ProviderRow
from novakit.store.placement.usages import UsedByProject


@attrs.frozen(kw_only=True)
class ResourceProvider:
    """What holds inventory."""

    id: str
    name: str
    generation: int
    parent_id: str | None
    root_id: str
    updated_at: datetime

    @classmethod
    def of(cls, row: ProviderRow) -> "ResourceProvider":
        """Read a row."""
        return cls(
            id=row["id"],
            name=row["name"],
            generation=row["generation"],
            parent_id=row["parent_id"],
            root_id=row["root_id"],
            updated_at=row["updated_at"],
        )


@attrs.frozen(kw_only=True)
class ProviderInventory:
    """How much of one resource class a provider holds."""

    resource_class: str
    total: int
    reserved: int
    min_unit: int
    max_unit: int
    step_size: int
    allocation_ratio: float
    updated_at: datetime

    @classmethod
    def of(cls, row: InventoryRow) -> "ProviderInventory":
        """Read a row."""
        return cls(
            resource_class=row["resource_class"],
            total=row["total"],
            reserved=row["reserved"],
            min_unit=row["min_unit"],
            max_unit=row["max_unit"],
            step_size=row["step_size"],
            allocation_ratio=row["allocation_ratio"],
            updated_at=row["updated_at"],
        )


@attrs.frozen(kw_only=True)
class Allocation:
    """What a consumer holds of a provider, of one resource class."""

    provider_id: str
    consumer_id: str
    resource_class: str
    used: int
    consumer_generation: int
    created_at: datetime

    @classmethod
    def of(cls, row: ProviderAllocation) -> "Allocation":
        """Read a row of the allocations of a provider."""
        return cls(
            provider_id=row["provider_id"],
            consumer_id=row["consumer_id"],
            resource_class=row["resource_class"],
            used=row["used"],
            consumer_generation=row["consumer_generation"],
            created_at=row["created_at"],
        )


@attrs.frozen(kw_only=True)
class Consumer:
    """Who holds allocations, and whose that is."""

    project_id: str
    user_id: str
    type: str | None
    """None for one that was made without a type."""
    generation: int
    provider_generations: dict[str, int]
    """Of each provider that something is held of, by id."""
    allocations: tuple[Allocation, ...]

    @classmethod
    def of(cls, rows: list[ConsumerAllocation]) -> "Consumer":
        """Read the rows of its allocations, of which there is one at least."""
        return cls(
            project_id=rows[0]["project_id"],
            user_id=rows[0]["user_id"],
            type=rows[0]["type"],
            generation=rows[0]["consumer_generation"],
            provider_generations={row["provider_id"]: row["provider_generation"] for row in rows},
            allocations=tuple(map(Allocation.of, rows)),
        )


@attrs.frozen(kw_only=True)
class ProjectUsage:
    """What a project's consumers of one type use of one resource class."""

    consumer_type: str | None
    resource_class: str | None
    """None where it is counted how many consumers there are."""
    used: int
    consumers: int

    @classmethod
    def of(cls, row: UsedByProject) -> "ProjectUsage":
        """Read a row."""
        return cls(
            consumer_type=row["type"],
            resource_class=row["resource_class"],
            used=int(row["used"]),
            consumers=row["consumers"],
        )
