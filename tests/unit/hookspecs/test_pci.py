"""Addresses of PCI devices."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from novakit_hookspecs.devices import MdevAttachment, PciAttachment
from novakit_hookspecs.errors import Refused
from novakit_hookspecs.pci import addresses, parse_address

MDEV = MdevAttachment(uuid="11111111-2222-3333-4444-555555555555", parent="0000:3b:00.0")


LIKELY = st.builds(
    "{:04x}:{:02x}:{:02x}.{}".format,
    st.integers(0, 0xFFFFFFFF),
    st.integers(0, 255),
    st.integers(0, 31),
    st.integers(0, 7),
)


@given(st.text(max_size=20) | LIKELY.map(lambda address: address + "\n") | LIKELY.map(str.upper))
def test_what_is_no_address_is_not_read(text: str) -> None:
    try:
        parse_address(text)
    except ValueError as error:
        assert "is not a PCI address" in str(error)
    else:
        domain, bus, slot, function = parse_address(text)
        assert f"{domain:04x}:{bus:02x}:{slot:02x}.{function}" == text.zfill(len(text))


def test_attachments_are_read_strictly() -> None:
    good = PciAttachment(address="0000:3b:00.0")
    assert addresses([good]) == ["0000:3b:00.0"]
    with pytest.raises(Refused, match="MdevAttachment"):
        addresses([good, MDEV])
    with pytest.raises(Refused, match="twice"):
        addresses([good, good])
    with pytest.raises(Refused, match="is not a PCI address"):
        addresses([PciAttachment(address="0000:3b:00.0,multifunction=on")])
