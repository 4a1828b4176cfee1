"""Class names are held to the glossary: `docs/explanation/words.md`."""

import ast
import re
from functools import cache

import pytest

from tests.house import figures

PAGE = (figures.ROOT / "docs" / "explanation" / "words.md").read_text()
UNSAID = frozenset(
    {"Card", "Plug", "Wire", "Manager", "Helper", "Util", "Handler", "Wish", "Node", "Instance", "VM", "Domain"}
)
"""Words of the page's table `Not said` that a class name could have, in any case and number."""
CLASSES_MEANT_OTHERWISE = {
    "Wire": "what connects two processes on the bus",
    "Wires": "what an agent remembers of the wiring of its host",
    "WiresPackets": "a facet, which says what its object does",
    "NamedInDomain": "a domain of identity",
    "DomainValues": "a domain of identity",
    "ProjectOfDomain": "a domain of identity",
    "UserOfDomain": "a domain of identity",
    "Domain": "what libvirt calls a guest, in its driver",
    "DomainDisk": "what libvirt calls a guest, in its driver",
    "InstanceExtraSpecs": "the filter has the public name AggregateInstanceExtraSpecsFilter",
    "InstancesOptions": "the options of the filter with the public name NumInstancesFilter",
}
"""Class names with such a word, and why they have it."""
HELD = ("libraries/", "plugins/", "hookspecs/", "novakit/")
"""Where names of modules, functions and fields are held to the page, too."""
UNSAID_IN_NAMES = {"card", "cards", "plug", "plugs", "wish", "wishes", "helper", "helpers", "util", "utils"}
MEANT_OTHERWISE = {
    "pull_the_plug": "turns a guest off",
    "test_the_plug_is_pulled_at_once_and_the_guest_started_again": "turns a guest off",
    "cards": "a key of the file that says how a guest of the QEMU driver was started",
}
"""Names with such a word, and why they have it."""


@cache
def _classes() -> dict[str, list[str]]:
    """List the places of each class name; made by a test and not with the module, which every worker imports."""
    found: dict[str, list[str]] = {}
    for one in figures.sources():
        for node in ast.walk(one.tree):
            if isinstance(node, ast.ClassDef):
                found.setdefault(node.name, []).append(one.place)
    return found


def _section(title: str) -> str:
    return PAGE.split(f"## {title}\n")[1].split("\n## ")[0]


def test_a_class_name_means_one_thing_and_the_glossary_says_why_two_modules_have_it() -> None:
    told = set(re.findall(r"^\| `(\w+)` \|", _section("Names that two packages have"), re.MULTILINE))
    assert told == figures.SAME_THING, "what is one thing in two packages has its reason on the page, and only that"
    twice = {name.split(":")[0] for name in figures.twice_defined().examples}
    assert twice <= told, f"give {', '.join(sorted(twice - told))} a name of its own: two modules have it"
    assert told <= twice, f"{', '.join(sorted(told - twice))} are defined once by now: take them off the page"


def _words(name: str) -> set[str]:
    """Return the words of a class name, an abbreviation as one of them and each in the singular."""
    return {word.upper().removesuffix("S") for word in re.findall(r"[A-Z]+s?(?![a-z])|[A-Z]?[a-z0-9]+", name)}


@pytest.mark.parametrize("word", sorted(UNSAID))
def test_no_class_name_has_a_word_that_the_glossary_does_not_say(word: str) -> None:
    found = [
        f"{name} ({', '.join(places)})"
        for name, places in _classes().items()
        if word.upper() in _words(name) and name not in CLASSES_MEANT_OTHERWISE
    ]
    assert not found, f"the glossary says what to say instead of {word}: {'; '.join(found)}"


@pytest.mark.parametrize(
    "name",
    [
        "ComputeNode",
        "VMInfo",
        "VmInfo",
        "VMs",
        "GuestInstance",
        "GuestWire",
        "RequestHandler",
        "_NetworkManager",
        "Nodes",
    ],
)
def test_a_word_that_is_not_said_is_seen_however_it_is_written(name: str) -> None:
    assert _words(name) & {word.upper() for word in UNSAID}


@pytest.mark.parametrize("word", sorted(UNSAID))
def test_a_word_that_no_class_name_may_have_stands_on_the_page(word: str) -> None:
    assert re.search(rf"\b{word}\b", _section("Not said"), re.IGNORECASE)


def test_class_names_that_may_have_such_a_word_are_there() -> None:
    gone = CLASSES_MEANT_OTHERWISE.keys() - _classes().keys()
    assert not gone, f"take {', '.join(sorted(gone))} off the list: no class has the name"


def _names(one: figures.Source) -> set[str]:
    """Return the names that a module gives: its own, those of its functions and classes, and of fields of classes."""
    found = {one.path.stem}
    for node in ast.walk(one.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            found |= {
                each.target.id
                for each in node.body
                if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name)
            }
    return found - MEANT_OTHERWISE.keys()


def test_no_function_field_or_module_has_a_word_that_the_glossary_does_not_say() -> None:
    found = [
        f"{name} ({one.place})"
        for one in figures.sources()
        if one.place.startswith(HELD)
        for name in sorted(_names(one))
        if UNSAID_IN_NAMES & set(name.lower().split("_"))
    ]
    assert not found, f"the glossary says what to say instead: {'; '.join(found)}"
