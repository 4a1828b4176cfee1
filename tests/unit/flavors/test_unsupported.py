"""What nothing here carries out is refused, unless it asks for what every guest has anyway."""

import pytest

from novakit.compute.flavors.unsupported import check_extra_specs, check_image
from novakit.errors import BadRequest


@pytest.mark.parametrize(
    ("name", "value"),
    [("hw:cpu_realtime", "yes"), ("hw:numa_mempolicy", "preferred"), ("quota:vif_inbound_peak", "1"), ("trait1", "x")],
)
def test_an_extra_spec_without_effect_is_refused_by_its_name(name: str, value: str) -> None:
    with pytest.raises(BadRequest, match=f"'{name}' is not supported yet"):
        check_extra_specs({"hw:cpu_policy": "dedicated", name: value})


def test_an_extra_spec_that_asks_for_what_there_is_anyway_is_taken() -> None:
    check_extra_specs({"hw:cpu_realtime": " No ", "hw:numa_mempolicy": "strict", "hw:usb_model": "none"})


def test_an_image_that_promises_a_protection_which_no_guest_has_is_refused() -> None:
    check_image({"hw_rng_model": "virtio", "hw_mem_encryption": "false", "hw_video_model": "qxl"})
    with pytest.raises(BadRequest, match="'hw_mem_encryption' is not supported yet"):
        check_image({"hw_mem_encryption": True})
