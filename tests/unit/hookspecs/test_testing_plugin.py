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


class Large:
    """Something that takes long to be written out."""

    written = 0

    def __repr__(self):
        Large.written += 1
        return "all of it"


@pytest.fixture
async def large():
    return Large()


@pytest.fixture
async def large_until_the_end():
    yield Large()


async def test_what_a_fixture_gives_is_not_written_out(large, large_until_the_end):
    assert Large.written == 0
