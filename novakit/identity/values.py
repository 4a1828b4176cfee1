"""What is said of the things that the directory keeps where one is made or changed: a record for each kind.

Clients may add attributes of their own, which are kept as they were sent: they are in `more`.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import attrs

from novakit.left_out import LEFT_OUT, LeftOut

DirectoryKind = Literal["domains", "projects", "users", "roles", "regions", "services", "endpoints"]
"""What the directory holds, by the name of the collection in the API."""


@attrs.frozen(kw_only=True)
class DirectoryValues:
    """What can be said of each: anything that the API does not know."""

    KIND: ClassVar[DirectoryKind]
    KEEPS_THE_REST: ClassVar = "more"

    more: Mapping[str, object] | LeftOut = LEFT_OUT
    """Left out, what is kept stays; else this takes its place."""


@attrs.frozen(kw_only=True)
class DomainValues(DirectoryValues):
    """What is said of a domain."""

    KIND = "domains"

    name: str | LeftOut = LEFT_OUT
    description: str | LeftOut | None = LEFT_OUT
    enabled: bool | LeftOut = LEFT_OUT


@attrs.frozen(kw_only=True)
class ProjectValues(DirectoryValues):
    """What is said of a project."""

    KIND = "projects"

    name: str | LeftOut = LEFT_OUT
    description: str | LeftOut | None = LEFT_OUT
    domain_id: str | LeftOut = LEFT_OUT
    parent_id: str | LeftOut | None = LEFT_OUT
    enabled: bool | LeftOut = LEFT_OUT
    is_domain: bool | LeftOut = LEFT_OUT
    tags: Sequence[str] | LeftOut = LEFT_OUT


@attrs.frozen(kw_only=True)
class UserValues(DirectoryValues):
    """What is said of a user."""

    KIND = "users"

    name: str | LeftOut = LEFT_OUT
    description: str | LeftOut | None = LEFT_OUT
    domain_id: str | LeftOut = LEFT_OUT
    default_project_id: str | LeftOut | None = LEFT_OUT
    email: str | LeftOut | None = LEFT_OUT
    enabled: bool | LeftOut = LEFT_OUT
    password: str | LeftOut | None = attrs.field(default=LEFT_OUT, repr=False)


@attrs.frozen(kw_only=True)
class RoleValues(DirectoryValues):
    """What is said of a role."""

    KIND = "roles"

    name: str | LeftOut = LEFT_OUT
    description: str | LeftOut | None = LEFT_OUT
    domain_id: LeftOut | None = LEFT_OUT
    """Roles are of no domain."""


@attrs.frozen(kw_only=True)
class RegionValues(DirectoryValues):
    """What is said of a region, whose id its maker may choose."""

    KIND = "regions"

    id: str | LeftOut = LEFT_OUT
    description: str | LeftOut | None = LEFT_OUT
    parent_region_id: str | LeftOut | None = LEFT_OUT


@attrs.frozen(kw_only=True)
class ServiceValues(DirectoryValues):
    """What is said of a service of the catalog."""

    KIND = "services"

    name: str | LeftOut = LEFT_OUT
    description: str | LeftOut | None = LEFT_OUT
    type: str | LeftOut = LEFT_OUT
    enabled: bool | LeftOut = LEFT_OUT


@attrs.frozen(kw_only=True)
class EndpointValues(DirectoryValues):
    """What is said of an endpoint of a service."""

    KIND = "endpoints"

    interface: str | LeftOut = LEFT_OUT
    region_id: str | LeftOut | None = LEFT_OUT
    region: str | LeftOut = LEFT_OUT
    """The name that version 2 had for `region_id`."""
    service_id: str | LeftOut = LEFT_OUT
    url: str | LeftOut = LEFT_OUT
    enabled: bool | LeftOut = LEFT_OUT
