"""Every option of the table takes its own type and refuses all others, in a sentence that names it."""

import types
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import attrs
import pytest

from novakit import config
from novakit.config import Config
from novakit.config.settings import SECTIONS
from novakit.errors import ConfigError
from novakit.plughost import GROUPS, Offer, PluginChoice, PluginHost, discover
from novakit.plughost.build import fill

VALUES: dict[str, tuple[str, ...]] = {
    "text": ('"x"', '""', '"a\\u0000b"', '"\\u202ex"', '"' + "x" * 70000 + '"', '"../../x"', '"1"'),
    "whole": ("0", "1", "-1", "9223372036854775807", "1" + "0" * 400),
    "number": ("1.5", "-1.5", "nan", "inf", "-inf", "1e400"),
    "boolean": ("true", "false"),
    "list": ("[]", "[1]", '["x"]', "[[]]", "[{}]", "[true]", "[" + ",".join(['"x"'] * 5000) + "]"),
    "table": ("{}", "{x = 1}", "{x = {y = []}}"),
    "moment": ("1979-05-27", "1979-05-27T07:32:00Z", "07:32:00"),
}
"""Values of each kind that TOML has, ordinary and odd."""


def kinds_of(hint: Any) -> set[str]:
    """Name the kinds of values that an option of this type may take."""
    if isinstance(hint, types.UnionType):
        return set().union(*(kinds_of(one) for one in get_args(hint)))
    plain = {str: {"text"}, int: {"whole"}, float: {"whole", "number"}, bool: {"boolean"}, types.NoneType: set()}
    if hint in plain:
        return plain[hint]
    return {"list"} if get_origin(hint) is tuple else {"table"}


ALSO = {
    ("scheduler", "filters"): {"text", "table"},
    ("scheduler", "weighers"): {"list"},
    ("agent", "compute_monitors"): {"text"},
}
"""Kinds that other compute services' configuration has there, and that are understood."""


def options() -> Iterator[tuple[str, str]]:
    for section, kind in SECTIONS.items():
        for option in attrs.fields(kind):
            yield section, option.name


@pytest.mark.parametrize(("section", "option"), list(options()))
def test_an_option_takes_its_own_type_and_refuses_the_others(section: str, option: str, tmp_path: Path) -> None:
    taken = kinds_of(get_type_hints(SECTIONS[section])[option]) | ALSO.get((section, option), set())
    path, accepted = tmp_path / "novakit.toml", 0
    for kind, values in VALUES.items():
        for value in values:
            path.write_text(f"[{section}]\n{option} = {value}\n")
            try:
                fields = config.read(path)
                read = getattr(Config(state=tmp_path, **fields), {"network": "networks"}.get(section, section))
            except ConfigError as error:
                told = str(error)
                assert option in told and section in told, (value[:80], told[:300])
                assert len(told) < 1000 and told.isprintable(), (value[:80], told[:300])
            else:
                assert kind in taken, f"[{section}] {option} took {value[:80]}: {getattr(read, option)!r}"
                assert "\\u0000" not in value, f"[{section}] {option} took a NUL"
                accepted += 1
    assert accepted or taken & {"text", "list"}, "nothing was taken"


def texts(kind: type) -> Iterator[tuple[str, object]]:
    """Give the options of a plugin that have a text in them, each with a value that has a newline in it."""
    for option in attrs.fields(kind):
        hint = get_type_hints(kind)[option.name]
        origin, within = get_origin(hint), get_args(hint)
        if hint is str or (origin is types.UnionType and str in within):
            yield option.alias, "a\nb"
        elif origin in (dict, Mapping) and within[0] is str:
            yield option.alias, {"a\nb": "x" if within[1] is str else 1.0}
        elif origin in (tuple, list, frozenset, Sequence) and str in within:
            yield option.alias, ["a\nb"]


def offers() -> Iterator[Offer]:
    """Give what every installed plugin offers that can be loaded here."""
    for candidate in discover(GROUPS.values()):
        name = candidate.plugin.name
        loaded = PluginHost.survey(PluginChoice(driver=name, network=name, scheduler=name))
        for plugin in loaded.plugins:
            for record in plugin.records if plugin.key == candidate.plugin.key else ():
                if offer := loaded.offered(plugin.group.name, record):
                    yield offer


def test_no_text_of_the_options_of_novakits_own_plugins_takes_a_control_character() -> None:
    refused = set()
    for offer in (each for each in offers() if each.plugin.stock):
        for option, value in texts(offer.spec.options) if offer.spec.options else ():
            with pytest.raises(ConfigError, match=rf"\[{offer.key}\] {option}.*without control characters"):
                fill(offer, {option: value})
            refused.add(offer.key)
    assert refused >= {"filters.metrics", "weighers.metrics", "drivers.simulated"}


def test_a_vendors_plugin_takes_newlines_and_tabs_and_no_other_control_character() -> None:
    taken = set()
    for offer in offers():
        vendors = attrs.evolve(offer, plugin=attrs.evolve(offer.plugin, stock=False))
        for option, value in texts(offer.spec.options) if offer.spec.options else ():
            try:
                fill(vendors, {option: value})
                taken.add(offer.key)
            except ConfigError as error:
                assert "control characters" not in str(error), "refused by novakit, not by the plugin's own validator"
            with pytest.raises(ConfigError, match=rf"\[{offer.key}\] {option}.*but newlines and tabs"):
                fill(vendors, {option: _with(value, "a\0b")})
    assert taken


def _with(value: object, text: str) -> object:
    """Put a text in the place of the one that `texts` has put there."""
    if isinstance(value, dict):
        return dict.fromkeys([text], next(iter(value.values())))
    return [text] if isinstance(value, list) else text
