"""Decides who may do what, for one service.

The idea: oslo.policy parses the rules and evaluates a check; its answer depends only on the rule, the caller and the
target, so it is remembered. Invariant: nothing is remembered across a change of the operator's file. Cost: a remembered
decision takes about 2 microseconds, a new one about 100 (oslo.policy inspects the signature of every check it calls).
Of a target only what the rule asks for counts, so that things that differ in nothing else share a decision.
"""

from collections.abc import Callable, Mapping

import attrs

from novakit.context import RequestContext, Target
from novakit.errors import Forbidden
from novakit.policy.checks import attributes, reached
from novakit.policy.file import PolicyFile
from novakit.policy.language import Checks
from novakit.policy.rules import ANY_SCOPE, OWN, PolicyRule, credentials, own, scope_of

REMEMBERED = 8192
"""Decisions that are kept; a process that sees more callers and projects than that starts over."""


def refused(rule: str) -> Forbidden:
    """Make the error for a rule that is not met, in the words of most services."""
    return Forbidden(f"Policy doesn't allow {rule} to be performed.")


_NOTHING = object()
"""What a thing has not; None is a value."""


@attrs.define
class Policy:
    """The rules of one service: its table, and what the operator's file says otherwise."""

    service: str
    table: Mapping[str, PolicyRule]
    file: PolicyFile = attrs.field(factory=PolicyFile)
    admin: str = "context_is_admin"
    """The rule by which callers are administrators of this service."""
    refusal: Callable[[str], Forbidden] = refused
    """Says in the service's words that a rule is not met."""
    changed: frozenset[str] = attrs.field(default=frozenset(), init=False)
    """The rules of the table of which the operator's file says otherwise, or of one that they refer to."""
    _texts: Mapping[str, str] = attrs.field(factory=dict, init=False)
    _checks: Checks = attrs.field(init=False)
    _asked: dict[str, tuple[str, ...]] = attrs.field(factory=dict, init=False)
    """By rule, what it asks of the thing that it is about; filled as rules are asked."""
    _decided: dict[object, bool] = attrs.field(factory=dict, init=False)
    _revision: int = attrs.field(default=-1, init=False)

    def __attrs_post_init__(self) -> None:
        self._load()

    def _load(self) -> None:
        self._revision = self.file.revision
        self._texts = {name: self.check_of(name) for name in {*self.table, *self.file.overrides}}
        self._checks = Checks.read(self._texts)
        self.changed = self._changed() if self.file.overrides else frozenset()
        self._decided.clear()
        self._asked.clear()

    def _changed(self) -> frozenset[str]:
        other = {name for name, text in self._texts.items() if name not in self.table or self.table[name].check != text}
        return frozenset(name for name in self.table if reached(self._texts, [name]) & other)

    def check_of(self, name: str) -> str:
        """Return the check of a rule as it stands now. Raises KeyError for a name that nobody knows."""
        said = self.file.overrides.get(name)
        return self.table[name].check if said is None else said

    def refresh(self) -> None:
        """Take up a changed file. Cheap: the file is looked at once a second at most."""
        self.file.refresh()
        if self.file.revision != self._revision:
            self._load()

    def admitted(self, context: RequestContext) -> RequestContext:
        """Return the caller as this service knows it: `is_admin` is what the rule `admin` says, `may` asks here."""
        self.refresh()
        return attrs.evolve(
            context, is_admin=self.admin in self.table and self.allows(context, self.admin), decide=self.allows
        )

    def asks(self, name: str) -> tuple[str, ...]:
        """Name what a rule, and those that it refers to, ask of the thing that they are about."""
        known = self._asked.get(name)
        if known is None:
            found = {one for rule in reached(self._texts, [name]) for one in attributes(self._texts[rule])}
            known = self._asked[name] = tuple(sorted(found))
        return known

    def hangs_on_more(self, name: str) -> bool:
        """Return whether an operator's rule asks for more of a thing than whose it is, as `device_owner` of a port."""
        return name in self.changed and not OWN.issuperset(self.asks(name))

    def allows(self, context: RequestContext, name: str, target: Target | None = None) -> bool:
        """Return whether the caller may do what a rule is about to `target`; without one, to a thing of its own.

        Raises KeyError for a rule that is not in the table.
        """
        about = None if target is None else tuple([target.get(one, _NOTHING) for one in self.asks(name)])
        key = (
            *(name, about, context.user_id, context.project_id, context.roles, context.system, context.is_admin),
            *(context.user_domain_id, context.project_domain_id),
        )
        known = self._decided.get(key)
        if known is None:
            if len(self._decided) >= REMEMBERED:
                self._decided.clear()
            known = self._decided[key] = self._decide(context, self.table[name], target)
        return known

    def _decide(self, context: RequestContext, rule: PolicyRule, target: Target | None) -> bool:
        scope = scope_of(context)
        # A token without a scope does what every scope may do, such as reading its own user, and nothing else.
        if rule.scopes and scope not in rule.scopes and not (scope is None and set(ANY_SCOPE) <= set(rule.scopes)):
            return False
        asked = self.asks(rule.name)
        about = own(context) if target is None else {one: target[one] for one in asked if one in target}
        return self._checks.allow(rule.name, about, credentials(context))
