"""The micro image that real guests of the tests boot, built once."""

import asyncio
import os
import shutil
from pathlib import Path

import attrs
import pytest

from novakit_micro_image import build


@attrs.frozen
class Built:
    """The micro image's file and the packages it was made of."""

    image: Path
    packages: Path

    def seed(self, state: Path) -> None:
        """Put both where `novakit image build-micro` finds them, so that it needs neither time nor a way out."""
        cache = state / "cache"
        cache.mkdir(parents=True)
        shutil.copytree(self.packages, cache / "packages")
        for suffix in ("", ".json"):
            shutil.copy2(f"{self.image}{suffix}", cache / f"novakit-micro.qcow2{suffix}")


@pytest.fixture(scope="session")
def micro(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The micro image; kept between runs when NOVAKIT_TEST_CACHE names a directory."""
    cache = Path(os.environ.get("NOVAKIT_TEST_CACHE") or tmp_path_factory.mktemp("micro"))
    return Built(asyncio.run(build(cache / "micro.qcow2", cache / "packages", print)), cache / "packages")
