"""A driver to be killed: applies the topology given on standard input, and says when it begins."""

import asyncio
import sys

from novakit_hookspecs import networks
from novakit_hookspecs.hosts import HostContext
from novakit_net_ovs import OvsNetworks, OvsOptions


async def main() -> None:
    topology = eval(sys.stdin.readline(), vars(networks))
    driver = OvsNetworks(OvsOptions(), HostContext(host="alpha", state_dir="/run/alpha"))
    await driver.open()
    print("now", flush=True)
    await driver.apply(topology)
    await driver.close()


asyncio.run(main())
