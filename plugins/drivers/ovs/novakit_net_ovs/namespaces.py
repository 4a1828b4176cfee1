"""The namespaces of DHCP services and routers, with what runs in them.

The idea: of each namespace is kept what it was made to and a mark of it (its inode), of this process alone. It is made
again only where either is another: it was to change, somebody removed it, the switch began anew, or dnsmasq ended.
The invariant: a namespace is noted as ours before it is made, so that one which was made halfway is found and swept.
It counts as made only after its last step, so what fails is tried again with the next topology, and is a fault of its
network or router alone.
The cost: one `stat` for each that is as it was left; else some 1.5 ms of netlink and a program or two, for at most
`AT_ONCE` networks and as many routers side by side.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable

import attrs

from novakit_hookspecs.errors import Busy
from novakit_net_linux import links, names, routers
from novakit_net_linux.commands import CommandFailed
from novakit_net_linux.dhcp import DhcpServers
from novakit_net_ovs.options import OvsOptions
from novakit_net_ovs.ovsdb import Switch
from novakit_net_ovs.ownership import Ownership
from novakit_net_ovs.plan import Plan

AT_ONCE = 8
"""Namespaces that are worked at side by side; each step is a program or a netlink call that waits for the kernel."""
Trouble = (CommandFailed, links.LinkFailed, Busy, OSError)


@attrs.define
class Namespaces:
    """The namespaces of this host, as they were made last."""

    own: Ownership
    switch: Switch
    links: links.Links
    servers: DhcpServers
    options: OvsOptions
    _made: dict[str, tuple[object, ...]] = attrs.field(factory=dict)
    """By name, the mark of the namespace and to what it was made."""

    async def make(self, before: Plan, wanted: Plan) -> None:
        """Make the namespaces of DHCP services and routers that are not as wanted, and what runs in them."""

        async def serve(network_id: str) -> None:
            network = wanted.networks[network_id]
            assert network.dhcp is not None
            namespace, device = wanted.dhcp_namespace(network), names.device(names.DHCP, network.dhcp.id)
            state = (namespace, network, self.switch.identity(), self.servers.process(network_id))
            if not self._as_left(namespace.name, state):
                await self.own.note_namespace(namespace.name)
                await self.links.call(links.make_namespace, namespace)
                index = await self.links.call_inside(namespace.name, socket.if_nametoindex, device)
                await self.servers.serve(network, device, index)
                self._leave(namespace.name, (*state[:3], self.servers.process(network_id)))

        async def route(router_id: str) -> None:
            await self._make_router(before, wanted, router_id)

        await asyncio.gather(
            self._each(wanted, [network.id for network in wanted.dhcp_networks()], serve),
            self._each(wanted, list(wanted.routers), route),
        )

    async def sweep(self, wanted: Plan) -> None:
        """Stop the DHCP servers and remove the namespaces that are ours and not wanted."""
        serving = {network.id for network in wanted.dhcp_networks()}
        for network_id in self.servers.known():
            if network_id not in serving:
                await self.servers.stop(network_id)
        namespaces = {names.dhcp_namespace(network_id) for network_id in serving}
        namespaces |= {names.router_namespace(router_id) for router_id in wanted.routers}
        if left := self.own.namespaces() - namespaces:
            await self.links.call(links.remove_namespaces, left)
            await self.own.forget_namespaces(left)
        self._made = {name: state for name, state in self._made.items() if name in namespaces}

    async def _make_router(self, before: Plan, wanted: Plan, router_id: str) -> None:
        router = wanted.routers[router_id]
        namespace = wanted.router_namespace(router)
        state = (namespace, router, self.switch.identity())
        if self._as_left(namespace.name, state):
            return
        await self.own.note_namespace(namespace.name)
        fresh = set(await self.links.call(links.make_namespace, namespace))
        await routers.install(router, self.options.command_timeout)
        known = before.routers.get(router_id)
        for gone in set(known.floating_ips if known else ()) - set(router.floating_ips):
            await routers.forget(router_id, gone, self.options.command_timeout)
        macs = {names.device(names.ROUTER, leg.port_id): leg.mac for leg in router.interfaces}
        if router.gateway:
            macs[names.device(names.GATEWAY, router.gateway.port_id)] = router.gateway.mac
        for leg in namespace.legs:
            news = [address for address in leg.addresses if address in fresh]
            if news:
                await self.links.call_inside(namespace.name, links.announce, leg.device, macs[leg.device], news)
        self._leave(namespace.name, state)

    def _as_left(self, namespace: str, state: tuple[object, ...]) -> bool:
        """Whether a namespace is the one that we made last, and was made to this."""
        mark = links.namespace_mark(namespace)
        return mark is not None and self._made.get(namespace) == (mark, *state)

    def _leave(self, namespace: str, state: tuple[object, ...]) -> None:
        self._made[namespace] = (links.namespace_mark(namespace), *state)

    async def _each(self, wanted: Plan, owners: list[str], step: Callable[[str], Awaitable[None]]) -> None:
        """Do a step for each, some at once; what fails is a fault of that one alone."""
        gate = asyncio.Semaphore(AT_ONCE)

        async def contained(owner: str) -> None:
            async with gate:
                try:
                    await step(owner)
                except Trouble as error:
                    wanted.drop(owner, str(error))

        await asyncio.gather(*map(contained, owners))
