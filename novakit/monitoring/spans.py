"""Spans of operations and decisions; they cost nothing while nobody has configured a tracer provider."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

KEY = "trace"
"""Where a bus message's body carries the trace context."""
_PROPAGATOR = TraceContextTextMapPropagator()
_NOTHING: AbstractContextManager[None] = nullcontext()


def tracer() -> Tracer | None:
    """Give the tracer, or None where no provider is configured."""
    provider = trace.get_tracer_provider()
    if isinstance(provider, trace.ProxyTracerProvider | trace.NoOpTracerProvider):
        return None
    return provider.get_tracer("novakit")


def within(of: Tracer | None, name: str, context: Context | None = None, **facts: Any) -> AbstractContextManager[Any]:
    """Open a span below the current one, or below `context`; give None where there is no tracer.

    Facts are its attributes, with `__` where the attribute has a dot.
    """
    if of is None:
        return _NOTHING
    return _open(of, name, context, facts)


@contextmanager
def _open(of: Tracer, name: str, context: Context | None, facts: Mapping[str, Any]) -> Iterator[Span]:
    with of.start_as_current_span(name, context=context) as span:
        note(span, **facts)
        yield span


def note(span: Span | None, **facts: Any) -> None:
    """Set attributes of a span, with `__` where the attribute has a dot; None is no span."""
    if span is not None:
        span.set_attributes({key.replace("__", "."): value for key, value in facts.items() if value is not None})


def carried() -> dict[str, Any]:
    """Give what a message's body takes along of the current span: nothing, or one key."""
    carrier: dict[str, str] = {}
    if tracer() is not None:
        _PROPAGATOR.inject(carrier)
    return {KEY: carrier} if carrier else {}


def parent(body: Mapping[str, Any]) -> Context:
    """Give the context that a message's body carries; an empty one where it carries none that can be understood."""
    carrier = body.get(KEY)
    if not isinstance(carrier, Mapping) or tracer() is None:
        return Context()
    return _PROPAGATOR.extract({str(key): str(value) for key, value in carrier.items()}, Context())


__all__ = ["Context", "Span", "Tracer", "carried", "note", "parent", "tracer", "within"]
