"""What the records of verbs and other actions say of who may, as the routes of servers and the policy need it."""

import re
from collections.abc import Iterable, Mapping

import attrs

from novakit.api.compute.domain import Compute
from novakit.api.service import Call, Handler, Route
from novakit.compute.rules import ActionRule
from novakit.conductor.verb import AnyVerb, Way
from novakit.context import Target
from novakit.policy import PROJECT, PolicyRule
from novakit.policy.checks import fault_of, references

_NAME = re.compile(r"(os_compute_api|compute|network|novakit)(:[\w-]+)+")
"""Public names of rules about servers, and those of our own."""


def route_of(verb: AnyVerb, handler: Handler) -> Route:
    """Return the route that a verb has of its own, answered by `handler`. Raises TypeError for a verb without one."""
    if verb.route is None:
        raise TypeError(f"{verb.kind} has no route of its own")
    return Route(method=verb.route.method, path=f"/v2.1{verb.route.path}", handler=handler, rule=verb.route.rule.name)


def authorize_fields(call: Call[Compute], way: Way | None, value: object, about: Target | None = None) -> None:
    """Go on only if the caller may use each field that the value has, as the verb's record says. Raises Forbidden.

    `about` says whose server it is; None is one of the caller's own.
    """
    for field in way.fields if way is not None else ():
        said = value.get(field.name) if isinstance(value, dict) else getattr(value, field.name, None)
        if call.version >= field.since and said is not None:
            call.authorize(field.rule.name, about)


def with_rules_of(
    served: Iterable[Way], not_served: Iterable[Way], table: Mapping[str, PolicyRule]
) -> Mapping[str, PolicyRule]:
    """Return a policy table with the rules that records hold, beside those of routes without a record.

    Raises ValueError for a rule that cannot be right: whoever asks for the action would find out.
    """
    made = dict(table)
    for way in served:
        for rule in way.rules:
            if known := made.get(rule.name):
                asked = " and ".join(known.operations) or "other rules, which refer to it"
                raise _wrong(rule, way, f"it is the rule of {asked}: copy the public name of the action's own")
            made[rule.name] = _row(rule, way, table)
    # Of old versions several have one rule, such as each kind of console.
    for way in not_served:
        for rule in way.rules:
            row, known = _row(rule, way, table), made.get(rule.name)
            if known is not None and way.operation in known.operations:
                raise _wrong(rule, way, "it is served: take its record out of those that are not")
            if known is not None and known.check != row.check:
                raise _wrong(rule, way, f"its default is {row.check}, and for {' and '.join(known.operations)} another")
            made[rule.name] = (
                row if known is None else attrs.evolve(known, operations=known.operations + row.operations)
            )
    return made


def _row(rule: ActionRule, way: Way, table: Mapping[str, PolicyRule]) -> PolicyRule:
    if not _NAME.fullmatch(rule.name):
        raise _wrong(rule, way, "no rule has such a name: copy the public one, which begins with os_compute_api:")
    if fault := fault_of(rule.check):
        raise _wrong(rule, way, f"its default {fault}: take one of novakit/compute/rules.py")
    if unknown := [name for name in references(rule.check) if name not in table]:
        raise _wrong(
            rule, way, f"its default refers to {unknown[0]}, which is none: take one of novakit/compute/rules.py"
        )
    return PolicyRule(name=rule.name, check=rule.check, scopes=PROJECT, operations=(way.operation,))


def _wrong(rule: ActionRule, way: Way, why: str) -> ValueError:
    """Make the error for a rule, which says where its record is looked for."""
    return ValueError(
        f"The record of {way.operation} has the rule {rule.name}, and {why}. The record of a verb stands in "
        "novakit/conductor/verbs/, that of any other action in novakit/api/compute/servers/actions.py or, where it is "
        "not served, in novakit/api/compute/schemas/not_served.py."
    )
