"""Where the file of a SQLite database can be."""

from pathlib import Path

import pytest

from novakit.config.database import require_place
from novakit.errors import ConfigError


def test_a_place_is_looked_for_under_the_name_that_its_url_means(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path}/a%20b/novakit.db"
    with pytest.raises(ConfigError, match=f"names a file in {tmp_path}/a b, and there is no such directory"):
        require_place(url)
    (tmp_path / "a b").mkdir()
    require_place(url)
    require_place("postgresql+asyncpg://u@h/n")
