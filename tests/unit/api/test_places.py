"""The paths of a route: its own, those of an old prefix, and those with a project before the rest."""

import re

import pytest

from novakit.api.places import PROJECT, places

OLD = ("/v2", "/v2.1")


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/", {"/": False}),
        ("/v2.1", {"/v2.1": False}),
        ("/v2.1/", {"/v2.1/": False, "/v2/": True}),
        (
            "/v2.1/servers/{id}",
            {
                "/v2.1/servers/{id}": False,
                "/v2/servers/{id}": True,
                f"/v2.1/{PROJECT}/servers/{{id}}": False,
                f"/v2/{PROJECT}/servers/{{id}}": True,
            },
        ),
    ],
)
def test_a_route_is_found_at_its_own_path_and_at_those_of_old_clients(path: str, found: dict[str, bool]) -> None:
    assert dict(places(path, OLD, OLD)) == found
    assert dict(places(path, None, ())) == {path: False}


@pytest.mark.parametrize("name", ["os-keypairs", "servers", "flavors", "a" * 31, "g" * 32, "a" * 37])
def test_no_noun_is_taken_for_a_project(name: str) -> None:
    pattern = PROJECT[1:-1].partition(":")[2]
    assert not re.fullmatch(pattern, name)
    assert re.fullmatch(pattern, "0123456789abcdefABCDEF0123456789")
