"""What lost deployments have left of their networks on a host: told of, and removed by the driver at a word alone."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest

from novakit.conductor.guests.remains import RemainsDesk
from novakit.store import Store
from novakit_hookspecs.errors import NotFound, Refused
from novakit_hookspecs.hosts import Holding
from novakit_hookspecs.networks import Abandoned
from tests.functional.guests.cloud import Cloud

OLD, USED = "/srv/old/agents/a/network", "/srv/used/agents/a/network"
NAMESPACE = "nkr-99999999-0000-4000-8000-000000000001"


@attrs.define
class Shared:
    """A network driver on a host that others had a part in."""

    network: Any
    left: dict[str, Abandoned]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.network, name)

    async def abandoned(self) -> Sequence[Abandoned]:
        return list(self.left.values())

    async def remove_abandoned(self, owner: str) -> None:
        if owner not in self.left:
            raise NotFound(owner)
        if self.left[owner].in_use:
            raise Refused(self.left[owner].in_use)
        del self.left[owner]


@attrs.frozen
class Silent:
    """A network driver without the facet."""

    network: Any

    async def apply(self, topology: Any) -> Any:
        return await self.network.apply(topology)

    async def holdings(self) -> Any:
        return await self.network.holdings()

    async def close(self) -> None:
        await self.network.close()


@attrs.frozen
class Blind(Silent):
    """A network driver that cannot know here who is lost."""

    async def abandoned(self) -> Sequence[Abandoned]:
        raise Refused("it does not see all processes")

    async def remove_abandoned(self, owner: str) -> None:
        raise Refused("it does not see all processes")


def left(owner: str, *things: tuple[str, str], in_use: str = "") -> Abandoned:
    held = tuple(Holding(kind=kind, name=name, owner="") for kind, name in things)
    return Abandoned(owner=owner, things=held, in_use=in_use)


async def test_what_a_lost_deployment_has_left_is_told_of_and_goes_at_an_operators_word(
    store: Store, tmp_path: Path
) -> None:
    async with Cloud.on(store, tmp_path, ("a", "b", "c")) as cloud:
        await cloud.begin()
        mine = await cloud.create("a")
        there = {
            OLD: left(OLD, ("bridge", "br-old"), ("tap", "nkt000000000001")),
            USED: left(USED, ("tap", "nkt000000000002"), in_use="a guest is plugged into it; end it first"),
            NAMESPACE: left(NAMESPACE, ("namespace", NAMESPACE)),
        }
        wired = cloud.agents["a"].network
        cloud.agents["a"].network = Shared(wired, there)
        cloud.agents["b"].network = Silent(cloud.agents["b"].network)
        await cloud.report(3)
        assert len(there) == 3, "nothing is removed on suspicion"
        told = {each.name: each for each in (await cloud.audit()).orphaned}
        assert told.keys() == {"br-old", "nkt000000000001", "nkt000000000002", NAMESPACE}
        assert told["br-old"].problem == f"Its owner's state was in {OLD}, which is gone."
        assert told[NAMESPACE].problem == "Nothing says whose it is."
        assert "It is in use: a guest is plugged into it" in told["nkt000000000002"].problem
        assert {each.host for each in told.values()} == {"a"} and all(each.is_removable for each in told.values())

        desk = RemainsDesk(cloud.parts)
        assert (await desk.listed()).untold == ("b",), "a driver that does not tell is named"
        assert (await desk.remove("/srv/another", None)).found is False
        assert (await desk.remove(OLD, "b")).found is False
        refused = await desk.remove(USED, None)
        assert "end it first" in refused.why and USED in there
        assert (await desk.remove("nkt000000000001", None)).why == ""
        assert there.keys() == {USED, NAMESPACE}, "all that its owner has left goes with it"
        assert (await desk.remove(NAMESPACE, "a")).why == "" and there.keys() == {USED}
        assert await cloud.guests("a") == {mine} and await wired.holdings()
        cloud.agents["a"].network = wired


async def test_a_host_whose_network_driver_removes_nothing_says_so(store: Store, tmp_path: Path) -> None:
    async with Cloud.on(store, tmp_path, ("a",)) as cloud:
        whole = cloud.agents["a"].network
        cloud.agents["a"].network = Silent(whole)
        with pytest.raises(Exception, match="The network driver simulated removes nothing that another deployment"):
            await cloud.parts.hosts.at("a").remove_abandoned(OLD)
        assert await cloud.parts.hosts.at("a").abandoned() is None
        cloud.agents["a"].network = Blind(whole)
        assert await cloud.parts.hosts.at("a").abandoned() is None, "to be unable to tell is not to have found nothing"
        with pytest.raises(Exception, match="it does not see all processes"):
            await cloud.parts.hosts.at("a").remove_abandoned(OLD)
        cloud.agents["a"].network = whole
        assert await cloud.parts.hosts.at("a").abandoned() == ()
