"""The page on adding a resource to an API: its code is run, and what it names is there."""

import re
from pathlib import Path
from typing import Any

from aiohttp.test_utils import TestClient, TestServer

from novakit.context import RequestContext
from novakit.policy.personas import MINE, PERSONAS, caller

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/how-to/add-an-api-resource.md").read_text()


async def _authenticate(token: str, request_id: str) -> RequestContext:
    return caller("member", "reader", project="another") if token == "another" else PERSONAS[token]


async def test_the_example_of_a_resource_works_as_the_page_says() -> None:
    made: dict[str, Any] = {}
    exec("\n".join(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)), made)
    async with TestClient(TestServer(made["SERVICE"].app(made["Notes"](), _authenticate))) as client:

        async def ask(token: str, method: str, path: str, body: Any = None) -> tuple[int, Any]:
            async with client.request(method, path, json=body, headers={"X-Auth-Token": token}) as answer:
                return answer.status, await answer.json()

        right = {"note": {"text": "x"}}
        assert (await ask("reader", "POST", "/notes", right))[0] == 403
        status, said = await ask("member", "POST", "/notes", {"note": {"text": "x", "colour": "red"}})
        assert status == 400 and "'colour' was unexpected" in said["badRequest"]["message"]
        status, said = await ask("member", "POST", "/notes", right)
        assert status == 201
        path = f"/notes/{said['note']['id']}"
        assert await ask("reader", "GET", path) == (200, {"note": {"id": said["note"]["id"], "text": "x"}})
        assert (await ask("admin", "GET", path))[0] == 200
        assert (await ask("another", "GET", path))[0] == 404 == (await ask("another", "GET", "/notes/none"))[0]
    assert made["RULES"]["novakit:notes:show"].scopes == ("project",) and MINE


def test_every_file_that_the_page_names_is_there() -> None:
    named = re.findall(r"`((?:novakit|tests|docs)/[\w./-]+)`", PAGE)
    assert len(named) > 6
    for path in named:
        assert (ROOT / path).exists(), path
