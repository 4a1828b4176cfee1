"""Sending spans to a collector: OTLP over HTTP, in a thread of the SDK's own."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from urllib.parse import urlsplit

from novakit import __version__
from novakit.config import TracingOptions
from novakit.errors import ConfigError
from novakit_hookspecs.urls import without_secrets

DRAIN_MS = 3000
"""Milliseconds that spans not yet sent get when the process ends."""


@contextmanager
def exporting(options: TracingOptions, roles: Sequence[str]) -> Iterator[None]:
    """Send this process's spans to the collector of `[tracing]`, those that are left at the end too.

    Without an endpoint nothing is loaded and nothing sent.
    A collector that does not answer costs the spans and a line in the log, never a request.
    Raises ConfigError where the endpoint or the libraries are wrong.
    """
    if not options.endpoint:
        yield
        return
    address = urlsplit(options.endpoint)
    if address.scheme not in ("http", "https") or not address.hostname:
        raise ConfigError(f"[tracing] endpoint takes an http or https URL, not {without_secrets(options.endpoint)!r}.")
    try:
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio
    except ImportError as error:
        raise ConfigError(
            f"[tracing] endpoint is set, but {error.name} is not installed; run: pip install 'novakit[tracing]'."
        ) from error
    facts = {"service.name": "novakit", "service.version": __version__, "novakit.roles": list(roles)}
    provider = TracerProvider(
        resource=Resource.create(facts), sampler=ParentBasedTraceIdRatio(options.share), shutdown_on_exit=False
    )
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=options.endpoint, timeout=5)))
    trace.set_tracer_provider(provider)
    try:
        yield
    finally:
        provider.force_flush(DRAIN_MS)
        provider.shutdown()
