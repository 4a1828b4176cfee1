"""Servers of bus targets that answer only what a test gives them."""

from collections.abc import Callable
from typing import Any, TypeVar

from novakit.bus import Bus, Contract, serve
from novakit.bus.contract import methods_of

C = TypeVar("C", bound=Contract)


def serve_some(bus: Bus, contract: type[C], name: str = "", **answers: Callable[..., Any]) -> Callable[[], None]:
    """Serve a contract of which only the calls named are expected; any other one fails with its name."""

    def unexpected(method: str) -> Callable[..., Any]:
        async def fail(self: Any, *args: Any, **kwargs: Any) -> Any:
            raise AssertionError(f"nobody expected {method}")

        return fail

    def answering(method: str) -> Callable[..., Any]:
        async def answer(self: Any, *args: Any, **kwargs: Any) -> Any:
            return await answers[method](*args, **kwargs)

        return answer

    assert answers.keys() <= methods_of(contract).keys()
    methods = {each: (answering if each in answers else unexpected)(each) for each in methods_of(contract)}
    made: Any = type(f"Some{contract.__name__}", (contract,), methods)
    return serve(bus, contract, lambda _: made(), name)
