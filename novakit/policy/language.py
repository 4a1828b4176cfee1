"""The language of oslo.policy: what reads a check, and what answers it.

Its front, `oslo_policy.policy`, reads files and options by itself; with oslo.config and what that needs it comes to
ninety modules and a tenth of every start. A service with tables of its own needs the parser and the checks behind it.
Both are private to oslo.policy: a test compares what they answer with its own enforcer, for every default and for texts
as operators write them, so that a version that differs is seen.
"""

import logging
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, cast

from oslo_policy import _checks, _parser
from oslo_policy._checks import BaseCheck, Check, register

from novakit.config.quoting import quoted

if TYPE_CHECKING:
    from oslo_policy.policy import Enforcer
    from yaml import MappingNode

__all__ = ["BaseCheck", "Check", "Checks", "Repeated", "document", "parse", "register"]

# oslo.policy writes a traceback for each check that it cannot read; `novakit.policy.checks` says it better.
logging.getLogger("oslo_policy._parser").setLevel(logging.CRITICAL)

# Else oslo.policy imports what any installed distribution offers as a check before it parses its first rule. Its own
# ask a server, with an HTTP client that costs each start 6 MiB and 0.1 s; neutron-lib's would hide ours.
_checks.extension_checks = {}


@lru_cache(maxsize=512)
def parse(text: str) -> BaseCheck:
    """Return the check that a text is; where it is not understood, one that allows nothing.

    Nothing changes a check once it is read, and the 456 rules of all services are 111 texts.
    """
    return _parser.parse_rule(text)


class Repeated(ValueError):
    """A file says one key twice: YAML keeps the last, and whoever reads the first believes it."""


def document(text: str) -> object:
    """Return what a policy file says. Raises ValueError where it is not YAML, and Repeated for a key given twice."""
    import yaml  # most clouds have no such file

    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if isinstance(node, yaml.MappingNode):
            _refuse_repeated(node)
        return (loader.construct_document(node) if node is not None else None) or {}
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


def _refuse_repeated(node: "MappingNode") -> None:
    lines: dict[str, int] = {}
    for key, _value in node.value:
        line = key.start_mark.line + 1
        if (before := lines.get(str(key.value))) is not None:
            raise Repeated(f"says {quoted(key.value)} twice, in lines {before} and {line}; keep one of them")
        lines[str(key.value)] = line


class Checks(dict[str, BaseCheck]):
    """The checks of rules, by name, which may refer to each other."""

    @classmethod
    def read(cls, texts: Mapping[str, str]) -> "Checks":
        """Parse the check of each rule."""
        return cls({name: parse(text) for name, text in texts.items()})

    def __missing__(self, name: str) -> BaseCheck:
        """Return what stands for rules that are referred to and not there, as in oslo.policy: the one named default."""
        if name == "default":
            raise KeyError(name)
        return self["default"]

    @property
    def rules(self) -> "Checks":
        """What a check asks of the enforcer that it is handed."""
        return self

    def allow(self, name: str, target: Mapping[str, object], credentials: Mapping[str, object]) -> bool:
        """Return what a rule says of a target and a caller. Raises KeyError for a rule that nothing stands for."""
        asked = cast("Enforcer", self)
        return bool(_checks._check(self[name], dict(target), dict(credentials), asked, name))
