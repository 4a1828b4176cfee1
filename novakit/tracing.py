"""Spans from a request to the driver's call; they cost nothing while nobody has configured a tracer provider."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext

from opentelemetry import trace
from opentelemetry.context import Context, attach, detach, get_current
from opentelemetry.trace import Span, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

KEY = "trace"
"""Where a bus message's body carries the trace context."""
SpanFact = AttributeValue | None
"""The value of an attribute of a span; one that is None is left out."""
_PROPAGATOR = TraceContextTextMapPropagator()
_NOTHING: AbstractContextManager[Span | None] = nullcontext()


def tracer() -> Tracer | None:
    """Return the tracer, or None where no provider is configured."""
    provider = trace.get_tracer_provider()
    if isinstance(provider, trace.ProxyTracerProvider | trace.NoOpTracerProvider):
        return None
    return provider.get_tracer("novakit")


def within(
    of: Tracer | None, name: str, context: Context | None = None, **facts: SpanFact
) -> AbstractContextManager[Span | None]:
    """Open a span below the current one, or below `context`. Returns None where there is no tracer.

    Facts are its attributes, with `__` where the attribute has a dot.
    """
    if of is None:
        return _NOTHING
    return _open(of, name, context, facts)


@contextmanager
def _open(of: Tracer, name: str, context: Context | None, facts: Mapping[str, SpanFact]) -> Iterator[Span]:
    with of.start_as_current_span(name, context=context) as span:
        note(span, **facts)
        yield span


def note(span: Span | None, **facts: SpanFact) -> None:
    """Set attributes of a span, with `__` where the attribute has a dot; None is no span."""
    if span is not None:
        span.set_attributes({key.replace("__", "."): value for key, value in facts.items() if value is not None})


def below(name: str, **facts: SpanFact) -> AbstractContextManager[Span | None]:
    """Open a span below the current one; where there is no current one, nothing is opened."""
    if not trace.get_current_span().get_span_context().is_valid:
        return _NOTHING
    return within(tracer(), name, None, **facts)


@contextmanager
def attached(body: Mapping[str, object]) -> Iterator[None]:
    """Make the span that a message's body carries the current one, for what is done to answer it."""
    if KEY not in body:
        yield
        return
    token = attach(parent(body))
    try:
        yield
    finally:
        detach(token)


def here() -> Context:
    """Return the current context, for a span that another task will open below it."""
    return get_current()


def of_headers(headers: Mapping[str, str]) -> Context:
    """Return the context that a client's `traceparent` header carries; an empty one without it."""
    return Context() if tracer() is None else _PROPAGATOR.extract(headers, Context())


def carried() -> Mapping[str, Mapping[str, str]]:
    """Return what a message takes along of the current span: nothing, or one key."""
    carrier: dict[str, str] = {}
    if trace.get_current_span().get_span_context().is_valid:
        _PROPAGATOR.inject(carrier)
    return {KEY: carrier} if carrier else {}


def written() -> Mapping[str, str]:
    """Return the context of the current span, as an operation remembers it; empty where there is none."""
    return carried().get(KEY, {})


def parent(body: Mapping[str, object]) -> Context:
    """Return the context that a message's body carries; an empty one where it carries none that can be understood."""
    context = body.get(KEY)
    return above({str(key): str(value) for key, value in context.items()} if isinstance(context, Mapping) else {})


def above(context: Mapping[str, str]) -> Context:
    """Return the context that was written down; an empty one where it is empty, or cannot be understood."""
    return Context() if not context or tracer() is None else _PROPAGATOR.extract(context, Context())


__all__ = [
    "Context",
    "Span",
    "Tracer",
    "above",
    "attached",
    "below",
    "carried",
    "here",
    "note",
    "of_headers",
    "parent",
    "tracer",
    "within",
    "written",
]
