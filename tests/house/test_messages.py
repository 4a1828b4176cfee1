"""What errors say goes into sentences in words, a log line is found by its text, and no sentence is a riddle."""

import ast
import re
from collections.abc import Iterator, Mapping, Sequence

import pytest

from tests.house import figures
from tests.house.figures import Source

AS_PYTHON_WRITES_IT: Mapping[str, str] = {
    "novakit/concurrency/own_thread.py": "carries a StopIteration of a plugin, whose author reads it",
    "novakit/concurrency/threads.py": "carries a StopIteration, which is a mistake of ours and ends in a traceback",
    "novakit/errors.py": "turns the name of a class into words",
    "novakit/plughost/harvest.py": "tells the author of a plugin what the plugin raised",
    "novakit/scheduler/pipeline/steps.py": "tells the author of a plugin what the plugin raised",
}
"""Modules that say an error as Python writes it, or by the name of its class, and why."""
SILENT = frozenset(
    {"Exception", "BaseException", "OSError", "ConnectionError", "KeyError", "LookupError", "TimeoutError"}
)
"""Errors that may say nothing, an errno, or a bare key: `in_words` makes a part of a sentence of them."""
LEVELS = frozenset({"info", "warning", "error", "critical"})
EVENTS_MADE: Mapping[str, str] = {
    "novakit/app.py": "warnings of the configuration, which the terminal is told as well",
    "novakit/control.py": "notices of the start, which the terminal is told as well",
    "novakit/scheduler/pipeline/compose.py": "warnings of the configuration, which the terminal is told as well",
    "novakit/conductor/engine.py": "what was done, and the step: servers are followed by it",
}
"""Modules with log events that are no literals, and why."""
RIDDLES = re.compile(
    r"\b(internal error|whoever|whomever|whatever|whichever|the like|is none of|of which that)\b", re.I
)


def _names(kind: ast.expr | None) -> Iterator[str]:
    if isinstance(kind, ast.Tuple):
        for each in kind.elts:
            yield from _names(each)
    elif isinstance(kind, ast.Starred):
        yield from _names(kind.value)
    else:
        yield ast.unparse(kind) if kind is not None else "BaseException"


def _handlers(one: Source) -> Iterator[tuple[str, frozenset[str], ast.AST]]:
    """Give each part of what handles a caught error, with the error's name and its classes."""
    for handler in ast.walk(one.tree):
        if isinstance(handler, ast.ExceptHandler) and handler.name:
            for statement in handler.body:
                for node in ast.walk(statement):
                    yield handler.name, frozenset(_names(handler.type)), node


def _is(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _raw(one: Source) -> Iterator[int]:
    """Give the lines where a caught error is said as Python writes it."""
    for name, _, node in _handlers(one):
        written = isinstance(node, ast.FormattedValue) and node.conversion == ord("r") and _is(node.value, name)
        called = isinstance(node, ast.Call) and ast.unparse(node.func) == "repr" and _is(node.args[0], name)
        # As `kind` the class is for programs, which match on it.
        classed = isinstance(node, ast.JoinedStr | ast.keyword) and f"type({name}).__name__" in ast.unparse(node)
        if written or called or (classed and not (isinstance(node, ast.keyword) and node.arg == "kind")):
            yield node.lineno if isinstance(node, ast.expr | ast.keyword) else 0


def _bare(one: Source) -> Iterator[int]:
    """Give the lines where a caught error that may say nothing is put into a sentence as it is."""
    for name, classes, node in _handlers(one):
        value = node.value if isinstance(node, ast.FormattedValue | ast.keyword) else None
        if isinstance(value, ast.Call) and ast.unparse(value.func) == "str" and value.args:
            value = value.args[0]
        if value is not None and _is(value, name) and classes & SILENT and not _is_traceback(node):
            yield value.lineno


def _is_traceback(node: ast.AST) -> bool:
    return isinstance(node, ast.keyword) and node.arg in ("exc_info", "error")


def _those(wrong: Mapping[str, Sequence[int]]) -> str:
    return ", ".join(f"{place}:{line}" for place, lines in wrong.items() for line in lines)


def _logged(one: Source) -> Iterator[ast.Call]:
    for node in ast.walk(one.tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        if _is(node.func.value, "log") and node.func.attr in LEVELS:
            yield node


def test_no_sentence_has_an_error_as_python_writes_it() -> None:
    wrong = {one.place: [*_raw(one)] for one in figures.sources() if one.place not in AS_PYTHON_WRITES_IT}
    assert not any(wrong.values()), f"say it by `in_words` of novakit.errors: {_those(wrong)}"


def test_an_error_of_the_system_that_may_say_nothing_is_put_into_words() -> None:
    wrong = {one.place: [*_bare(one)] for one in figures.sources() if one.place.startswith("novakit/")}
    assert not any(wrong.values()), (
        f"say it by `in_words` of novakit.errors, or by `shown` of novakit.store.faults: {_those(wrong)}"
    )


def test_each_module_that_says_errors_as_python_writes_them_still_does() -> None:
    found = {one.place for one in figures.sources() if "__name__" in one.text or "repr(" in one.text}
    assert {*AS_PYTHON_WRITES_IT} <= found


def test_a_log_event_is_a_literal_and_its_cause_is_why() -> None:
    wrong = []
    for one in figures.sources():
        for call in _logged(one):
            if not isinstance(call.args[0], ast.Constant) and one.place not in EVENTS_MADE:
                wrong.append(f"{one.place}:{call.lineno}: log lines of one kind are found by one text")
            if any(given.arg in ("reason", "error", "cause") for given in call.keywords):
                wrong.append(f"{one.place}:{call.lineno}: what caused it is called `why`")
    assert not wrong, "\n".join(wrong)


def test_no_sentence_is_a_riddle() -> None:
    wrong = []
    for one in figures.sources():
        documents = {id(node.value) for node in ast.walk(one.tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(one.tree):
            if not isinstance(node, ast.Constant) or not isinstance(node.value, str) or id(node) in documents:
                continue
            if found := RIDDLES.search(node.value):
                wrong.append(f"{one.place}:{node.lineno}: say who or what, not {found[0]}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "text",
    [
        'log.info("x", why=repr(error))',
        'log.info("x", why=type(error).__name__)',
        'raise ValueError(f"it failed: {error!r}")',
        'raise ValueError(f"it failed: {error or type(error).__name__}")',
        'print(f"{type(error).__name__}: {error}")',
    ],
)
def test_the_check_sees_each_way_to_write_an_error_as_python_does(text: str) -> None:
    assert [*_raw(_source(text))]


@pytest.mark.parametrize("text", ['log.info("x", why=str(error))', 'print(f"it failed: {error}")'])
def test_the_check_sees_an_error_that_may_say_nothing(text: str) -> None:
    assert [*_bare(_source(text))] and not [*_bare(_source(text, "ValueError"))]


def _source(text: str, caught: str = "(ValueError, OSError)") -> Source:
    whole = f"try:\n    pass\nexcept {caught} as error:\n    {text}\n"
    return Source(figures.ROOT / "x.py", whole, ast.parse(whole))
