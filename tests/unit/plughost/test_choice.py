"""What an operator says of plugins in `[plugins]`."""

import pytest

from novakit.errors import ConfigError
from novakit.plughost.choice import FILTER_SCHEDULER, PluginChoice


def test_lists_are_read_and_what_is_not_said_is_left_open() -> None:
    choice = PluginChoice.read({"disabled": ["novakit-acme"]}, driver="libvirt", scheduler="acme")
    assert choice == PluginChoice(driver="libvirt", scheduler="acme", disabled=frozenset({"novakit-acme"}))
    assert choice.allow is None, "which allows all, and an empty list nothing"
    assert PluginChoice.read({"allow": []}).allow == frozenset()


def test_the_filters_and_weighers_are_no_scheduler_driver() -> None:
    assert PluginChoice.read({}, scheduler=FILTER_SCHEDULER).scheduler is None


@pytest.mark.parametrize(
    ("section", "sentence"),
    [
        ({"require": []}, "has no key 'require'; it takes required, allow, disabled"),
        ({"allow": "novakit-acme"}, "allow takes a list of names"),
        ({"allow": [""]}, "allow takes a list of names"),
        ({"required": ["driver:libvirt"]}, "is not GROUP:NAME"),
        ({"required": ["drivers:"]}, "is not GROUP:NAME"),
    ],
)
def test_a_mistake_is_refused_by_its_key(section: dict[str, object], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        PluginChoice.read(section)
