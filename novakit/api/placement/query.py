"""The little languages of Placement's query parameters."""

from collections.abc import Sequence

from multidict import MultiMapping

from novakit import errors
from novakit.api.bodies import Versions
from novakit.api.placement.frame import kept_id
from novakit.api.placement.schemas import INVALID_QUERY, MAX_INT, looks_like_uuid
from novakit.api.service import Version
from novakit.resource_classes import by_class

QueryValues = MultiMapping[str]
_RESOURCES = (
    "Badly formed resources parameter. Expected resources query string parameter in form: "
    "?resources=VCPU:2,MEMORY_MB:1024. Got: "
)


def checked(query: QueryValues, wanted: Versions, version: Version) -> dict[str, str]:
    """Return the parameters, of repeated ones the last. Raises BadRequest for any that the version does not know."""
    values = dict(query.items())
    wanted.check(version, values)
    if any("\x00" in value or _surrogates(value) for value in values.values()):
        raise errors.BadRequest(f"{INVALID_QUERY}control characters and broken UTF-8 are not accepted.")
    return values


def _surrogates(value: str) -> bool:
    return any("\ud800" <= letter <= "\udfff" for letter in value)


def resources(value: str) -> dict[str, int]:
    """Read VCPU:2,MEMORY_MB:1024."""
    if not value.strip():
        raise errors.BadRequest(f"{_RESOURCES}empty string.")
    found = {}
    for item in value.split(","):
        name, colon, amount = item.partition(":")
        if not colon or ":" in amount:
            raise errors.BadRequest(f"{_RESOURCES}{item}.")
        found[name] = _amount(name, amount)
    return by_class(found)


def _amount(name: str, text: str) -> int:
    try:
        amount = int(text)
    except ValueError:
        raise errors.BadRequest(f"Requested resource {name} expected positive integer amount. Got: {text}.") from None
    if amount < 1:
        raise errors.BadRequest(f"Requested resource {name} requires amount >= 1. Got: {amount}.")
    # Larger than anything a provider can hold is as good as any larger number, and no database is asked for 10**5000.
    return min(amount, MAX_INT + 1)


def traits(values: Sequence[str], version: Version) -> tuple[list[set[str]], set[str]]:
    """Read `required` parameters: sets of which one trait each must be there, and the traits that must not."""
    required: list[set[str]] = []
    forbidden: set[str] = set()
    # Before 1.39 a repeated parameter was not refused: the last one counted, and clients may rely on that.
    for value in values if version >= (1, 39) else values[-1:]:
        if value.startswith("in:"):
            required.append(_any_of(value, version))
            continue
        names = [item.strip() for item in value.split(",")]
        unwanted = {name.lstrip("!") for name in names if name.startswith("!")}
        form = "HW_CPU_X86_VMX,!CUSTOM_MAGIC" if version >= (1, 22) else "HW_CPU_X86_VMX,CUSTOM_MAGIC"
        expected = f"{INVALID_QUERY}Expected 'required' parameter value of the form: {form}. Got"
        if not all(names) or not all(unwanted):
            raise errors.BadRequest(f"{expected} an empty trait in: {value}")
        if unwanted and version < (1, 22):
            raise errors.BadRequest(f"{expected}: {value}")
        required += [{name} for name in names if not name.startswith("!")]
        forbidden |= unwanted
    return required, forbidden


def _any_of(value: str, version: Version) -> set[str]:
    form = "in:HW_CPU_X86_VMX,CUSTOM_MAGIC"
    if version < (1, 39):
        raise errors.BadRequest(
            f"{INVALID_QUERY}The format '{form}' only supported since microversion 1.39. Got: {value}"
        )
    found = {item.strip() for item in value[3:].split(",")}
    if not all(found):
        raise errors.BadRequest(
            f"{INVALID_QUERY}Expected 'required' parameter value of the form: {form}. Got an empty trait in: {value}"
        )
    if any(name.startswith("!") for name in found):
        raise errors.BadRequest(f"{INVALID_QUERY}The format '{form}' does not support forbidden traits. Got: {value}")
    return found


def member_of(values: Sequence[str], version: Version, suffix: str = "") -> tuple[list[set[str]], set[str]]:
    """Read `member_of` parameters: sets of aggregates, of each of which one is required, and the forbidden ones."""
    if version < (1, 24) and len(values) > 1:
        raise errors.BadRequest(f"Multiple member_of{suffix} parameters are not supported")
    required: list[set[str]] = []
    forbidden: set[str] = set()
    for value in values:
        unwanted = value.startswith("!")
        ids = _aggregates(value)
        if unwanted and version < (1, 32):
            raise errors.BadRequest(
                f"Forbidden member_of{suffix} parameters are not supported in the specified microversion"
            )
        if unwanted:
            forbidden |= ids
        else:
            required.append(ids)
    return required, forbidden


def _aggregates(value: str) -> set[str]:
    bare = value.removeprefix("!")
    if "," in value and not bare.startswith("in:"):
        raise errors.BadRequest(
            "Multiple values for 'member_of' must be prefixed with the 'in:' or '!in:' keyword using the valid "
            f"microversion. Got: {value}"
        )
    ids = bare.removeprefix("in:").split(",")
    for one in ids:
        if not looks_like_uuid(one):
            raise errors.BadRequest(
                f"{INVALID_QUERY}Expected 'member_of' parameter to contain valid UUID(s). Got: {one}"
            )
    return {kept_id(one) for one in ids}


def in_tree(value: str) -> str:
    """Read an `in_tree` parameter: the id of a provider."""
    found = value.strip()
    if not looks_like_uuid(found):
        raise errors.BadRequest(f"{INVALID_QUERY}Expected 'in_tree' parameter to be a format of uuid. Got: {value}")
    return kept_id(found)
