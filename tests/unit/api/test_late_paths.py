"""A pattern that is made late finds what aiohttp's own finds, for every path of every service."""

from typing import Any

import pytest
from aiohttp import web

from novakit.api.places import LatePath, places
from novakit.api.service import Service
from novakit.api.services import SERVICES

PROJECT_ID = "0123456789abcdef0123456789abcdef"


def paths(service: Service[Any]) -> list[str]:
    every = [places(route.path, service.first_version_at, service.project_below) for route in service.routes]
    return sorted({place for found in every for place, _ in found})


def asked(path: str) -> list[str]:
    """Make what may be asked for of a path's own form: with good names, odd ones, and too few or too many parts."""
    parts = path.split("/")
    made = [
        "/".join(value if "{" in part else part for part in parts)
        for value in ("x", PROJECT_ID, "a%2Fb", "a b", "é", "", "x.json", "{x}")
    ]
    return [*made, *(f"{each}/" for each in made), *(f"{each}/more" for each in made), "/".join(parts[:-1]), "/"]


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_every_path_finds_what_aiohttps_own_finds(service: Service[Any]) -> None:
    late = [path for path in paths(service) if LatePath.suits(path)]
    everything = [f"/prefix{one}" for path in late for one in asked(path)]
    for path in late:
        ours, theirs = LatePath(path), web.DynamicResource(path)
        assert ours.raw_match(path)
        assert ours.canonical == theirs.canonical
        for one in (ours, theirs):
            one.add_prefix("/prefix")
        assert ours.raw_match(path)
        assert ours.canonical == theirs.canonical
        near = {f"/prefix{one}" for one in asked(path)}
        for one in near | set(everything[:: max(1, len(everything) // 200)]):
            assert ours._match(one) == theirs._match(one), (path, one)
        assert ours.get_info() == theirs.get_info()


def test_names_are_put_into_a_path() -> None:
    ours, theirs = LatePath("/a/{id}/b"), web.DynamicResource("/a/{id}/b")
    assert ours.url_for(id="x y") == theirs.url_for(id="x y")


@pytest.mark.parametrize(("path", "suits"), [("/a", False), ("/{rest:.*}", False), ("/a/{id}", True)])
def test_a_path_with_a_pattern_of_its_own_is_aiohttps(path: str, suits: bool) -> None:
    assert LatePath.suits(path) is suits


def test_a_service_has_no_pattern_before_somebody_asks() -> None:
    service = next(one for one in SERVICES if one.name == "compute")
    app = service.app(None, None)  # type: ignore[arg-type]
    root = web.Application()
    root.add_subapp("/compute", app)
    late = [each for each in app.router.resources() if isinstance(each, LatePath)]
    assert len(late) > 100
    assert {each._pattern for each in late} == {None}
