"""What all tests share."""

import gc
import importlib.util
import os
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings

from tests.support import rows
from tests.support.examples import examples
from tests.support.order import dear_first
from tests.support.postgres import postgres_cluster, postgres_url, postgres_with_tables  # noqa: F401

# As the service does: Python's own pace looks through all modules of tests again and again, and finds nothing.
gc.set_threshold(10_000, 10, 10)

settings.register_profile("default", deadline=None, max_examples=examples())
# CI says whether a change is good; the same change must not pass on one day and fail on another.
settings.register_profile("ci", deadline=None, derandomize=True, max_examples=examples())
settings.load_profile("ci" if os.environ.get("CI") else "default")

# A plugin's or library's tests run without the core and its logs, too.
if importlib.util.find_spec("structlog"):
    import logging

    import structlog

    _configure = structlog.configure

    def _uncached(**given: Any) -> None:
        _configure(**{**given, "cache_logger_on_first_use": False})

    # The service lets a logger keep the configuration of its first line. In a process of many tests that would be the
    # one of whichever test came first, and the lines of a later one would go to the first one's file or to nowhere.
    structlog.configure = _uncached  # type: ignore[assignment]

    # The default shows the locals of every frame: seconds, or a minute, for each error that a test provokes.
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper("iso"),
            structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
        ]
    )

    @pytest.fixture(autouse=True)
    def _logs_as_they_were() -> Iterator[None]:
        """Undo what a test that runs the service's set-up of logs, or a command, has changed for all."""
        before, root = structlog.get_config(), logging.getLogger()
        level, handlers = root.level, list(root.handlers)
        yield
        structlog.configure(**before)
        for handler in set(root.handlers) - set(handlers):
            if type(handler) is logging.StreamHandler:  # pytest has others while it tears down than while it sets up
                root.removeHandler(handler)
        root.setLevel(level)


@pytest.fixture(autouse=True)
def _rows_are_of_their_types() -> Iterator[None]:
    """Fail a test in which the store gave a row that is not of the type that it said."""
    yield
    found = sorted(set(rows.FOUND))
    rows.FOUND.clear()
    assert not found, "\n".join(found)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let several workers have the dear files first; whoever runs some tests alone gets them as they stand."""
    if hasattr(config, "workerinput"):
        items[:] = dear_first(items)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Keep a worker's collector off the 500,000 objects of modules and tests, which stay to the end."""
    if hasattr(session.config, "workerinput"):
        gc.freeze()
