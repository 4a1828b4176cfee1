"""The HTTP application of one process: every API under its prefix, and what machines watch at its root."""

from functools import partial
from typing import TypeVar

from aiohttp import web

from novakit import world
from novakit.api import compute, hosts, identity, image, network, novakit, placement, volume
from novakit.api.compute.domain import Compute
from novakit.api.entrance import Authenticate
from novakit.api.novakit.domain import Additions
from novakit.api.service import Service
from novakit.api.services import policy_file
from novakit.bus import Bus, Targets, client, topics
from novakit.bus.enrolments import Enrolments
from novakit.bus.tickets import UsedTickets
from novakit.calls.conductor import ConductorCalls
from novakit.calls.host import HostCalls
from novakit.compute.aggregates import Aggregates
from novakit.compute.flavors import hardware
from novakit.compute.flavors.flavors import Flavors
from novakit.compute.hosts import Hosts
from novakit.compute.keypairs import Keypairs
from novakit.compute.quotas import Quotas
from novakit.compute.server_groups import ServerGroups
from novakit.compute.servers import Servers
from novakit.conductor.leases import Leases
from novakit.conductor.requests import Handover, Requests
from novakit.conductor.verbs.create import Creation
from novakit.config import Config
from novakit.control import Control
from novakit.front.sharing import Shares
from novakit.front.unreadable import outside
from novakit.identity import Identity
from novakit.image import Images
from novakit.image.limits import ImageQuotas
from novakit.image.unknown import UnknownFiles
from novakit.monitoring import about
from novakit.monitoring.tallies import RequestTally
from novakit.network import Networks
from novakit.plughost import PluginHost
from novakit.scheduler.reports import SchedulerReports
from novakit.store import Store, faults
from novakit.store.compute.liveness import Liveness

D = TypeVar("D")


def application(control: Control, bus: Bus, plugins: PluginHost | None = None) -> web.Application:
    """Make the application of a process whose domain objects are `control`'s."""
    config = control.config
    _announce(control, bus)
    root = web.Application(client_max_size=config.api.max_body, middlewares=[outside])
    auth_url, requests, shares = f"{config.url}/identity", RequestTally(), Shares(config.sharing)
    rules = policy_file(config)

    def mount(
        prefix: str, service: Service[D], domain: D, authenticate: Authenticate = control.identity.authenticate
    ) -> None:
        answering = service.app(
            domain,
            authenticate,
            auth_url=auth_url,
            requests=requests,
            shares=shares,
            admit=control.admits(),
            policy_file=rules,
            explain=faults.as_answer,
        )
        root.add_subapp(prefix, answering)

    # Before the prefix that it lies below: the first one that fits is taken.
    host_images = hosts.HostImages(
        control.images, control.tickets(), UsedTickets(config.state / "tickets"), Enrolments(config.state)
    )
    mount("/novakit/hosts", hosts.service, host_images, host_images.authenticate)
    mount("/identity", identity.service, control.identity)
    mount("/image", image.service, control.images)
    mount("/network", network.service, control.networks)
    mount("/placement", placement.SERVICE, control.placement)
    mount("/novakit", novakit.service, additions_of(_reports(control, bus, plugins), config, control.images, bus))
    mount("/volume", volume.service, None)
    if "compute" in config.api.enabled:
        domain = compute_of(
            config,
            control.store,
            bus,
            control.identity,
            control.images,
            control.networks,
            control.liveness,
            control.engine.leases if control.engine is not None else None,
        )
        mount("/compute", compute.SERVICE, domain)
    control.monitoring(bus, plugins, requests).mount(root)
    return root


def compute_of(
    config: Config,
    store: Store,
    bus: Bus,
    identity: Identity,
    images: Images,
    networks: Networks,
    liveness: Liveness | None = None,
    leases: Leases | None = None,
) -> Compute:
    """Compose the domain of the compute API on one store.

    Without `liveness` it looks for hosts' signs itself; `leases` are those of the engine in this process.
    """
    quotas = Quotas(store)
    return Compute(
        shows_passwords=config.api.enable_instance_password,
        identity=identity,
        images=images,
        networks=networks,
        flavors=Flavors(store),
        keypairs=Keypairs(store, quotas),
        quotas=quotas,
        servers=Servers(store, Targets(HostCalls, bus, config), networks),
        creation=Creation(store, Handover(store, bus, leases), images, networks, quotas, config.device_profiles),
        requests=Requests(store, bus),
        hosts=Hosts(store, bus, liveness or Liveness(config.conductor.host_down_after)),
        aggregates=Aggregates(store, bus),
        server_groups=ServerGroups(store, quotas, bus),
    )


def additions_of(reports: SchedulerReports, config: Config, images: Images, bus: Bus) -> Additions:
    """Compose the domain of the API beside the public ones, on the store that the images are in."""
    store = images.store
    groups = ServerGroups(store, Quotas(store), bus)
    return Additions(
        reports=reports,
        server_groups=groups,
        image_quotas=ImageQuotas(store, config.image),
        unknown_files=UnknownFiles(images),
        conductor=client(ConductorCalls, bus, config),
    )


def _announce(control: Control, bus: Bus) -> None:
    """Tell the other roles of changes that were made through this process's APIs."""
    if "conductor" not in control.config.roles:
        control.networks.on_change = lambda changed: world.spawn(
            topics.NETWORKS_CHANGED.publish(bus, topics.NetworksChanged(hosts=changed)), name="networks.changed"
        )
    control.placement.on_change = lambda: world.spawn(
        topics.PLACEMENT_CHANGED.publish(bus, topics.Changed()), name="placement.changed"
    )


def _reports(control: Control, bus: Bus, plugins: PluginHost | None) -> SchedulerReports:
    return SchedulerReports(
        control.store,
        bus,
        control.config,
        control.images,
        control.config.device_profiles,
        hardware.check,
        about=partial(about.service, control.config, control.hosts(bus), bus, plugins),
    )
