"""Every limit on a number of things holds while eighty ask at once, on both databases; what is shown is kept."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import attrs
import pytest

from tests.support.service import Api, Service

AT_ONCE, LEFT = 80, 7
COMPUTE, NETWORK, IMAGE = "/compute/v2.1", "/network/v2.0", "/image/v2"
UNLIMITED = ("instances", "cores", "ram", "server_groups", "server_group_members", "key_pairs", "metadata_items")


@attrs.define
class Cloud:
    """A service, its administrator, and what one more of each resource is made from."""

    admin: Api
    image: str = ""
    network: str = ""
    external: str = ""
    server: str = ""
    server_group: str = ""
    security_group: str = ""
    shared: str = ""

    async def prepare(self) -> None:
        """Lift every limit, and make what the questions need."""
        ask = self.admin.ok
        await self.limit(COMPUTE, dict.fromkeys(UNLIMITED, -1))
        self.image, self.network = await self.admin.image(), await self.admin.network()
        self.external = (await ask("GET", f"{NETWORK}/networks?router:external=true"))["networks"][0]["id"]
        self.server = await self.admin.server("single", self.image)
        await self.admin.reach(self.server, "ACTIVE")
        body = {"server_group": {"name": "members", "policy": "soft-affinity"}}
        self.server_group = (await ask("POST", f"{COMPUTE}/os-server-groups", body))["server_group"]["id"]
        self.shared = await self.new_image()
        body = {"security_group": {"name": "ruled"}}
        self.security_group = (await ask("POST", f"{NETWORK}/security-groups", body))["security_group"]["id"]

    async def limit(self, service: str, limits: dict[str, int]) -> None:
        """Set limits of the project, and see that they are shown."""
        place = self.admin.project_id
        if service == NETWORK:
            path, key, body = f"{NETWORK}/quotas/{place}", "quota", limits
        elif service == IMAGE:
            path, key, body = f"/novakit/v1/image-quotas/{place}", "image_quota", limits
        else:
            path, key, body = f"{COMPUTE}/os-quota-sets/{place}", "quota_set", {**limits, "force": True}
        await self.admin.ok("PUT", path, {key: body})
        shown = (await self.admin.ok("GET", path))[key]
        if service == IMAGE:
            shown = {name: told["limit"] for name, told in shown.items() if name != "project_id"}
        assert {name: shown[name] for name in limits} == limits

    async def new_image(self) -> str:
        """Make an image without data."""
        path, body = self.question("images", 0)
        return str((await self.admin.ok("POST", path, body))["id"])

    async def upload(self, image: str, size: int) -> int:
        """Send an image its data; return the status of the answer."""
        headers = {"X-Auth-Token": self.admin.token, "Content-Type": "application/octet-stream"}
        url = f"{self.admin.url}{IMAGE}/images/{image}/file"
        async with self.admin.session.put(url, data=bytes(size), headers=headers) as answer:
            return answer.status

    def question(self, resource: str, number: int) -> tuple[str, Any]:
        """Give path and body of a request for one more."""
        new = {"name": f"{resource}{number}", "imageRef": self.image, "flavorRef": "1", "networks": "none"}
        port = {"port_range_min": 1000 + number, "port_range_max": 1000 + number}
        rule = {"security_group_id": self.security_group, "direction": "ingress", "protocol": "tcp", **port}
        subnet = {"network_id": self.network, "cidr": f"10.{100 + number}.0.0/24", "ip_version": 4}
        member = {"server": new, "os:scheduler_hints": {"group": self.server_group}}
        questions: dict[str, tuple[str, Any]] = {
            "instances": (f"{COMPUTE}/servers", {"server": new}),
            "cores": (f"{COMPUTE}/servers", {"server": new}),
            "ram": (f"{COMPUTE}/servers", {"server": new}),
            "key_pairs": (f"{COMPUTE}/os-keypairs", {"keypair": {"name": f"k{number}", "public_key": KEY}}),
            "server_groups": (f"{COMPUTE}/os-server-groups", {"server_group": {"name": "g", "policy": "affinity"}}),
            "server_group_members": (f"{COMPUTE}/servers", member),
            "metadata_items": (f"{COMPUTE}/servers/{self.server}/metadata", {"metadata": {f"m{number}": "x"}}),
            "network": (f"{NETWORK}/networks", {"network": {"name": "n"}}),
            "subnet": (f"{NETWORK}/subnets", {"subnet": subnet}),
            "port": (f"{NETWORK}/ports", {"port": {"network_id": self.network}}),
            "router": (f"{NETWORK}/routers", {"router": {"name": "r"}}),
            "floatingip": (f"{NETWORK}/floatingips", {"floatingip": {"floating_network_id": self.external}}),
            "security_group": (f"{NETWORK}/security-groups", {"security_group": {"name": "s"}}),
            "security_group_rule": (f"{NETWORK}/security-group-rules", {"security_group_rule": rule}),
            "images": (f"{IMAGE}/images", {"name": "i", "disk_format": "raw", "container_format": "bare"}),
            "image_members": (f"{IMAGE}/images/{self.shared}/members", {"member": f"p{number}"}),
        }
        return questions[resource]

    async def used(self, resource: str) -> int:
        """Count what there is, by what the API shows of the things themselves."""
        project = self.admin.project_id
        ask = self.admin.ok
        if resource in ("instances", "cores", "ram"):
            shown = (await ask("GET", f"{COMPUTE}/servers/detail?limit=1000"))["servers"]
            assert not any(each["status"] == "ERROR" for each in shown), shown
            return len(shown) * {"instances": 1, "cores": 1, "ram": 512}[resource]
        if resource == "key_pairs":
            return len((await ask("GET", f"{COMPUTE}/os-keypairs"))["keypairs"])
        if resource == "server_groups":
            return len((await ask("GET", f"{COMPUTE}/os-server-groups"))["server_groups"])
        if resource == "server_group_members":
            shown = await ask("GET", f"{COMPUTE}/os-server-groups/{self.server_group}")
            return len(shown["server_group"]["members"])
        if resource == "metadata_items":
            return len((await ask("GET", f"{COMPUTE}/servers/{self.server}/metadata"))["metadata"])
        if resource == "images":
            return len((await ask("GET", f"{IMAGE}/images?limit=1000&visibility=all&owner={project}"))["images"])
        if resource == "image_members":
            return len((await ask("GET", f"{IMAGE}/images/{self.shared}/members"))["members"])
        path = self.question(resource, 0)[0]
        shown = await ask("GET", f"{path}?project_id={project}")
        return len(next(iter(shown.values())))


KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
NETWORKED = ("network", "subnet", "port", "router", "floatingip", "security_group", "security_group_rule")
IMAGES = ("images", "image_members")
EVERY = (*UNLIMITED, *NETWORKED, *IMAGES)
REFUSED = {COMPUTE: 403, NETWORK: 409, IMAGE: 413}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    state: Path = tmp_path_factory.mktemp("quotas") / "state"
    state.mkdir()
    options = '[agent]\nhost = "vm"\n[drivers.simulated]\nvcpus = 1000\nmemory_mb = 1000000\n'
    if request.param == "postgresql":
        options = f'database = "{request.getfixturevalue("postgres_cluster").database()}"\n{options}'
    (state / "novakit.toml").write_text(options)
    with Service(state) as running:
        yield running


@pytest.fixture
async def cloud(service: Service) -> AsyncIterator[Cloud]:
    connector = aiohttp.TCPConnector(limit=AT_ONCE)
    async with aiohttp.ClientSession(connector=connector) as session:
        yield Cloud(await Api.login(service, session, "novakit-admin"))


@pytest.mark.slow
async def test_eighty_at_once_get_as_many_as_the_quota_leaves_of_each_resource(cloud: Cloud) -> None:
    await cloud.prepare()
    for resource in EVERY:
        place = NETWORK if resource in NETWORKED else IMAGE if resource in IMAGES else COMPUTE
        refused = REFUSED[place]
        each = 512 if resource == "ram" else 1
        limit = await cloud.used(resource) + LEFT * each
        await cloud.limit(place, {resource: limit})
        asked = [cloud.question(resource, number) for number in range(AT_ONCE)]
        answers = await asyncio.gather(*(cloud.admin.call("POST", path, body) for path, body in asked))
        statuses = sorted(status for status, _ in answers)
        odd = [(status, told) for status, told in answers if status >= 300 and status != refused]
        assert not odd, (resource, odd[:3])
        assert statuses.count(refused) == AT_ONCE - LEFT, (resource, statuses)
        assert await cloud.used(resource) == limit, resource
        await cloud.limit(place, {resource: -1})


@pytest.mark.slow
async def test_eighty_uploads_at_once_store_no_more_bytes_than_the_limit(cloud: Cloud) -> None:
    ids = [await cloud.new_image() for _ in range(AT_ONCE)]
    path = f"/novakit/v1/image-quotas/{cloud.admin.project_id}"
    used = (await cloud.admin.ok("GET", path))["image_quota"]["image_bytes"]["in_use"]
    await cloud.limit(IMAGE, {"image_bytes": used + LEFT * 1000 + 999})
    statuses = sorted(await asyncio.gather(*(cloud.upload(each, 1000) for each in ids)))
    assert statuses == [204] * LEFT + [413] * (AT_ONCE - LEFT)
    assert (await cloud.admin.ok("GET", path))["image_quota"]["image_bytes"]["in_use"] == used + LEFT * 1000
    told = (await cloud.admin.ok("GET", f"{IMAGE}/info/usage"))["usage"]
    assert told["image_count_total"]["usage"] == await cloud.used("images")
    assert told["image_size_total"]["usage"] == -(-(used + LEFT * 1000) >> 20)
    await cloud.admin.ok("DELETE", path)
    assert await cloud.upload(ids[0], 1000) in (204, 409) and await cloud.upload(ids[-1], 1000) in (204, 409)
    shown = (await cloud.admin.ok("GET", path))["image_quota"]
    assert (shown["images"]["limit"], shown["image_bytes"]["limit"]) == (1000, 1 << 40)


async def test_limits_that_cannot_be_are_refused(cloud: Cloud) -> None:
    path = f"/novakit/v1/image-quotas/{cloud.admin.project_id}"
    for limits in ({}, {"images": -2}, {"images": "5"}, {"images": True}, {"image_bytes": 1 << 61}, {"cats": 1}):
        status, told = await cloud.admin.call("PUT", path, {"image_quota": limits})
        assert status == 400, (limits, told)
    assert (await cloud.admin.call("PUT", "/novakit/v1/image-quotas/absent", {"image_quota": {"images": 1}}))[0] == 404


@pytest.mark.slow
async def test_what_the_limits_say_is_used_is_what_there_is(cloud: Cloud) -> None:
    absolute = (await cloud.admin.ok("GET", f"{COMPUTE}/limits"))["limits"]["absolute"]
    told = {"instances": "totalInstancesUsed", "cores": "totalCoresUsed", "ram": "totalRAMUsed"}
    for resource, name in {**told, "server_groups": "totalServerGroupsUsed"}.items():
        assert absolute[name] == await cloud.used(resource) > 0, name
    path = f"{NETWORK}/quotas/{cloud.admin.project_id}/details.json"
    details = (await cloud.admin.ok("GET", path))["quota"]
    for resource in NETWORKED:
        assert details[resource]["used"] == await cloud.used(resource) > 0, resource
