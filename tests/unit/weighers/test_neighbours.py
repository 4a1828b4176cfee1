"""Weighers by what is on or about a host already."""

from novakit_hookspecs.hosts import PciPool
from novakit_hookspecs.scheduling import GroupAsk, ImageAsk
from novakit_hookspecs.testing.weighers import ask, host_table
from novakit_weighers import neighbours


def test_soft_groups_draw_together_or_apart() -> None:
    table = host_table(["a", "b"])
    for policy, sign in (("soft-affinity", 1.0), ("soft-anti-affinity", -1.0)):
        weigher = neighbours.SoftGroup(policy, sign)
        request = ask(group=GroupAsk(id="g", policy=policy, hosts={"a": 2}))
        assert weigher.score(table, request).tolist() == [2.0 * sign, 0.0]
        assert weigher.score(table, ask()).tolist() == [0.0, 0.0]


def test_images_of_a_kind_gather() -> None:
    table = host_table(image_properties=[{"os_distro=debian": 2}, None])
    weigher = neighbours.ImagePropertiesWeigher(neighbours.ImagePropertiesOptions())
    request = ask(image=ImageAsk(properties={"os_distro": "debian", "hw_machine_type": "q35"}))
    assert weigher.score(table, request).tolist() == [2.0, 0.0]


def test_a_moving_server_prefers_its_cell() -> None:
    table = host_table(cell=["c1", "c2"])
    assert neighbours.CrossCell().score(table, ask(cell="c2")).tolist() == [0.0, 1.0]


def test_a_soft_group_weighs_only_where_it_has_servers_and_that_policy() -> None:
    weigher = neighbours.SoftGroup("soft-affinity", 1.0)
    assert weigher.applies(ask(group=GroupAsk(id="g", policy="soft-affinity", hosts={"a": 2})))
    assert not weigher.applies(ask(group=GroupAsk(id="g", policy="soft-affinity")))
    assert not weigher.applies(ask(group=GroupAsk(id="g", policy="affinity", hosts={"a": 2})))
    assert not weigher.applies(ask())


def test_a_server_that_does_not_move_has_no_cell_to_prefer() -> None:
    weigher = neighbours.CrossCell()
    assert weigher.applies(ask(cell="c1")) and not weigher.applies(ask())
    assert weigher.score(host_table(cell=["c1", "c2"]), ask()).tolist() == [0.0, 0.0]


def test_hosts_with_devices_are_kept_for_those_who_want_them() -> None:
    pools = (PciPool(kind="a100", free=2), PciPool(kind="nic", free=1))
    table = host_table(pci=[pools, None, ()])
    assert neighbours.Pci().score(table, ask()).tolist() == [-3.0, 0.0, 0.0]
    wants = ask(resources={"CUSTOM_PCI_A100": 1})
    assert neighbours.Pci().score(table, wants).tolist() == [3.0, 0.0, 0.0]
    assert neighbours.Pci().score(table, ask(resources={"VCPU": 1})).tolist() == [-3.0, 0.0, 0.0]


def test_properties_of_images_count_as_much_as_the_options_say_and_others_nothing() -> None:
    table = host_table(image_properties=[{"os_distro=debian": 2, "os_type=linux": 5}, {"os_distro=debian": 1}, None])
    request = ask(image=ImageAsk(properties={"os_distro": "debian", "os_type": "linux"}))
    some = neighbours.ImagePropertiesWeigher(neighbours.ImagePropertiesOptions(weights={"os_distro": 3.0}))
    assert some.score(table, request).tolist() == [6.0, 3.0, 0.0]
    every = neighbours.ImagePropertiesWeigher(neighbours.ImagePropertiesOptions())
    assert every.score(table, request).tolist() == [7.0, 1.0, 0.0]
    assert every.score(table, ask()).tolist() == [0.0, 0.0, 0.0]
