"""One trace for one request, from the client's span to the driver's call, with every role a process of its own."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from novakit.cli import main
from tests.functional.roles.processes import ROLES, Roles
from tests.support.service import Api, Service, free_port

TRACE, CLIENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


class Collector:
    """An OTLP collector over HTTP, with the spans it was sent."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                request = ExportTraceServiceRequest()
                request.ParseFromString(self.rfile.read(int(self.headers["Content-Length"])))
                for resource in request.resource_spans:
                    for scope in resource.scope_spans:
                        outer.spans.extend(scope.spans)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                return None

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1/traces"

    def path_to(self, name: str) -> list[str]:
        """Give the names of the spans above one, the nearest first, up to the client's."""
        by_id = {span.span_id.hex(): span for span in self.spans if span.trace_id.hex() == TRACE}
        span = next(span for span in by_id.values() if span.name == name)
        above = []
        while (parent := span.parent_span_id.hex()) != CLIENT:
            span = by_id[parent]
            above.append(span.name)
        return above


@pytest.fixture
def collector() -> Iterator[Collector]:
    one = Collector()
    thread = threading.Thread(target=one.server.serve_forever)
    thread.start()
    yield one
    one.server.shutdown()
    thread.join()
    one.server.server_close()


async def test_a_create_is_one_trace_across_all_roles(tmp_path: Path, collector: Collector) -> None:
    roles = Roles(tmp_path / "state")
    (roles.state / "novakit.toml").write_text(f'[tracing]\nendpoint = "{collector.url}"\n')
    try:
        roles.start(*ROLES)
        async with aiohttp.ClientSession() as session:
            api = await Api.login(roles.service, session)
            image = await api.image()
            parent = {"traceparent": f"00-{TRACE}-{CLIENT}-01"}
            body = {"server": {"name": "traced", "imageRef": image, "flavorRef": "1", "networks": "none"}}
            status, _ = await api.call("POST", "/compute/v2.1/servers", body, headers=parent)
            assert status == 202
            await api.settled()
    finally:
        roles.stop()
    request = "compute POST /compute/v2.1/servers"
    assert collector.path_to("filter.ram") == [
        "scheduler.filter_phase",
        "scheduler.decision",
        "step.place",
        "operation.create",
        request,
    ]
    assert collector.path_to("plugin.create") == ["step.build", "operation.create", request]
    token = api.token
    assert all(token not in str(span) for span in collector.spans)


async def test_a_collector_that_does_not_answer_costs_no_request(tmp_path: Path) -> None:
    (tmp_path / "novakit.toml").write_text(f'[tracing]\nendpoint = "http://127.0.0.1:{free_port()}/v1/traces"\n')
    with Service(tmp_path) as service:
        async with aiohttp.ClientSession() as session:
            api = await Api.login(service, session)
            await api.server("untraced", await api.image())
            (server,) = await api.settled()
            assert server["status"] == "ACTIVE"
        assert service.stop() == 0


@pytest.mark.parametrize("endpoint", ["localhost:4318", "ftp://127.0.0.1/", "http://"])
def test_an_endpoint_that_is_none_stops_the_start_with_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], endpoint: str
) -> None:
    (tmp_path / "novakit.toml").write_text(f'[tracing]\nendpoint = "{endpoint}"\n')
    assert main(["serve", "--state", str(tmp_path)]) == 2
    assert "[tracing]: endpoint takes an http or https URL" in capsys.readouterr().err
