"""What nobody foresaw: the client is told where the operator finds it, and the operator finds all of it."""

import sqlite3

import aiohttp

from tests.support.service import Api, Service


async def test_an_error_of_the_database_that_nobody_foresaw_is_in_the_log_and_not_in_the_answer(tmp_path):
    with Service(tmp_path / "state") as service:
        async with aiohttp.ClientSession() as session:
            api = await Api.login(service, session)
            database = sqlite3.connect(service.state / "novakit.db")
            database.execute("ALTER TABLE keypairs RENAME COLUMN fingerprint TO thumbprint")
            database.close()
            status, answer = await api.call("GET", "/compute/v2.1/os-keypairs")
    text = str(answer)
    assert status == 500 and "tell the operator req-" in text and "under which the log says why" in text
    assert "fingerprint" not in text and "SELECT" not in text and "Error" not in text.replace("computeFault", "")
    request = text.partition("the operator ")[2].partition(",")[0]
    (line,) = [each for each in (service.state / "novakit.log").read_text().splitlines() if request in each]
    assert "no such column: keypairs.fingerprint" in line and "Traceback" in line
