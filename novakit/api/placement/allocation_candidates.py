"""GET /allocation_candidates: where a request would fit."""

import re
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from itertools import groupby
from operator import itemgetter

import attrs
import orjson
import structlog
from aiohttp import web

from novakit import errors
from novakit.api.placement import query
from novakit.api.placement.frame import PlacementCall, answer_long, members, pieces, require_json
from novakit.api.placement.query import QueryValues
from novakit.api.placement.schemas import GROUP, GROUP_1_33
from novakit.api.placement.schemas import allocation_candidates as schemas
from novakit.api.service import Version
from novakit.placement.candidates import Candidate, CandidateRequest, Forest, Group, Provider
from novakit.placement.names import CUSTOM

log = structlog.get_logger(__name__)

BAD_VALUE = "placement.query.bad_value"
CUT = "Novakit-Candidates-Cut"
"""The header that says how many candidates are shown where there are more than the operator lets one answer have."""
FORMS = 1000
"""Forms of candidates that are kept at once while they are written: some megabytes."""
_CONFLICT = "Conflicting required and forbidden traits found in "


async def list_all(call: PlacementCall) -> web.Response:
    """Answer with candidates as bodies for PUT /allocations, and with the providers they name."""
    require_json(call, reads=True)
    asked = call.request.query
    query.checked(asked, schemas.LIST, call.version)
    ask = _ask(asked, call.version)
    await _check_names(call, ask)
    forest, found, cut = await call.service.candidates(ask, wanted=lambda: call.request.transport is not None)
    if call.request.transport is None:
        raise ConnectionResetError("the client has gone")
    answered = await answer_long(call, _document(ask, call.version, forest, found), len(found))
    if cut:
        log.warning(
            "not all allocation candidates were shown",
            shown=len(found),
            option="[placement] max_candidates",
            request_id=call.request_id,
        )
        answered.headers[CUT] = str(len(found))
    return answered


async def _document(
    ask: CandidateRequest, version: Version, forest: Forest, found: Sequence[Candidate]
) -> AsyncIterator[bytes]:
    writer = Writer(ask, version)
    yield b'{"allocation_requests":['
    async for piece in pieces(found, writer.write):
        yield piece
    yield b'],"provider_summaries":{'
    wanted = {name for group in ask.groups for name in group.resources}
    summed = _shown(forest, writer.used, version)
    async for piece in members(summed, lambda some: {one.id: _summary(one, version, wanted) for one in some}):
        yield piece
    yield b"}}"


def _ask(asked: QueryValues, version: Version) -> CandidateRequest:
    subtrees = [frozenset(item.strip() for item in value.split(",")) for value in asked.getall("same_subtree", [])]
    if any("" in one for one in subtrees):
        raise errors.BadRequest(
            "Empty string (unsuffixed group) can not be specified in `same_subtree` ", kind=BAD_VALUE
        )
    root_required, root_forbidden = _root_traits(asked.getall("root_required", []))
    groups = _groups(asked, version)
    _check_groups(groups, subtrees, version)
    policy = asked.getall("group_policy", [""])[0]
    # There is no default that would be right: whether two groups may share a provider changes what fits.
    if not policy and sum(1 for suffix in groups if suffix) > 1:
        raise errors.BadRequest(
            'The "group_policy" parameter is required when specifying more than one "resources{N}" parameter.'
        )
    return CandidateRequest(
        groups=groups.values(),
        isolate=policy == "isolate",
        root_required=root_required,
        root_forbidden=root_forbidden,
        same_subtrees=subtrees,
        limit=int(asked["limit"]) if "limit" in asked else None,
        nested=version >= (1, 29),
    )


def _root_traits(values: Sequence[str]) -> tuple[set[str], set[str]]:
    if not values:
        return set(), set()
    if len(values) > 1:
        raise errors.BadRequest(
            "Query parameter 'root_required' may be specified only once.", kind="placement.query.duplicate_key"
        )
    required, forbidden = query.traits(values, (1, 38))
    wanted = {name for some in required for name in some}
    if both := sorted(wanted & forbidden):
        raise errors.BadRequest(f"{_CONFLICT}root_required: {', '.join(both)}", kind=BAD_VALUE)
    return wanted, forbidden


def _groups(asked: QueryValues, version: Version) -> dict[str, Group]:
    # Before 1.33 a suffix is a number; from then on letters, dashes and underscores too (Nova writes _COMPUTE, _PORT).
    suffix_form = GROUP_1_33 if version >= (1, 33) else GROUP
    form = re.compile(f"(resources|required|member_of|in_tree)({suffix_form})?")
    found: dict[str, Group] = {}
    for key in dict.fromkeys(asked):
        if (match := form.fullmatch(key)) is not None:
            suffix = match[2] or ""
            found.setdefault(suffix, _group(asked, version, suffix))
    return found


def _group(asked: QueryValues, version: Version, suffix: str) -> Group:
    resources = asked.getall(f"resources{suffix}", [])
    required, forbidden = query.traits(asked.getall(f"required{suffix}", []), version)
    member_of, not_member_of = query.member_of(asked.getall(f"member_of{suffix}", []), version, suffix)
    in_tree = asked.getall(f"in_tree{suffix}", [])
    return Group(
        suffix=suffix,
        resources=query.resources(resources[-1]) if resources else {},
        required=required,
        forbidden=forbidden,
        member_of=member_of,
        not_member_of=not_member_of,
        in_tree=query.in_tree(in_tree[-1]) if in_tree else None,
    )


def _check_groups(groups: Mapping[str, Group], subtrees: Iterable[frozenset[str]], version: Version) -> None:
    empty = [suffix for suffix, group in groups.items() if not group.resources]
    # From 1.36 a group may have traits alone, to name a provider for `same_subtree`; before, that was always a mistake.
    if version >= (1, 36):
        named = set().union(*subtrees)
        if len(empty) == len(groups):
            raise errors.BadRequest(
                "There must be at least one resources or resources[$S] parameter.",
                kind="placement.query.missing_value",
            )
        if odd := [suffix for suffix in empty if suffix not in named]:
            raise errors.BadRequest(
                "Resourceless suffixed group request should be specified in `same_subtree` query param: bad group(s) - "
                f"{odd}.",
                kind=BAD_VALUE,
            )
        if odd := sorted(named - groups.keys()):
            raise errors.BadRequest(
                f"Real suffixes should be specified in `same_subtree`: {odd} not found in {list(groups)}.",
                kind=BAD_VALUE,
            )
    else:
        _check_orphans(groups)
    if version >= (1, 22):
        clashes = [
            f"required{suffix}: ({', '.join(sorted(some))})"
            for suffix, group in groups.items()
            for some in group.required
            if some <= group.forbidden
        ]
        if clashes:
            raise errors.BadRequest(f"{_CONFLICT}the following traits keys: {', '.join(sorted(clashes))}")


def _check_orphans(groups: Mapping[str, Group]) -> None:
    empty = {suffix: group for suffix, group in groups.items() if not group.resources}
    if orphans := [f"required{suffix}" for suffix, group in empty.items() if group.required]:
        raise errors.BadRequest(
            "All traits parameters must be associated with resources.  Found the following orphaned traits keys: "
            + ", ".join(orphans)
        )
    if orphans := [f"member_of{suffix}" for suffix, group in empty.items() if group.member_of or group.not_member_of]:
        raise errors.BadRequest(
            "All member_of parameters must be associated with resources. Found the following orphaned member_of keys: "
            + ", ".join(orphans)
        )
    if empty:
        raise errors.BadRequest("All request groups must specify resources.")
    if not groups:
        raise errors.BadRequest("At least one request group (`resources` or `resources{$S}`) is required.")


async def _check_names(call: PlacementCall, ask: CandidateRequest) -> None:
    classes = {name for group in ask.groups for name in group.resources}
    if unknown := await call.service.resource_classes.unknown(classes):
        raise errors.BadRequest(
            f"Invalid resource class in resources parameter: No such resource class {', '.join(sorted(unknown))}."
        )
    traits = set(ask.root_required | ask.root_forbidden)
    for group in ask.groups:
        traits.update(group.forbidden, *group.required)
    if unknown := await call.service.trait_names.unknown(traits):
        raise errors.BadRequest(f"No such trait(s): {', '.join(sorted(unknown))}.")


@attrs.frozen
class CandidateTemplate:
    """The JSON of a candidate, in pieces between which the ids of its providers stand."""

    start: str
    pieces: Sequence[str]
    """What comes behind each id; the last one leads over to the next candidate."""
    parts: Sequence[int]
    """Of which part each id is."""

    @classmethod
    def of(cls, ask: CandidateRequest, sharing: Sequence[int], version: Version) -> "CandidateTemplate":
        """Make that of the candidates in which each part has the provider of the part that `sharing` names."""
        request = request_of(ask, tuple(f"@{part}@" for part in sharing), version)
        start, *rest = re.split("@([0-9]+)@", orjson.dumps(request).decode())
        return cls(start, [*rest[1:-1:2], f"{rest[-1]},{start}"], tuple(map(int, rest[::2])))

    def write(self, some: Sequence[Candidate]) -> str:
        """Write candidates of this form, a comma behind each."""
        said = [""] * (2 * len(self.pieces) * len(some))
        said[0::2] = [one[part] for one in some for part in self.parts]
        said[1::2] = [*self.pieces] * len(some)
        return self.start + "".join(said).removesuffix(self.start)


@attrs.define
class Writer:
    """Writes candidates as JSON: those that share providers between the same parts differ in nothing but ids."""

    ask: CandidateRequest
    version: Version
    _forms: dict[Sequence[int], CandidateTemplate] = attrs.field(factory=dict)
    """By the first part that has the same provider, for each part."""
    used: dict[str, None] = attrs.field(factory=dict)
    """The providers of which something is allocated."""

    def write(self, some: Sequence[Candidate]) -> bytes:
        """Write some candidates, without brackets around them."""
        for number in (number for number, part in enumerate(self.ask.parts) if part.resources):
            self.used.update(dict.fromkeys(map(itemgetter(number), some)))
        written = []
        for sharing, alike in groupby(some, key=_sharing):
            form = self._forms.get(sharing)
            if form is None:
                if len(self._forms) == FORMS:
                    self._forms.clear()
                form = self._forms[sharing] = CandidateTemplate.of(self.ask, sharing, self.version)
            written.append(form.write(list(alike)))
        return "".join(written).removesuffix(",").encode()


def _sharing(one: Candidate) -> Sequence[int]:
    """Tell for each part the first that has the same provider."""
    return range(len(one)) if len(set(one)) == len(one) else tuple(map(one.index, one))


def request_of(ask: CandidateRequest, one: Candidate, version: Version) -> dict[str, object]:
    """Shape one candidate as a client may send it to PUT /allocations."""
    given = ask.allocations(one)
    # 1.12 made of the list a mapping by provider, which is what PUT /allocations takes from that version on.
    if version < (1, 12):
        return {
            "allocations": [{"resource_provider": {"uuid": id}, "resources": amounts} for id, amounts in given.items()]
        }
    said: dict[str, object] = {"allocations": {id: {"resources": amounts} for id, amounts in given.items()}}
    if version >= (1, 34):
        said["mappings"] = ask.mappings(one)
    return said


def _shown(forest: Forest, used: Iterable[str], version: Version) -> list[Provider]:
    """Return the providers that are summarised: those of the candidates, from 1.29 on with the whole of their trees."""
    if version < (1, 29):
        return [forest.providers[id] for id in used]
    roots = dict.fromkeys(forest.providers[id].root_id for id in used)
    return [one for root in roots for one in forest.trees[root]]


def _summary(one: Provider, version: Version, wanted: set[str]) -> orjson.Fragment:
    form = (version >= (1, 17), version >= (1, 29), None if version >= (1, 27) else frozenset(wanted))
    kept: orjson.Fragment | None = one.said.get(form)
    if kept is not None:
        return kept
    said: dict[str, object] = {
        "resources": {
            name: {"capacity": stock.capacity, "used": stock.used}
            for name, stock in one.stock.items()
            if form[2] is None or name in form[2]
        }
    }
    if form[0]:
        said["traits"] = sorted(one.traits, key=lambda name: (name.startswith(CUSTOM), name))
    if form[1]:
        said["parent_provider_uuid"], said["root_provider_uuid"] = one.parent_id, one.root_id
    fragment = orjson.Fragment(orjson.dumps(said))
    if form[2] is None:
        one.said[form] = fragment
    return fragment
