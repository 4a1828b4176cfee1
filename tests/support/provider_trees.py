"""Small trees of resource providers and requests for them, as Hypothesis draws them."""

from hypothesis import strategies as st

from novakit_hookspecs.trees import ProviderStock, RequestGroup, Units

CLASSES = ("VGPU", "FPGA")
TRAITS = ("T1", "T2")

units = st.builds(
    Units,
    free=st.integers(0, 4),
    min_unit=st.integers(1, 2),
    max_unit=st.integers(1, 4),
    step_size=st.sampled_from((1, 1, 2)),
)
providers = st.builds(
    lambda amounts, traits: ProviderStock(stock=tuple(sorted(amounts.items())), traits=traits),
    st.dictionaries(st.sampled_from(CLASSES), units),
    st.frozensets(st.sampled_from(TRAITS)),
)
requests = st.builds(
    lambda resources, required, forbidden: RequestGroup(
        suffix="1", resources=resources, required=required, forbidden=forbidden - required
    ),
    st.dictionaries(st.sampled_from((*CLASSES, "VCPU")), st.integers(1, 3), min_size=1),
    st.frozensets(st.sampled_from(TRAITS), max_size=1),
    st.frozensets(st.sampled_from(TRAITS), max_size=1),
)
