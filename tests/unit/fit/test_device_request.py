"""What a flavor asks for of devices, as it is read."""

import pytest

from novakit_fit.device_request import MOST, devices


@pytest.mark.parametrize("text", ["a:0", "a:-1", "a:x", "a:65", "a:40,a:40", "a:9999"])
def test_counts_that_cannot_be_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=f"{MOST}"):
        devices({"pci_passthrough:alias": text}, {})
