"""`Compute`: everything the compute API asks of, in one object."""

import attrs

from novakit.compute.aggregates import Aggregates
from novakit.compute.flavors.flavors import Flavors
from novakit.compute.hosts import Hosts
from novakit.compute.keypairs import Keypairs
from novakit.compute.quotas import Quotas
from novakit.compute.server_groups import ServerGroups
from novakit.compute.servers import Servers
from novakit.conductor.requests import Requests
from novakit.conductor.verbs.create import Creation
from novakit.identity import Identity
from novakit.image import Images
from novakit.network import Networks


@attrs.define(kw_only=True)
class Compute:
    """The compute service as its API sees it; `novakit.serving.compute_of` composes it."""

    shows_passwords: bool
    """Whether a new server's password is told to who made it."""
    identity: Identity
    images: Images
    networks: Networks
    flavors: Flavors
    keypairs: Keypairs
    quotas: Quotas
    servers: Servers
    creation: Creation
    requests: Requests
    hosts: Hosts
    aggregates: Aggregates
    server_groups: ServerGroups
