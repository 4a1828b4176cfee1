"""Choosing addresses: never one twice, never one outside the pools, never refused while one is free."""

import asyncio
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from novakit import errors
from novakit.context import RequestContext
from novakit.network.allocation import addresses
from novakit.network.networks import NewNetwork
from novakit.network.ports import NewPort
from novakit.network.records import AddressRange, WantedAddress
from novakit.network.service import Networks
from novakit.network.subnets import NewSubnet
from tests.support.examples import examples
from tests.support.stores import sqlite_store

CIDR, FIRST, LAST = "10.0.0.0/28", 0x0A000001, 0x0A00000E

steps = st.lists(
    st.one_of(
        st.tuples(st.just("take"), st.integers(1, 4)),
        st.tuples(st.just("name"), st.integers(FIRST, LAST)),
        st.tuples(st.just("give"), st.integers(0, 30)),
    ),
    max_size=25,
)
cuts = st.lists(st.integers(FIRST + 1, LAST), min_size=0, max_size=4, unique=True).map(sorted)


def pools_of(marks: list[int]) -> list[AddressRange] | None:
    pairs = list(zip(marks[::2], marks[1::2], strict=False))
    return [AddressRange(start=addresses.ip_of(a), end=addresses.ip_of(b)) for a, b in pairs] or None


@settings(max_examples=examples(25))
@given(steps=steps, marks=cuts)
def test_no_address_is_ever_given_twice(steps: list[tuple[str, int]], marks: list[int]) -> None:
    with tempfile.TemporaryDirectory() as place:
        asyncio.run(play(place, steps, marks))


async def play(place: str, steps: list[tuple[str, int]], marks: list[int]) -> None:
    caller = RequestContext(request_id="r", user_id="u", project_id="p", roles={"member"})
    store = await sqlite_store(Path(place) / "x.db")
    networks = Networks(store)

    net = (await networks.networks.create(caller, [NewNetwork()]))[0].network.id
    asked = NewSubnet(network_id=net, cidr=CIDR, allocation_pools=pools_of(marks))
    (subnet,) = await networks.subnets.create(caller, [asked])
    free = {number for first, last in subnet.pools for number in range(first, last + 1)}
    held: dict[int, str] = {}
    for kind, number in steps:
        try:
            if kind == "take":
                for _ in range(number):
                    (made,) = await networks.ports.create(caller, [NewPort(network_id=net)])
                    got = made.port.addresses[0][0]
                    assert got in free - set(held)
                    held[got] = made.port.id
            elif kind == "name":
                fixed = [WantedAddress(ip_address=addresses.ip_of(number))]
                (made,) = await networks.ports.create(caller, [NewPort(network_id=net, fixed_ips=fixed)])
                held[number] = made.port.id
            elif held:
                gone = sorted(held)[number % len(held)]
                await networks.ports.delete(caller, held.pop(gone))
        except errors.Conflict as error:
            if error.kind == "IpAddressInUse":
                assert number in held
            else:
                assert free <= set(held), "refused although an address was free"
    await store.close()


@given(pools=st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50))), cursor=st.integers(-5, 60))
def test_the_search_goes_once_round_all_pools(pools: list[tuple[int, int]], cursor: int) -> None:
    apart = [pool for pool in pools if pool[0] <= pool[1]]
    apart = [pool for i, pool in enumerate(apart) if all(pool[1] < o[0] or o[1] < pool[0] for o in apart[:i])]
    seen = [number for a, b in addresses.from_cursor(apart, cursor) for number in range(a, b + 1)]
    assert sorted(seen) == sorted(number for a, b in apart for number in range(a, b + 1))


@pytest.mark.parametrize("text", ["", "zz:zz:zz:zz:zz:zz", "01:00:5e:00:00:01", "00:00:00:00:00:00", "fa:16:3e:00:00"])
def test_what_is_no_mac_of_one_card_is_refused(text: str) -> None:
    with pytest.raises(errors.BadRequest):
        addresses.read_mac(text)
