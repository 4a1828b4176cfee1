"""A service that listens on IPv6 alone: its catalog, links and commands lead there, and ordinary clients arrive."""

import hashlib
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import openstack
import pytest

from tests.support.service import Service

CONTENT = bytes(range(256)) * 8192


class OnSix(Service):
    @property
    def url(self) -> str:
        return f"http://[::1]:{self.port}"


def free_port() -> int:
    with socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::1", 0))
        return int(probe.getsockname()[1])


def serving(state: Path, port: int) -> OnSix:
    return OnSix(state, "--listen", f"[::1]:{port}", port=port)


@pytest.fixture(params=["its own address", "a public one"])
def service(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[OnSix]:
    port, state = free_port(), tmp_path / "state"
    state.mkdir()
    if request.param == "a public one":
        # Another spelling of the same address, so that it is seen which of them a client was given.
        (state / "novakit.toml").write_text(f'[api]\npublic_url = "http://[0:0:0:0:0:0:0:1]:{port}"\n')
    with serving(state, port) as running:
        yield running


def test_clients_of_a_service_on_ipv6_log_in_and_carry_images_there(
    service: OnSix, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = f"[0:0:0:0:0:0:0:1]:{service.port}" if (service.state / "novakit.toml").exists() else f"[::1]:{service.port}"
    assert "novakit ready" in service.output and f"at http://{told}" in service.output
    with pytest.raises(OSError), socket.create_connection(("127.0.0.1", service.port), 5):
        pass
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(service.state / "clouds.yaml"))
    cloud = openstack.connect(cloud="novakit")
    assert cloud.config.auth["auth_url"] == f"http://{told}/identity/v3"
    for kind in ("compute", "image", "network", "placement"):
        assert cloud.session.get_endpoint(service_type=kind).startswith(f"http://{told}/{kind}")
    image = cloud.create_image("six", data=CONTENT, disk_format="raw", container_format="bare", wait=True)
    downloaded = cloud.image.download_image(image.id).content
    assert hashlib.sha256(downloaded).digest() == hashlib.sha256(CONTENT).digest()
    asked = cloud.compute.create_server(name="six", image_id=image.id, flavor_id="1", networks="none")
    server = cloud.compute.wait_for_server(asked, wait=60)
    shown = cloud.session.get(f"/servers/{server.id}", endpoint_filter={"service_type": "compute"}).json()["server"]
    assert all(link["href"].startswith("http://[") for link in shown["links"])
    assert cloud.delete_server(server.id, wait=True)


def test_commands_find_a_service_on_ipv6(service: OnSix) -> None:
    for command, code in ((["doctor"], 0), (["host", "list"], 0), (["audit"], 0), (["explain", "nothing"], 2)):
        line = [sys.executable, "-m", "novakit", *command, "--state", str(service.state)]
        done = subprocess.run(line, capture_output=True, text=True, timeout=120, check=False)
        assert "Traceback" not in done.stderr and "does not answer" not in done.stdout + done.stderr, done
        assert done.returncode == code, done


def test_an_ipv6_address_that_is_taken_is_said(service: OnSix, tmp_path: Path) -> None:
    second = serving(tmp_path / "second", service.port)
    done = subprocess.run(second.command(), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert f"[::1]:{service.port} cannot be listened on: Address already in use" in done.stderr
