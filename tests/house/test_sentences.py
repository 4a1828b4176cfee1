"""What operators, users and vendors are told is a sentence, and is theirs to know."""

import ast
import re
from collections.abc import Iterator

import pytest

from tests.house import figures

LEVELS = frozenset({"info", "warning", "error", "exception", "critical"})
"""What operators read: the levels of the log above debug."""
FOREIGN = frozenset({"BusError", "RemoteError", "Unreachable", "OSError", "Exception", "BaseException"})
"""Errors whose words are those of another process or of the machine: names of hosts, paths, what a driver ran into."""
TOLD_TO_TENANTS = tuple(
    f"novakit/{place}/" for place in ("api", "compute", "identity", "image", "network", "placement", "policy")
)
TOLD_TO_OPERATORS = {
    "novakit/api/novakit/domain.py": "its routes are for operators, who look after the conductor",
}


def _logged(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield the fixed sentences that a module logs."""
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in LEVELS
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id == "log"
            and node.args
            and isinstance(node.args[0], ast.Constant)
        ):
            yield node.lineno, str(node.args[0].value)


def _is_fragment(sentence: str) -> bool:
    """Return whether a logged sentence begins small, but for names and abbreviations, and ends without a full stop."""
    return not re.match(r"[A-Z][a-z]+ ", sentence) and not sentence.endswith(".")


@pytest.mark.parametrize(
    ("sentence", "fits"),
    [
        ("the policy file was loaded", True),
        ("PostgreSQL went away", True),
        ("The policy file was loaded", False),
        ("the policy file was loaded.", False),
    ],
)
def test_a_logged_sentence_that_is_written_otherwise_is_seen(sentence: str, fits: bool) -> None:
    ((_, logged),) = _logged(ast.parse(f"log.warning({sentence!r}, file=path)"))
    assert _is_fragment(logged) is fits


def test_what_is_logged_begins_small_and_ends_without_a_full_stop() -> None:
    found = [
        f"{one.place}:{line}: {sentence}"
        for one in figures.sources()
        for line, sentence in _logged(one.tree)
        if not _is_fragment(sentence)
    ]
    assert not found, found


def _repeated(tree: ast.AST, errors: frozenset[str]) -> Iterator[int]:
    """Yield the lines where what is raised for one of some errors has that error's own words in it."""
    for handler in ast.walk(tree):
        if not isinstance(handler, ast.ExceptHandler) or not handler.name or handler.type is None:
            continue
        if not errors & {name.id for name in ast.walk(handler.type) if isinstance(name, ast.Name)}:
            continue
        raised = [node.exc for node in ast.walk(handler) if isinstance(node, ast.Raise) and node.exc is not None]
        for words in (part for exc in raised for part in ast.walk(exc) if isinstance(part, ast.FormattedValue)):
            if any(isinstance(name, ast.Name) and name.id == handler.name for name in ast.walk(words.value)):
                yield words.lineno


@pytest.mark.parametrize(
    ("caught", "raised", "is_seen"),
    [
        ("RemoteError", "NotFound(f'Unable to get console log: {error}')", True),
        ("(KeyError, OSError)", "NotFound(f'The file cannot be read: {error.strerror}')", True),
        ("BusError", "Unavailable('The host does not answer now; ask again later.')", False),
        ("BadTopology", "BadRequest(f'The topology cannot exist: {error}.')", False),
    ],
)
def test_words_of_another_process_in_a_refusal_are_seen(caught: str, raised: str, is_seen: bool) -> None:
    tree = ast.parse(f"try:\n    ask()\nexcept {caught} as error:\n    raise {raised} from error\n")
    assert bool(list(_repeated(tree, FOREIGN))) is is_seen


def test_no_refusal_tells_tenants_what_another_process_or_the_machine_says() -> None:
    held = [one for one in figures.sources() if one.place.startswith(TOLD_TO_TENANTS)]
    found = {one.place: list(_repeated(one.tree, FOREIGN)) for one in held}
    found = {place: lines for place, lines in found.items() if lines}
    assert found.keys() <= TOLD_TO_OPERATORS.keys(), f"log it, and tell users under which request id: {found}"
