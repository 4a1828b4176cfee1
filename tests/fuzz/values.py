"""Values that no honest client sends, and some that it may."""

import random
import string
import uuid
from typing import Any

PLAIN: list[Any] = [
    *(None, True, False, -1, 0, 1, 2, 7, 2**31 - 1, 2**31, 2**63 - 1, 2**63, 2**64, -(2**63) - 1, 10**400, 0.5, -0.0, 1e308),
    *("", " ", "\t", "a", "A" * 64, "a" * 255, "a" * 256, "a" * 65536, "é", "日本", "\U0001f600", "\u202e", "\ud800", "\0", "a\0b"),
    *("../../etc/passwd", "/", "\\", "'", '"', "'; DROP TABLE servers; --", "${jndi:x}", "{{7*7}}", "<script>", "%s%n", "%"),
    *("0", "-1", "1e5", "0x10", "٣", "1.5", "NaN", "Infinity", "true", "True", "yes", "none", "null", "auto"),
    *("10.0.0.0/8", "10.0.0.5/24", "10.0.0.0/99", "0.0.0.0/0", "::/0", "fe80::1%eth0", "10.0.0.1", "999.1.1.1", "::ffff:1.2.3.4"),
    *("2020-01-01T00:00:00Z", "2020-13-45", "0001-01-01T00:00:00", "9999-12-31T23:59:59.999999+23:59", "now"),
    *("aa:bb:cc:dd:ee:ff", "00:00:00:00:00:00", "tcp", "icmp", "ingress", "IPv4", "ACTIVE", "raw", "qcow2", "public"),
    *("CUSTOM_X", "VCPU", "MEMORY_MB", "COMPUTE_NODE", "in:a,b", "gt:1", "lt:2020", "VCPU:1", "a" * 36),
    *({}, [], [[]], [None], {"": ""}, {"a": {"a": {}}}, ["a"] * 1000, {str(n): n for n in range(200)}),
]  # fmt: skip


def nested(depth: int) -> Any:
    value: Any = "x"
    for _ in range(depth):
        value = [value]
    return value


def value(draw: random.Random, known: list[str]) -> Any:
    """Draw a value: a known id, a nasty one, or a random one."""
    match draw.randrange(10):
        case 0 | 1 if known:
            return draw.choice(known)
        case 2:
            return str(uuid.UUID(int=draw.getrandbits(128), version=4))
        case 3:
            return "".join(draw.choices(string.printable, k=draw.randrange(40)))
        case 4:
            return draw.randrange(-(2**70), 2**70) if draw.random() < 0.3 else draw.randrange(-5, 5000)
        case 5 if draw.random() < 0.05:
            return nested(draw.choice([50, 1000, 5000]))
    return draw.choice(PLAIN)


def text(draw: random.Random, known: list[str]) -> str:
    """Draw what can stand in an address or a header."""
    drawn = value(draw, known)
    if isinstance(drawn, list | dict):
        return "[" * 20
    return drawn if isinstance(drawn, str) else f"{drawn:.400}" if isinstance(drawn, float) else repr(drawn)[:2000]


def mutated(draw: random.Random, document: Any, known: list[str]) -> Any:
    """Return a document with one thing in it changed: a value, a key that is gone, one that is new."""
    if isinstance(document, dict) and document and draw.random() < 0.85:
        changed = dict(document)
        key = draw.choice(list(changed))
        match draw.randrange(8):
            case 0:
                del changed[key]
            case 1:
                changed[text(draw, known)[:300]] = value(draw, known)
            case 2:
                changed[key] = value(draw, known)
            case _:
                changed[key] = mutated(draw, changed[key], known)
        return changed
    if isinstance(document, list) and document and draw.random() < 0.85:
        changed_list = list(document)
        place = draw.randrange(len(changed_list))
        if draw.random() < 0.1:
            return changed_list * draw.choice([0, 2, 100])
        changed_list[place] = mutated(draw, changed_list[place], known)
        return changed_list
    return value(draw, known)


def of_schema(draw: random.Random, schema: Any, known: list[str], depth: int = 0) -> Any:
    """Draw a document that a JSON schema takes, or nearly."""
    if not isinstance(schema, dict) or depth > 6:
        return value(draw, known)
    if schema.get("enum"):
        return draw.choice(list(schema["enum"]))
    for several in ("oneOf", "anyOf"):
        if schema.get(several):
            return of_schema(draw, draw.choice(schema[several]), known, depth + 1)
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = draw.choice(kind)
    if kind == "object" or "properties" in schema:
        required = set(schema.get("required", ()))
        properties = schema.get("properties", {})
        return {
            name: of_schema(draw, inner, known, depth + 1)
            for name, inner in properties.items()
            if name in required or draw.random() < 0.3
        }
    if kind == "array":
        return [of_schema(draw, schema.get("items"), known, depth + 1) for _ in range(draw.choice([0, 1, 1, 2, 3]))]
    if kind in ("integer", "number"):
        return draw.choice([schema.get("minimum", 0), schema.get("maximum", 100), 1, draw.randrange(1000)])
    if kind == "boolean":
        return draw.choice([True, False])
    if kind == "null":
        return None
    if kind == "string" and draw.random() < 0.6:
        return draw.choice(known) if known and draw.random() < 0.5 else f"n{draw.randrange(1000)}"
    return value(draw, known)
