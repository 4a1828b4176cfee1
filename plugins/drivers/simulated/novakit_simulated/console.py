"""What a simulated guest prints: worked out from its history when somebody looks, so it costs nothing meanwhile."""

from collections.abc import Sequence

_BOOT = (
    (0.0, "[    0.000000] Linux version 6.1.0-simulated"),
    (0.1, "[    {at:8.6f}] Command line: root=LABEL=root console=ttyS0"),
    (0.4, "[    {at:8.6f}] Memory: {memory_mb} MiB, {vcpus} CPUs"),
    (0.7, "[    {at:8.6f}] Run /sbin/init as init process"),
    (1.0, "{hostname} login: "),
)
_HALT = "[    {at:8.6f}] reboot: Power down"


def render(
    boots: Sequence[Sequence[float | None]],
    *,
    hostname: str,
    vcpus: int,
    memory_mb: int,
    boot_seconds: float,
    now: float,
) -> bytes:
    """Return everything printed until `now`; a boot is a pair of its start and its end, or None while it runs."""
    lines: list[str] = []
    name = "".join(character for character in hostname if character.isprintable())
    for start, end in boots:
        began = start or 0.0
        ran = (now if end is None else end) - began
        for share, text in _BOOT:
            if (at := share * boot_seconds) <= ran:
                lines.append(text.format(at=at, hostname=name, vcpus=vcpus, memory_mb=memory_mb))
        if end is not None:
            lines.append(_HALT.format(at=ran))
    return "".join(f"{line}\r\n" for line in lines).encode()
