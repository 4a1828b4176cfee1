"""The query string of identity's lists: every filter is obeyed, or refused by its name."""

from collections.abc import Callable, Mapping, Sequence

import attrs
from multidict import MultiMapping

from novakit import errors
from novakit.api import ids
from novakit.api.documents import Document
from novakit.api.queries import moment, number, strict_boolean

INEXACT: Mapping[str, Callable[[str, str], bool]] = {
    "contains": lambda have, asked: asked in have,
    "icontains": lambda have, asked: asked.lower() in have.lower(),
    "startswith": lambda have, asked: have.startswith(asked),
    "istartswith": lambda have, asked: have.lower().startswith(asked.lower()),
    "endswith": lambda have, asked: have.endswith(asked),
    "iendswith": lambda have, asked: have.lower().endswith(asked.lower()),
}
"""As in name__startswith=a."""
TAGS: Mapping[str, Callable[[set[str], set[str]], bool]] = {
    "tags": lambda asked, have: asked <= have,
    "tags-any": lambda asked, have: bool(asked & have),
    "not-tags": lambda asked, have: not asked <= have,
    "not-tags-any": lambda asked, have: not asked & have,
}
PAGING = ("limit", "marker")
FLAGS = ("enabled", "is_domain")
EXPIRY = "password_expires_at"
BEFORE_AND_AFTER = ("lt", "lte", "gt", "gte", "eq", "neq")


@attrs.frozen(kw_only=True)
class Filters:
    """What one list was asked to hold."""

    tests: Sequence[Callable[[Document], bool]]
    limit: int | None
    marker: str | None

    def page(self, documents: Sequence[Document]) -> tuple[list[Document], bool]:
        """Keep what passes, and of that the page that was asked for. Returns whether more follows it.

        Raises BadRequest for a marker that is not in the list.
        """
        found = [one for one in documents if all(test(one) for test in self.tests)]
        if self.marker is not None:
            places = [place for place, one in enumerate(found) if one["id"] == self.marker]
            if not places:
                raise errors.BadRequest(f"The marker {self.marker[:80]} is not in this list.")
            found = found[places[0] + 1 :]
        if self.limit is None:
            return found, False
        return found[: self.limit], len(found) > self.limit


def read(query: MultiMapping[str], exact: Sequence[str], shown: Sequence[str]) -> Filters:
    """Read the query of a list whose documents hold `shown`, of which `exact` can be asked for by value.

    Raises BadRequest with the name of what the list cannot be filtered by.
    """
    tests: list[Callable[[Document], bool]] = []
    for name, value in query.items():
        if name in PAGING:
            continue
        attribute, _, manner = name.partition("__")
        if name in TAGS and "tags" in shown:
            tests.append(_tagged(TAGS[name], value))
        elif name in FLAGS and name in shown:
            tests.append(_flag(name, value))
        elif name == EXPIRY and name in exact:
            tests.append(_expiring(value))
        elif name in exact:
            tests.append(_equal(name, equal_to(name, value)))
        elif manner in INEXACT and attribute in shown and attribute not in (*FLAGS, EXPIRY):
            tests.append(_inexact(INEXACT[manner], attribute, value))
        else:
            flags = set(FLAGS) & set(shown)
            known = sorted({*exact, *PAGING, *flags, *(TAGS if "tags" in shown else ())})
            raise errors.BadRequest(f"This list cannot be filtered by {name[:80]!r}; it can by {', '.join(known)}.")
    return Filters(
        tests=tests, limit=number(query, "limit"), marker=ids.kept(query["marker"]) if "marker" in query else None
    )


def equal_to(name: str, value: str) -> str:
    """Return what a filter asks for, as it is kept."""
    return ids.kept(value) if name.endswith("_id") else value


def _tagged(holds: Callable[[set[str], set[str]], bool], value: str) -> Callable[[Document], bool]:
    asked = set(value.split(","))
    return lambda one: isinstance(tags := one["tags"], list | tuple) and holds(asked, set(tags))


def _flag(name: str, value: str) -> Callable[[Document], bool]:
    # `?enabled` without a value means true.
    wanted = not value or strict_boolean(value, name)
    return lambda one: bool(one[name]) is wanted


def _expiring(value: str) -> Callable[[Document], bool]:
    """Read a time with an operator before it; it finds nobody, as no password expires here."""
    operator, _, text = value.partition(":")
    complaint = f"{EXPIRY} takes an operator ({', '.join(BEFORE_AND_AFTER)}), a colon and a time."
    if operator not in BEFORE_AND_AFTER:
        raise errors.BadRequest(complaint)
    moment(text, complaint)
    return lambda one: False


def _equal(name: str, value: str) -> Callable[[Document], bool]:
    return lambda one: one.get(name) == value


def _inexact(holds: Callable[[str, str], bool], name: str, value: str) -> Callable[[Document], bool]:
    return lambda one: isinstance(found := one.get(name), str) and holds(found, value)
