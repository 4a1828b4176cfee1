"""What hosts were told last."""

from novakit.network.hosts.remembered import Told, alone
from novakit.store.network.topologies.around import AddressOnNetwork
from novakit_hookspecs.networks import Lease


def test_leases_count_like_ports() -> None:
    lease = Lease(port_id="00000000-0000-4000-8000-000000000001", mac="fa:16:3e:00:00:01", ip="10.0.0.1", hostname="a")
    told = Told(leases={AddressOnNetwork("p", "m", "h", "s", number): lease for number in range(3)})
    assert told.size == 3


def test_one_address_is_a_range_of_its_own() -> None:
    assert alone(0x0A000002) == "10.0.0.2/32"
