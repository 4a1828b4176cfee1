"""What nova.conf says is translated, understood or refused in a sentence, option by option."""

import tomllib
from pathlib import Path

import pytest

from novakit import config
from novakit.cli import main
from novakit.config import meanings, nova, nova_conf
from novakit.errors import ConfigError

SAMPLE = Path(__file__).parents[2] / "data" / "nova.conf"
GUIDES = """
DEFAULT: enabled_apis osapi_compute_workers metadata_workers max_request_body_size transport_url
DEFAULT: allow_resize_to_same_host
DEFAULT: secure_proxy_ssl_header secure_proxy_ssl_header_value compute_monitors compute_manager
api: auth_strategy max_limit compute_link_prefix glance_link_prefix
wsgi: api_paste_config secure_proxy_ssl_header
cors: allowed_origin allow_credentials expose_headers
conductor: task_log instance_sync_time
database: connection slave_connection max_pool_size max_overflow pool_timeout pool_recycle pool_pre_ping
api_database: connection slave_connection
cells: call_timeout capabilities reserve_percent
oslo_messaging_rabbit: heartbeat_timeout_threshold heartbeat_rate rabbit_retry_interval rabbit_retry_backoff
oslo_messaging_rabbit: rabbit_max_retries rabbit_ha_queues rabbit_queue_ttl rabbit_durable_queues
notifications: notification_format notification_topics notify_on_state_change default_notification_level
upgrade_levels: compute
libvirt: cpu_dedicated_set cpu_shared_set disk_cachemodes images_rbd_pool images_rbd_ceph_conf rbd_user rbd_secret_uuid
libvirt: use_multipath volume_use_multipath iscsi_use_multipath live_migration_tunnelled live_migration_with_native_luks
libvirt: live_migration_completion_timeout live_migration_progress_timeout use_virtio_for_bridges vif_plugging_timeout
libvirt: vif_plugging_is_fatal uid gid sysinfo_serial hw_machine_type mem_stats_period_seconds remove_unused_base_images
libvirt: remove_unused_original_minimum_age_seconds
pci: passthrough_whitelist alias
devices: enabled_vgpu_types
"""
NAMED = [
    (line.split(":")[0], name) for line in GUIDES.split("\n") if line.strip() for name in line.partition(":")[2].split()
]


def read(tmp_path: Path, text: str) -> config.Config:
    path = tmp_path / "novakit.toml"
    path.write_text(text)
    return config.Config(state=tmp_path, **config.read(path))


@pytest.mark.parametrize(("section", "name"), NAMED)
def test_every_option_of_the_guides_has_a_meaning_or_a_sentence(section: str, name: str, tmp_path: Path) -> None:
    found = nova.meaning(section, name)
    assert found is not None
    if not isinstance(found, meanings.Renamed):
        assert len(found.why.split()) > 4 and not found.why.endswith(".")
    # Whatever it is, a line of the guide in novakit.toml says which option is spoken of, and what to do about it.
    try:
        told = read(tmp_path, f'[{section}]\n{name} = "1"\n').warnings
    except ConfigError as error:
        told = (str(error),)
    assert any(name in one or "connection" in one for one in told), told
    assert not any("known are" in one for one in told), told


def test_options_of_guides_reach_their_own(tmp_path: Path) -> None:
    made = read(
        tmp_path,
        """
[DEFAULT]
enabled_apis = "osapi_compute"
max_request_body_size = 114688
[conductor]
workers = 8
task_log = true
[database]
connection = "postgresql+asyncpg://u@h/n"
pool_pre_ping = true
[libvirt]
cpu_dedicated_set = "2-23"
hw_machine_type = "q35"
vif_plugging_timeout = 300
[pci]
passthrough_whitelist = [{ vendor_id = "10de", product_id = "1db6" }]
""",
    )
    assert made.api.enabled == ("compute",) and made.api.max_body == 114688
    assert made.store_url == "postgresql+asyncpg://u@h/n" and made.conductor.workers == 8
    assert made.agent.apply_within == 300.0
    assert made.options["drivers.libvirt"] == {
        "cpu_dedicated_set": "2-23",
        "machine": "q35",
        "pci": [{"vendor_id": "10de", "product_id": "1db6", "kind": "10de-1db6"}],
    }
    assert len(made.warnings) == 9


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[database]\nconnection = "mysql+pymysql://nova:hush@c/nova"', "MySQL"),
        ("[database]\nnope = 1", "[database] has no key 'nope'; write database = URL"),
        ('[api]\nauth_strategy = "noauth2"', "is not supported: every call needs a token"),
        ("[api]\nmax_limit = 5000", "is not supported: a page has at most 1000"),
        ('[cors]\nallowed_origin = "https://x"', "the proxy that speaks TLS"),
        ('[libvirt]\nimages_rbd_pool = "vms"', "there is no Ceph"),
        ('[libvirt]\ncpu_shared_set = "1"\n[compute]\ncpu_shared_set = "2"', "says the same; leave one of them out"),
        ('[DEFAULT]\nenabled_apis = "ec2"', "takes osapi_compute and metadata; 'ec2' is neither"),
    ],
)
def test_what_cannot_be_had_is_refused_in_a_sentence(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as told:
        read(tmp_path, text)
    assert words in str(told.value) and "hush" not in str(told.value)


def test_a_whole_nova_conf_is_translated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "import", str(SAMPLE)]) == 0
    said = capsys.readouterr()
    document = tomllib.loads(said.out)
    assert document == {
        "agent": {
            "address": "192.0.2.11",
            "host": "compute-7",
            "heartbeat_every": 15.0,
            "compute_monitors": ["cpu.virt_driver"],
        },
        "api": {"enabled": ["compute", "metadata"], "max_body": 114688},
        "conductor": {"host_down_after": 90.0},
        "drivers": {
            "libvirt": {
                "reserved_memory_mb": 4096,
                "reserved_disk_gb": 10,
                "cpu_allocation_ratio": 8.0,
                "acceleration": "kvm",
                "machine": "q35",
                "cpu_dedicated_set": "2-15",
                "cpu_shared_set": "0-1",
                "pci": [
                    {"vendor_id": "10de", "product_id": "1db6", "kind": "v100"},
                    {"vendor_id": "8086", "product_id": "154d", "kind": "8086-154d"},
                ],
            }
        },
        "scheduler": {
            "max_attempts": 5,
            "filters": [
                "AvailabilityZoneFilter",
                "ComputeFilter",
                "ComputeCapabilitiesFilter",
                "ImagePropertiesFilter",
                "ServerGroupAntiAffinityFilter",
                "NUMATopologyFilter",
            ],
            "subset": 3,
        },
        "weighers": {"ram": {"multiplier": 2.0}, "io_ops": {"multiplier": -1.5}},
    }
    left_out = said.err.splitlines()
    assert "hush" not in said.out + said.err
    for words in (
        "[DEFAULT] transport_url: the parts of a deployment talk over a socket",
        "[database] connection: connection is a MySQL URL",
        "[scheduler] query_placement_for_image_type_support: ",
        "[libvirt] cpu_mode: with KVM guests have the host's own CPU (host-passthrough)",
        "[acme] colour: novakit has no such option.",
        "[keystone_authtoken] password: the identity service is novakit's own.",
    ):
        assert any(words in line for line in left_out), words
    (tmp_path / "novakit.toml").write_text(said.out)
    assert main(["config", "check", "--state", str(tmp_path)]) == 0
    assert "is in order" in capsys.readouterr().out


@pytest.mark.parametrize(("here", "machine"), [("x86_64", "q35"), ("aarch64", "virt")])
def test_the_machine_type_of_this_architecture_is_taken(
    here: str, machine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(meanings.platform, "machine", lambda: here)
    made = read(tmp_path, '[libvirt]\nhw_machine_type = "x86_64=q35, aarch64=virt"\n')
    assert made.options["drivers.libvirt"] == {"machine": machine}


@pytest.mark.parametrize(
    ("section", "line", "words"),
    [
        ("conductor", "workers = 8", "[conductor] workers of novakit.toml is how many at a time"),
        ("DEFAULT", "osapi_compute_listen = 0.0.0.0", "--listen"),
        ("DEFAULT", "osapi_compute_listen_port = 8774", "--listen"),
        ("oslo_middleware", "enable_proxy_headers_parsing = true", "trusted_proxies"),
        ("api", "use_forwarded_for = true", "trusted_proxies"),
        ("libvirt", "cpu_mode = custom", "host-passthrough"),
        ("libvirt", "cpu_models = Nehalem", "host-passthrough"),
        ("quota", "cores = 20", "openstack quota set"),
        ("DEFAULT", "force_config_drive = true", "--config-drive"),
        ("DEFAULT", "default_availability_zone = az1", "in the zone nova"),
        ("database", "max_retries = -1", "pooled"),
        ("placement", "auth_url = http://controller:5000", "the placement service is novakit's own"),
        ("placement", "region_name = RegionOne", "the placement service is novakit's own"),
    ],
)
def test_common_options_have_a_sentence_of_their_own(section: str, line: str, words: str) -> None:
    translated = nova_conf.translate(f"[{section}]\n{line}\n")
    assert translated.document == {} and translated.refused == ()
    assert len(translated.left_out) == 1 and words in translated.left_out[0]


def test_an_option_of_the_same_name_and_meaning_is_kept() -> None:
    for section in ("api", "DEFAULT"):
        translated = nova_conf.translate(f"[{section}]\nenable_instance_password = False\n")
        assert translated.document == {"api": {"enable_instance_password": False}} and not translated.left_out


def test_a_misspelt_key_of_placement_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="max_candidate"):
        read(tmp_path, "[placement]\nmax_candidate = 5\n")


def test_every_option_of_a_file_is_translated_or_left_out_with_a_reason() -> None:
    text = SAMPLE.read_text()
    translated = nova_conf.translate(text)
    for section, name in nova_conf._options(text):
        found = nova.meaning(section, name)
        is_out = any(line.startswith(f"[{section}] {name}: ") for line in translated.left_out)
        if (found is None and section not in nova_conf.SCHEDULING) or (
            not isinstance(found, meanings.Renamed) and section not in nova_conf.SCHEDULING
        ):
            assert is_out or (section, name) == nova_conf.ALIAS, (section, name)


@pytest.mark.parametrize("text", ["[unfinished", "no option here", "\x00"])
def test_what_is_no_nova_conf_is_said(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "nova.conf").write_text(text)
    assert main(["config", "import", str(tmp_path / "nova.conf")]) == 2
    assert "Line 1 is neither" in capsys.readouterr().err


def test_a_file_that_is_not_there_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "import", str(tmp_path / "nova.conf")]) == 2
    assert main(["config", "check", "--config", str(tmp_path / "x.toml")]) == 2
    assert "does not exist" in capsys.readouterr().err


def test_what_is_wrong_is_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "novakit.toml").write_text("[drivers.libvirtt]\nx = 1\n")
    assert main(["config", "check", "--state", str(tmp_path)]) == 2
    assert "[drivers.libvirt]?" in capsys.readouterr().err


def test_of_an_option_that_is_given_twice_the_last_counts() -> None:
    text = """
[database]
connection = mysql+pymysql://nova@old/nova
connection = postgresql+asyncpg://nova@new/nova
[libvirt]
virt_type = kvm
virt_type = qemu
[filter_scheduler]
enabled_filters = ComputeFilter
ram_weight_multiplier = 2.0
enabled_filters = ComputeFilter,RamFilter
[pci]
device_spec = {"vendor_id": "10de", "product_id": "1db6"}
device_spec = {"vendor_id": "8086", "product_id": "154d"}
"""
    made = nova_conf.translate(text)
    assert made.document["database"] == "postgresql+asyncpg://nova@new/nova"
    assert made.document["scheduler"] == {"filters": ["ComputeFilter", "RamFilter"]}
    driver = made.document["drivers"]["libvirt"]
    assert driver["acceleration"] == "tcg" and [one["vendor_id"] for one in driver["pci"]] == ["10de", "8086"]
    assert set(made.left_out) == {
        f"{where}: it is given 2 times; the last value counts"
        for where in ("[database] connection", "[libvirt] virt_type", "[filter_scheduler] enabled_filters")
    }
    assert not made.refused


@pytest.mark.parametrize("section", ["image_cache", "libvirt", "DEFAULT"])
def test_how_long_unused_images_are_kept_is_the_agents_to_say(section: str, tmp_path: Path) -> None:
    made = read(tmp_path, f"[{section}]\nremove_unused_original_minimum_age_seconds = 3600\n")
    assert made.agent.image_cache_unused == 3600.0
    text = f"[{section}]\nremove_unused_original_minimum_age_seconds = 3600\nremove_unused_base_images = true\n"
    assert nova_conf.translate(text).document == {"agent": {"image_cache_unused": 3600}}
    with pytest.raises(ConfigError, match="is not supported: the agent removes cached images"):
        read(tmp_path, f"[{section}]\nremove_unused_base_images = false\n")


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ('use_virtio_for_bridges = "YES"', True),
        ("use_virtio_for_bridges = true", True),
        ('use_virtio_for_bridges = "1"', True),
        ('use_virtio_for_bridges = "off"', False),
        ("use_virtio_for_bridges = []", False),
        ('mem_stats_period_seconds = "0"', True),
        ("mem_stats_period_seconds = 10", False),
        ('images_type = "qcow2"', True),
        ('images_type = ["qcow2"]', False),
        ('virt_type = "qemu"', True),
        ('virt_type = ["kvm"]', False),
        ("virt_type = {}", False),
    ],
)
def test_what_is_needless_in_one_word_is_so_in_every_other(text: str, taken: bool, tmp_path: Path) -> None:
    try:
        read(tmp_path, f"[libvirt]\n{text}\n")
    except ConfigError as error:
        assert not taken, error
    else:
        assert taken


def test_what_is_said_of_a_file_is_shown_and_not_obeyed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (
        "[\x1b[31mred]\nx = 1\n[libvirt]\n\x1b]0;title\x07 = 1\nimages_type = \x1b[2Jraw\n[DEFAULT]\nmy_ip = \x1b[31m\n"
    )
    (tmp_path / "nova.conf").write_text(text)
    assert main(["config", "import", str(tmp_path / "nova.conf")]) == 0
    said = capsys.readouterr()
    assert said.err.count("left out: ") >= 3
    assert all(line.isprintable() for line in [*said.err.splitlines(), *said.out.splitlines()])


@pytest.mark.parametrize("section", ["vnc", "libvirt", "compute", "pci"])
def test_an_empty_section_that_only_drivers_know_says_nothing(section: str, tmp_path: Path) -> None:
    assert read(tmp_path, f"[{section}]\n").warnings == ()
