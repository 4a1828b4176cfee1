"""Refusals of the network service have the names that clients match on."""

import pytest

from novakit.network import refusals


@pytest.mark.parametrize(
    ("what", "kind"),
    [
        ("port", "PortNotFound"),
        ("floating IP", "FloatingIPNotFound"),
        ("security group", "SecurityGroupNotFound"),
        ("router interface for subnet", "RouterInterfaceNotFoundForSubnet"),
        ("address scope", "AddressScopeNotFound"),
    ],
)
def test_what_is_not_there_is_told_by_its_kind(what: str, kind: str) -> None:
    error = refusals.not_found(what, "x" * 300)
    assert (error.kind, error.status) == (kind, 404)
    assert str(error) == f"{what[0].upper()}{what[1:]} {'x' * 255} could not be found."


def test_a_quota_a_rule_and_a_full_network_are_told_in_the_public_words() -> None:
    assert str(refusals.over_quota("port")) == "Quota exceeded for resources: ['port']."
    assert (refusals.over_quota("port").status, refusals.over_quota("port").kind) == (409, "OverQuota")
    assert str(refusals.disallowed("create_port")) == "(rule:create_port) is disallowed by policy"
    assert refusals.disallowed("create_port").kind == "PolicyNotAuthorized"
    assert refusals.no_address_left("n").kind == "IpAddressGenerationFailure"
    assert (refusals.invalid("no.").status, refusals.invalid("no.").kind) == (400, "InvalidInput")
