"""Keep the host itself deaf to what guests send.

The userspace switch reads a tap through a packet socket, so the host's own network stack sees every frame too and
would answer a guest that asks for one of the host's addresses, past every security group.
The kernel's switch takes frames away before that, and needs no guard.
"""

from collections.abc import Iterable

from novakit_net_linux.commands import run

TABLE = "novakit_taps"


async def shield(taps: Iterable[str], timeout: float) -> None:
    """Drop whatever the host's stack would take from these taps; a second time changes nothing."""
    names = sorted(taps)
    if names:
        await run(["nft", "-f", "-"], input=script(names), timeout=timeout)


def script(taps: Iterable[str]) -> str:
    """Return the nft commands; a chain goes with its device."""
    lines = [f"add table netdev {TABLE}"]
    for tap in taps:
        lines.append(
            f'add chain netdev {TABLE} {tap} {{ type filter hook ingress device "{tap}" priority 0; policy drop; }}'
        )
    return "\n".join(lines) + "\n"
