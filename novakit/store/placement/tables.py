"""Tables of the placement ledger: provider trees, what they hold, and who has taken how much of it."""

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

allocations = sa.Table(
    "allocations",
    metadata,
    uuid_column("consumer_id", sa.ForeignKey("consumers.id"), primary_key=True),
    uuid_column("provider_id", sa.ForeignKey("resource_providers.id"), primary_key=True, index=True),
    sa.Column("resource_class", sa.String(255), primary_key=True),
    sa.Column("used", sa.BigInteger, nullable=False),
    sa.Column("created_at", UTC, nullable=False),
)
