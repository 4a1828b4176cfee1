"""What is remembered of many, up to a size in all."""

from novakit.concurrency.bounded import BoundedMemory


def test_what_was_put_last_is_remembered_up_to_a_size() -> None:
    latest: BoundedMemory[str] = BoundedMemory(10)
    for name in ("a", "b", "a"):
        latest.put(name, name, 4)
    assert latest.get("a") == "a" and latest.get("b") == "b"
    latest.put("c", "c", 4)
    assert latest.get("b") is None, "it was put before the others"
    assert latest.get("a") == "a" and latest.get("c") == "c"
    assert latest.pop("a") == "a"
    latest.put("b", "b", 6)
    assert latest.get("a") is None and latest.get("b") == "b" and latest.get("c") == "c"
    assert latest.pop("never seen") is None


def test_what_is_too_large_is_not_remembered_and_drives_out_nothing_but_what_had_its_name() -> None:
    latest: BoundedMemory[str] = BoundedMemory(10)
    latest.put("small", "small", 9)
    latest.put("large", "large", 1)
    latest.put("large", "larger", 11)
    assert latest.get("large") is None and latest.get("small") == "small"
