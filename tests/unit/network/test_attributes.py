"""What is said of a thing of the network: the record that it becomes, and the words for what is wrong."""

import uuid
from types import SimpleNamespace
from typing import TypeVar, cast

import attrs
import pytest

from novakit import errors
from novakit.api.network.bodies.attributes import MOST_AT_ONCE, AttributesBody, Sent
from novakit.api.network.handlers import RESOURCES, NetworkCall
from novakit.api.network.networks import NETWORKS
from novakit.api.network.ports import PORTS
from novakit.api.network.resources import AnyResource
from novakit.api.network.routers import ROUTERS
from novakit.api.network.security_group_rules import SECURITY_GROUP_RULES
from novakit.api.network.subnets import SUBNETS
from novakit.left_out import LEFT_OUT
from novakit.network.networks import NetworkChange
from novakit.network.ports import NewPort, PortChange
from novakit.network.records import AddressPair, AddressRange, Hop, WantedAddress, WantedGateway
from novakit.network.routers import RouterChange
from novakit.network.security_group_rules import NewRule
from novakit.network.subnets import NewSubnet

ID = uuid.UUID("a0000000-0000-4000-8000-00000000000f")
EVERYBODY = cast(NetworkCall, SimpleNamespace(policy=SimpleNamespace(table={})))
"""A call whose policy has no rules of single attributes."""
R = TypeVar("R")


def read(body: AttributesBody[R], said: object) -> R:
    """Return the record of a body with one thing."""
    return body.record(body.thing({body.what: said}), EVERYBODY)


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda one: one.many)
@pytest.mark.parametrize("new", [True, False], ids=["new", "change"])
def test_what_must_be_sent_has_no_default_in_the_record_and_all_else_has_one(resource: AnyResource, new: bool) -> None:
    body = resource.new if new else resource.change
    if body is None:
        return
    needed = {name for name, field in attrs.fields_dict(body.kind).items() if field.default is attrs.NOTHING}
    assert needed == set(cast(list[str], body.definition["required"]))


def test_a_change_tells_null_from_what_was_left_out() -> None:
    assert PORTS.change is not None and ROUTERS.change is not None
    assert read(PORTS.change, {"fixed_ips": None}) == PortChange(fixed_ips=None)
    assert read(PORTS.change, {}).fixed_ips is LEFT_OUT
    assert read(ROUTERS.change, {"external_gateway_info": None}) == RouterChange(gateway=None)


def test_ids_become_the_spelling_that_is_kept_wherever_they_stand() -> None:
    sent = {
        "network_id": ID.hex.upper(),
        "security_groups": [str(ID).upper()],
        "fixed_ips": [{"subnet_id": ID.hex}, {"ip_address": "192.0.2.1"}],
    }
    assert read(PORTS.new, sent) == NewPort(
        network_id=str(ID),
        security_groups=(str(ID),),
        fixed_ips=(WantedAddress(subnet_id=str(ID)), WantedAddress(ip_address="192.0.2.1")),
    )


def test_numbers_and_booleans_are_taken_as_their_words() -> None:
    assert NETWORKS.change is not None and ROUTERS.change is not None
    assert read(NETWORKS.change, {"mtu": "1400", "shared": "Yes", "router:external": 0}) == NetworkChange(
        mtu=1400, shared=True, external=False
    )
    rule = {"security_group_id": str(ID), "direction": "ingress", "protocol": 6, "port_range_min": "22"}
    assert read(SECURITY_GROUP_RULES.new, rule) == NewRule(
        security_group_id=str(ID), direction="ingress", protocol="6", port_min=22
    )


def test_objects_within_become_records_without_what_can_have_one_value_alone() -> None:
    assert ROUTERS.change is not None
    gateway = {"network_id": str(ID), "qos_policy_id": None, "external_fixed_ips": [{"ip_address": "192.0.2.1"}]}
    assert read(ROUTERS.change, {"external_gateway_info": gateway, "ha": False}) == RouterChange(
        gateway=WantedGateway(network_id=str(ID), external_fixed_ips=(WantedAddress(ip_address="192.0.2.1"),))
    )
    subnet = {
        "network_id": str(ID),
        "allocation_pools": [{"start": "192.0.2.2", "end": "192.0.2.9"}],
        "host_routes": [{"destination": "198.51.100.0/24", "nexthop": "192.0.2.1"}],
    }
    assert read(SUBNETS.new, subnet) == NewSubnet(
        network_id=str(ID),
        allocation_pools=(AddressRange(start="192.0.2.2", end="192.0.2.9"),),
        host_routes=(Hop(destination="198.51.100.0/24", nexthop="192.0.2.1"),),
    )
    assert PORTS.change is not None
    assert read(PORTS.change, {"allowed_address_pairs": [{"ip_address": "192.0.2.1"}]}) == PortChange(
        allowed_pairs=(AddressPair(ip_address="192.0.2.1"),)
    )


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ([], "Invalid input for port. Reason: it is not an object."),
        (None, "Invalid input for port. Reason: it is not an object."),
        ({"colour": 1, "mac_address": 5}, "Unrecognized attribute(s) 'colour'"),
        ({"mac_address": 5}, "Failed to parse request. Required attribute 'network_id' not specified"),
        ({"mac_address": 5, "network_id": "nope"}, "Invalid input for network_id. Reason: 'nope' is not a valid UUID."),
        ({"network_id": str(ID), "tenant_id": 5}, "Invalid input for tenant_id. Reason: '5' is not a valid string."),
        (
            {"network_id": str(ID), "tenant_id": "a", "project_id": "b"},
            "'project_id' and 'tenant_id' are given and do not match.",
        ),
        (
            {"network_id": str(ID), "binding:vnic_type": "direct"},
            "Invalid input for binding:vnic_type. Reason: 'direct' is not in ['normal'].",
        ),
        (
            {"network_id": str(ID), "fixed_ips": [{"subnet_id": str(ID), "more": 1}]},
            "Invalid input for fixed_ips. Reason: unexpected keys 'more'; known are 'ip_address', 'subnet_id'.",
        ),
    ],
)
def test_what_is_wrong_with_a_thing_is_told_as_neutron_does(sent: object, told: str) -> None:
    with pytest.raises(errors.BadRequest) as refused:
        read(PORTS.new, sent)
    assert (refused.value.message, refused.value.kind) == (told, "HTTPBadRequest")


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({}, "Unable to find 'port' in request body"),
        ({"colour": 1}, "Unable to find 'port' in request body"),
        ({"ports": []}, f"'ports' must be a list of 1 to {MOST_AT_ONCE} objects"),
        ({"ports": {}}, f"'ports' must be a list of 1 to {MOST_AT_ONCE} objects"),
        (
            {"ports": [{"network_id": str(ID)}] * (MOST_AT_ONCE + 1)},
            f"'ports' must be a list of 1 to {MOST_AT_ONCE} objects",
        ),
        ({"ports": [{"network_id": str(ID)}, []]}, "Invalid input for port. Reason: it is not an object."),
        ({"ports": [{"network_id": str(ID)}, {"colour": 1}]}, "Unrecognized attribute(s) 'colour'"),
        (
            {"ports": [{"network_id": str(ID)}, {"network_id": str(ID), "security_groups": [5]}]},
            "Invalid input for security_groups. Reason: '5' is not a valid UUID.",
        ),
    ],
)
def test_a_body_is_checked_whole_before_anything_is_made_of_it(body: dict[str, object], told: str) -> None:
    with pytest.raises(errors.BadRequest) as refused:
        PORTS.new.sent(body)
    assert (refused.value.message, refused.value.kind) == (told, "HTTPBadRequest")


def test_a_body_has_one_thing_or_a_list() -> None:
    one, two = {"network_id": str(ID)}, {"network_id": str(ID), "name": "two"}
    assert PORTS.new.sent({"ports": [one, two]}) == Sent([one, two], are_listed=True)
    assert PORTS.new.sent({"port": one}) == Sent([one], are_listed=False)


def test_a_change_is_of_one_thing() -> None:
    assert PORTS.change is not None
    with pytest.raises(errors.BadRequest, match="Unable to find 'port' in request body"):
        PORTS.change.thing({"ports": [{"name": "x"}]})


def test_what_is_made_once_cannot_be_changed() -> None:
    assert PORTS.change is not None
    with pytest.raises(errors.BadRequest, match="Attribute 'network_id' not allowed in PUT"):
        read(PORTS.change, {"network_id": str(ID)})
