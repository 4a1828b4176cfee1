"""Every service that is served over HTTP, and the policy of all of them together."""

from collections.abc import Mapping
from typing import Any

from novakit.api import compute, identity, image, network, novakit, placement, volume
from novakit.api.service import Service
from novakit.config import Config
from novakit.policy import PolicyFile
from novakit.policy.file import Tables

SERVICES: tuple[Service[Any], ...] = (
    identity.service,
    image.service,
    network.service,
    placement.SERVICE,
    compute.SERVICE,
    volume.service,
    novakit.service,
)


def policy_file(config: Config) -> PolicyFile:
    """Read what an operator says otherwise than the tables. Raises ConfigError when it is not understood."""
    return PolicyFile.open(
        config.policy_file, required=config.policy.file is not None, known=default_checks(), told=told()
    )


def told() -> Mapping[str, frozenset[str]]:
    """Name, by service, what rules are told of its things beside what those of every service are."""
    return {service.name: service.told for service in SERVICES}


def default_checks() -> Tables:
    """Return the check of each rule of each service, as it is without an operator's file."""
    return {service.name: {name: rule.check for name, rule in service.policies.items()} for service in SERVICES}
