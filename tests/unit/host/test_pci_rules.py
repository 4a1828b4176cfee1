"""Addresses of PCI devices, and the rules that match them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from novakit_hookspecs.pci import parse_address
from novakit_host.pci.rules import PciRule

LIKELY = st.builds(
    "{:04x}:{:02x}:{:02x}.{}".format,
    st.integers(0, 0xFFFFFFFF),
    st.integers(0, 255),
    st.integers(0, 31),
    st.integers(0, 7),
)


@given(LIKELY)
def test_an_address_reads_as_its_numbers_and_fits_globs_of_itself(address: str) -> None:
    domain, bus, slot, function = parse_address(address)
    assert f"{domain:04x}:{bus:02x}:{slot:02x}.{function}" == address
    for glob in (address, address[:-1] + "*", "*" + address[3:], address[:-1] + "?", address[:-1] + "[0-7]", "*"):
        assert PciRule(kind="a", address=glob).matches(address, "10de", "20b0"), glob


@given(st.text("0123456789abcdef:.*?[]-", max_size=24), LIKELY)
def test_any_glob_is_either_refused_with_a_sentence_or_answers(glob: str, address: str) -> None:
    try:
        rule = PciRule(kind="a", vendor_id="10de", address=glob)
    except ValueError as error:
        assert "takes a pattern" in str(error)
    else:
        assert rule.matches(address, "10de", "") in (True, False)
        assert not rule.matches(address, "8086", "")


@pytest.mark.parametrize(
    ("glob", "yes", "no"),
    [
        ("0000:3b:*", "0000:3b:00.0", "0000:3c:00.0"),
        ("*:00.0", "0000:3b:00.0", "0000:3b:01.0"),
        ("0000:3b:02.[1-3]", "0000:3b:02.3", "0000:3b:02.4"),
        ("0000:3b:0[02].0", "0000:3b:02.0", "0000:3b:01.0"),
        ("0000:3?:00.0", "0000:3f:00.0", "0000:4f:00.0"),
        ("0000:3B:00.0", "0000:3b:00.0", "0000:3b:00.1"),
        ("*3b*0", "10000:3b:00.0", "10000:3c:00.1"),
    ],
)
def test_a_glob_matches(glob: str, yes: str, no: str) -> None:
    rule = PciRule(kind="a", address=glob)
    assert rule.matches(yes, "", "")
    assert not rule.matches(no, "", "")


def test_all_that_is_set_must_agree() -> None:
    rule = PciRule(kind="a100", vendor_id="10DE", product_id="20b0", address="0000:3b:*")
    assert rule.matches("0000:3b:00.0", "10de", "20b0")
    assert not rule.matches("0000:3b:00.0", "10de", "20b1")
    assert not rule.matches("0000:3b:00.0", "1002", "20b0")
    assert not rule.matches("0000:af:00.0", "10de", "20b0")
    assert not rule.matches("0000:3b:00.0", "", "")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "a rule needs at least one of vendor_id, product_id and address"),
        ({"kind": "a:1", "vendor_id": "10de"}, "kind takes a name of letters"),
        ({"vendor_id": "0x10de"}, "vendor_id takes four hexadecimal digits, such as '10de'"),
        ({"vendor_id": "10d"}, "vendor_id takes four hexadecimal"),
        ({"product_id": "xyzw"}, "product_id takes four hexadecimal"),
        ({"address": "3b:00.0"}, "address takes .*no PCI address matches '3b:00.0'"),
        ({"address": "0000:3b:00.[0-"}, r"address takes a pattern in which '\[' has its '\]'"),
        ({"address": "0000:3g:*"}, "address takes .*no PCI address matches"),
        ({"address": "*" * 100}, "address takes a pattern of 64"),
    ],
)
def test_a_rule_that_says_too_little_or_what_cannot_be_is_refused(values: dict[str, str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        PciRule(**{"kind": "a", **values})
