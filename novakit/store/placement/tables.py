"""Tables of the placement ledger: provider trees, what they hold, and who has taken how much of it."""

from collections.abc import Mapping
from datetime import datetime
from typing import TypedDict

import sqlalchemy as sa

from novakit.store.schema import UTC, metadata, uuid_column

providers = sa.Table(
    "resource_providers",
    metadata,
    uuid_column("id", primary_key=True),
    sa.Column("name", sa.String(255), nullable=False, unique=True),
    sa.Column("generation", sa.BigInteger, nullable=False, default=0),
    uuid_column("root_id", nullable=False, index=True),
    uuid_column("parent_id", sa.ForeignKey("resource_providers.id"), index=True),
    sa.Column("changed", sa.BigInteger, nullable=False, index=True),
    sa.Column("created_at", UTC, nullable=False),
    sa.Column("updated_at", UTC, nullable=False),
)
"""`changed` grows with every change of the provider, its inventories, traits, aggregates or usage."""


class ProviderRow(TypedDict):
    """A row of `resource_providers`."""

    id: str
    name: str
    generation: int
    root_id: str
    parent_id: str | None
    changed: int
    created_at: datetime
    updated_at: datetime


deleted_providers = sa.Table(
    "deleted_resource_providers",
    metadata,
    uuid_column("id", primary_key=True),
    sa.Column("changed", sa.BigInteger, nullable=False, index=True),
)
"""What `changed` was when a provider went away, so that readers of changes hear of it."""

inventories = sa.Table(
    "inventories",
    metadata,
    uuid_column("provider_id", sa.ForeignKey("resource_providers.id"), primary_key=True),
    sa.Column("resource_class", sa.String(255), primary_key=True, index=True),
    sa.Column("total", sa.BigInteger, nullable=False),
    sa.Column("reserved", sa.BigInteger, nullable=False),
    sa.Column("min_unit", sa.BigInteger, nullable=False),
    sa.Column("max_unit", sa.BigInteger, nullable=False),
    sa.Column("step_size", sa.BigInteger, nullable=False),
    sa.Column("allocation_ratio", sa.Float(53), nullable=False),
    sa.Column("capacity", sa.BigInteger, nullable=False),
    sa.Column("used", sa.BigInteger, nullable=False, default=0),
    sa.Column("by_host", sa.Boolean, nullable=False, default=False),
    sa.Column("reported", sa.JSON(none_as_null=True)),
    sa.Column("stated", sa.JSON(none_as_null=True)),
    sa.Column("restated", sa.Boolean, nullable=False, default=False, server_default=sa.false()),
    sa.Column("updated_at", UTC, nullable=False),
)
"""`capacity` is (total - reserved) * allocation_ratio, rounded down; `used` is the sum of the allocations.

`by_host` tells what a host reported of itself from what an operator added, which reports never remove.
`reported` is what the host last said, `stated` what an operator set otherwise, which counts instead;
`restated` says that an operator wrote the row since the host was last compared with it.
"""


class StockLimits(TypedDict):
    """How much of a resource class there is, and in which amounts it is taken."""

    capacity: int
    used: int
    min_unit: int
    max_unit: int
    step_size: int


class CountedInventory(StockLimits):
    """An inventory without who says what of it, which is for hosts' reports alone."""

    provider_id: str
    resource_class: str
    total: int
    reserved: int
    allocation_ratio: float
    by_host: bool
    updated_at: datetime


class InventoryRow(CountedInventory):
    """A row of `inventories`."""

    reported: Mapping[str, float] | None
    stated: Mapping[str, float] | None
    restated: bool


provider_traits = sa.Table(
    "resource_provider_traits",
    metadata,
    uuid_column("provider_id", sa.ForeignKey("resource_providers.id"), primary_key=True),
    sa.Column("trait", sa.String(255), primary_key=True, index=True),
    sa.Column("by_host", sa.Boolean, nullable=False, default=False),
)
"""`by_host` tells the traits a host reported of itself from those an operator set, which reports never remove."""

provider_aggregates = sa.Table(
    "resource_provider_aggregates",
    metadata,
    uuid_column("provider_id", sa.ForeignKey("resource_providers.id"), primary_key=True),
    uuid_column("aggregate_id", primary_key=True, index=True),
)

custom_resource_classes = sa.Table(
    "resource_classes",
    metadata,
    sa.Column("name", sa.String(255), primary_key=True),
    sa.Column("updated_at", UTC, nullable=False),
)
"""Custom ones alone; the standard set is code."""

custom_traits = sa.Table(
    "traits",
    metadata,
    sa.Column("name", sa.String(255), primary_key=True),
    sa.Column("updated_at", UTC, nullable=False),
)
"""Custom ones alone; the standard set is code."""

consumers = sa.Table(
    "consumers",
    metadata,
    uuid_column("id", primary_key=True),
    sa.Column("project_id", sa.String(255), nullable=False, index=True),
    sa.Column("user_id", sa.String(255), nullable=False),
    sa.Column("type", sa.String(255)),
    sa.Column("generation", sa.BigInteger, nullable=False, default=1),
    sa.Column("created_at", UTC, nullable=False),
    sa.Column("updated_at", UTC, nullable=False),
)
"""A consumer exists as long as it has allocations; `type` is None when it was made without one."""


class ConsumerRow(TypedDict):
    """A row of `consumers`."""

    id: str
    project_id: str
    user_id: str
    type: str | None
    generation: int
    created_at: datetime
    updated_at: datetime


allocations = sa.Table(
    "allocations",
    metadata,
    uuid_column("consumer_id", sa.ForeignKey("consumers.id"), primary_key=True),
    uuid_column("provider_id", sa.ForeignKey("resource_providers.id"), primary_key=True, index=True),
    sa.Column("resource_class", sa.String(255), primary_key=True),
    sa.Column("used", sa.BigInteger, nullable=False),
    sa.Column("created_at", UTC, nullable=False),
)


class AllocationRow(TypedDict):
    """A row of `allocations`."""

    consumer_id: str
    provider_id: str
    resource_class: str
    used: int
    created_at: datetime
