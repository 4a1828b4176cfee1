"""A configuration that is refused is refused without the secret that it holds."""

from pathlib import Path

import pytest

from novakit import config
from novakit.errors import ConfigError

CANARY = "kQ7canary3zWx"


@pytest.mark.parametrize(
    "text",
    [
        f'[tracing]\nendpoint = "http://someone:{CANARY}@127.0.0.1/v1/traces"\n',
        f'[api]\npublic_url = "https://someone:{CANARY}@cloud.example.org"\n',
        f'database = "mysql+pymysql://someone:{CANARY}@127.0.0.1/x"\n',
        f'database = "postgresql://someone:{CANARY}@127.0.0.1/x"\n',
        f'database = "postgresql+asyncpg://someone:{CANARY}@127.0.0.1:port/x"\n',
        f'database = "someone:{CANARY}@127.0.0.1/x"\n',
        f'database = ["{CANARY}"]\n',
    ],
)
def test_what_is_refused_is_not_repeated_with_its_secret(tmp_path: Path, text: str) -> None:
    path = tmp_path / "novakit.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as told:
        config.read(path)
    assert CANARY not in str(told.value), told.value
