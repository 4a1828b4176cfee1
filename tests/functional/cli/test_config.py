"""What nova.conf asks of plugins is translated and checked by those that are installed."""

import tomllib
from pathlib import Path

import pytest

from novakit import config
from novakit.cli import main
from novakit.config import nova


def imported(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str) -> tuple[nova.Document, str, str]:
    """Translate a nova.conf on the command line; return what came out as a document, as a text, and what was said."""
    (tmp_path / "nova.conf").write_text(text)
    assert main(["config", "import", str(tmp_path / "nova.conf")]) == 0
    said = capsys.readouterr()
    (tmp_path / "novakit.toml").write_text(said.out)
    assert main(["config", "check", "--config", str(tmp_path / "novakit.toml")]) == 0
    capsys.readouterr()
    return tomllib.loads(said.out), said.out, said.err


@pytest.mark.parametrize(
    ("section", "line", "words"),
    [
        ("DEFAULT", "compute_monitors = numa_mem_bw.virt_driver", "there is no monitor 'numa_mem_bw.virt_driver'"),
        ("DEFAULT", "cpu_allocation_ratio = 0.0", "0.0 is unset for Nova"),
        ("DEFAULT", "ram_allocation_ratio = 0", "0.0 is unset for Nova"),
        ("DEFAULT", "disk_allocation_ratio = -1", "disk_allocation_ratio"),
        ("DEFAULT", f"ram_allocation_ratio = {'9' * 400}", "takes a number up to 1.7e308"),
        ("filter_scheduler", f"ram_weight_multiplier = {'9' * 400}", "finite number"),
        ("DEFAULT", "vif_plugging_timeout = 0", "0 means not to wait"),
        ("DEFAULT", "report_interval = 0", "heartbeat_every must be above 0"),
        ("DEFAULT", "my_ip = $nope", "refers to another option, $nope"),
        ("libvirt", "virt_type = xen", "acceleration"),
        ("libvirt", "hw_machine_type = sparc=none", "names no machine type for"),
        ("pci", 'device_spec = {"vendor_id": "nvidia", "product_id": "1db6"}', "four hexadecimal digits"),
        ("filter_scheduler", "ram_weight_multiplier = inf", "takes a finite number, not inf"),
        ("filter_scheduler", "enabled_filters = ComputeFilter,my.pkg.MyFilter", "my.pkg.MyFilter"),
        ("filter_scheduler", "weight_classes = my.pkg.MyWeigher", "my.pkg.MyWeigher"),
    ],
)
def test_a_value_that_is_refused_costs_itself_alone(
    section: str, line: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = line.partition(" ")[0]
    lines = f"[api]\nenable_instance_password = false\n[{section}]\n{line}\n[DEFAULT]\nhost = compute-7\n"
    document, written, told = imported(tmp_path, capsys, lines)
    assert document == {"agent": {"host": "compute-7"}, "api": {"enable_instance_password": False}}
    comment = next(one for one in written.splitlines() if one.startswith(f"# left out: [{section}] {name}: "))
    assert words in comment and "novakit.toml" not in comment
    assert comment.removeprefix("# ") in told.splitlines()


DEVICES = """
[pci]
passthrough_whitelist = {"vendor_id": "8086", "product_id": "154d"}
device_spec = [{"vendor_id": "10de", "product_id": "1eb8"}, {"address": "0000:81:00.0"}]
alias = {"vendor_id": "10DE", "product_id": "1eb8", "device_type": "type-PF", "name": "t4"}
alias = {"vendor_id": "10de", "product_id": "1eb8", "name": "gpu"}
alias = {"vendor_id": "10de", "product_id": "20b0", "name": "a100"}
"""


def test_devices_have_the_names_that_aliases_give_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document, _, told = imported(tmp_path, capsys, DEVICES)
    rules = [
        {"vendor_id": "8086", "product_id": "154d", "kind": "8086-154d"},
        {"vendor_id": "10de", "product_id": "1eb8", "kind": "t4"},
        {"address": "0000:81:00.0", "kind": "device"},
    ]
    assert document == {"drivers": {"libvirt": {"pci": rules}}}
    assert "[pci] alias: a rule of the driver's pci has one kind, and 'gpu' is a second name for 't4'" in told
    assert "[pci] alias: no device is listed with vendor_id '10de' and product_id '20b0'; write kind = 'a100'" in told
    made = _read(
        tmp_path,
        """
[pci]
passthrough_whitelist = [{ vendor_id = "8086", product_id = "154d" }]
device_spec = [{ vendor_id = "10de", product_id = "1eb8" }, { address = "0000:81:00.0" }]
alias = [{ vendor_id = "10de", product_id = "1eb8", name = "t4" }]
""",
    )
    assert made.options["drivers.libvirt"] == {"pci": rules}


@pytest.mark.parametrize(
    "alias", ["t4", '{"name": "t4"}', '{"name": "t 4", "vendor_id": "10de", "product_id": "1eb8"}']
)
def test_an_alias_that_is_none_is_said(alias: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = 'device_spec = {"vendor_id": "10de", "product_id": "1eb8"}'
    document, _, told = imported(tmp_path, capsys, f"[pci]\n{spec}\nalias = {alias}\n")
    assert document["drivers"]["libvirt"]["pci"][0]["kind"] == "10de-1eb8"
    assert told.startswith("left out: [pci] alias: ")


def _read(tmp_path: Path, text: str) -> config.Config:
    path = tmp_path / "novakit.toml"
    path.write_text(text)
    return config.Config(state=tmp_path, **config.read(path))


@pytest.mark.parametrize(
    ("table", "line", "words"),
    [
        ("drivers.libvirt", "cpu_allocation_ratio = inf", "takes a finite number, not inf"),
        ("drivers.libvirt", "snapshot_within = nan", "takes a finite number, not nan"),
        ("drivers.libvirt", "disk_allocation_ratio = 1e300", "1000000"),
        ("drivers.qemu", "ram_allocation_ratio = inf", "takes a finite number, not inf"),
        ("drivers.qemu", "disk_allocation_ratio = nan", "takes a finite number, not nan"),
        ("drivers.simulated", "cpu_allocation_ratio = inf", "takes a finite number, not inf"),
        ("drivers.simulated", "boot_seconds = -inf", "takes a finite number, not -inf"),
        ("networks.simulated", "apply_seconds = inf", "takes a finite number, not inf"),
        ("networks.ovs", "command_timeout = nan", "takes a finite number, not nan"),
        ("networks.ovs", "command_timeout = inf", "takes a finite number, not inf"),
        ("networks.ovs", "command_timeout = -1", "command_timeout"),
        ("networks.ovs", "command_timeout = 0", "command_timeout"),
        ("networks.ovs", "command_timeout = 1e9", "command_timeout"),
        ("accelerators.simulated", "gpus = 65", "gpus"),
        ("accelerators.simulated", "gpu = 1", "it takes gpus, "),
        ("filters.tenant_aggregate", "enabled = 1", "enabled"),
    ],
)
def test_no_plugin_takes_what_it_could_not_use(
    table: str, line: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "novakit.toml").write_text(f"[{table}]\n{line}\n")
    assert main(["config", "check", "--state", str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert f"[{table}]" in told and words in told
