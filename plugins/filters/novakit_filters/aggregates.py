"""What operators say of hosts through the metadata of aggregates."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import attrs
import numpy as np

from novakit_filters.demands import Demand, unmet
from novakit_filters.operators import is_plain, matches
from novakit_filters.standing import present, reason
from novakit_hookspecs.scheduling import Aggregate, Ask, HostColumns, Reason

if TYPE_CHECKING:
    from numpy.typing import NDArray

SCOPE = "aggregate_instance_extra_specs"


def members(hosts: HostColumns, aggregates: Sequence[Aggregate]) -> "NDArray[np.bool_]":
    """Return which hosts belong to any of these aggregates."""
    mask = np.zeros(hosts.size, np.bool_)
    for aggregate in aggregates:
        mask |= hosts.in_aggregate(aggregate.id)
    return mask


def words(text: str) -> set[str]:
    """Return the values of a comma-separated text."""
    return {word.strip() for word in text.split(",") if word.strip()}


_SPOKEN_FOR = frozenset({"group_policy", "hide_hypervisor_id"})
"""Keys without a scope that mean something of their own."""


class InstanceExtraSpecs:
    """Keep hosts whose aggregates' metadata satisfies the flavor's extra specs.

    `aggregate_instance_extra_specs:ssd = true` speaks to it alone; a key without a scope does, too.
    """

    @staticmethod
    def _wanted(ask: Ask) -> dict[str, str]:
        found = {key: value for key, value in ask.extra_specs.items() if ":" not in key and key not in _SPOKEN_FOR}
        for key, value in ask.extra_specs.items():
            scope, _, rest = key.partition(":")
            if scope == SCOPE and rest:
                found[rest] = value
        return found

    def applies(self, ask: Ask) -> bool:
        return bool(self._wanted(ask))

    def mask(self, hosts: HostColumns, ask: Ask) -> "NDArray[np.bool_]":
        mask = np.ones(hosts.size, np.bool_)
        for key, value in self._wanted(ask).items():
            mask &= self._satisfied(hosts, key, value)
        return mask

    @staticmethod
    def _satisfied(hosts: HostColumns, key: str, value: str) -> "NDArray[np.bool_]":
        good = [
            aggregate
            for aggregate in hosts.tagged(key)
            if key in aggregate.metadata and any(matches(one, value) for one in words(aggregate.metadata[key]))
        ]
        return members(hosts, good)

    def why(self, hosts: HostColumns, ask: Ask) -> Sequence[Reason]:
        return unmet(
            [
                Demand(
                    "aggregate_extra_specs",
                    f"in no aggregate with {key} = {value}, as the flavor wants",
                    f"aggregate metadata {key} {f'= {value}' if is_plain(value) else f'that satisfies {value}'}",
                    self._satisfied(hosts, key, value),
                )
                for key, value in sorted(self._wanted(ask).items())
            ]
        )


@attrs.frozen
class ImageIsolationOptions:
    """Which metadata keys speak of image properties."""

    namespace: str = ""
    """Only keys that begin with it and the separator; empty means every key."""
    separator: str = "."


@attrs.frozen
class ImagePropertiesIsolation:
    """Keep hosts whose aggregates allow the image: metadata `os_distro = debian,ubuntu` allows these and no other."""

    options: ImageIsolationOptions

    def applies(self, ask: Ask) -> bool:
        return ask.image is not None and bool(ask.image.properties)

    def mask(self, hosts: HostColumns, ask: Ask) -> "NDArray[np.bool_]":
        mask = np.ones(hosts.size, np.bool_)
        for _, _, fits in self._demands(hosts, ask):
            mask &= fits
        return mask

    def _demands(self, hosts: HostColumns, ask: Ask) -> list[tuple[str, str, "NDArray[np.bool_]"]]:
        """Return each property that aggregates speak of, and the hosts that are open to its value."""
        demands = []
        properties = ask.image.properties if ask.image else {}
        for key, value in properties.items():
            name = self._key(key)
            speaking = [aggregate for aggregate in hosts.tagged(name) if name in aggregate.metadata]
            if speaking:
                allowing = [one for one in speaking if value in words(one.metadata[name])]
                demands.append((name, value, ~members(hosts, speaking) | members(hosts, allowing)))
        return demands

    def _key(self, key: str) -> str:
        if not self.options.namespace or key.startswith(self.options.namespace + self.options.separator):
            return key
        return "\0"

    def why(self, hosts: HostColumns, ask: Ask) -> Sequence[Reason]:
        text = "kept for images with other properties"
        return unmet(
            [
                Demand("aggregate_image_properties", text, f"{value} in the aggregate metadata {name}", fits)
                for name, value, fits in self._demands(hosts, ask)
            ]
        )


TENANT_KEY = "filter_tenant_id"


def _of_tenant(aggregate: Aggregate, project_id: str) -> bool:
    return any(project_id in words(value) for key, value in aggregate.metadata.items() if key.startswith(TENANT_KEY))


class MultiTenancyIsolation:
    """Keep hosts that are not set aside for other projects by aggregate metadata `filter_tenant_id`."""

    def mask(self, hosts: HostColumns, ask: Ask) -> "NDArray[np.bool_]":
        kept = hosts.tagged(TENANT_KEY)
        if not kept:
            return np.ones(hosts.size, np.bool_)
        own = [aggregate for aggregate in kept if _of_tenant(aggregate, ask.project_id)]
        return ~members(hosts, kept) | members(hosts, own)

    def why(self, hosts: HostColumns, ask: Ask) -> Sequence[Reason]:
        everyone = np.ones(hosts.size, np.bool_)
        text = "set aside for other projects"
        return present(reason("other_tenant", everyone, text, remedy="the project among the aggregate's tenants"))


@attrs.frozen
class TenantAggregateOptions:
    """How strict tenants are bound to their aggregates."""

    required: bool = False
    """Whether a project that no aggregate names gets no host at all."""


@attrs.frozen
class TenantAggregate:
    """Keep the hosts of the aggregates that name the project in `filter_tenant_id`."""

    options: TenantAggregateOptions

    def mask(self, hosts: HostColumns, ask: Ask) -> "NDArray[np.bool_]":
        own = [aggregate for aggregate in hosts.tagged(TENANT_KEY) if _of_tenant(aggregate, ask.project_id)]
        if not own:
            return np.full(hosts.size, not self.options.required, np.bool_)
        return members(hosts, own)

    def why(self, hosts: HostColumns, ask: Ask) -> Sequence[Reason]:
        everyone = np.ones(hosts.size, np.bool_)
        own = any(_of_tenant(aggregate, ask.project_id) for aggregate in hosts.tagged(TENANT_KEY))
        text = "outside the project's aggregates" if own else "closed to projects without an aggregate of their own"
        return present(reason("tenant_aggregate", everyone, text, remedy="an aggregate that names the project"))


class IsolatedAggregate:
    """Keep hosts whose aggregates demand no trait that the request does not require.

    Aggregate metadata `trait:CUSTOM_WINDOWS_LICENSED = required` keeps the hosts for requests with that trait.
    """

    def mask(self, hosts: HostColumns, ask: Ask) -> "NDArray[np.bool_]":
        closed = [one for one in hosts.tagged("trait:") if self._demanded(one) - ask.required_traits]
        return ~members(hosts, closed)

    @staticmethod
    def _demanded(aggregate: Aggregate) -> set[str]:
        return {
            key.removeprefix("trait:")
            for key, value in aggregate.metadata.items()
            if key.startswith("trait:") and value == "required"
        }

    def why(self, hosts: HostColumns, ask: Ask) -> Sequence[Reason]:
        text = "kept for requests with other traits"
        missing: dict[str, list[Aggregate]] = {}
        for one in hosts.tagged("trait:"):
            for trait in self._demanded(one) - ask.required_traits:
                missing.setdefault(trait, []).append(one)
        return unmet(
            [
                Demand(
                    "isolated_aggregate",
                    text,
                    f"the trait {trait} required by flavor or image",
                    ~members(hosts, demanding),
                )
                for trait, demanding in sorted(missing.items())
            ]
        )


@attrs.frozen
class IsolatedHostsOptions:
    """Which hosts are kept for which images."""

    hosts: Sequence[str] = ()
    images: Sequence[str] = ()
    restrict: bool = True
    """Whether the isolated hosts take nothing but the isolated images."""


@attrs.frozen
class IsolatedHosts:
    """Keep isolated images on isolated hosts, and everything else off them."""

    options: IsolatedHostsOptions

    def applies(self, ask: Ask) -> bool:
        return bool(self.options.hosts or self.options.images)

    def mask(self, hosts: HostColumns, ask: Ask) -> "NDArray[np.bool_]":
        if not self.applies(ask):
            return np.ones(hosts.size, np.bool_)
        isolated = np.zeros(hosts.size, np.bool_)
        isolated[hosts.rows(self.options.hosts)] = True
        if ask.image is not None and ask.image.id in self.options.images:
            return isolated
        return ~isolated if self.options.restrict else np.ones(hosts.size, np.bool_)

    def why(self, hosts: HostColumns, ask: Ask) -> Sequence[Reason]:
        everyone = np.ones(hosts.size, np.bool_)
        return present(
            reason("isolated_hosts", everyone, "not meant for this image", remedy="another image or host list")
        )
