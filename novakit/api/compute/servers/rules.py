"""What a verb's record says of who may ask for it, as the routes of servers need it."""

from novakit.api.compute.domain import Compute
from novakit.api.service import Call, Handler, Route
from novakit.conductor.verb import Action, AnyVerb, OwnRoute
from novakit.context import Target


def route_of(verb: AnyVerb, handler: Handler) -> Route:
    """Return the route that a verb has of its own, answered by `handler`. Raises TypeError for a verb without one."""
    if verb.route is None:
        raise TypeError(f"{verb.kind} has no route of its own")
    return Route(method=verb.route.method, path=f"/v2.1{verb.route.path}", handler=handler, rule=verb.route.rule)


def authorize_fields(
    call: Call[Compute], way: Action | OwnRoute | None, value: object, about: Target | None = None
) -> None:
    """Go on only if the caller may use each field that the value has, as the verb's record says. Raises Forbidden.

    `about` says whose server it is; None is one of the caller's own.
    """
    for field in way.fields if way is not None else ():
        said = value.get(field.name) if isinstance(value, dict) else getattr(value, field.name, None)
        if call.version >= field.since and said is not None:
            call.authorize(field.rule, about)
