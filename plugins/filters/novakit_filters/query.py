"""The hint `query`: a condition on host facts as a JSON list, such as `["and", [">=", "$free_ram_mb", 1024]]`."""

import functools
import json
import operator
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from novakit_filters.standing import present, reason
from novakit_hookspecs.scheduling import Ask, HostColumns, Reason

if TYPE_CHECKING:
    from numpy.typing import NDArray

_NUMBERS = {
    "free_ram_mb": "free_memory_mb",
    "free_disk_mb": "free_disk_gb",
    "total_usable_ram_mb": "total_memory_mb",
    "total_usable_disk_gb": "total_disk_gb",
    "vcpus_total": "total_vcpus",
    "vcpus_used": "used_vcpus",
    "num_instances": "servers",
    "num_io_ops": "io_ops",
    "hypervisor_version": "hypervisor_version",
}
_CATEGORIES = ("hypervisor_type", "availability_zone")
_TEXTS = {"hypervisor_hostname": "node", "node": "node", "host_ip": "host_ip"}
READS = frozenset({*_NUMBERS.values(), *_CATEGORIES, *_TEXTS.values()})
_COMPARISONS: dict[str, Callable[[Any, Any], object]] = {
    "=": operator.eq,
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}
_MAX_TEXT = 4096
"""Characters of a hint that any user may send, and that is evaluated over all hosts."""
_MAX_DEPTH = 16
"""How deep conditions may be nested; each level is a call of Python."""
_MAX_TERMS = 200
"""Conditions in all: each costs a pass over the columns, some 10 µs for 10,000 hosts."""


class _Unreadable(ValueError):
    """The query cannot be understood."""


class Query:
    """Keep hosts that satisfy the query; one that cannot be understood keeps none, and says so."""

    def applies(self, ask: Ask) -> bool:
        return bool(ask.hints.get("query"))

    def mask(self, hosts: HostColumns, ask: Ask) -> "NDArray[np.bool_]":
        if not self.applies(ask):
            return np.ones(hosts.size, np.bool_)
        try:
            return _Evaluation(hosts).mask(_parsed(ask), 0)
        except _Unreadable:
            return np.zeros(hosts.size, np.bool_)

    def why(self, hosts: HostColumns, ask: Ask) -> Sequence[Reason]:
        everyone = np.ones(hosts.size, np.bool_)
        try:
            _Evaluation(hosts).mask(_parsed(ask), 0)
        except _Unreadable as error:
            text = f"not looked at, because the hint query cannot be understood: {error}"
            return present(reason("query_unreadable", everyone, text, remedy="a readable query"))
        return present(reason("query", everyone, "do not satisfy the hint query", remedy="a wider query"))


def _parsed(ask: Ask) -> object:
    text = ask.hints.get("query")
    text = text[0] if isinstance(text, list) and len(text) == 1 else text
    if not isinstance(text, str) or len(text) > _MAX_TEXT:
        raise _Unreadable(f"it is a JSON text of at most {_MAX_TEXT} characters")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise _Unreadable("it is not JSON") from None


class _Evaluation:
    def __init__(self, hosts: HostColumns) -> None:
        self.hosts = hosts
        self.terms = 0

    def mask(self, query: object, depth: int) -> "NDArray[np.bool_]":
        self.terms += 1
        if depth > _MAX_DEPTH or self.terms > _MAX_TERMS:
            raise _Unreadable("it is too large")
        if not isinstance(query, list) or not query or not isinstance(query[0], str):
            raise _Unreadable("each condition is a list that begins with an operator")
        name, terms = query[0], query[1:]
        if name == "not" and len(terms) == 1:
            return ~self.mask(terms[0], depth + 1)
        if name in ("and", "or") and terms:
            join = np.logical_and if name == "and" else np.logical_or
            joined: NDArray[np.bool_] = join.reduce([self.mask(term, depth + 1) for term in terms])
            return joined
        if name in _COMPARISONS and len(terms) >= 2:
            return self._all(name, terms)
        if name == "in" and len(terms) >= 2:
            value, *choices = terms
            found = np.zeros(self.hosts.size, np.bool_)
            for choice in choices:
                found |= self._compare("=", value, choice)
            return found
        raise _Unreadable("the operators are =, <, >, <=, >=, in, not, and, or")

    def _all(self, name: str, terms: list[object]) -> "NDArray[np.bool_]":
        """Compare the first term with each of the others."""
        mask = np.ones(self.hosts.size, np.bool_)
        for other in terms[1:]:
            mask &= self._compare(name, terms[0], other)
        return mask

    def _compare(self, name: str, left: object, right: object) -> "NDArray[np.bool_]":
        for side, other in ((left, right), (right, left)):
            fact = side[1:] if isinstance(side, str) and side.startswith("$") else ""
            if fact in _CATEGORIES and name == "=":
                return self.hosts.where(fact, functools.partial(operator.eq, other))
            if (fact in _TEXTS or fact == "host") and name == "=":
                words = self.hosts.names if fact == "host" else self.hosts.column(_TEXTS[fact])
                return np.fromiter((word == other for word in words), np.bool_, self.hosts.size)
        answer = _COMPARISONS[name](self._value(left), self._value(right))
        return np.broadcast_to(np.asarray(answer, np.bool_), (self.hosts.size,)).copy()

    def _value(self, term: object) -> object:
        if isinstance(term, str) and term.startswith("$"):
            fact = _NUMBERS.get(term[1:])
            if fact is None:
                raise _Unreadable(f"there is no {term[:40]}")
            column = self.hosts.column(fact)
            return column * 1024 if term == "$free_disk_mb" else column
        if isinstance(term, bool) or not isinstance(term, int | float):
            raise _Unreadable("only numbers and $names can be compared")
        return term
