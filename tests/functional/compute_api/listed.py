"""What lists of servers say."""

from typing import Any


async def names(api: Any, query: str, as_: str = "ann", version: str = "2.100") -> list[str]:
    """List the names of the servers that a query finds, in the order of the answer."""
    answer = await api("GET", f"/v2.1/servers{query}", as_=as_, version=version)
    assert answer.status == 200, answer.body
    return [each["name"] for each in answer.body["servers"]]
