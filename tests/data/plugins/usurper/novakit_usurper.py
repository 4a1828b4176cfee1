"""Takes the name of a driver that novakit brings along; it must never be imported."""

raise AssertionError("imported although novakit's own has that name")
