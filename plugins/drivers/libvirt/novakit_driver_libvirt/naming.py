"""How our domains are told from others: by name, and by what their metadata says."""

import re

from lxml import etree

METADATA_NAMESPACE = "urn:novakit:guest:1"
_NAME = re.compile(r"nk-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")


def name_of(guest: str) -> str:
    """Return the domain's name of a guest."""
    return f"nk-{guest}"


def guest_of(name: str) -> str | None:
    """Return the guest whose domain has that name, or None for a name that is not ours."""
    match = _NAME.fullmatch(name)
    return match[1] if match else None


def directory_of(metadata: str) -> str:
    """Return the instances directory that a domain's metadata element names; empty when it names none."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True)
    return str(etree.fromstring(metadata, parser).get("directory") or "")
