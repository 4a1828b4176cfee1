import pytest

from novakit import config
from novakit.errors import ConfigError


def read(tmp_path, text):
    path = tmp_path / "novakit.toml"
    path.write_text(text)
    return config.read(path)


def test_every_section_reaches_its_field(tmp_path):
    fields = read(
        tmp_path,
        """
        database = "postgresql+asyncpg://x"
        [api]
        enabled = ["metadata"]
        [scheduler]
        filters = ["ram"]
        weighers = {ram = -1.0}
        [agent]
        host = "h1"
        [drivers.libvirt]
        machine = "q35"
        [plugins]
        required = ["drivers:libvirt"]
        """,
    )
    made = config.Config(state=tmp_path, **fields)
    assert made.api.enabled == ("metadata",) and made.scheduler.filters == ("ram",)
    assert made.scheduler.weighers == {"ram": -1.0} and made.agent.host == "h1"
    assert made.options["drivers.libvirt"] == {"machine": "q35"} and made.database == "postgresql+asyncpg://x"
    assert made.plugins == {"required": ["drivers:libvirt"]}


def test_no_file_is_an_empty_one(tmp_path):
    assert config.Config(state=tmp_path, **config.read(tmp_path / "absent.toml")).api.max_body == 1 << 20


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[api]\nenabled = ["compute", "placement"]', "enabled.*must be in"),
        ('[api]\nenabled = "compute"', "takes a list"),
        ('[agent]\nheartbeat_every = "soon"', "heartbeat_every: takes a number, not 'soon'"),
        ("[agent]\nheartbeat_every = -1", "heartbeat_every must be above 0"),
        ("[conductor]\nshelved_offload_after = -2", "shelved_offload_after must be -1, which is never, or seconds"),
        ("[conductor]\nshelved_offload_after = nan", "shelved_offload_after"),
        ('[agent]\ntraits = ["HW_CPU_X86_AVX3"]', "traits takes CUSTOM_ and standard traits; 'HW_CPU_X86_AVX3'"),
        ('[agent]\nwithheld_traits = ["CUSTOM_small"]', "withheld_traits takes CUSTOM_ and standard traits"),
        ('[agent]\nhosst = "x"', "Did you mean 'host'"),
        ("[agents]\nx = 1", r"unknown \[agents\]; known are"),
        ("api = 3", "takes a table"),
        ("[drivers]\nlibvirt = 3", r"\[drivers.libvirt\] is a table"),
        ("[api", "cannot be read"),
    ],
)
def test_what_is_wrong_is_named_with_what_is_right(tmp_path, text, says):
    with pytest.raises(ConfigError, match=says):
        read(tmp_path, text)


@pytest.mark.parametrize("section", ["DEFAULT", "glance", "filter_scheduler", "database"])
def test_an_empty_section_of_nova_conf_says_nothing(section, tmp_path):
    fields = read(tmp_path, f"[{section}]")
    assert "warnings" not in fields and section not in fields


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[agent]\nheartbeat_every = 60", "down between two heartbeats"),
        ("[conductor]\nhost_down_after = 9", "down between two heartbeats"),
        ("[agent]\nreport_every = 180", "missing between two reports"),
        ("[agent]\nheartbeat_every = 59\nreport_every = 179", None),
        ("[agent]\nheartbeat_every = 60\n[conductor]\nhost_down_after = 61", None),
    ],
)
def test_a_host_that_would_be_waited_for_too_shortly_is_named(text, words, tmp_path):
    warnings = read(tmp_path, text).get("warnings", ())
    assert [words in one for one in warnings] == ([True] if words else [])
