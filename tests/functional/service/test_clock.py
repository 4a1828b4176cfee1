"""A machine's clock is set while the service runs: an hour forward, then two hours back."""

from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest

from tests.support.clock import WallClock
from tests.support.service import Api, Service

OPTIONS = '[agent]\nhost = "vm"\n[drivers.simulated]\ncreate_seconds = 2.0\n'


async def says(api: Api) -> datetime:
    """Ask the service for its time: when it says that a key pair was made."""
    name = f"k{datetime.now(UTC).timestamp()}".replace(".", "")
    await api.ok("POST", "/compute/v2.1/os-keypairs", {"keypair": {"name": name}}, version="2.1")
    shown = await api.ok("GET", f"/compute/v2.1/os-keypairs/{name}", version="2.1")
    return datetime.fromisoformat(shown["keypair"]["created_at"]).replace(tzinfo=UTC)


@pytest.mark.slow
async def test_a_clock_that_is_set_stops_no_build_no_login_and_no_host(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    (state / "novakit.toml").write_text(OPTIONS)
    clock = WallClock.build(tmp_path)
    service = Service(state, "--simulate", "2", environment=clock.environment())
    async with aiohttp.ClientSession() as session:
        with service:
            api = await Api.login(service, session, "novakit-admin")
            image = await api.image()
            await api.reach(await api.server("before", image), "ACTIVE")
            for number, hours in enumerate((1, -1)):
                building = await api.server(f"building{number}", image)
                clock.set(hours * 3600)
                api = await Api.login(service, session, "novakit-admin")
                apart = (await says(api) - datetime.now(UTC)).total_seconds()
                assert abs(apart - hours * 3600) < 60, "the clock was not set"
                after = await api.server(f"after{number}", image)
                services = (await api.ok("GET", "/compute/v2.1/os-services"))["services"]
                assert [each["state"] for each in services if each["binary"] == "nova-compute"] == ["up", "up"]
                assert (await api.call("GET", "/healthcheck"))[0] == 200
                for server in (building, after):
                    await api.reach(server, "ACTIVE", within=15)
                    shown = await api.ok("GET", f"/compute/v2.1/servers/{server}/os-instance-actions")
                    assert [each["action"] for each in shown["instanceActions"]] == ["create"]
                await api.ok("DELETE", f"/compute/v2.1/servers/{building}")
                await api.gone(building, within=15)
            found = (await api.ok("GET", "/novakit/v1/audit"))["audit"]
            assert found["orphaned"] == [] and found["unchecked"] == [], found
            log = (state / "novakit.log").read_text()
            assert "lease of an operation was lost" not in log
