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


@pytest.mark.parametrize(
    ("pools", "cursor", "order"),
    [
        ([(1, 3), (5, 6)], 0, [1, 2, 3, 5, 6]),
        ([(5, 6), (1, 3)], 2, [2, 3, 5, 6, 1]),
        ([(1, 3), (5, 6)], 3, [3, 5, 6, 1, 2]),
        ([(1, 3), (5, 6)], 4, [5, 6, 1, 2, 3]),
        ([(1, 3), (5, 6)], 5, [5, 6, 1, 2, 3]),
        ([(1, 3), (5, 6)], 6, [6, 1, 2, 3, 5]),
        ([(1, 3), (5, 6)], 7, [1, 2, 3, 5, 6]),
    ],
)
def test_the_search_goes_on_where_the_last_one_ended(
    pools: list[tuple[int, int]], cursor: int, order: list[int]
) -> None:
    assert [number for a, b in addresses.from_cursor(pools, cursor) for number in range(a, b + 1)] == order


@pytest.mark.parametrize(
    ("cidr", "first", "last"),
    [("10.0.0.0/24", 1, 254), ("10.0.0.0/30", 1, 2), ("10.0.0.0/31", 0, 1), ("10.0.0.0/32", 0, 0)],
)
def test_a_network_of_two_addresses_has_no_broadcast(cidr: str, first: int, last: int) -> None:
    base = 0x0A000000
    assert addresses.usable(addresses.range_of(cidr)) == (base + first, base + last)


async def test_an_address_that_was_given_back_is_given_again_only_after_all_others(tmp_path: Path) -> None:
    caller = RequestContext(request_id="r", user_id="u", project_id="p", roles={"member"})
    store = await sqlite_store(tmp_path / "x.db")
    networks = Networks(store)
    for cidr, order in (("10.0.0.0/29", [2, 3, 4, 5, 6, 2, 3]), ("10.1.0.0/31", [0, 1, 0])):
        net = (await networks.networks.create(caller, [NewNetwork()]))[0].network.id
        gateway = {"gateway_ip": None} if cidr.endswith("31") else {}
        await networks.subnets.create(caller, [NewSubnet(network_id=net, cidr=cidr, enable_dhcp=False, **gateway)])
        got = []
        for _ in order:
            (made,) = await networks.ports.create(caller, [NewPort(network_id=net)])
            got.append(made.port.addresses[0][0] & 0xFF)
            await networks.ports.delete(caller, made.port.id)
        assert got == order
    await store.close()
