"""A whole nova.conf, translated: what novakit.toml says the same, and a sentence for each option that is left out."""

import json
import re
from collections.abc import Iterator

import attrs

from novakit.config import nova, spellings
from novakit.errors import ConfigError

SCHEDULING = ("scheduler", "filter_scheduler")
"""Sections of which `spellings` knows the rest."""


@attrs.frozen
class Translation:
    """What became of a nova.conf."""

    document: nova.Document
    left_out: tuple[str, ...]
    """A sentence for each option, with why."""

    def toml(self) -> str:
        """Write it as novakit.toml."""
        return "\n".join(_lines(self.document))


def translate(content: str) -> Translation:
    """Translate the content of a nova.conf. Raises ConfigError for a line that no such file can have."""
    document: nova.Document = {}
    left_out: list[str] = []
    for (section, name), values in _options(content).items():
        value: object = values[0] if len(values) == 1 else values
        where, found = f"[{section}] {name}", nova.meaning(section, name)
        try:
            if isinstance(found, nova.Renamed):
                nova.put(document, found, value)
            elif found is not None:
                left_out.append(f"{where}: {found.why}")
            elif section in SCHEDULING:
                _schedule(document, section, name, value)
            else:
                left_out.append(f"{where}: novakit has no such option")
        except (ValueError, ConfigError) as error:
            left_out.append(f"{where}: {str(error).removeprefix(f'{where}: ').rstrip('.')}")
    return Translation(document, tuple(left_out))


def _options(content: str) -> dict[tuple[str, str], list[str]]:
    """Read options as oslo.config does: values go on in lines that are indented, and may be given several times."""
    found: dict[tuple[str, str], list[str]] = {}
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


def _schedule(document: nova.Document, section: str, name: str, value: object) -> None:
    """Let `spellings` say what one option of the scheduler is, and add that."""
    alone: nova.Document = {section: {name: _scalar(value)}}
    spellings.understand(alone, "nova.conf")
    if name in alone.get(section, {}):
        raise ValueError("novakit has no such option")
    _merge(document, alone)


def _scalar(value: object) -> object:
    for take in (nova.number, nova.yes_or_no):
        try:
            return take(value)
        except ValueError:
            continue
    return value


def _merge(document: nova.Document, more: nova.Document) -> None:
    for key, value in more.items():
        if isinstance(value, dict):
            _merge(document.setdefault(key, {}), value)
        else:
            document[key] = value


def _lines(document: nova.Document) -> Iterator[str]:
    for key, value in document.items():
        if not isinstance(value, dict):
            yield f"{_key(key)} = {_value(value)}"
    yield from _tables(document, "")


def _tables(document: nova.Document, above: str) -> Iterator[str]:
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
