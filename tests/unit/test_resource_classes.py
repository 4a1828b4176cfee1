"""Other names of resource classes are taken where names come in, and never given out."""

import pytest

from novakit import resource_classes
from novakit.errors import BadRequest


def test_an_alias_means_its_class_and_any_other_name_itself() -> None:
    assert resource_classes.canonical("VGPU_MEMORY_MB") == "CUSTOM_VGPU_MEMORY_MB"
    assert resource_classes.canonical("VCPU") == "VCPU"


def test_what_is_said_of_an_alias_is_said_of_its_class() -> None:
    assert resource_classes.by_class({"VGPU_MEMORY_MB": 1, "VCPU": 2}) == {"CUSTOM_VGPU_MEMORY_MB": 1, "VCPU": 2}
    assert resource_classes.aliased(["VGPU_MEMORY_MB", "VCPU"]) == {"CUSTOM_VGPU_MEMORY_MB"}


def test_a_class_that_is_named_by_both_names_is_refused() -> None:
    with pytest.raises(BadRequest, match="VGPU_MEMORY_MB and CUSTOM_VGPU_MEMORY_MB are one"):
        resource_classes.by_class({"VGPU_MEMORY_MB": 1, "CUSTOM_VGPU_MEMORY_MB": 1})
