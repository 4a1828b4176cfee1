from novakit.api.compute.servers.views import addresses, security_groups
from novakit.network import Fixed, PortInfo
from novakit_hookspecs.networks import Subnet

PORT = "11111111-1111-1111-1111-111111111111"


def card(network, ip, *floating):
    subnet = Subnet(id=PORT, cidr="10.0.0.0/24")
    return PortInfo(
        id=PORT,
        server_id=PORT,
        project_id="p",
        network_id=PORT,
        network_name=network,
        mac="fa:16:3e:00:00:01",
        mtu=1450,
        addresses=(Fixed(ip=ip, subnet=subnet, floating_ips=floating),),
        security_groups=(("g1", "web"), ("g2", "default")),
        status="ACTIVE",
        fault=None,
        host="alpha",
        tag=None,
        made=True,
    )


def test_addresses_stand_under_their_network_with_floating_ones_beside_their_fixed_one():
    shown = addresses([card("blue", "10.0.0.5", "172.24.4.9"), card("red", "fd00::5")], with_cards=True)
    mac = {"OS-EXT-IPS-MAC:mac_addr": "fa:16:3e:00:00:01"}
    assert shown == {
        "blue": [
            {"version": 4, "addr": "10.0.0.5", "OS-EXT-IPS:type": "fixed", **mac},
            {"version": 4, "addr": "172.24.4.9", "OS-EXT-IPS:type": "floating", **mac},
        ],
        "red": [{"version": 6, "addr": "fd00::5", "OS-EXT-IPS:type": "fixed", **mac}],
    }


def test_addresses_of_the_short_form_say_version_and_address_alone():
    assert addresses([card("blue", "10.0.0.5")], with_cards=False) == {"blue": [{"version": 4, "addr": "10.0.0.5"}]}


def test_security_groups_are_named_for_each_card():
    assert security_groups([card("blue", "10.0.0.5")]) == [{"name": "web"}, {"name": "default"}]
