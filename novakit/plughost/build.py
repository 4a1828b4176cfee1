"""Makes the working object of a record: options filled and checked, facets compared with what is there."""

from collections.abc import Mapping

from novakit.config import options
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
    if why := _lacks(offer, made):
        raise _broken(offer, why)
    return made


def fill(offer: Offer, raw: Mapping[str, object]) -> object:
    """Make the options of a record from plain data. Raises ConfigError naming the key and what is accepted."""
    kind = offer.spec.options
    section = f"[{offer.key}]"
    if kind is None:
        if raw:
            raise ConfigError(f"{section} has {next(iter(raw))!r}, and {offer.plugin.key} takes no options.")
        return None
    return options.fill(section, kind, raw)


def _lacks(offer: Offer, made: object) -> str:
    """Return what the object does not have though its record promises it."""
    bodies = offer.plugin.group.bodies
    if not any(not _missing(body, made) for body in bodies):
        missing = _missing(bodies[0], made)
        return f"what it built has no {missing[0]}, which every {bodies[0].__name__} has"
    for facet in offer.spec.facets if hasattr(offer.spec, "facets") else ():
        if missing := _missing(facet, made):
            return f"it declares the facet {facet.__name__}, and what it built has no {missing[0]}"
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
