"""What checks are made of: read apart so that a file with a mistake is refused instead of failing closed in silence."""

import logging
import re
from collections.abc import Iterator, Mapping
from typing import Any

from oslo_policy import policy as oslo

FIELD = re.compile(r"(?P<resource>\w+):(?P<field>[\w:]+)=(?P<regex>~?)(?P<value>.*)")
REMOTE = ("http", "https", "remote")

# oslo.policy writes a traceback for each check that it cannot read; the sentence that is raised here says it better.
logging.getLogger("oslo_policy._parser").setLevel(logging.CRITICAL)


@oslo.register("field")
class FieldCheck(oslo.Check):
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


def fault_of(text: str) -> str | None:
    """Return what is wrong with one check, or None."""
    leaves = list(_leaves(oslo.RuleDefault("checked", text).check))
    refused = sum(type(leaf).__name__ == "FalseCheck" for leaf in leaves)
    if refused > len(re.findall(r"(?<![\w:])!(?![\w:])", text)):
        return f"{text!r} is not understood; write checks such as role:member and project_id:%(project_id)s"
    for leaf in leaves:
        kind, match = getattr(leaf, "kind", ""), getattr(leaf, "match", "")
        if kind in REMOTE:
            return f"{text!r} asks a server over HTTP, which is not served: every request would wait for it"
        if kind == "field" and not FIELD.fullmatch(match):
            return f"{text!r} is not understood; write field:RESOURCE:ATTRIBUTE=VALUE"
    return None


def references(text: str) -> Iterator[str]:
    """Name the rules that a check refers to."""
    for leaf in _leaves(oslo.RuleDefault("checked", text).check):
        if getattr(leaf, "kind", "") == "rule":
            yield leaf.match


def circle(checks: Mapping[str, str]) -> list[str]:
    """Find rules that refer to each other in a circle, or none."""
    done: set[str] = set()

    def walk(name: str, above: tuple[str, ...]) -> list[str]:
        if name in above:
            return [*above[above.index(name) :], name]
        if name in done or name not in checks:
            return []
        found = next((way for one in references(checks[name]) if (way := walk(one, (*above, name)))), [])
        done.add(name)
        return found

    return next((way for name in checks if (way := walk(name, ()))), [])


def _leaves(check: object) -> Iterator[Any]:
    if hasattr(check, "rules"):
        for one in check.rules:
            yield from _leaves(one)
    elif hasattr(check, "rule"):
        yield from _leaves(check.rule)
    else:
        yield check
