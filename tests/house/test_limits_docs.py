"""The page on limits has every request that writes, says who may send it, and gives the figures that hold."""

import re
from pathlib import Path
from typing import Any

import pytest

from novakit.api import reading
from novakit.api.compute.schemas import servers as server_schemas
from novakit.api.compute.schemas import types
from novakit.api.network.bodies import attributes, kinds
from novakit.api.novakit import server_groups
from novakit.api.service import Service
from novakit.api.services import SERVICES
from novakit.compute import keypairs
from novakit.compute import quotas as compute_quotas
from novakit.conductor.verbs import create
from novakit.config.settings import ApiOptions, ImageOptions
from novakit.identity import attempts, passwords
from novakit.image import limits as image_limits
from novakit.image import service as images
from novakit.network import ports
from novakit.network import quotas as network_quotas
from novakit.policy.personas import PERSONAS
from novakit.request_spec import hints
from novakit.store import operations, retention
from novakit.store.scheduler import decisions

PAGE = (Path(__file__).parents[2] / "docs/reference/limits.md").read_text()
TENANTS, _, ADMINISTRATORS = PAGE.partition("## Administrators alone")
NAMES = [service.name for service in SERVICES]


def named(text: str) -> set[tuple[str, str]]:
    """Give the requests that a part of the page names, each with its service."""
    found = set()
    for line in text.splitlines():
        service = ""
        for word, request in re.findall(r"\b([a-z]+)(?=:? `(?:POST|PUT|PATCH) )|`((?:POST|PUT|PATCH) /[^`]+)`", line):
            service = word or service
            if request:
                found.add((service, request))
    return found


def writes(service: Service[Any]) -> dict[str, bool]:
    """Give the requests of a service that write, and whether somebody without the role admin may send them."""
    policy, found = service.policy(), {}
    for route in service.routes:
        if route.method in ("POST", "PUT", "PATCH"):
            rules = [route.rule] if route.rule else list(route.rules.values())
            may = route.public or any(policy.allows(PERSONAS["manager"], rule) for rule in rules)
            request = f"{route.method} {route.path}"
            found[request] = found.get(request, False) or may
    return found


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_every_request_that_writes_stands_under_those_who_may_send_it(service: Service[Any]) -> None:
    sent = writes(service)
    for part, may in ((TENANTS, True), (ADMINISTRATORS, False)):
        wanted = {request for request, allowed in sent.items() if allowed is may}
        assert {request for name, request in named(part) if name == service.name} == wanted


def test_the_page_names_no_other_service() -> None:
    assert {name for name, _ in named(PAGE)} <= set(NAMES)


QUOTAS = {**compute_quotas.DEFAULTS, **network_quotas.DEFAULTS}


def test_every_quota_has_its_default_on_the_page() -> None:
    told = {name: int(figure.replace(",", "")) for name, figure in re.findall(r"`(\w+)`, ([0-9,]*[0-9])", TENANTS)}
    unserved = {name for name, default in QUOTAS.items() if default == 0}
    assert {name: told.get(name) for name in QUOTAS if name not in unserved} == {
        name: default for name, default in QUOTAS.items() if name not in unserved
    }


@pytest.mark.parametrize(
    ("words", "figure"),
    [
        ("max_body` bytes ({} MiB)", ApiOptions().max_body >> 20),
        ("{} without a token", reading.STRANGERS_BODY),
        ("nested at most {} deep", reading.MOST_NESTED),
        ("wrong passwords: {} counts", attempts.MOST),
        ("/password` | nothing is added | {} characters", passwords.MAX_LENGTH),
        ("images_each`, {} in a project", ImageOptions().images_each),
        ("ids of deleted ones: {},", retention.MOST_IDS),
        ("and {} of images that others could see", image_limits.MOST_OPENED),
        ("| {} properties", images.MAX_PROPERTIES),
        ("with {} bytes together", images.MAX_PROPERTY_BYTES),
        ("{} tags of 255 characters", images.MAX_TAGS),
        ("{} tags of an image", images.MAX_TAGS),
        ("bytes_each`, {} TiB", ImageOptions().bytes_each >> 40),
        ("members_each`, {} of an image", ImageOptions().members_each),
        ("{} in one request | 50 tags, texts", attributes.MOST_AT_ONCE),
        ("{} tags of a resource", attributes.MOST_TAGS),
        ("{} characters of a binding's profile", ports.MOST_PROFILE),
        ("{} each of pools", kinds.several(kinds.uuid)["maxItems"]),
        ("| {} characters |\n| compute `POST /v2.1/servers`", keypairs.MAX_PUBLIC_KEY),
        ("{} in one request; deleted", create.MAX_SERVERS),
        ("deleted ones: {} of a project", retention.MOST_DELETED),
        ("decisions: {} of a project", decisions.MOST_OF_PROJECT),
        ("{} each of networks, disks", server_schemas.MOST),
        ("{} characters of user data", server_schemas.USER_DATA["maxLength"]),
        ("{} bytes of hints", hints.MAX_BYTES),
        ("what was done to a server: {} entries", operations.MOST_OF_SERVER),
        ("and {} once it is deleted", operations.MOST_OF_DELETED),
        ("of a server | {} characters |", types.tag["maxLength"]),
        ("{} entries of metadata", server_groups._fields["metadata"]["maxProperties"]),
    ],
)
def test_a_figure_of_the_page_is_the_one_that_holds(words: str, figure: int) -> None:
    assert words.format(f"{figure:,}") in PAGE
