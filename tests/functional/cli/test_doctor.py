"""`novakit doctor`: one row per check, a remedy for all that is not well, and an exit code that scripts can use."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from novakit.agent.journal import scan
from novakit.cli.doctor import STOPS
from tests.support.service import Api, Service

WITHIN = 120.0


def doctor(state: Path, *arguments: str, environment: Mapping[str, str] = {}) -> tuple[int, dict[str, dict[str, Any]]]:
    command = [sys.executable, "-m", "novakit", "doctor", "--state", str(state), "--format", "json", *arguments]
    done = subprocess.run(
        command, env={**os.environ, **environment}, text=True, capture_output=True, timeout=WITHIN, check=False
    )
    rows = json.loads(done.stdout)
    stops = [row for row in rows if row["check"] in STOPS and row["state"] == "missing"]
    assert done.stderr == "".join(f"novakit: {row['found']}\n" for row in stops), done.stderr
    assert all(row["state"] in ("ok", "warn", "missing") and row["found"] for row in rows)
    assert all(row["remedy"] for row in rows if row["state"] != "ok")
    is_missing = any(row["state"] == "missing" for row in rows)
    assert done.returncode == (2 if stops else 1 if is_missing else 0)
    return done.returncode, {row["check"]: row for row in rows}


def test_the_simulated_cloud_needs_nothing_and_nothing_is_made(tmp_path: Path) -> None:
    code, rows = doctor(tmp_path / "state", "--driver", "simulated")
    assert code == 0
    assert "does not run" in rows["service"]["found"]
    assert not (tmp_path / "state").exists()


def test_a_running_service_and_its_schema_are_seen(tmp_path: Path) -> None:
    with Service(tmp_path / "state") as service:
        code, rows = doctor(service.state)
        assert code == 0
        assert "drivers:simulated" in rows and "libvirt" not in rows, "it looks for what the service uses"
        assert rows["guests"]["found"] == "each belongs to a server"
        assert f"process {service.pid} runs" in rows["service"]["found"]
        assert f"{service.url}/identity/v3 answers" in rows["service"]["found"]
    _, rows = doctor(service.state, "--driver", "simulated")
    assert "does not run" in rows["service"]["found"]
    assert rows["database schema"]["found"].startswith("revision 0")
    (service.state / "clouds.yaml").chmod(0o644)
    code, rows = doctor(service.state, "--driver", "simulated")
    assert code == 0
    assert rows["state directory"]["state"] == "warn"
    assert "chmod 600" in rows["state directory"]["remedy"]


async def test_damaged_images_and_what_the_service_lacks_are_named(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    (state / "novakit.toml").write_text("[disk]\nlow_water_mb = 1073741824\nreserved_mb = 1\n")
    with Service(state) as service:
        (state / "novakit.toml").unlink()
        _, rows = await asyncio.to_thread(doctor, state)
        assert "uploads and copies of images are refused" in rows["health of disk of images"]["found"]
        assert "images" not in rows and service.stop() == 0
    with Service(state) as service:
        async with aiohttp.ClientSession() as session:
            api = await Api.login(service, session)
            whole, cut = await api.image("whole"), await api.image("cut")
        (file,) = (state / "images").glob(f"{cut}*")
        os.truncate(file, 5)
        _, rows = await asyncio.to_thread(doctor, state)
        found = rows["images"]["found"]
        assert cut in found and whole not in found and found.startswith("1 whose data is damaged and not given out")
        assert "openstack image delete" in rows["images"]["remedy"]
        assert not [check for check in rows if check.startswith("health of")]


def test_the_libvirt_and_open_vswitch_drivers_tell_what_they_find(tmp_path: Path) -> None:
    pytest.importorskip("novakit_driver_libvirt")
    pytest.importorskip("novakit_net_ovs")
    _, rows = doctor(tmp_path / "state", "--driver", "libvirt", "--network", "ovs")
    assert {"programs for guests", "libvirt", "acceleration", "programs for networks", "Open vSwitch"} <= set(rows)
    assert "KVM" in rows["acceleration"]["found"] or "TCG" in rows["acceleration"]["found"]


def test_programs_that_are_not_there_are_named_with_their_packages(tmp_path: Path) -> None:
    pytest.importorskip("novakit_net_ovs")
    empty = {"PATH": str(tmp_path)}
    code, rows = doctor(tmp_path / "state", "--network", "ovs", "--driver", "simulated", environment=empty)
    assert code == 1
    assert rows["programs for networks"]["state"] == "missing"
    assert "apt-get install dnsmasq-base nftables openvswitch-switch" in rows["programs for networks"]["remedy"]


def test_a_driver_that_is_not_installed_is_missing(tmp_path: Path) -> None:
    code, rows = doctor(tmp_path / "state", "--driver", "nothing")
    assert code == 1
    assert rows["plugin drivers:nothing"]["state"] == "missing"
    assert rows["plugin drivers:nothing"]["remedy"]


def test_a_required_plugin_that_is_not_installed_is_missing(tmp_path: Path) -> None:
    (tmp_path / "novakit.toml").write_text('[plugins]\nrequired = ["novakit-acme-gpu", "accelerators:acme"]\n')
    code, rows = doctor(tmp_path, "--driver", "simulated")
    assert code == 1
    assert rows["plugin novakit-acme-gpu"]["state"] == "missing"
    assert rows["plugin accelerators:acme"]["state"] == "missing"


def test_a_broken_plugin_is_a_warning_as_long_as_nobody_requires_it(tmp_path: Path) -> None:
    broken = Path(__file__).parents[2] / "data" / "plugins" / "unimportable"
    code, rows = doctor(tmp_path, "--driver", "simulated", environment={"PYTHONPATH": str(broken)})
    assert code == 0
    assert any(row["state"] == "warn" and "broken" in row["found"] for row in rows.values())


@pytest.mark.parametrize("toml", ["[api]\nmax_bodi = 1\n", "[[", "[drivers.simulated]\nvcpu = 4\n"])
def test_a_wrong_configuration_is_missing_and_the_rest_is_still_looked_at(tmp_path: Path, toml: str) -> None:
    (tmp_path / "novakit.toml").write_text(toml)
    code, rows = doctor(tmp_path, "--driver", "simulated")
    assert code == 2, "a start would end so"
    assert "disk" in rows


def test_a_database_that_is_none_is_said_to_be_so(tmp_path: Path) -> None:
    (tmp_path / "novakit.db").write_bytes(b"something else" * 1000)
    code, rows = doctor(tmp_path, "--driver", "simulated")
    assert code == 2
    assert rows["database schema"]["state"] == "missing"


def test_people_get_a_table(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "novakit", "doctor", "--state", str(tmp_path), "--driver", "simulated"]
    done = subprocess.run(command, text=True, capture_output=True, timeout=WITHIN, check=False)
    assert done.returncode == 0
    assert "Everything needed is here" in done.stdout


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ('[scheduler]\nplacement_strategy = "pack"\n', "takes spread or stack"),
        ('[weighers.ram]\nmultiplier = "x"\n', "multiplier takes a number"),
        ('[scheduler]\nenabled_filters = ["NoSuchFilter"]\n', "NoSuchFilter, which no installed plugin offers"),
        ("[filters.tenent_aggregate]\nenabled = true\n", "did it mean tenant_aggregate?"),
    ],
)
def test_what_keeps_the_scheduler_from_starting_is_missing(tmp_path: Path, options: str, told: str) -> None:
    (tmp_path / "novakit.toml").write_text(options)
    command = [sys.executable, "-m", "novakit", "doctor", "--state", str(tmp_path), "--driver", "simulated"]
    done = subprocess.run([*command, "--format", "json"], text=True, capture_output=True, timeout=WITHIN, check=False)
    wrong = [row for row in json.loads(done.stdout) if row["check"] in STOPS and row["state"] == "missing"]
    assert done.returncode == 2 and told in wrong[0]["found"]


async def test_damaged_notes_of_guests_are_named_and_made_whole_again(tmp_path: Path) -> None:
    with Service(tmp_path / "state", "--simulate", "1") as service:
        async with aiohttp.ClientSession() as session:
            api = await Api.login(service, session)
            image, network = await api.image(), await api.network()
            one, other = [await api.server(name, image, networks=[{"uuid": network}]) for name in ("one", "other")]
            await api.settled()
            _, rows = await asyncio.to_thread(doctor, service.state)
            assert "notes of guests" not in rows
            service.stop()
            (file,) = service.state.glob("agents/*/guests/notes.journal")
            content = file.read_bytes()
            last = content.rindex(f" {one} ".encode()) + 60
            file.write_bytes(content[:last] + b"?" + content[last + 1 :])
            _, rows = await asyncio.to_thread(doctor, service.state, "--driver", "simulated")
            row = rows["notes of guests"]
            assert row["state"] == "warn" and f"{file} is damaged" in row["found"]
            assert one in row["found"] and other not in row["found"] and "start the host's agent again" in row["remedy"]
            service.start()
            _, rows = await asyncio.to_thread(doctor, service.state)
            assert rows["notes of guests"]["found"] == f"{file}.damaged was damaged, and is kept aside"
            async with asyncio.timeout(WITHIN):
                while not {one, other} <= scan(file.read_bytes()).places.keys():
                    await asyncio.sleep(0.1)
            Path(f"{file}.damaged").unlink()
            _, rows = await asyncio.to_thread(doctor, service.state)
            assert "notes of guests" not in rows
            service.stop()
            networks = file.parent / "networks.json"
            networks.write_bytes(b"?")
            service.start()
            async with asyncio.timeout(WITHIN):
                while not Path(f"{networks}.damaged").exists():
                    await asyncio.sleep(0.1)
            _, rows = await asyncio.to_thread(doctor, service.state)
            assert rows["notes of guests"]["found"] == f"{networks}.damaged was damaged, and is kept aside"
