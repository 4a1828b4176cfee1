"""Makes the working object of a record: options filled and checked, facets compared with what is there."""

from collections.abc import Mapping, Sequence

from novakit.config import options
from novakit.config.quoting import quoted
from novakit.errors import ConfigError
from novakit.plughost.faults import Fault
from novakit.plughost.harvest import describe
from novakit.plughost.offers import Offer, State
from novakit_hookspecs.errors import Refused
from novakit_hookspecs.hosts import HostContext


def build(offer: Offer, raw_options: Mapping[str, object] | None = None, context: HostContext | None = None) -> object:
    """Return the object behind a record.

    `context` is for node-side plugins: drivers, networks and accelerators.
    Raises ConfigError for options it does not take and for what the plugin refuses, Fault when it breaks the
    contract.
    """
    filled = fill(offer, raw_options or {})
    try:
        made = offer.spec.build(filled) if context is None else offer.spec.build(filled, context)
    except Refused as error:
        raise ConfigError(f"{offer.plugin.key} ({offer.plugin.source}) refuses to start: {error}") from error
    except Exception as error:
        raise _broken(offer, f"its build raised {describe(error)}") from error
    if why := lacks(offer.spec, offer.plugin.group.bodies, made):
        raise _broken(offer, why)
    return made


def fill(offer: Offer, raw: Mapping[str, object]) -> object:
    """Make the options of a record from plain data. Raises ConfigError naming the key and what is accepted."""
    return fill_any(f"[{offer.key}]", offer.spec.options, raw, stock=offer.plugin.stock)


def fill_any(section: str, kind: type | None, raw: Mapping[str, object], *, stock: bool) -> object:
    """Make the options of a record that may take none, where `kind` is None; `section` names them in errors.

    Texts may have newlines and tabs where the plugin is not `stock`: a vendor's may take a certificate, XML or a query.
    Raises ConfigError naming the key and what is accepted.
    """
    if kind is not None:
        return options.fill(section, kind, raw, lines=not stock)
    if raw:
        raise ConfigError(f"{section} has {quoted(next(iter(raw)))}, and it takes no options.")
    return None


def lacks(spec: object, bodies: Sequence[type], made: object) -> str:
    """Return what the object that a record built has not, though the record or every one of its group promises it.

    `bodies` are the protocols of which it keeps at least one; the answer is empty for an object that is as it should.
    """
    missing = [_missing(body, made) for body in bodies]
    if all(missing):
        either = " or ".join(f"{names[0]}()" for names in missing)
        return f"what it built has no method {either}"
    for facet in getattr(spec, "facets", ()):
        if undone := _missing(facet, made):
            return f"it declares the facet {facet.__name__}, and what it built has no {undone[0]}"
    return ""


def _missing(protocol: type, made: object) -> list[str]:
    members = [name for name in vars(protocol) if not name.startswith("_")]
    members += [name for name in vars(protocol).get("__annotations__", {}) if name not in members]
    return [name for name in members if not hasattr(made, name)]


def _broken(offer: Offer, why: str) -> Fault:
    reason = (
        f"{offer.plugin.source}: {offer.name} cannot be used: {why}; report that to its author, or disable "
        f"{offer.plugin.key}."
    )
    offer.plugin.refuse(State.BROKEN, reason)
    return Fault(reason)
