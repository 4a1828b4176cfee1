import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from tests.functional.roles.processes import ROLES, Roles
from tests.support.service import Api, Service


async def samples(session, url):
    """Give the values by name and labels, which the text orders by their names."""
    async with session.get(f"{url}/metrics") as answer:
        assert answer.status == 200
        families = text_string_to_metric_families(await answer.text())
    return {(sample.name, *sample.labels.values()): sample.value for family in families for sample in family.samples}


async def test_a_running_service_counts_what_it_does_and_says_that_it_is_well(tmp_path):
    state = tmp_path / "state"
    state.mkdir()
    with Service(state, "--simulate", "2") as service:
        async with aiohttp.ClientSession() as session:
            api = await Api.login(service, session)
            await api.server("one", await api.image())
            await api.settled()
            async with session.request("PROPFIND", f"{service.url}/placement/nowhere") as answer:
                assert answer.status == 401
            told = await samples(session, service.url)
            async with session.get(f"{service.url}/healthcheck") as answer:
                assert answer.status == 200
                assert (await answer.json())["hosts"] == {"total": 2, "up": 2}
    assert told["novakit_scheduler_decisions_total", "placed", "scheduler-1"] == 1
    assert told["novakit_operations_ended_total", "create", "done"] == 1
    assert told["novakit_plugin_calls_total", "create", "drivers:simulated"] == 1
    assert told["novakit_scheduler_hosts", "scheduler-1"] == 2
    assert told["novakit_api_requests_total", "POST", "compute", "202"] == 1
    assert told["novakit_api_requests_total", "POST", "identity", "201"] == 1
    assert told["novakit_api_request_seconds_count", "POST", "compute"] == 1
    assert told["novakit_api_request_seconds_count", "other", "placement"] == 1
    assert told["novakit_scheduler_claim_seconds_count", "scheduler-1"] == 1


async def test_an_api_of_its_own_asks_the_other_roles_for_their_numbers(tmp_path):
    with Roles(tmp_path / "state") as roles:
        roles.start(*ROLES)
        async with aiohttp.ClientSession() as session:
            api = await Api.login(roles.service, session)
            await api.server("one", await api.image())
            await api.settled()
            told = await samples(session, roles.url)
            assert told["novakit_scheduler_decisions_total", "placed", "scheduler-1"] == 1
            assert told["novakit_operations_ended_total", "create", "done"] == 1
            roles.kill("scheduler")
            async with session.get(f"{roles.url}/healthcheck") as answer:
                assert answer.status == 503
                assert list((await answer.json())["degraded"]) == ["scheduler"]
            told = await samples(session, roles.url)
            assert told["novakit_source_answered", "scheduler"] == 0
            assert told["novakit_operations_ended_total", "create", "done"] == 1
