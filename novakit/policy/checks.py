"""What checks are made of: read apart so that a file with a mistake is refused instead of failing closed in silence."""

import ast
import difflib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from novakit.config.quoting import quoted
from novakit.context import RequestContext
from novakit.policy import language
from novakit.policy.rules import GIVEN, credentials

FIELD = re.compile(r"(?P<resource>\w+):(?P<field>[\w:]+)=(?P<regex>~?)(?P<value>.*)")
REMOTE = ("http", "https", "remote")
MOST_NESTED = 50
"""How deep checks stand in each other, rules that they refer to included: each level costs a request three calls."""


class RemoteCheck(language.Check):
    """`http://...`, `https://...` and `remote:...`, which are known so that they can be refused by name."""

    def __call__(self, target: object, creds: object, enforcer: object, current_rule: str | None = None) -> bool:
        """Allow nothing: `fault_of` lets no such check into a policy."""
        return False


for _kind in REMOTE:
    language.register(_kind, RemoteCheck)


@language.register("field")
class FieldCheck(language.Check):
    """`field:networks:shared=True`, in rules of the network service: an attribute has a value, or matches `=~`."""

    def __call__(self, target: Any, creds: object, enforcer: object, current_rule: str | None = None) -> bool:
        """Return whether the target has the attribute; a target without it does not."""
        found = FIELD.fullmatch(self.match)
        value = target.get(f"{found['resource']}:{found['field']}") if found else None
        if found is None or value is None:
            return False
        if found["regex"]:
            return re.match(found["value"], str(value)) is not None
        return str(value) == found["value"]


def fault_of(text: str, attributes: Collection[str] | None = GIVEN) -> str | None:
    """Return what is wrong with one check, or None.

    `attributes` are what things have that rules are about; None takes every attribute.
    """
    try:
        check: object = language.parse(text)
        levels = _levels(check)
    except RecursionError:
        levels = MOST_NESTED + 1
    if levels > MOST_NESTED:
        return f"{quoted(text)} is nested too deep; write it with fewer levels"
    leaves = list(_leaves(check))
    refused = sum(type(leaf).__name__ == "FalseCheck" for leaf in leaves)
    if refused > len(re.findall(r"(?<![\w:])!(?![\w:])", text)):
        return f"{quoted(text)} is not understood; write checks such as role:member and project_id:%(project_id)s"
    return next((fault for leaf in leaves if (fault := _fault_of_leaf(leaf, text, attributes))), None)


def _fault_of_leaf(leaf: Any, text: str, attributes: Collection[str] | None) -> str | None:
    kind, match = getattr(leaf, "kind", ""), getattr(leaf, "match", "")
    if kind in REMOTE:
        return f"{quoted(text)} asks a server over HTTP, which is not served: every request would wait for it"
    if kind == "field" and not FIELD.fullmatch(match):
        return f"{quoted(text)} is not understood; write field:RESOURCE:ATTRIBUTE=VALUE"
    if kind != "rule":
        try:
            leaf(_Whatever({match.rpartition("=")[0]: ""}), dict(_SOMEBODY), None)
        except Exception as error:
            # What fails here would fail in every request that asks the rule.
            why = str(error).partition(" (<")[0][:80]
            return f"{quoted(f'{kind}:{match}')} cannot be answered ({why}); write checks such as role:member"
    if kind and kind not in _KINDS and not _is_literal(kind) and not _callers_have(kind):
        return f"{quoted(f'{kind}:{match}')} asks for what no caller has; {_nearest(kind, (*_KINDS, *_SOMEBODY))}"
    for name in _attributes(leaf):
        if attributes is not None and name not in attributes:
            asked = f"{quoted(f'{kind}:{match}')} asks for {quoted(name)}"
            return f"{asked}, which no resource has; {_nearest(name, attributes)}"
    return None


_KINDS = ("role", "rule", "field")
"""What a check may begin with beside a literal and what a caller has."""


def _is_literal(kind: str) -> bool:
    try:
        ast.literal_eval(kind)
    except (ValueError, SyntaxError):
        return False
    return True


def _callers_have(kind: str) -> bool:
    """Return whether a caller has what a check begins with, such as user_id or token.user.id."""
    found: object = _SOMEBODY
    for part in kind.split("."):
        if not isinstance(found, dict) or part not in found:
            return False
        found = found[part]
    return True


def _nearest(name: str, known: Collection[str]) -> str:
    return f"write {' or '.join(difflib.get_close_matches(name, sorted(known), n=2, cutoff=0))}"


def attributes(text: str) -> Iterator[str]:
    """Name what a check asks of the thing that it is about."""
    for leaf in _leaves(language.parse(text)):
        yield from _attributes(leaf)


def _attributes(leaf: Any) -> Iterator[str]:
    kind, match = getattr(leaf, "kind", ""), getattr(leaf, "match", "")
    if kind == "field" and (found := FIELD.fullmatch(match)):
        yield f"{found['resource']}:{found['field']}"
    elif kind != "rule":
        yield from re.findall(r"%\(([^)]*)\)", match)


class _Whatever(dict[str, str]):
    """A target that has every attribute."""

    def __missing__(self, _name: str) -> str:
        return ""


def _somebody() -> dict[str, object]:
    said = credentials(RequestContext(request_id="", user_id="", project_id="", roles={"member"}, system=True))
    token = said["token"]
    assert isinstance(token, dict)
    # Public defaults ask for the domain that a token is scoped to: none is here, and they are not wrong.
    return {**said, "token": {**token, "domain": {"id": ""}}}


_SOMEBODY = _somebody()
"""A caller who has everything that callers may have."""


def references(text: str) -> Iterator[str]:
    """Name the rules that a check refers to."""
    for leaf in _leaves(language.parse(text)):
        if getattr(leaf, "kind", "") == "rule":
            yield leaf.match


def reached(checks: Mapping[str, str], asked: Iterable[str]) -> set[str]:
    """Return the names of rules that are asked, and of all that they refer to; some of those may not be there."""
    waiting, met = list(asked), set[str]()
    while waiting:
        name = waiting.pop()
        if name not in met:
            met.add(name)
            waiting += references(checks[name]) if name in checks else ()
    return met


def lacking(checks: Mapping[str, str], asked: Iterable[str]) -> tuple[str, str] | None:
    """Return the first rule that is reached from those that are asked and refers to one that is not there, and that."""
    waiting, met = list(asked), set()
    while waiting:
        name = waiting.pop(0)
        for one in references(checks[name]):
            if one not in checks:
                return name, one
            if one not in met:
                met.add(one)
                waiting.append(one)
    return None


def fault_among(checks: Mapping[str, str], asked: Iterable[str]) -> str | None:
    """Say how rules that are asked refer to others in a circle, or too many levels deep; None where they do neither."""
    levels: dict[str, int] = {}

    def walk(name: str, above: tuple[str, ...]) -> str | None:
        if name in above:
            return f"rules refer to each other in a circle: {' -> '.join([*above[above.index(name) :], name])}"
        if name in levels or name not in checks:
            return None
        if len(above) > MOST_NESTED:
            return f"rules refer to each other over more than {MOST_NESTED} levels, from {above[0]} on"
        named = list(references(checks[name]))
        if fault := next((fault for one in named if (fault := walk(one, (*above, name)))), None):
            return fault
        levels[name] = _levels(language.parse(checks[name]))
        levels[name] += 1 + max((levels.get(one, 0) for one in named), default=0)
        if levels[name] > MOST_NESTED:
            return f"the rule {quoted(name)} and those it refers to are nested more than {MOST_NESTED} levels deep"
        return None

    return next((fault for name in asked if (fault := walk(name, ()))), None)


def _levels(check: object) -> int:
    """Count how deep checks stand in each other."""
    inner = getattr(check, "rules", None) or [getattr(check, "rule", None)]
    return 1 + max((_levels(one) for one in inner if one is not None), default=0)


def _leaves(check: object) -> Iterator[Any]:
    if hasattr(check, "rules"):
        for one in check.rules:
            yield from _leaves(one)
    elif hasattr(check, "rule"):
        yield from _leaves(check.rule)
    else:
        yield check
