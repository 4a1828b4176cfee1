"""What all tests share."""

import os

from hypothesis import settings

settings.register_profile("default", deadline=None)
# CI says whether a change is good; the same change must not pass on one day and fail on another.
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")
