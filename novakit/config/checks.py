"""What values of options must be; each raises ValueError with what the key takes, for `attrs` fields."""

import ipaddress
import math
import re
from typing import Protocol
from urllib.parse import urlsplit

from novakit.config.quoting import quoted
from novakit_hookspecs.urls import without_secrets

HOST_NAME = r"(?!.*\.\.)[A-Za-z0-9][A-Za-z0-9._-]{0,254}"
"""A host's name: it is also the name of a directory."""


LONGEST = 1e9
"""The largest number with a fraction, 31 years of seconds: beyond it, times of the database overflow."""
SHORTEST = 0.001
"""The smallest one that is not 0: what is done every microsecond leaves no time for anything else."""
MOST_DAYS = 36_500.0
"""A hundred years: moments so long ago can still be calculated."""


class Option(Protocol):
    """What a check knows of the option that it checks: an `attrs.Attribute`, of a value of any type."""

    @property
    def name(self) -> str:
        """Return the key."""


def positive(instance: object, attribute: Option, value: float) -> None:
    """Refuse what is not a number above 0."""
    if not (value > 0 and math.isfinite(value)):
        raise ValueError(f"{attribute.name} must be above 0, not {value}")
    if value < SHORTEST:
        raise ValueError(f"{attribute.name} must be at least {SHORTEST}, not {value}")
    _not_too_large(attribute.name, value)


def days(instance: object, attribute: Option, value: float) -> None:
    """Refuse what is no number of days that can be counted back from now; a negative one means for ever."""
    if not (value <= MOST_DAYS and math.isfinite(value)):
        raise ValueError(f"{attribute.name} must be a number of at most {MOST_DAYS:.0f}, not {value}")


def _not_too_large(name: str, value: float) -> None:
    if isinstance(value, float) and value > LONGEST:
        raise ValueError(f"{name} must be at most {LONGEST:.0f}, not {value:.3g}")


def networks(instance: object, attribute: Option, value: tuple[str, ...]) -> None:
    """Refuse what is neither an address nor a network."""
    for text in value:
        try:
            ipaddress.ip_network(text)
        except ValueError as error:
            raise ValueError(
                f"{attribute.name} takes addresses and networks such as 10.0.0.0/8: {str(error)[:200]}"
            ) from None


def network(instance: object, attribute: Option, value: str) -> None:
    """Refuse what is no network with room for a gateway and an address."""
    try:
        parsed = ipaddress.ip_network(value)
    except ValueError as error:
        raise ValueError(f"{attribute.name} takes a network such as 172.24.4.0/24: {str(error)[:200]}") from None
    if parsed.num_addresses < 4:
        raise ValueError(f"{attribute.name} takes a network with at least four addresses, not {value}")
    if parsed.prefixlen == 0 or parsed.is_loopback or parsed.is_multicast or parsed.is_link_local:
        raise ValueError(
            f"{attribute.name} takes a network that guests are reached by, such as 172.24.4.0/24, not {value}"
        )


def address(instance: object, attribute: Option, value: str | None) -> None:
    """Refuse what is no IP address."""
    try:
        if value is not None:
            ipaddress.ip_address(value)
    except ValueError:
        raise ValueError(f"{attribute.name} takes an IP address such as 192.0.2.1, not {quoted(value)}") from None


def web_address(instance: object, attribute: Option, value: str | None) -> None:
    """Refuse what no client could take for the address of a service."""
    if not value:
        return
    try:
        parts = urlsplit(value)
        wrong = parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0
    except ValueError:
        wrong = True
    if wrong or re.search(r"[^!-~]|[\"'<>\\]", value) or parts.username is not None or parts.query or parts.fragment:
        shown = quoted(without_secrets(value))
        raise ValueError(f"{attribute.name} takes an http or https URL such as https://cloud.example.org, not {shown}")


def host_name(instance: object, attribute: Option, value: str | None) -> None:
    """Refuse a name that is no host's: it becomes the name of a directory."""
    if value is not None and not re.fullmatch(HOST_NAME, value):
        raise ValueError(
            f"{attribute.name} takes a host name of up to 255 letters, digits, dots, dashes and _, not {quoted(value)}"
        )


def not_negative(instance: object, attribute: Option, value: float) -> None:
    """Refuse what is not a number from 0 on."""
    if not (value >= 0 and math.isfinite(value)):
        raise ValueError(f"{attribute.name} must not be below 0, and a number, not {value}")
    _not_too_large(attribute.name, value)


def few(instance: object, attribute: Option, value: int) -> None:
    """Refuse what is no number of files from 0 to a thousand."""
    if not 0 <= value <= 1000:
        raise ValueError(f"{attribute.name} must be from 0 to 1000, not {value}")


def seconds_or_never(instance: object, attribute: Option, value: float) -> None:
    """Refuse what is neither a time nor -1, which means never."""
    if value != -1 and not (value >= 0 and math.isfinite(value)):
        raise ValueError(f"{attribute.name} must be -1, which is never, or seconds from 0 on, not {value}")
    _not_too_large(attribute.name, value)


def limit(instance: object, attribute: Option, value: int) -> None:
    """Refuse what is neither a limit nor -1, which means no limit."""
    if value < -1:
        raise ValueError(f"{attribute.name} must be -1, which is no limit, or from 0 on, not {value}")


def strategy(instance: object, attribute: Option, value: str) -> None:
    """Refuse what is no strategy of placement."""
    if value not in ("spread", "stack"):
        raise ValueError(f"{attribute.name} takes spread or stack, not {quoted(value)}")
