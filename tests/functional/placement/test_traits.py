"""Traits and resource classes of ones own."""

from tests.functional.placement.resources import A, make, store  # noqa: F401


async def test_traits_and_classes_of_ones_own_begin_with_custom(http):
    assert (await http("PUT", "/traits/CUSTOM_GOLD")).status == 201
    assert (await http("PUT", "/traits/CUSTOM_GOLD")).status == 204
    assert (await http("PUT", "/traits/GOLD")).status == 400
    assert (await http("DELETE", "/traits/HW_CPU_X86_AVX2")).status == 400
    await make(http, "a", id=A, traits=["CUSTOM_GOLD", "HW_CPU_X86_AVX2"])
    assert (await http("DELETE", "/traits/CUSTOM_GOLD")).status == 409
    assert (await http("GET", "/traits?associated=true")).body["traits"] == ["CUSTOM_GOLD", "HW_CPU_X86_AVX2"]
    assert (await http("GET", "/traits?name=startswith:CUSTOM_")).body["traits"] == ["CUSTOM_GOLD"]
    assert (await http("PUT", "/resource_classes/CUSTOM_X")).status == 201
    assert (await http("POST", "/resource_classes", {"name": "CUSTOM_X"})).status == 409
    renamed = await http("PUT", "/resource_classes/CUSTOM_X", {"name": "CUSTOM_Y"}, version="1.6")
    assert renamed.status == 200 and renamed.body["name"] == "CUSTOM_Y"
    assert (await http("DELETE", "/resource_classes/VCPU")).status == 400
    assert (await http("DELETE", "/resource_classes/CUSTOM_Y")).status == 204
