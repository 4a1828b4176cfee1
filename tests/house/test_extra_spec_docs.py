"""The page on extra specs and image properties names each that the API knows, once, and where it is refused."""

import re
from pathlib import Path

import pytest

from novakit import errors
from novakit.api.compute.flavors.extra_specs import EXACT, PATTERNS
from novakit.api.compute.image_properties import STANDARD
from novakit.compute.flavors import unsupported

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "extra-specs.md").read_text()
EFFECT, REFUSED, IMAGES = (
    PAGE.split(f"## {title}\n")[1].split("\n## ")[0]
    for title in ("Extra specs with an effect", "Extra specs that are refused", "Image properties with an effect")
)


def told(section: str) -> frozenset[str]:
    return frozenset(name for row in re.findall(r"^\| (`[^|]+) \|", section, re.MULTILINE) for name in named(row))


def named(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def is_refused(name: str) -> bool:
    try:
        unsupported.check_extra_specs({name: "some"})
    except errors.BadRequest:
        return True
    return False


@pytest.mark.parametrize("name", sorted(EXACT))
def test_each_extra_spec_has_an_effect_or_is_refused(name: str) -> None:
    assert (name in told(REFUSED)) == is_refused(name)
    assert (name in told(EFFECT)) != is_refused(name)


def test_what_is_refused_is_told_and_known_by_a_pattern() -> None:
    names = [name for name in told(REFUSED) if re.fullmatch(r"[a-z_]+:[a-z_]+", name)]
    assert len(names) > 20
    assert all(is_refused(name) for name in names)
    assert not [name for name in told(EFFECT) if is_refused(name)]


@pytest.mark.parametrize("pattern", [pattern for pattern, _ in PATTERNS])
def test_each_pattern_is_told(pattern: str) -> None:
    stem = re.split(r"[(\\.]", pattern)[0]
    assert any(name.startswith(stem) for name in told(EFFECT) | told(REFUSED)), stem


def test_each_standard_image_property_is_told_as_honoured_or_not() -> None:
    others = frozenset(named(PAGE.split("## Known image properties that are not honoured\n")[1]))
    honoured = told(IMAGES)
    for name in STANDARD:
        found = {name, f"{name}.N"} & (honoured | others)
        assert found, f"{name} is told nowhere"
        assert not (found & honoured and found & others), f"{name} is told twice"
    assert others <= STANDARD
