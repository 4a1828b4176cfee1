"""Request groups that flavors ask for: read in the order of their suffixes, or refused in a sentence."""

import pytest

from novakit.request_spec import groups
from novakit_hookspecs.trees import RequestGroup


def test_groups_come_in_the_order_of_their_suffixes_with_their_traits() -> None:
    specs = {
        "resources2:VGPU": "1",
        "resources_a:CUSTOM_FPGA": "2",
        "trait_a:CUSTOM_FAST": "required",
        "trait_a:CUSTOM_OLD": "forbidden",
        "hw:cpu_policy": "dedicated",
        "resources:VCPU": "3",
    }
    fpga = RequestGroup(
        suffix="_a",
        resources={"CUSTOM_FPGA": 2},
        required=frozenset({"CUSTOM_FAST"}),
        forbidden=frozenset({"CUSTOM_OLD"}),
    )
    assert groups.groups_of(specs) == (RequestGroup(suffix="2", resources={"VGPU": 1}), fpga)


def test_a_class_with_the_amount_0_is_left_out_and_a_group_of_nothing_with_it() -> None:
    assert groups.groups_of({"resources1:VGPU": "0", "resources1:PGPU": "1"})[0].resources == {"PGPU": 1}
    assert groups.groups_of({"resources1:VGPU": "0"}) == ()


@pytest.mark.parametrize(
    ("specs", "sentence"),
    [
        ({"resources1:PCPU": "1"}, "hw:cpu_policy=dedicated"),
        ({"trait1:CUSTOM_FAST": "required"}, "say resources1:CLASS"),
        ({"resources1:VGPU": "-1"}, "takes a number, 0 or more"),
        ({"resources1:VGPU": "9" * 11}, "takes a number"),
        ({"resources1:VGPU": "1", "trait1:CUSTOM_FAST": "perhaps"}, "takes required or forbidden"),
        ({"resources1:vgpu": "1"}, "names no resource class or trait"),
        ({f"resources{number}:VGPU": "1" for number in range(groups.MOST + 1)}, f"{groups.MOST} is the most"),
        ({"group_policy": "maybe"}, "takes none or isolate"),
    ],
)
def test_what_no_provider_could_be_asked_for_is_refused(specs: dict[str, str], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        groups.check(specs, {})


def test_traits_of_an_image_are_checked_too() -> None:
    groups.check({}, {"trait:CUSTOM_FAST": "required", "os_distro": "debian"})
    with pytest.raises(ValueError, match="takes required or forbidden"):
        groups.check({}, {"trait:CUSTOM_FAST": "yes"})


def test_groups_are_isolated_where_the_policy_says_so() -> None:
    assert groups.isolated({"group_policy": "isolate"})
    assert not groups.isolated({"group_policy": "none"}) and not groups.isolated({})
