"""What is said of the nouns of identity where one is made or changed: a record each.

Clients may add attributes of their own, which are kept as they were sent: they are in `more`.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import attrs

from novakit.left_out import LEFT_OUT, LeftOut


@attrs.frozen(kw_only=True)
class NounValues:
    """What can be said of every noun: anything that the API does not know."""

    KEEPS_THE_REST: ClassVar = "more"

    more: Mapping[str, object] = {}


@attrs.frozen(kw_only=True)
class DomainValues(NounValues):
    """What is said of a domain."""

    name: str | LeftOut = LEFT_OUT
    description: str | LeftOut | None = LEFT_OUT
    enabled: bool | LeftOut = LEFT_OUT


@attrs.frozen(kw_only=True)
class ProjectValues(NounValues):
    """What is said of a project."""

    name: str | LeftOut = LEFT_OUT
    description: str | LeftOut | None = LEFT_OUT
    domain_id: str | LeftOut = LEFT_OUT
    parent_id: str | LeftOut | None = LEFT_OUT
    enabled: bool | LeftOut = LEFT_OUT
    is_domain: bool | LeftOut = LEFT_OUT
    tags: Sequence[str] | LeftOut = LEFT_OUT


@attrs.frozen(kw_only=True)
class UserValues(NounValues):
    """What is said of a user."""

    name: str | LeftOut = LEFT_OUT
    description: str | LeftOut | None = LEFT_OUT
    domain_id: str | LeftOut = LEFT_OUT
    default_project_id: str | LeftOut | None = LEFT_OUT
    email: str | LeftOut | None = LEFT_OUT
    enabled: bool | LeftOut = LEFT_OUT
    password: str | LeftOut | None = attrs.field(default=LEFT_OUT, repr=False)


@attrs.frozen(kw_only=True)
class RoleValues(NounValues):
    """What is said of a role."""

    name: str | LeftOut = LEFT_OUT
    description: str | LeftOut | None = LEFT_OUT
    domain_id: LeftOut | None = LEFT_OUT
    """Roles are of no domain."""


@attrs.frozen(kw_only=True)
class RegionValues(NounValues):
    """What is said of a region, whose id its maker may choose."""

    id: str | LeftOut = LEFT_OUT
    description: str | LeftOut | None = LEFT_OUT
    parent_region_id: str | LeftOut | None = LEFT_OUT


@attrs.frozen(kw_only=True)
class ServiceValues(NounValues):
    """What is said of a service of the catalog."""

    name: str | LeftOut = LEFT_OUT
    description: str | LeftOut | None = LEFT_OUT
    type: str | LeftOut = LEFT_OUT
    enabled: bool | LeftOut = LEFT_OUT


@attrs.frozen(kw_only=True)
class EndpointValues(NounValues):
    """What is said of an endpoint of a service."""

    interface: str | LeftOut = LEFT_OUT
    region_id: str | LeftOut | None = LEFT_OUT
    region: str | LeftOut = LEFT_OUT
    """The name that version 2 had for `region_id`."""
    service_id: str | LeftOut = LEFT_OUT
    url: str | LeftOut = LEFT_OUT
    enabled: bool | LeftOut = LEFT_OUT
