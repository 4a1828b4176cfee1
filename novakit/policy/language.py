"""The language of oslo.policy: what reads a check, and what answers it.

Its front, `oslo_policy.policy`, reads files and options by itself; with oslo.config and what that needs it comes to
ninety modules and a tenth of every start. A service with tables of its own needs the parser and the checks behind it.
Both are private to oslo.policy: a test compares what they answer with its own enforcer, for every default and for texts
as operators write them, so that a version that differs is seen.
"""

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from oslo_policy import _checks, _parser
from oslo_policy._checks import BaseCheck, Check, register

if TYPE_CHECKING:
    from oslo_policy.policy import Enforcer

__all__ = ["BaseCheck", "Check", "Checks", "document", "parse", "register"]

# oslo.policy writes a traceback for each check that it cannot read; `novakit.policy.checks` says it better.
logging.getLogger("oslo_policy._parser").setLevel(logging.CRITICAL)

# Else oslo.policy imports what any installed distribution offers as a check before it parses its first rule. Its own
# ask a server, with an HTTP client that costs each start 6 MiB and 0.1 s; neutron-lib's would hide ours.
_checks.extension_checks = {}


def parse(text: str) -> BaseCheck:
    """Return the check that a text is; where it is not understood, one that allows nothing."""
    return _parser.parse_rule(text)


def document(text: str) -> object:
    """Return what a policy file says. Raises ValueError where it is not YAML."""
    from oslo_policy import policy  # most clouds have no such file

    return policy.parse_file_contents(text)


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
