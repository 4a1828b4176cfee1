"""Options become objects, or one sentence that says which key is wrong and what is taken."""

from pathlib import Path
from typing import Any

import attrs
import pytest

from novakit.errors import ConfigError
from novakit.plughost import GROUPS, Fault, Offer, Plugin, State, build
from novakit_hookspecs.accelerators import AcceleratorSpec, Watches
from novakit_hookspecs.errors import Refused
from novakit_hookspecs.hosts import HostContext


@attrs.frozen(kw_only=True)
class Options:
    size: int = attrs.field(default=1, validator=attrs.validators.ge(0))
    ratio: float = 1.0
    fast: bool = False
    cards: tuple[str, ...] = ()
    serial: str


class Provider:
    def __init__(self, options: Any, context: HostContext) -> None:
        self.options = options

    async def discover(self) -> list[Any]:
        return []

    async def prepare(self, claim: Any) -> list[Any]:
        return []

    async def release(self, claim: str) -> None:
        return None


def _offer(**fields: Any) -> Offer:
    plugin = Plugin(group=GROUPS["accelerators"], name="acme", distribution="novakit-acme", version="1.0")
    settings = {"name": "acme", "api": 1, "build": Provider, "options": Options, **fields}
    return Offer(AcceleratorSpec(**settings), plugin)


@pytest.fixture
def context(tmp_path: Path) -> HostContext:
    return HostContext(host="here", state_dir=str(tmp_path))


def test_plain_data_fills_the_options(context: HostContext) -> None:
    made = build(_offer(), {"serial": "x", "cards": ["a", "b"], "ratio": 2, "fast": True}, context)
    assert made.options == Options(serial="x", cards=("a", "b"), ratio=2.0, fast=True)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ({"serial": "x", "sise": 3}, ["[accelerators.acme]", "'sise'", "size, ratio, fast, cards, serial", "'size'?"]),
        ({"serial": "x", "size": "3"}, ["size", "a whole number"]),
        ({"serial": "x", "size": True}, ["size", "a whole number"]),
        ({"serial": "x", "size": -3}, ["size"]),
        ({"serial": "x", "fast": "false"}, ["fast", "true or false"]),
        ({"serial": "x", "cards": "abc"}, ["cards", "a list"]),
        ({"serial": "x", "cards": [1]}, ["cards[0]", "a text"]),
        ({}, ["serial", "is required"]),
    ],
)
def test_a_wrong_option_is_a_sentence_with_its_key(context: HostContext, raw: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(ConfigError) as error:
        build(_offer(), raw, context)
    for word in words:
        assert word in error.value.message


def test_a_plugin_without_options_takes_none(context: HostContext) -> None:
    with pytest.raises(ConfigError, match="takes no options"):
        build(_offer(options=None), {"size": 1}, context)


def test_a_plugin_that_refuses_gives_its_reason(context: HostContext) -> None:
    def refuse(options: Any, context: HostContext) -> Any:
        raise Refused("no card in this host")

    with pytest.raises(ConfigError, match="no card in this host"):
        build(_offer(build=refuse, options=None), {}, context)


def test_a_build_that_raises_breaks_only_its_plugin(context: HostContext) -> None:
    def fail(options: Any, context: HostContext) -> Any:
        raise ZeroDivisionError("division by zero")

    offer = _offer(build=fail, options=None)
    with pytest.raises(Fault, match="ZeroDivisionError"):
        build(offer, {}, context)
    assert offer.plugin.state is State.BROKEN


def test_a_declared_facet_that_is_missing_is_found_before_it_is_used(context: HostContext) -> None:
    with pytest.raises(Fault, match=r"Watches.*no watch"):
        build(_offer(facets={Watches}, options=None), {}, context)


def test_an_object_without_the_required_methods_is_found_before_it_is_used(context: HostContext) -> None:
    with pytest.raises(Fault, match=r"no method discover\(\)"):
        build(_offer(build=lambda options, context: object(), options=None), {}, context)
