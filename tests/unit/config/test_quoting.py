"""How paths and wrong values are shown in sentences."""

from pathlib import Path

import pytest

from novakit.config.quoting import located, named


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/etc/novakit/policy.yaml", "/etc/novakit/policy.yaml"),
        (f"/{'a' * 200}/policy.yaml", f"/{'a' * 200}/policy.yaml"),
        (f"/{'a b' * 60}/policy.yaml", f"'/{'a b' * 60}/policy.yaml'"),
        ("/tmp/a\nb\x1b[0m", r"'/tmp/a\nb\x1b[0m'"),
        ("/tmp/a\udcff", r"'/tmp/a\udcff'"),
        (f"/{'a' * 5000}", f"/{'a' * 4095}"),
    ],
)
def test_a_path_is_shown_whole_and_without_characters_that_nobody_sees(path: str, shown: str) -> None:
    assert located(Path(path)) == shown


def test_a_name_is_cut_to_a_readable_length() -> None:
    assert named("a" * 80) == "a" * 80
    assert named("a" * 81) == f"'{'a' * 79}..."
