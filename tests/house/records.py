"""The page of the records that vendors meet, written from the contract's own source.

`python -m tests.house.records` writes `docs/reference/records.md`; a test holds the page to it.
"""

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs

from tests.support.distributions import ROOT

CONTRACT = ROOT / "hookspecs" / "novakit_hookspecs"
PAGE = ROOT / "docs" / "reference" / "records.md"
SECTIONS = (
    ("A virt driver", ("servers", "hosts", "numa", "pci", "findings", "virt")),
    ("A network driver", ("networks",)),
    ("Devices and accelerator providers", ("devices", "accelerators")),
    ("Filters, weighers and schedulers", ("scheduling", "trees", "weighing", "ranking")),
    ("Observers", ("observers",)),
)
"""Titles of the page with the modules whose records they show."""
BEGIN = """# Records of the contract

What plugins are handed and hand over, field by field.
This page is written from the contract's source by `python -m tests.house.records`; a test holds it to that.
Every record is a frozen attrs class whose arguments go by name; a field without a default must be given.
"""


@attrs.frozen
class Field:
    """One field of a record."""

    name: str
    kind: str
    default: str
    """As code; empty for a field that must be given."""
    meaning: str


@attrs.frozen
class Record:
    """One attrs class of the contract."""

    module: str
    name: str
    meaning: str
    fields: Sequence[Field]


def records(module: str) -> Iterator[Record]:
    """Read the records of one module of the contract."""
    for node in ast.parse((CONTRACT / f"{module}.py").read_text()).body:
        if isinstance(node, ast.ClassDef) and any("attrs" in ast.unparse(one) for one in node.decorator_list):
            told = (ast.get_docstring(node) or "").replace("\n\n", " ").replace("\n", " ")
            yield Record(module, node.name, told, list(_fields(node)))


def _fields(node: ast.ClassDef) -> Iterator[Field]:
    for here, after in zip(node.body, [*node.body[1:], ast.Pass()], strict=True):
        if not isinstance(here, ast.AnnAssign) or not isinstance(here.target, ast.Name):
            continue
        if here.target.id.startswith("_"):
            continue
        said = after.value if isinstance(after, ast.Expr) else None
        told = said.value if isinstance(said, ast.Constant) and isinstance(said.value, str) else ""
        meaning = " ".join(told.split())
        yield Field(here.target.id, ast.unparse(here.annotation), _default(here.value), meaning)


def _default(value: ast.expr | None) -> str:
    """Return a field's default as code; the kinds of fields that the contract shares are empty by default."""
    if value is None:
        return ""
    if not isinstance(value, ast.Call):
        return ast.unparse(value)
    name = ast.unparse(value.func)
    shared = {"tuple_field": "()", "mapping_field": "{}", "uuid_field": "", "name_field": ""}
    if name in shared:
        return shared[name]
    given = {one.arg: ast.unparse(one.value) for one in value.keywords}
    factory = {"frozenset": "frozenset()", "tuple": "()", "dict": "{}"}
    return given.get("default") or factory.get(given.get("factory", ""), "")


def page() -> str:
    """Write the whole page."""
    parts = [BEGIN]
    for title, modules in SECTIONS:
        parts.append(f"## {title}\n")
        parts += [_table(record) for module in modules for record in records(module)]
    return "\n".join(parts)


def _table(record: Record) -> str:
    rows = "".join(
        f"| `{one.name}` | `{_cell(one.kind)}` | {f'`{_cell(one.default)}`' if one.default else 'must be given'} "
        f"| {_cell(one.meaning)} |\n"
        for one in record.fields
    )
    head = f"### {record.name}\n\n`novakit_hookspecs.{record.module}.{record.name}`: {record.meaning}\n"
    return f"{head}\n| field | type | default | meaning |\n|---|---|---|---|\n{rows}" if rows else head


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def write(to: Path = PAGE) -> None:
    """Write the page into its file."""
    to.write_text(page())


if __name__ == "__main__":
    write()
