"""Domains of ours are told from others."""

import pytest
from lxml import etree

from novakit_driver_libvirt.naming import METADATA_NAMESPACE, directory_of, guest_of, name_of

GUEST = "0b3cf1a2-1111-4222-8333-444455556666"


def test_a_name_gives_its_guest_back() -> None:
    assert name_of(GUEST) == f"nk-{GUEST}"
    assert guest_of(name_of(GUEST)) == GUEST


@pytest.mark.parametrize(
    "name", ["", GUEST, f"nk-{GUEST[:-1]}", f"nk-{GUEST}x", f"xnk-{GUEST}", f"nk-{GUEST.upper()}", f"nk-{GUEST}\n"]
)
def test_a_name_of_somebody_elses_is_of_no_guest(name: str) -> None:
    assert guest_of(name) is None


def test_metadata_tell_the_directory_or_nothing() -> None:
    assert directory_of(f'<n:guest xmlns:n="{METADATA_NAMESPACE}" directory="/state/a"/>') == "/state/a"
    assert directory_of("<guest/>") == ""


def test_metadata_read_no_file_of_the_host() -> None:
    text = '<!DOCTYPE g [<!ENTITY e SYSTEM "file:///etc/passwd">]><g directory="/a">&e;</g>'
    assert directory_of(text) == "/a"
    with pytest.raises(etree.XMLSyntaxError):
        directory_of("<guest")
