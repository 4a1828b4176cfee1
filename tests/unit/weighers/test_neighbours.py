"""Weighers by what is on or about a host already."""

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
