"""Which standard traits a host has by the features of the x86 CPUs that it gives to guests."""

from collections.abc import Iterable, Mapping

_PUNCTUATION = str.maketrans("", "", "-_.")
_OTHER_NAMES = {"sse3": "pni", "pclmuldq": "pclmulqdq"}
"""What libvirt or QEMU call a feature that Linux calls otherwise, beside punctuation."""

CPU_TRAITS: Mapping[str, tuple[str, ...]] = {
    "mmx": ("HW_CPU_X86_MMX",),
    "3dnow": ("HW_CPU_X86_3DNOW",),
    "sse": ("HW_CPU_X86_SSE",),
    "sse2": ("HW_CPU_X86_SSE2",),
    "pni": ("HW_CPU_X86_SSE3",),
    "ssse3": ("HW_CPU_X86_SSSE3",),
    "sse4_1": ("HW_CPU_X86_SSE41",),
    "sse4_2": ("HW_CPU_X86_SSE42",),
    "sse4a": ("HW_CPU_X86_SSE4A",),
    "aes": ("HW_CPU_X86_AESNI",),
    "pclmulqdq": ("HW_CPU_X86_CLMUL",),
    "sha_ni": ("HW_CPU_X86_SHA",),
    "avx": ("HW_CPU_X86_AVX",),
    "avx2": ("HW_CPU_X86_AVX2",),
    "fma": ("HW_CPU_X86_FMA3",),
    "fma4": ("HW_CPU_X86_FMA4",),
    "f16c": ("HW_CPU_X86_F16C",),
    "xop": ("HW_CPU_X86_XOP",),
    "tbm": ("HW_CPU_X86_TBM",),
    "abm": ("HW_CPU_X86_ABM",),
    "bmi1": ("HW_CPU_X86_BMI",),
    "bmi2": ("HW_CPU_X86_BMI2",),
    "avx512f": ("HW_CPU_X86_AVX512F",),
    "avx512cd": ("HW_CPU_X86_AVX512CD",),
    "avx512pf": ("HW_CPU_X86_AVX512PF",),
    "avx512er": ("HW_CPU_X86_AVX512ER",),
    "avx512vl": ("HW_CPU_X86_AVX512VL",),
    "avx512bw": ("HW_CPU_X86_AVX512BW",),
    "avx512dq": ("HW_CPU_X86_AVX512DQ",),
    "avx512ifma": ("HW_CPU_X86_AVX512IFMA",),
    "avx512vbmi": ("HW_CPU_X86_AVX512VBMI",),
    "avx512_vbmi2": ("HW_CPU_X86_AVX512VBMI2",),
    "avx512_vnni": ("HW_CPU_X86_AVX512VNNI",),
    "avx512_bitalg": ("HW_CPU_X86_AVX512BITALG",),
    "avx512_vpopcntdq": ("HW_CPU_X86_AVX512VPOPCNTDQ",),
    "vaes": ("HW_CPU_X86_AVX512VAES",),
    "gfni": ("HW_CPU_X86_AVX512GFNI",),
    "vpclmulqdq": ("HW_CPU_X86_AVX512VPCLMULQDQ",),
    "amx_tile": ("HW_CPU_X86_AMXTILE",),
    "amx_int8": ("HW_CPU_X86_AMXINT8",),
    "amx_bf16": ("HW_CPU_X86_AMXBF16",),
    "rtm": ("HW_CPU_X86_TSX",),
    "pdpe1gb": ("HW_CPU_X86_PDPE1GB",),
    "pcid": ("HW_CPU_X86_INTEL_PCID",),
    "md_clear": ("HW_CPU_X86_INTEL_MD_CLEAR",),
    "stibp": ("HW_CPU_X86_STIBP",),
    "vmx": ("HW_CPU_X86_VMX", "HW_CPU_X86_INTEL_VMX"),
    "svm": ("HW_CPU_X86_SVM", "HW_CPU_X86_AMD_SVM"),
}
"""Flags of /proc/cpuinfo with the standard traits that say the same."""


def _plain(name: str) -> str:
    bare = name.translate(_PUNCTUATION)
    return _OTHER_NAMES.get(bare, bare)


_TRAITS = {_plain(flag): traits for flag, traits in CPU_TRAITS.items()}


def cpu_traits(features: Iterable[str]) -> frozenset[str]:
    """Return the traits of features, which may be called as Linux, libvirt or QEMU call them."""
    known = {_plain(name) for name in features}
    found = {trait for name in known & _TRAITS.keys() for trait in _TRAITS[name]}
    # Some extensions exist without the wide registers that the name of their trait promises.
    wide = "avx512f" in known
    return frozenset(trait for trait in found if wide or not trait.startswith("HW_CPU_X86_AVX512"))
