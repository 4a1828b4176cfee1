"""Traits of CPU features, whoever named them."""

import os_traits
import pytest

from novakit_host.cpu_traits import CPU_TRAITS, cpu_traits


def test_every_trait_is_a_standard_one() -> None:
    assert {trait for traits in CPU_TRAITS.values() for trait in traits} <= set(os_traits.get_traits())


@pytest.mark.parametrize(
    ("trait", "names"),
    [
        ("HW_CPU_X86_SSE3", ["pni", "sse3"]),
        ("HW_CPU_X86_SSE41", ["sse4_1", "sse4.1", "sse4-1"]),
        ("HW_CPU_X86_SHA", ["sha_ni", "sha-ni"]),
        ("HW_CPU_X86_CLMUL", ["pclmulqdq", "pclmuldq"]),
        ("HW_CPU_X86_AMXTILE", ["amx_tile", "amx-tile"]),
    ],
)
def test_linux_libvirt_and_qemu_mean_the_same(trait: str, names: list[str]) -> None:
    assert all(cpu_traits([name]) == {trait} for name in names)


def test_virtualisation_has_two_names() -> None:
    assert cpu_traits(["svm"]) == {"HW_CPU_X86_SVM", "HW_CPU_X86_AMD_SVM"}
    assert cpu_traits(["vmx"]) == {"HW_CPU_X86_VMX", "HW_CPU_X86_INTEL_VMX"}


def test_vector_instructions_without_wide_registers_are_no_avx512() -> None:
    assert not cpu_traits(["vaes", "gfni"])
    assert cpu_traits(["avx512f", "vaes"]) == {"HW_CPU_X86_AVX512F", "HW_CPU_X86_AVX512VAES"}


def test_what_no_trait_speaks_of_is_left_out() -> None:
    assert not cpu_traits(["hypervisor", "", "avx1024", "--"])
