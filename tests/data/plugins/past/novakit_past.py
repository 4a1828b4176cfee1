"""Asks for another version of the contract; it must never be imported."""

raise AssertionError("imported although the contract is another one")
