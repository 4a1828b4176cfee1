"""A whole nova.conf, translated: what novakit.toml says the same, and a sentence for each option that is left out."""

import copy
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence

import attrs

from novakit.config import devices, meanings, nova, spellings
from novakit.config.quoting import printable
from novakit.config.spellings import Document, table_in
from novakit.errors import ConfigError

SCHEDULING = ("scheduler", "filter_scheduler")
"""Sections of which `spellings` knows the rest."""
UNKNOWN = "novakit has no such option"
SOURCE = "nova.conf"
OptionName = tuple[str, str]
"""Section and name of an option."""
ALIAS: OptionName = ("pci", "alias")


@attrs.frozen
class Translation:
    """What became of a nova.conf."""

    document: Document
    left_out: tuple[str, ...]
    """A sentence for each option, with why."""
    refused: tuple[str, ...] = ()
    """Those of `left_out` whose option is known here, and its value is not: somebody must decide."""

    def toml(self) -> str:
        """Write it as novakit.toml, with a comment for each value that somebody must decide on."""
        comments = [f"# left out: {printable(sentence)}." for sentence in self.refused]
        return "\n".join([*comments, *_lines(self.document)])


DocumentCheck = Callable[[Document], None]
"""Raises ConfigError for a document that `novakit serve` would refuse; may change what it is given."""


def translate(content: str, check: DocumentCheck = lambda document: None) -> Translation:
    """Translate the content of a nova.conf. Raises ConfigError for a line that no such file can have.

    An option whose value `check` refuses is left out, and costs none of the others.
    """
    options = _options(content)
    translated = _translated(options, lambda document: None)
    try:
        check(copy.deepcopy(translated.document))
    except ConfigError:
        # One value is wrong. Which one is found by trying each, and that takes far longer.
        return _translated(options, check)
    return translated


def _translated(options: Mapping[OptionName, Sequence[str]], check: DocumentCheck) -> Translation:
    document: Document = {}
    left_out: list[str] = []
    refused: list[str] = []
    for (section, name), values in options.items():
        where, found = f"[{section}] {name}", nova.meaning(section, name)
        if isinstance(found, meanings.Needless | meanings.Absent):
            if (section, name) != ALIAS:
                left_out.append(f"{where}: {found.why}")
            continue
        if found is None and section not in SCHEDULING:
            left_out.append(f"{where}: {UNKNOWN}")
            continue
        more = copy.deepcopy(document)
        adds = isinstance(found, meanings.Renamed) and found.adds
        if len(values) > 1 and not adds:
            left_out.append(f"{where}: it is given {len(values)} times; the last value counts")
        try:
            value = _literal(values if adds else values[-1:])
            if found is None:
                _schedule(more, section, name, value)
            else:
                nova.put(more, found, value)
            check(copy.deepcopy(more))
        except (ValueError, ConfigError) as error:
            sentence = f"{where}: {str(error).removeprefix(f'{SOURCE}: ').removeprefix(f'{where}: ').rstrip('.')}"
            left_out.append(sentence)
            if UNKNOWN not in sentence:
                refused.append(sentence)
        else:
            document = more
    if ALIAS in options:
        said = _named(document, options[ALIAS], check)
        left_out, refused = [*left_out, *said], [*refused, *said]
    return Translation(document, tuple(left_out), tuple(refused))


def _named(document: Document, values: Sequence[str], check: DocumentCheck) -> list[str]:
    """Name the rules of devices as aliases do, one by one; return a sentence for each alias that is left out."""
    said: list[str] = []
    rules = nova.rules_of(document)
    try:
        aliases = devices.aliases(list(values))
    except ValueError as error:
        return [f"[pci] alias: {error}"]
    before = copy.deepcopy(rules)
    said += [f"[pci] alias: {why}" for why in devices.name_kinds(rules, aliases)]
    try:
        check(copy.deepcopy(document))
    except ConfigError as error:
        if isinstance(rules, list) and isinstance(before, list):
            rules[:] = before
        said.append(f"[pci] alias: {str(error).rstrip('.')}")
    return said


def _literal(values: Sequence[str]) -> object:
    """Return the value of an option, or its values. Raises ValueError where another option has them."""
    for value in values:
        if other := re.search(r"(?<![$\\])\$(\w+|\{[\w.:]+\})", value):
            raise ValueError(f"refers to another option, {other[0]}, which is not supported; write the value itself")
    return values[0] if len(values) == 1 else list(values)


def _options(content: str) -> dict[OptionName, list[str]]:
    """Read options as oslo.config does: values go on in lines that are indented, and may be given several times."""
    found: dict[OptionName, list[str]] = {}
    section, last = "DEFAULT", None
    for number, line in enumerate(content.splitlines(), start=1):
        bare = re.sub(r"\s+[#;].*$", "", line).rstrip()
        if not bare or bare.lstrip()[0] in "#;":
            continue
        if heading := re.fullmatch(r"\[([^\]]+)\]", bare):
            section, last = heading[1], None
        elif line[0].isspace() and last is not None:
            found[last][-1] = f"{found[last][-1]} {bare.strip()}".strip()
        elif option := re.fullmatch(r"([^=:\s][^=:]*?)\s*[=:]\s*(.*)", bare):
            last = (section, option[1])
            found.setdefault(last, []).append(option[2])
        else:
            raise ConfigError(f"Line {number} is neither a section, nor an option, nor a comment: {bare[:60]!r}.")
    return found


def _schedule(document: Document, section: str, name: str, value: object) -> None:
    """Let `spellings` say what one option of the scheduler is, and add that."""
    if not spellings.knows(name):
        raise ValueError(UNKNOWN)
    alone: Document = {section: {name: _scalar(value)}}
    spellings.understand(alone, SOURCE)
    _merge(document, alone)


def _scalar(value: object) -> object:
    for take in (meanings.number, meanings.yes_or_no):
        try:
            return take(value)
        except ValueError:
            continue
    return value


def _merge(document: Document, more: Document) -> None:
    for key, value in more.items():
        if isinstance(value, dict):
            _merge(table_in(document, key), value)
        else:
            document[key] = value


def _lines(document: Document) -> Iterator[str]:
    for key, value in document.items():
        if not isinstance(value, dict):
            yield f"{_key(key)} = {_value(value)}"
    yield from _tables(document, "")


def _tables(document: Document, above: str) -> Iterator[str]:
    for key, table in document.items():
        if not isinstance(table, dict):
            continue
        name = f"{above}{_key(key)}"
        plain = {inner: value for inner, value in table.items() if not isinstance(value, dict)}
        if plain:
            yield f"\n[{name}]"
            yield from (f"{_key(inner)} = {_value(value)}" for inner, value in plain.items())
        yield from _tables(table, f"{name}.")


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name)


def _value(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(key)} = {_value(inner)}" for key, inner in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(_value(one) for one in value) + "]"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str | bool) else repr(value)
