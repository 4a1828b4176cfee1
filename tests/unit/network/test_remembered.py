"""What hosts were told last."""

from novakit.network.hosts.remembered import NOTHING, Remembered, Told, alone
from novakit.store.network.ports import AddressOnNetwork
from novakit_hookspecs.networks import Lease


def _told(count: int) -> Told:
    lease = Lease(port_id="00000000-0000-4000-8000-000000000001", mac="fa:16:3e:00:00:01", ip="10.0.0.1", hostname="a")
    return Told(leases={AddressOnNetwork("p", "n", "m", "h", "s", number): lease for number in range(count)})


def test_the_hosts_that_were_read_last_are_remembered_up_to_a_size() -> None:
    remembered, told = Remembered(most=10), {name: _told(4) for name in "abc"}
    for name in ("a", "b", "a"):
        remembered.put(name, told[name])
    assert remembered.of("a") is told["a"] and remembered.of("b") is told["b"]
    remembered.put("c", told["c"])
    assert remembered.of("b") is NOTHING, "it was read before the others"
    assert remembered.of("a") is told["a"] and remembered.of("c") is told["c"]
    remembered.forget("a")
    remembered.put("b", told["b"])
    assert remembered.of("a") is NOTHING and remembered.of("b") is told["b"] and remembered.of("c") is told["c"]
    remembered.forget("never seen")


def test_a_host_that_is_too_large_is_not_remembered_and_takes_no_room() -> None:
    remembered, small = Remembered(most=10), _told(9)
    remembered.put("small", small)
    remembered.put("large", _told(11))
    assert remembered.of("large") is NOTHING and remembered.of("small") is small


def test_one_address_is_a_range_of_its_own() -> None:
    assert alone(0x0A000002) == "10.0.0.2/32"
