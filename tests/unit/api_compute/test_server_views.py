from novakit.api.compute.servers.views import addresses, security_groups
from novakit.network.records import ShownAddress, ShownPort


def port(network, ip, *floating):
    return ShownPort(network, "fa:16:3e:00:00:01", [ShownAddress(ip, floating)], ("web", "default"))


def test_addresses_stand_under_their_network_with_floating_ones_beside_their_fixed_one():
    shown = addresses([port("blue", "10.0.0.5", "172.24.4.9"), port("red", "fd00::5")], with_cards=True)
    mac = {"OS-EXT-IPS-MAC:mac_addr": "fa:16:3e:00:00:01"}
    assert shown == {
        "blue": [
            {"version": 4, "addr": "10.0.0.5", "OS-EXT-IPS:type": "fixed", **mac},
            {"version": 4, "addr": "172.24.4.9", "OS-EXT-IPS:type": "floating", **mac},
        ],
        "red": [{"version": 6, "addr": "fd00::5", "OS-EXT-IPS:type": "fixed", **mac}],
    }


def test_addresses_of_the_short_form_say_version_and_address_alone():
    assert addresses([port("blue", "10.0.0.5")], with_cards=False) == {"blue": [{"version": 4, "addr": "10.0.0.5"}]}


def test_security_groups_are_named_for_each_port():
    assert security_groups([port("blue", "10.0.0.5")]) == [{"name": "web"}, {"name": "default"}]
