"""One request as data, drawn from what the services serve."""

import importlib
import pkgutil
import random
import re
import zlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

import attrs
import orjson

from tests.fuzz import seeds, values

SERVICES = {
    "/identity": "identity.service",
    "/image": "image.service",
    "/network": "network.service",
    "/placement": "placement.SERVICE",
    "/novakit": "novakit.service",
    "/volume": "volume.service",
    "/compute": "compute.SERVICE",
}
PERSONAS = ("admin", "demo", "nobody", "garbage")

MANIFOLD = (
    *(("POST", "/compute/v2.1/servers"), ("POST", "/compute/v2.1/servers/{id}/action")),
    *(("POST", "/identity/v3/auth/tokens"), ("GET", "/identity/v3/auth/tokens")),
)
"""Routes whose bodies or headers say what is to be done: one route in three hundred would try few of all that."""


@attrs.frozen
class Request:
    """What is sent; `target` is the address as it stands in the request line."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: Any = None
    """A JSON document, bytes, or None."""
    persona: str = "admin"
    encoding: str = "plain"
    """How the body is sent: plain, chunked, gzip, claims-gzip, short, long."""

    def raw(self, tokens: Mapping[str, str]) -> bytes:
        """Write it down as bytes for a connection of its own."""
        body = b"" if self.body is None else self.body if isinstance(self.body, bytes) else dumped(self.body)
        named = {f"{{{persona}}}": token for persona, token in tokens.items()}
        headers = [(name, named.get(text, text)) for name, text in self.headers]
        if token := tokens.get(self.persona):
            headers.append(("X-Auth-Token", token))
        if self.encoding == "gzip":
            headers.append(("Content-Encoding", "gzip"))
            body = zlib.compress(body, wbits=31)
        elif self.encoding == "claims-gzip":
            headers.append(("Content-Encoding", "gzip"))
        if self.encoding == "chunked":
            headers.append(("Transfer-Encoding", "chunked"))
            body = (b"%x\r\n%s\r\n" % (len(body), body) if body else b"") + b"0\r\n\r\n"
        elif body or self.method in ("POST", "PUT", "PATCH"):
            length = len(body) + {"short": -min(3, len(body)), "long": 50}.get(self.encoding, 0)
            headers.append(("Content-Length", str(length)))
        lines = [f"{self.method} {self.target} HTTP/1.1", *(f"{name}: {text}" for name, text in headers)]
        return "\r\n".join(lines).encode("utf-8", "surrogateescape") + b"\r\n\r\n" + body


def dumped(document: Any) -> bytes:
    """Write JSON, nesting and surrogates and huge numbers included."""
    try:
        return orjson.dumps(document)
    except (TypeError, ValueError, RecursionError):
        pass
    import json

    try:
        return json.dumps(document).encode("utf-8", "surrogatepass")
    except RecursionError:
        depth = 0
        while isinstance(document, list) and document:
            depth, document = depth + 1, document[0]
        return b"[" * depth + b"]" * depth


@attrs.define
class Known:
    """Ids that answers named, by what they are of."""

    ids: dict[str, list[str]] = attrs.field(factory=dict)
    protected: set[str] = attrs.field(factory=set)
    """Those without which nobody can log in any more: never changed or deleted."""

    def learn(self, document: Any, above: str = "") -> None:
        """Take ids from an answer."""
        if isinstance(document, list):
            for one in document[:20]:
                self.learn(one, above)
        elif isinstance(document, dict):
            for key, value in list(document.items())[:60]:
                if key in ("id", "uuid", "name") and isinstance(value, str) and above:
                    found = self.ids.setdefault(above, [])
                    if value not in found:
                        found.append(value)
                        del found[:-30]
                else:
                    self.learn(value, key.rstrip("s") if isinstance(key, str) else above)

    def of(self, kind: str) -> list[str]:
        return self.ids.get(kind, [])

    def any(self) -> list[str]:
        return [one for several in self.ids.values() for one in several[-3:]]


def routes() -> list[tuple[str, str]]:
    """List method and path of every route of every service."""
    found = []
    for prefix, place in SERVICES.items():
        package, name = place.split(".")
        service = getattr(importlib.import_module(f"novakit.api.{package}"), name)
        found += [(route.method, prefix + route.path) for route in service.routes]
    return sorted(set(found))


def schemas() -> dict[str, list[Mapping[str, Any]]]:
    """Find the JSON schemas of each service, wherever its modules keep them."""
    import novakit.api as api

    found: dict[str, list[Mapping[str, Any]]] = {}
    for module in pkgutil.walk_packages(api.__path__, "novakit.api."):
        loaded, service = importlib.import_module(module.name), module.name.split(".")[2]
        for value in vars(loaded).values():
            inner = getattr(value, "schema", value)
            if isinstance(inner, dict) and (inner.get("type") == "object" or "properties" in inner):
                found.setdefault(f"/{service}", []).append(inner)
    return found


@attrs.define
class Drawing:
    """Draws requests from a seed."""

    draw: random.Random
    known: Known = attrs.field(factory=Known)
    routes: list[tuple[str, str]] = attrs.field(factory=routes)
    schemas: dict[str, list[Mapping[str, Any]]] = attrs.field(factory=schemas)

    @property
    def writes(self) -> list[tuple[str, str]]:
        """The routes that take a body: fewer than the others, and more can go wrong there."""
        return [one for one in self.routes if one[0] in ("POST", "PUT", "PATCH")]

    def request(self) -> Request:
        """Draw the next one; it changes nothing without which the next login would fail."""
        while True:
            drawn = self._request()
            named = any(one in drawn.target for one in self.known.protected)
            if drawn.method in ("GET", "HEAD", "OPTIONS") or not named:
                return drawn

    def _request(self) -> Request:
        draw = self.draw
        pool = draw.choices((self.routes, self.writes, MANIFOLD), (45, 45, 10))[0]
        method, path = draw.choice(pool)
        if draw.random() < 0.06:
            method = draw.choice(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "FOO"])
        body = self._body(path) if method in ("POST", "PUT", "PATCH") or draw.random() < 0.03 else None
        encoding = draw.choice(["chunked", "gzip", "claims-gzip", "short", "long"]) if draw.random() < 0.08 else "plain"
        return Request(
            method=method,
            target=self._target(path),
            headers=self._headers(path, method),
            body=body,
            persona=draw.choices(PERSONAS, (60, 30, 5, 5))[0],
            encoding=encoding,
        )

    def _target(self, path: str) -> str:
        draw = self.draw
        filled = re.sub(r"\{([^}]*)\}", lambda found: self._part(path, found[1]), path)
        if draw.random() < 0.03:
            filled = draw.choice(
                [filled + "/", "/" + filled, filled.replace("/", "//"), filled + "/..", filled.upper(), filled + "%00",
                 filled + "%ff", filled + "%zz", "http://x" + filled, "*", filled + "#f", filled + ";a=b", filled + ".json"]
            )  # fmt: skip
        pairs = [(self._name(), values.text(draw, self.known.any())) for _ in range(draw.choice([0, 0, 0, 1, 1, 2, 3]))]
        if draw.random() < 0.01:
            pairs += [("tags", f"t{number}") for number in range(1000)]
        query = urlencode(pairs, errors="replace", quote_via=quote)
        if draw.random() < 0.02:
            query += draw.choice(["&&", "&%", "=&=", "?a", "&a[]=1", "&limit", "&%ff=%ff", "&a=%00"])
        return filled + (f"?{query[:6000]}" if query else "")

    def _name(self) -> str:
        return self.draw.choice(seeds.QUERIES) if self.draw.random() < 0.95 else values.text(self.draw, [])[:50]

    def _part(self, path: str, name: str) -> str:
        draw = self.draw
        if draw.random() < 0.85:
            before = path.split("{" + name)[0].rstrip("/").rpartition("/")[2]
            kind = before.removeprefix("os-").replace("-", "_").rstrip("s")
            for one in (kind, name.removesuffix("_id").removesuffix("_uuid").split(":")[0], before.rstrip("s")):
                if found := self.known.of(one):
                    return quote(draw.choice(found), safe="")
        return quote(values.text(draw, self.known.any())[:2000], safe="", errors="replace") or "x"

    def _headers(self, path: str, method: str) -> tuple[tuple[str, str], ...]:
        draw = self.draw
        headers = (
            [] if draw.random() < 0.01 else [("Host", draw.choice(["cloud"] * 30 + ["", "a b", "x:y", "[::1]", "é"]))]
        )
        version = draw.choice(["compute latest, placement latest", "compute 2.1", f"compute 2.{draw.randrange(110)}"])
        headers.append(("OpenStack-API-Version", f"{version}, placement 1.{draw.randrange(42)}"))
        if method == "PATCH" and path.startswith("/image"):
            headers.append(("Content-Type", "application/openstack-images-v2.1-json-patch"))
        elif method == "PUT" and path.endswith("/file"):
            headers.append(("Content-Type", "application/octet-stream"))
        else:
            headers.append(("Content-Type", "application/json"))
        if method in ("GET", "HEAD") and path.endswith("/auth/tokens") and draw.random() < 0.7:
            headers.append(("X-Subject-Token", f"{{{draw.choice(PERSONAS)}}}"))
        while draw.random() < 0.12:
            headers.append((draw.choice(seeds.HEADERS), draw.choice(seeds.HEADER_VALUES)))
        return tuple(headers)

    def _body(self, path: str) -> Any:
        draw, known = self.draw, self.known.any()
        if path.endswith("/file") and draw.random() < 0.8:
            return draw.choice([b"", bytes(512), b"QFI\xfb" + bytes(600), b"x" * 70000, b"KDMV" + bytes(600)])
        roll = draw.random()
        if roll < 0.03:
            return draw.choice([b"", b"{", b"[]", b"null", b"nul", b"\xff\xfe", b'{"a":1}{', b"{" * 3000, b'"x"', b"NaN",
                                b"[" * 100000, b'{"a":' * 1000, b"1" * 5000, b'{"a": 1e999}', b'{"a": "\\ud800"}'])  # fmt: skip
        found = self._seed(path)
        if found is not None and roll < 0.75:
            document = self._filled(found)
            for _ in range(draw.choice([0, 0, 1, 1, 1, 2, 3])):
                document = values.mutated(draw, document, known)
            return document
        pool = self.schemas.get("/" + path.split("/")[1], [])
        one = path.rpartition("/")[2].rstrip("s").replace("-", "_").removeprefix("os_")
        fitting = [schema for schema in pool if one in schema.get("properties", {})] or pool
        document = values.of_schema(draw, draw.choice(fitting), known) if fitting else values.value(draw, known)
        return values.mutated(draw, document, known) if draw.random() < 0.4 else document

    def _seed(self, path: str) -> Any:
        if path in seeds.BODIES:
            return self.draw.choice(seeds.BODIES[path])
        above = path.rpartition("/")[0]
        return self.draw.choice(seeds.BODIES[above]) if above in seeds.BODIES else None

    def _filled(self, document: Any) -> Any:
        if isinstance(document, dict):
            return {self._filled(key): self._filled(inner) for key, inner in document.items()}
        if isinstance(document, list):
            return [self._filled(inner) for inner in document]
        if isinstance(document, str) and document.startswith("{") and document.endswith("}"):
            found = self.known.of(document[1:-1])
            return self.draw.choice(found) if found else "x"
        return document
