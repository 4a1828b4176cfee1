"""A configuration that is refused is refused without the secret that it holds."""

from pathlib import Path

import pytest

from novakit import config
from novakit.config import TracingOptions
from novakit.errors import ConfigError
from novakit.monitoring.export import exporting

CANARY = "kQ7canary3zWx"


@pytest.mark.parametrize(
    "text",
    [
        f'[tracing]\nendpoint = "http://someone:{CANARY}@127.0.0.1/v1/traces"\n',
        f'[tracing]\nendpoint = "http://u:X@h/x?token={CANARY}"\n',
        f'[tracing]\nendpoint = "http://h/x#{CANARY}"\n',
        f'[tracing]\nendpoint = "http://someone:a/{CANARY}@127.0.0.1/v1/traces"\n',
        f'[tracing]\nendpoint = "someone:{CANARY}@127.0.0.1"\n',
        f'[tracing]\nendpoint = ["http://someone:{CANARY}@127.0.0.1/x?token={CANARY}"]\n',
        f'tracing = "http://someone:{CANARY}@127.0.0.1/x?token={CANARY}"\n',
        f'[tracing]\n"http://someone:{CANARY}@127.0.0.1" = 1\n',
        f'[api]\npublic_url = "https://cloud.example.org/?token={CANARY}"\n',
        f'database = "someone:{CANARY}@x://127.0.0.1/x"\n',
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


def test_an_endpoint_that_is_none_is_told_without_its_secret() -> None:
    options = TracingOptions()
    # The options refuse it themselves: it is set past them, as the exporter must not rely on that.
    object.__setattr__(options, "endpoint", f"ftp://u:X@h/x?token={CANARY}")
    with pytest.raises(ConfigError) as told, exporting(options, ["api"]):
        pass
    assert CANARY not in str(told.value) and "ftp://***@h/x?***" in str(told.value)
