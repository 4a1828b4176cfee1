"""What is shown of a URL."""

import pytest

from novakit_hookspecs.urls import without_secrets

X = "kQ7canary3zWx"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("qemu:///system", "qemu:///system"),
        ("http://127.0.0.1:4318/v1/traces", "http://127.0.0.1:4318/v1/traces"),
        (f"qemu+tcp://u:{X}@h/system", "qemu+tcp://***@h/system"),
        (f"http://u:X@h/x?token={X}", "http://***@h/x?***"),
        (f"http://h/x?token={X}#{X}", "http://h/x?***"),
        (f"http://h/#{X}", "http://h/#***"),
        (f"http://u:{X}/{X}@h/x", "http://***@h/x"),
        (f"http://u:{X}@{X}@h/x", "http://***@h/x"),
        (f"http://u:{X}?{X}@h/x", "http://***"),
        (f"http://h/x?mail=a@{X}", "http://***"),
        (f"u:{X}@h", "***@h"),
        (f"u:{X}\n {X}@h", "***@h"),
        ("", ""),
        ("http://h/?", "http://h/?"),
    ],
)
def test_users_passwords_and_queries_are_hidden(url: str, shown: str) -> None:
    assert without_secrets(url) == shown
