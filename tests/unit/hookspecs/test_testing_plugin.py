import asyncio

import pytest


@pytest.fixture
async def loop_of_fixture():
    await asyncio.sleep(0)
    yield asyncio.get_running_loop()
    await asyncio.sleep(0)


class TestAsync:
    @pytest.fixture
    async def plain(self, loop_of_fixture):
        return loop_of_fixture

    async def test_fixtures_and_test_share_a_loop(self, plain, loop_of_fixture):
        assert asyncio.get_running_loop() is loop_of_fixture is plain


def test_sync_tests_still_run():
    assert True is not False
