"""How many examples a test of properties tries.

Who runs the tests again because what is installed changed, and not the code under test, looks for no rare example:
NOVAKIT_TEST_EXAMPLES bounds them all.
"""

import os

MOST = int(os.environ.get("NOVAKIT_TEST_EXAMPLES", "100000"))


def examples(wanted: int = 100) -> int:
    """Return how many examples to try of those that are wanted; 100 is what Hypothesis tries by itself."""
    return min(wanted, MOST)
