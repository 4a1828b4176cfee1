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


@pytest.mark.parametrize("way", ["verify-ca", "verify-full"])
def test_a_server_is_checked_against_a_certificate_that_is_there(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"postgresql+asyncpg://u@h/n?ssl={way}"
    monkeypatch.delenv("PGSSLROOTCERT", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(ConfigError, match="PGSSLROOTCERT"):
        require_place(url)
    (tmp_path / "ca.crt").write_text("x")
    monkeypatch.setenv("PGSSLROOTCERT", str(tmp_path / "ca.crt"))
    require_place(url)
    monkeypatch.delenv("PGSSLROOTCERT")
    (tmp_path / ".postgresql").mkdir()
    (tmp_path / ".postgresql/root.crt").write_text("x")
    require_place(url)
