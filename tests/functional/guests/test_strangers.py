"""Hosts with more unknown guests than are recorded: bounded for all together, an equal share for each, and told."""

from collections import Counter
from pathlib import Path

import pytest
import structlog

from novakit.conductor.guests import strangers as judging
from novakit.store import Store
from novakit.store.compute import strangers
from tests.functional.guests.cloud import Cloud, put_back

HOSTS = ("first", "second", "honest")


async def _recorded(store: Store) -> Counter[str]:
    async with store.read() as session:
        return Counter(row["host"] for row in await strangers.every(session))


async def test_those_who_come_first_leave_each_host_its_share_and_what_is_cut_is_said(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judging, "MOST", 4)
    monkeypatch.setattr(judging, "MOST_IN_ALL", 6)
    monkeypatch.setattr(judging, "SHARE", 2)
    async with Cloud.on(store, tmp_path, HOSTS) as cloud:
        await cloud.begin()
        made = {host: [await cloud.create(host) for _ in range(5)] for host in HOSTS}
    await put_back(store, {})
    with structlog.testing.capture_logs() as logged:
        async with Cloud.on(store, tmp_path, HOSTS) as cloud:
            await cloud.report(4)
            assert await _recorded(store) == {"first": 4, "second": 2, "honest": 2}
            told = {line["host"]: line["left_out"] for line in logged if "too many" in line["event"]}
            assert told == {"first": 1, "second": 3, "honest": 3}
            assert sum("too many" in line["event"] for line in logged) <= 2 * len(HOSTS), "said once, not each time"
            sentences = (await cloud.desk.listed()).full
            assert [sentence.partition(",")[0] for sentence in sentences] == [
                f"{count} unknown guests of the host {host} are recorded"
                for host, count in (("first", 4), ("honest", 2), ("second", 2))
            ]
            named = {each.name for each in (await cloud.audit()).orphaned if each.kind == "guest"}
            for host, guests in made.items():
                assert await cloud.guests(host) == {*guests} and {*guests} <= named, "none is lost, each is named"
            known = (await cloud.desk.listed()).guests
            for each in [each.id for each in known if each.host == "first"]:
                assert (await cloud.desk.remove(each, "first")).why == ""
            await cloud.report(2)
            assert await _recorded(store) == {"first": 1, "second": 3, "honest": 2}
            assert not any("the host first" in sentence for sentence in (await cloud.desk.listed()).full)
