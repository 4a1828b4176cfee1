"""A pytest plugin that runs `async def` tests and fixtures, so that the suites need pytest alone.

Each test has an event loop of its own; the async fixtures of that test share it, and so must be function-scoped.
It steps back for tests that pytest-asyncio or anyio claim.
"""

import asyncio
import functools
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterator
from typing import TypeVar

import pytest

T = TypeVar("T")

_runner = pytest.StashKey[asyncio.Runner]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    try:
        return (yield)
    finally:
        if runner := item.stash.get(_runner, None):
            del item.stash[_runner]
            runner.close()


def _runner_of(item: pytest.Item) -> asyncio.Runner:
    if _runner not in item.stash:
        item.stash[_runner] = asyncio.Runner()
    runner: asyncio.Runner = item.stash[_runner]
    return runner


def _run(item: pytest.Item, work: Awaitable[T]) -> T:
    """Run a piece of work in the loop of a test.

    What it returns is not made the result of a task: when a runner takes its handler of SIGINT back, Python writes the
    task out with its result and throws that away, which of a whole cloud takes longer than many a test.
    """
    found: list[T] = []

    async def keep() -> None:
        found.append(await work)

    _runner_of(item).run(keep())
    return found[0]


def _foreign(item: pytest.Item) -> bool:
    return any(item.get_closest_marker(name) for name in ("asyncio", "anyio", "trio"))


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if not inspect.iscoroutinefunction(pyfuncitem.obj) or _foreign(pyfuncitem):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    work = pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names})
    _run(pyfuncitem, work)
    return True


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[object], request: pytest.FixtureRequest) -> Iterator[None]:
    function = fixturedef.func
    item = request.node
    if request.scope == "function" and not _foreign(item):
        if inspect.isasyncgenfunction(function):
            fixturedef.func = functools.wraps(function)(_run_generator(function, item, request))  # type: ignore[misc]
        elif inspect.iscoroutinefunction(function):
            fixturedef.func = functools.wraps(function)(_run_coroutine(function, item))  # type: ignore[misc]
    try:
        return (yield)
    finally:
        fixturedef.func = function  # type: ignore[misc]


def _run_coroutine(
    function: Callable[..., Coroutine[object, object, object]], item: pytest.Item
) -> Callable[..., object]:
    return lambda *args, **kwargs: _run(item, function(*args, **kwargs))


def _run_generator(
    function: Callable[..., AsyncGenerator[object, None]], item: pytest.Item, request: pytest.FixtureRequest
) -> Callable[..., object]:
    def run(*args: object, **kwargs: object) -> object:
        generator = function(*args, **kwargs)
        value = _run(item, anext(generator))

        def finish() -> None:
            async def drain() -> None:
                async for _ in generator:
                    raise RuntimeError("an async fixture yields once")

            _run(item, drain())

        request.addfinalizer(finish)
        return value

    return run
