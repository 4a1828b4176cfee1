"""Wrong and hostile requests to a running cloud: the right status, a sentence in each service's own shape, no trace."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import attrs
import orjson
import pytest
from yarl import URL

from tests.support.service import Api, Service

NOWHERE = "5d54ef6b-0000-4000-8000-000000000000"
LONG = "x" * 300
QCOW2 = b"QFI\xfb\x00\x00\x00\x03" + bytes(1 << 16)
SERVER = {"name": "bad", "imageRef": "{image}", "flavorRef": "1", "networks": "none"}
SUBNET = {"network_id": "{network}", "cidr": "10.2.0.0/24", "ip_version": 4}
IMAGE = {"name": "bad", "disk_format": "raw", "container_format": "bare"}
PEOPLE = ("novakit-admin", "novakit")


@attrs.define
class Known:
    """What is made and found out once for all tests: tokens, and the ids of what is there."""

    tokens: dict[str, tuple[str, str]] = attrs.field(factory=dict)
    ids: dict[str, str] = attrs.field(factory=dict)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with Service(tmp_path_factory.mktemp("bad") / "state") as service:
        yield service


@pytest.fixture(scope="module")
def known() -> Known:
    return Known()


@pytest.fixture
async def logins(service: Service, known: Known) -> AsyncIterator[dict[str, Api]]:
    async with aiohttp.ClientSession() as session:
        for person in PEOPLE:
            if person not in known.tokens:
                api = await Api.login(service, session, person)
                known.tokens[person] = api.token, api.project_id
        yield {person: Api(service.url, *known.tokens[person], session) for person in PEOPLE}


@pytest.fixture
async def ids(known: Known, logins: dict[str, Api]) -> dict[str, str]:
    """Ids of what is there, made once: `image`, `network`, ... of the project, `their_image`, ... of another."""
    if not known.ids:
        made: dict[str, str] = {}
        for prefix, api in (("", logins["novakit"]), ("their_", logins["novakit-admin"])):
            image, network = await api.image(), await api.network(cidr="10.1.0.0/24")
            (group,) = (await api.ok("GET", "/network/v2.0/security-groups?name=default&project_id=" + api.project_id))[
                "security_groups"
            ]
            empty = await api.ok("POST", "/network/v2.0/networks", {"network": {"name": "without a subnet"}})
            server = await api.server("there", image, networks=[{"uuid": network}])
            (settled,) = await api.settled()
            assert settled["status"] == "ACTIVE"
            (port,) = (await api.ok("GET", f"/network/v2.0/ports?device_id={server}"))["ports"]
            (subnet,) = (await api.ok("GET", f"/network/v2.0/subnets?network_id={network}"))["subnets"]
            queued = await api.ok("POST", "/image/v2/images", {**IMAGE, "name": "queued"})
            found = {
                "image": image,
                "network": network,
                "subnet": subnet["id"],
                "port": port["id"],
                "server": server,
                "group": group["id"],
                "empty": empty["network"]["id"],
                "queued": queued["id"],
                "project": api.project_id,
            }
            made |= {f"{prefix}{key}": value for key, value in found.items()}
        known.ids = made
    return known.ids


@pytest.fixture(autouse=True)
async def unchanged(logins: dict[str, Api], ids: dict[str, str]) -> AsyncIterator[None]:
    """Hold every test to leaving nothing behind and changing nothing."""
    before = await everything(logins["novakit-admin"])
    yield
    assert await everything(logins["novakit-admin"]) == before


async def everything(admin: Api) -> dict[str, Any]:
    seen = {"servers": (await admin.ok("GET", "/compute/v2.1/servers/detail?all_tenants=1"))["servers"]}
    seen["images"] = (await admin.ok("GET", "/image/v2/images?limit=1000"))["images"]
    seen["flavors"] = (await admin.ok("GET", "/compute/v2.1/flavors/detail?is_public=None"))["flavors"]
    for name in ("networks", "subnets", "ports", "routers", "floatingips", "security-groups"):
        seen[name] = (await admin.ok("GET", f"/network/v2.0/{name}"))[name.replace("-", "_")]
    for name in ("projects", "users"):
        seen[name] = (await admin.ok("GET", f"/identity/v3/{name}"))[name]
    providers = (await admin.ok("GET", "/placement/resource_providers"))["resource_providers"]
    seen["usage"] = [
        (await admin.ok("GET", f"/placement/resource_providers/{each['uuid']}/usages"))["usages"] for each in providers
    ]
    return seen


def filled(value: Any, ids: dict[str, str]) -> Any:
    """Put the ids where their names stand in braces."""
    if isinstance(value, dict):
        return {key: filled(item, ids) for key, item in value.items()}
    if isinstance(value, list):
        return [filled(item, ids) for item in value]
    if isinstance(value, str) and value.startswith("{") and value.endswith("}"):
        return ids[value[1:-1]]
    return value


def sentence(path: str, status: int, document: Any) -> str:
    """Give the message of an error in the shape that the service's clients read."""
    assert isinstance(document, dict), document
    service = path.split("/")[1]
    if status == 401 and "error" in document:
        # What every service answers that has its tokens checked by the identity service's own library.
        inner = document["error"]
    elif service == "network":
        inner = document["NeutronError"]
        assert set(inner) == {"type", "message", "detail"}
    elif service == "identity":
        inner = document["error"]
        assert inner["code"] == status
    elif service == "image":
        inner = document
        assert inner["code"].startswith(str(status))
    elif service == "placement":
        (inner,) = document["errors"]
        assert inner["status"] == status
        inner = {"message": inner["detail"]}
    else:
        (inner,) = document.values()
        assert inner["code"] == status
    return str(inner["message"])


async def refused(api: Api, method: str, path: str, body: Any, status: int, **options: Any) -> str:
    got, document = await api.call(method, path, body, **options)
    assert got == status, f"{got}: {document}"
    said = sentence(path, status, document)
    assert " " in said and said[0].isascii(), said
    assert "Traceback" not in said
    return said


COMPUTE, NETWORK, IMAGES = "/compute/v2.1", "/network/v2.0", "/image/v2/images"
EVERY_SERVICE = (
    f"{COMPUTE}/servers",
    f"{NETWORK}/networks",
    IMAGES,
    "/identity/v3/projects",
    "/placement/resource_providers",
)


@pytest.mark.parametrize("path", [*EVERY_SERVICE, "/novakit/v1/decisions", "/volume/v3"])
@pytest.mark.parametrize(
    "token", ["wrong", "gAAAAA" + "x" * 300, "\u00fc", None], ids=["word", "forged", "latin", "none"]
)
async def test_a_wrong_token_opens_nothing(logins: dict[str, Api], path: str, token: str | None) -> None:
    async with logins["novakit"].session.get(
        logins["novakit"].url + path, headers={"X-Auth-Token": token} if token else {}
    ) as answer:
        assert answer.status == 401
        assert "WWW-Authenticate" in answer.headers
        assert sentence(path, 401, await answer.json())


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", f"{COMPUTE}/servers/ID", "their_server"),
        ("PUT", f"{COMPUTE}/servers/ID", "their_server"),
        ("DELETE", f"{COMPUTE}/servers/ID", "their_server"),
        ("POST", f"{COMPUTE}/servers/ID/action", "their_server"),
        ("GET", f"{COMPUTE}/servers/ID/os-interface", "their_server"),
        ("GET", f"{NETWORK}/networks/ID", "their_network"),
        ("DELETE", f"{NETWORK}/networks/ID", "their_network"),
        ("PUT", f"{NETWORK}/ports/ID", "their_port"),
        ("DELETE", f"{NETWORK}/ports/ID", "their_port"),
        ("DELETE", f"{NETWORK}/subnets/ID", "their_subnet"),
        ("DELETE", f"{NETWORK}/security-groups/ID", "their_group"),
        ("GET", f"{IMAGES}/ID", "their_image"),
        ("DELETE", f"{IMAGES}/ID", "their_image"),
        ("GET", f"{IMAGES}/ID/file", "their_image"),
        ("DELETE", f"{COMPUTE}/servers/ID", "network"),
        ("DELETE", f"{NETWORK}/networks/ID", "server"),
    ],
)
async def test_what_is_another_projects_is_not_there(
    logins: dict[str, Api], ids: dict[str, str], method: str, path: str, body: str
) -> None:
    bodies = {
        f"{COMPUTE}/servers/ID": {"server": {"name": "taken"}},
        f"{COMPUTE}/servers/ID/action": {"os-stop": None},
        f"{NETWORK}/ports/ID": {"port": {"name": "taken"}},
    }
    sent = bodies.get(path) if method in ("PUT", "POST") else None
    await refused(logins["novakit"], method, path.replace("ID", ids[body]), sent, 404)


@pytest.mark.parametrize(
    ("change", "status", "says"),
    [
        ({"flavorRef": "no-such"}, 400, "lavor"),
        ({"imageRef": NOWHERE}, 400, "mage"),
        ({"imageRef": "{their_image}"}, 400, "mage"),
        ({"imageRef": "not an id"}, 400, "mage"),
        ({"imageRef": "{queued}"}, 400, "active"),
        ({"networks": [{"uuid": NOWHERE}]}, 400, "etwork"),
        ({"networks": [{"uuid": "{their_network}"}]}, 400, "etwork"),
        ({"networks": [{"port": "{their_port}"}]}, 400, "ort"),
        ({"networks": [{"port": "{port}"}]}, 409, "ort"),
        ({"networks": [{"uuid": "{empty}"}]}, 400, "subnet"),
        ({"networks": [{"uuid": "{network}", "fixed_ip": "192.0.2.7"}]}, 400, "192.0.2.7"),
        ({"networks": "sometimes"}, 400, "network"),
        ({"security_groups": [{"name": "no-such"}], "networks": [{"uuid": "{network}"}]}, 400, "no-such"),
        ({"key_name": "no-such"}, 400, "key"),
        ({"name": LONG}, 400, "name"),
        ({"name": "a\0b"}, 400, "NUL"),
        ({"name": ""}, 400, "name"),
        ({"name": 7}, 400, "name"),
        ({"flavorRef": None}, 400, "flavorRef"),
        ({"unknown": True}, 400, "unknown"),
        ({"metadata": {"k": "v" * 256}}, 400, "at most 255"),
        ({"user_data": "not base64!"}, 400, "user_data"),
        ({"min_count": 3, "max_count": 2}, 400, "min_count"),
        ({"availability_zone": "mars"}, 400, "mars"),
        ({"min_count": 10}, 403, "Quota exceeded"),
    ],
    ids=lambda value: orjson.dumps(value).decode()[:50] if isinstance(value, dict) else None,
)
async def test_a_server_that_cannot_be_is_refused_at_once(
    logins: dict[str, Api], ids: dict[str, str], change: dict[str, Any], status: int, says: str
) -> None:
    body = {"server": filled({**SERVER, **change}, ids)}
    assert says in await refused(logins["novakit"], "POST", f"{COMPUTE}/servers", body, status)


@pytest.mark.parametrize("path", EVERY_SERVICE)
@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'"text"', b"null", b"\xff\xfe", b"{}", b'{"server": 1, "network": 1, "project": 1, "name": 1}'],
    ids=["empty", "cut", "list", "text", "null", "bytes", "nothing", "types"],
)
async def test_a_body_that_is_not_what_it_must_be_is_a_bad_request(
    logins: dict[str, Api], path: str, content: bytes
) -> None:
    admin = logins["novakit-admin"]
    headers = {
        "X-Auth-Token": admin.token,
        "Content-Type": "application/json",
        "OpenStack-API-Version": "compute 2.96, placement 1.39",
    }
    async with admin.session.post(admin.url + path, data=content, headers=headers) as answer:
        if path == IMAGES and content == b"{}":
            # The public API makes an image without a name of it.
            image = (await answer.json())["id"]
            assert await admin.call("DELETE", f"{IMAGES}/{image}") == (204, None)
            return
        assert answer.status == 400
        assert sentence(path, 400, await answer.json())


@pytest.mark.parametrize("path", [*EVERY_SERVICE, "/identity/v3/auth/tokens"])
@pytest.mark.parametrize("announced", [True, False], ids=["announced", "chunked"])
async def test_a_body_of_ten_megabytes_is_too_large(logins: dict[str, Api], path: str, announced: bool) -> None:
    admin = logins["novakit-admin"]
    large = b'{"server": {"name": "' + b"x" * 10_000_000 + b'"}}'

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(large), 1 << 16):
            yield large[start : start + (1 << 16)]

    content = large if announced else pieces()
    headers = {"X-Auth-Token": admin.token, "Content-Type": "application/json"}
    async with admin.session.post(admin.url + path, data=content, headers=headers) as answer:
        assert answer.status == 413
        assert sentence(path, 413, await answer.json())


@pytest.mark.parametrize("name", [LONG, "a\0b", 7, None], ids=["long", "nul", "number", "null"])
@pytest.mark.parametrize(
    ("path", "key", "rest"),
    [
        (f"{NETWORK}/networks", "network", {}),
        (f"{NETWORK}/security-groups", "security_group", {}),
        (f"{NETWORK}/routers", "router", {}),
        (f"{COMPUTE}/os-keypairs", "keypair", {"type": "ssh", "public_key": "ssh-ed25519 AAAA"}),
        (f"{COMPUTE}/flavors", "flavor", {"vcpus": 1, "ram": 64, "disk": 1}),
        ("/identity/v3/projects", "project", {}),
        (IMAGES, "", {"disk_format": "raw", "container_format": "bare"}),
        ("/placement/resource_providers", "", {}),
    ],
    ids=lambda value: value.rpartition("/")[2] if isinstance(value, str) else "",
)
async def test_a_wrong_name_is_a_bad_request(
    logins: dict[str, Api], path: str, key: str, rest: dict[str, Any], name: Any
) -> None:
    if name is None and path == IMAGES:
        name = ["an image needs no name, but a name is text"]
    body = {**rest, "name": name}
    await refused(logins["novakit-admin"], "POST", path, {key: body} if key else body, 400)


@pytest.mark.parametrize(
    ("path", "key", "body", "status", "says"),
    [
        ("networks", "network", {"name": "bad", "unknown": 1}, 400, "unknown"),
        ("subnets", "subnet", {**SUBNET, "cidr": "10.1.0.128/25"}, 400, "overlap"),
        ("subnets", "subnet", {**SUBNET, "cidr": "10.0.0.0/300"}, 400, "10.0.0.0/300"),
        ("subnets", "subnet", {**SUBNET, "gateway_ip": "192.0.2.1"}, 400, "192.0.2.1"),
        ("subnets", "subnet", {**SUBNET, "network_id": NOWHERE}, 404, NOWHERE),
        ("subnets", "subnet", {**SUBNET, "network_id": "{their_network}"}, 404, "could not be found"),
        ("ports", "port", {"network_id": "{network}", "fixed_ips": [{"ip_address": "10.9.9.9"}]}, 400, "10.9.9.9"),
        ("floatingips", "floatingip", {"floating_network_id": "{network}"}, 400, "external"),
        ("security-group-rules", "security_group_rule", {"security_group_id": NOWHERE}, 404, NOWHERE),
    ],
    ids=lambda value: orjson.dumps(value).decode()[-40:] if isinstance(value, dict) else None,
)
async def test_a_network_that_cannot_be_is_refused(
    logins: dict[str, Api], ids: dict[str, str], path: str, key: str, body: dict[str, Any], status: int, says: str
) -> None:
    sent = {key: {"direction": "ingress", **filled(body, ids)} if key.endswith("rule") else filled(body, ids)}
    assert says in await refused(logins["novakit"], "POST", f"{NETWORK}/{path}", sent, status)


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("networks/{network}", "in use"),
        ("subnets/{subnet}", "have an IP allocation"),
        ("security-groups/{group}", "default"),
    ],
)
async def test_what_is_in_use_stays(logins: dict[str, Api], ids: dict[str, str], what: str, says: str) -> None:
    said = await refused(logins["novakit"], "DELETE", f"{NETWORK}/{what.format(**ids)}", None, 409)
    assert says in said


async def test_an_image_of_another_format_than_it_says_is_refused_and_stays_empty(
    logins: dict[str, Api], ids: dict[str, str]
) -> None:
    api = logins["novakit"]
    path = f"{IMAGES}/{ids['queued']}/file"
    headers = {"X-Auth-Token": api.token, "Content-Type": "application/octet-stream"}
    async with api.session.put(api.url + path, data=QCOW2, headers=headers) as answer:
        assert answer.status == 415
        assert "qcow2" in sentence(path, 415, await answer.json())
    assert (await api.ok("GET", f"{IMAGES}/{ids['queued']}"))["status"] == "queued"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({**IMAGE, "disk_format": "floppy"}, "disk_format: it must be one of null, 'raw'"),
        ({**IMAGE, "container_format": "box"}, "container_format: it must be one of null, 'bare'"),
        ({**IMAGE, "number": 7}, "number"),
        ({**IMAGE, "size": 1}, "size"),
    ],
)
async def test_an_image_that_cannot_be_is_refused(logins: dict[str, Api], body: dict[str, Any], says: str) -> None:
    got, document = await logins["novakit"].call("POST", IMAGES, body)
    assert got in (400, 403), document
    assert says in sentence(IMAGES, got, document)


@pytest.mark.parametrize("user", [LONG, "a\0b", "nobody", 7], ids=["long", "nul", "nobody", "number"])
async def test_a_login_that_is_wrong_opens_nothing(logins: dict[str, Api], user: Any) -> None:
    person = {"name": user, "domain": {"id": "default"}, "password": "x"}
    body = {"auth": {"identity": {"methods": ["password"], "password": {"user": person}}}}
    got, document = await logins["novakit"].call("POST", "/identity/v3/auth/tokens", body)
    assert got == (401 if user == "nobody" else got) and got in (400, 401)
    assert sentence("/identity/v3/auth/tokens", got, document)


@pytest.mark.parametrize(
    "path",
    [
        f"{COMPUTE}/servers/%00",
        f"{COMPUTE}/servers/..%2f..%2fetc",
        f"{NETWORK}/networks/{LONG}",
        f"{IMAGES}/%27%20OR%201",
        f"{COMPUTE}/flavors/{LONG}",
    ],
    ids=["nul", "path", "long", "quote", "flavor"],
)
async def test_an_address_that_leads_nowhere_is_not_found(logins: dict[str, Api], path: str) -> None:
    api = logins["novakit"]
    async with api.session.get(URL(api.url + path, encoded=True), headers={"X-Auth-Token": api.token}) as answer:
        assert answer.status == 404
        assert sentence(path, 404, await answer.json())
