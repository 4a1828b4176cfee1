"""Options records from plain data: strict about types, and clear about which key is wrong and what it takes."""

import difflib
import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import attrs
import cattrs
from cattrs.gen import make_dict_structure_fn

from novakit.config.quoting import quoted
from novakit.errors import ConfigError

T = TypeVar("T")
_EITHER = (Union, UnionType)
_LISTS = {tuple, list, set, frozenset, Sequence, Collection, Iterable}
MOST_WORDS = 400
"""Characters of what is told of a value: some validators quote it whole."""

LARGEST = (1 << 63) - 1
"""What TOML promises that a number can be."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
"""What no name, path, URL or expression has."""
_NO_TEXT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
"""What no text of lines has either, as a key in PEM, XML or a query; at a NUL, a library of C ends it."""


def fill(section: str, kind: type[T], raw: Mapping[str, object], *, lines: bool = False) -> T:
    """Make an options record; `section` names it in errors: `[drivers.libvirt]`.

    With `lines` its texts may have newlines and tabs, as those of plugins from elsewhere do; novakit's own have none.
    Raises ConfigError naming the key and what is accepted.
    """
    accepted = [field.alias for field in attrs.fields(kind) if field.init]  # type: ignore[arg-type]
    if not isinstance(raw, Mapping):
        raise ConfigError(f"{section} takes a table of keys, not {quoted(raw)}.")
    for key in raw:
        if key not in accepted:
            close = difflib.get_close_matches(key, [name for name in accepted if name], n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise ConfigError(f"{section} has no key {quoted(key)}; it takes {', '.join(map(str, accepted))}.{hint}")
    _check_lists(section, kind, raw)
    try:
        return _CONVERTERS[lines].structure(_with_records(section, kind, raw, lines), kind)
    except ConfigError:
        raise
    except Exception as error:
        sentences = "; ".join(_sentence(section, line) for line in _lines(error))
        raise ConfigError(f"{sentences}.") from error


def _check_lists(section: str, kind: type, raw: Mapping[str, object]) -> None:
    """Refuse a text where a list belongs, which would be taken for a list of letters, and what is no table for one."""
    types = get_type_hints(kind)
    for field in attrs.fields(kind):
        if field.alias not in raw:
            continue
        value, wanted = raw[field.alias], types.get(field.name)
        origins = {get_origin(wanted), *(get_origin(one) for one in get_args(wanted) if get_origin(wanted) in _EITHER)}
        if origins & _LISTS and not isinstance(value, list | tuple):
            raise ConfigError(f"{section} {field.alias}: takes a list, not {quoted(value)}.")
        if origins & {dict, Mapping} and not isinstance(value, Mapping):
            raise ConfigError(f"{section} {field.alias}: takes a table of keys, not {quoted(value)}.")


def _with_records(section: str, kind: type, raw: Mapping[str, Any], lines: bool) -> dict[str, object]:
    """Fill the tables of a list of records one by one, so that an error names its own."""
    filled = dict(raw)
    types = get_type_hints(kind)
    for field in attrs.fields(kind):
        inner = next(iter(get_args(types.get(field.name))), None)
        if field.alias in filled and isinstance(inner, type) and attrs.has(inner):
            each = enumerate(filled[field.alias])
            filled[field.alias] = [
                fill(f"{section} {field.alias}[{number}]", inner, one, lines=lines) for number, one in each
            ]
    return filled


def _lines(error: BaseException) -> list[str]:
    return cattrs.transform_error(error, format_exception=lambda one, _kind: _words(one))


def _words(error: BaseException) -> str:
    if isinstance(error, KeyError):
        return "is required"
    words = str(error.args[0]) if error.args else type(error).__name__
    return words if len(words) <= MOST_WORDS else f"{words[:MOST_WORDS]}..."


def _sentence(section: str, line: str) -> str:
    words, _, path = line.rpartition(" @ ")
    key = path.removeprefix("$").lstrip(".")
    return f"{section} {key}: {words}" if key else f"{section}: {words}"


def _strict(kind: type, *accepted: type) -> Any:
    """Make a structure hook that converts nothing: a wrong type is a mistake, not a chance to guess."""

    def take(value: object, _: object) -> object:
        if not isinstance(value, accepted) or (isinstance(value, bool) and kind is not bool):
            raise TypeError(f"takes {_PLAIN[kind]}, not {quoted(value)}")
        if isinstance(value, int) and abs(value) > LARGEST:
            raise TypeError(f"takes {_PLAIN[kind]} of at most {LARGEST}, not {quoted(value)}")
        if isinstance(value, float) and not math.isfinite(value):
            raise TypeError(f"takes a finite number, not {value}")
        return kind(value)

    return take


def _text(refused: re.Pattern[str], but: str = "") -> Any:
    """Make a structure hook for texts without the characters that are refused."""
    strict = _strict(str, str)

    def take(value: object, wanted: object) -> object:
        if isinstance(value, str) and refused.search(value):
            raise TypeError(f"takes a text without control characters{but}, not {quoted(value)}")
        return strict(value, wanted)

    return take


def _converter(text: Any) -> cattrs.Converter:
    made = cattrs.Converter(forbid_extra_keys=True)

    def record(kind: type) -> Any:
        """Make a structure hook for a record that may have been made already."""
        read: Any = make_dict_structure_fn(kind, made, _cattrs_forbid_extra_keys=True)
        return lambda value, wanted: value if isinstance(value, kind) else read(value, wanted)

    made.register_structure_hook(bool, _strict(bool, bool))
    made.register_structure_hook(int, _strict(int, int))
    made.register_structure_hook(float, _strict(float, int, float))
    made.register_structure_hook(str, text)
    made.register_structure_hook_factory(attrs.has, record)
    return made


_PLAIN = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
_CONVERTERS = {False: _converter(_text(_CONTROL)), True: _converter(_text(_NO_TEXT, " but newlines and tabs"))}
"""By whether texts may have lines."""
