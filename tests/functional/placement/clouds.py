"""What Placement's own gabbi files expect to find: a small cloud for the name of each of their fixtures."""

import uuid
from collections.abc import Mapping, Sequence

import attrs

from novakit.placement import Placement
from novakit.store import Session
from novakit.store.placement import aggregates, inventories, names, resource_classes, resource_providers, traits
from novakit.store.placement.inventories import StatedInventory

SHARES = "MISC_SHARES_VIA_AGGREGATE"
Amount = int | StatedInventory


def id_of(name: str) -> str:
    """Give every name of a cloud a UUID that is the same in every run."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, name))


@attrs.frozen
class Provider:
    """One provider: `variable` is how the files call its id, `sets` the aggregates it is in."""

    name: str
    variable: str
    below: str | None = None
    sets: Sequence[str] = ()
    stock: Mapping[str, Amount] = attrs.field(factory=dict)
    traits: Sequence[str] = ()


@attrs.frozen
class Cloud:
    """What there is before the first request of a file."""

    providers: Sequence[Provider] = ()
    sets: Mapping[str, str] = attrs.field(factory=dict)
    """Aggregates by the variable that holds the id."""
    held: Sequence[tuple[str, str, str, Mapping[str, int]]] = ()
    """Who holds something: variable of the consumer, variable of the user, provider, amounts."""

    @property
    def variables(self) -> dict[str, str]:
        """The environment in which the files are read."""
        found = {name: id_of(name) for name in _IDS}
        found |= {f"CUSTOM_RES_CLASS{n}": f"CUSTOM_IRON_NFV{n}" for n in ("", "1", "2")}
        found |= {variable: id_of(name) for variable, name in self.sets.items()}
        found |= {one.variable: id_of(one.name) for one in self.providers if one.variable}
        for consumer, user, _, _ in self.held:
            found |= {consumer: id_of(consumer), user: id_of(user)}
        return found

    async def build(self, session: Session, placement: Placement) -> None:
        """Put everything into an empty store."""
        for one in self.providers:
            id = id_of(one.name)
            below = id_of(one.below) if one.below else None
            await resource_providers.create(session, id=id, name=_name(one.name), parent_id=below)
            if one.sets:
                await aggregates.replace(session, id, [id_of(name) for name in one.sets], raise_generation=False)
            for name, amount in one.stock.items():
                if name.startswith(names.CUSTOM):
                    await resource_classes.ensure(session, name)
                whole = (
                    amount if isinstance(amount, StatedInventory) else StatedInventory(total=amount, max_unit=amount)
                )
                await inventories.create(session, id, name, whole)
            for name in one.traits:
                if name.startswith(names.CUSTOM):
                    await traits.ensure(session, name)
            if one.traits:
                await traits.replace(session, id, list(one.traits))
        for consumer, user, provider, amounts in self.held:
            owner = {"project_id": id_of("PROJECT_ID"), "user_id": id_of(user)}
            done = await placement.claim(
                session, id_of(consumer), **owner, consumer_type=None, allocations={id_of(provider): amounts}
            )
            assert done, f"{consumer} does not fit"


_IDS = (
    *("RP_UUID", "RP_NAME", "RP_UUID1", "RP_NAME1", "RP_UUID2", "RP_NAME2", "ALT_RP_UUID", "ALT_RP_NAME"),
    *("PROJECT_ID", "PROJECT_ID_ALT", "ADMIN_PROJECT_ID", "SERVICE_PROJECT_ID", "USER_ID", "USER_ID_ALT"),
    *("INSTANCE_UUID", "MIGRATION_UUID", "CONSUMER_UUID", "PARENT_PROVIDER_UUID", "ALT_PARENT_PROVIDER_UUID"),
)


def _name(name: str) -> str:
    return id_of("RP_NAME") if name == "RP_UUID" else name


def _stock(total: int, *, ratio: float = 1.0, **limits: int) -> StatedInventory:
    return StatedInventory(**{"total": total, "max_unit": total, **limits}, allocation_ratio=ratio)


def _allocations() -> Cloud:
    stock = {"DISK_GB": _stock(2048, step_size=10, min_unit=10, max_unit=1000), "VCPU": 10}
    return Cloud(
        providers=[Provider("RP_UUID", "RP_UUID", stock=stock)],
        held=[
            ("CONSUMER_0", "USER_ID", "RP_UUID", {"DISK_GB": 1000}),
            ("CONSUMER_ID", "USER_ID", "RP_UUID", {"VCPU": 6}),
            ("ALT_CONSUMER_ID", "ALT_USER_ID", "RP_UUID", {"DISK_GB": 20, "VCPU": 1}),
        ],
    )


_SHARED_DISK = _stock(2000, reserved=100)


def _shared_storage() -> Cloud:
    stock = {"VCPU": _stock(24, ratio=16.0), "MEMORY_MB": _stock(128 * 1024, ratio=1.5)}
    both = [
        Provider("cn1", "CN1_UUID", sets=["agg"], stock=stock, traits=["HW_CPU_X86_SSE", "HW_CPU_X86_SSE2"]),
        Provider("cn2", "CN2_UUID", sets=["agg"], stock={**stock, "DISK_GB": _SHARED_DISK}),
    ]
    shared = [
        Provider(name, f"{name.upper()}_UUID", sets=["agg"], stock={"DISK_GB": _SHARED_DISK}, traits=[SHARES])
        for name in ("ss", "ss2")
    ]
    nodes = [(f"{host}_{node}", f"cn{host}") for host in (1, 2) for node in (1, 2)]
    numa = [Provider(f"numa{suffix}", f"NUMA{suffix}_UUID", below=host) for suffix, host in nodes]
    functions = [
        Provider(f"pf{suffix}", f"PF{suffix}_UUID", below=f"numa{suffix}", stock={"SRIOV_NET_VF": 8})
        for suffix, _ in nodes
    ]
    return Cloud(providers=[*both, *shared, *numa, *functions], sets={"AGG_UUID": "agg"})


def _numa_aggregates() -> Cloud:
    cpus = {"VCPU": _stock(24, ratio=16.0)}
    return Cloud(
        sets={"AGGA_UUID": "A", "AGGB_UUID": "B", "AGGC_UUID": "C"},
        providers=[
            Provider("cn1", "CN1_UUID", sets="A"),
            Provider("cn2", "CN2_UUID", sets="AB"),
            Provider("ss1", "SS1_UUID", sets="A", stock={"DISK_GB": _SHARED_DISK}, traits=[SHARES]),
            Provider("ss2", "SS2_UUID", sets="C", stock={"DISK_GB": _SHARED_DISK}, traits=[SHARES]),
            Provider("numa1_1", "NUMA1_1_UUID", below="cn1", sets="C", stock=cpus),
            Provider("numa1_2", "NUMA1_2_UUID", below="cn1", stock=cpus),
            Provider("numa2_1", "NUMA2_1_UUID", below="cn2", stock=cpus),
            Provider("numa2_2", "NUMA2_2_UUID", below="cn2", stock=cpus),
        ],
    )


def _numa_network(*, deep: bool = False) -> Cloud:
    above = [Provider("gp1", ""), Provider("p1", "", below="gp1"), Provider("p2", "", below="gp1")] if deep else []
    second = {"VCPU": 8, "MEMORY_MB": _stock(2048, min_unit=1024, step_size=128), "DISK_GB": 1000}
    memory = [_stock(2048, min_unit=512, step_size=256), _stock(2048, min_unit=256, max_unit=1024)]
    hosts = [
        Provider("ss1", "SS1_UUID", sets="A", stock={"DISK_GB": 2000}, traits=[SHARES]),
        Provider("cn1", "CN1_UUID", "p1" if deep else None, "A", traits=["COMPUTE_VOLUME_MULTI_ATTACH"]),
        Provider("cn2", "CN2_UUID", "p2" if deep else None, "A", second, ["CUSTOM_FOO"]),
    ]
    numa = [
        Provider("numa0", "NUMA0_UUID", "cn1", stock={"VCPU": 4, "MEMORY_MB": memory[0]}, traits=["HW_NUMA_ROOT"]),
        Provider(
            "numa1",
            "NUMA1_UUID",
            "cn1",
            stock={"VCPU": 4, "MEMORY_MB": memory[1]},
            traits=["HW_NUMA_ROOT", "CUSTOM_FOO"],
        ),
        Provider("fpga0", "FPGA0_UUID", "numa0", stock={"FPGA": 1}),
        Provider("pgpu0", "PGPU0_UUID", "numa0", stock={"VGPU": 8}),
        Provider("fpga1_0", "FPGA1_0_UUID", "numa1", stock={"FPGA": 1}),
        Provider("fpga1_1", "FPGA1_1_UUID", "numa1", stock={"FPGA": 1}),
    ]
    agents = [
        Provider("sriov_agent", "SRIOV_AGENT_UUID", "cn1", traits=["CUSTOM_VNIC_TYPE_DIRECT"]),
        Provider("ovs_agent", "OVS_AGENT_UUID", "cn1", traits=["CUSTOM_VNIC_TYPE_NORMAL"]),
        _link("esn1", "sriov_agent", 10000, "CUSTOM_PHYSNET1"),
        _link("esn2", "sriov_agent", 20000, "CUSTOM_PHYSNET2"),
        _link("br_int", "ovs_agent", 1000, "CUSTOM_PHYSNET0"),
    ]
    nics = [Provider(f"nic{n}", f"NIC{n}_UUID", "cn2", traits=["CUSTOM_HW_NIC_ROOT"]) for n in (1, 2, 3)]
    ports = [("1_1", 4, 1), ("1_2", 4, 2), ("2_1", 2, 1), ("2_2", 2, 2), ("2_3", 2, 1), ("2_4", 2, 2), ("3_1", 8, 1)]
    functions = [
        Provider(f"pf{n}", f"PF{n}_UUID", f"nic{n[0]}", stock={"CUSTOM_VF": count}, traits=[f"CUSTOM_PHYSNET{net}"])
        for n, count, net in ports
    ]
    held = [("HOLDER_1", "HOLDER", "numa0", {"VCPU": 2}), ("HOLDER_2", "HOLDER", "cn2", {"VCPU": 3})]
    return Cloud([*above, *hosts, *numa, *agents, *nics, *functions], {"AGGA_UUID": "A"}, held)


def _link(name: str, below: str, kilobits: int, net: str) -> Provider:
    return Provider(name, f"{name.upper()}_UUID", below, stock={"NET_BW_EGR_KILOBIT_PER_SEC": kilobits}, traits=[net])


def _local_storage() -> Cloud:
    stock = {"VCPU": 24, "MEMORY_MB": 128 * 1024, "DISK_GB": 2000}
    hosts = [Provider(f"cn{n}", f"CN{n}_UUID", stock=stock) for n in (1, 2, 3)]
    return Cloud(hosts, {"AGGA_UUID": "A", "AGGB_UUID": "B", "AGGC_UUID": "C"})


def _granular() -> Cloud:
    small = {"VCPU": 8, "MEMORY_MB": 4096}
    net = {"SRIOV_NET_VF": 8, "CUSTOM_NET_MBPS": 4000}
    avx = ["HW_CPU_X86_AVX", "HW_CPU_X86_AVX2"]
    gpus = _stock(8, max_unit=2)
    left = [*avx, "HW_GPU_API_DXVA", "HW_NIC_DCB_PFC", "CUSTOM_FOO"]
    right = ["HW_CPU_X86_MMX", "HW_GPU_API_DXVA", "CUSTOM_DISK_SSD"]
    wide = {"SRIOV_NET_VF": 16, "CUSTOM_NET_MBPS": 40000}
    return Cloud(
        [
            Provider("cn_left", "CN_LEFT", None, "A", {**small, "DISK_GB": 500, "VGPU": 8, **net}, left),
            Provider(
                "cn_middle", "CN_MIDDLE", None, "AB", {**small, **net}, [*avx, "HW_CPU_X86_SSE", "HW_NIC_ACCEL_TLS"]
            ),
            Provider("cn_right", "CN_RIGHT", None, "BC", {**small, "DISK_GB": 500, "VGPU": gpus}, right),
            Provider("shr_disk_1", "SHR_DISK_1", None, "A", {"DISK_GB": 1000}, [SHARES, "CUSTOM_DISK_SSD"]),
            Provider("shr_disk_2", "SHR_DISK_2", None, "AB", {"DISK_GB": 1000}, [SHARES]),
            Provider("shr_net", "SHR_NET", None, "C", wide, [SHARES]),
        ],
        {"AGGA": "A", "AGGB": "B", "AGGC": "C"},
    )


def _bandwidth() -> Cloud:
    """Four hosts with a bridge and a card each, on other segments of a network; the last has two of both, and slow."""
    normal = ["CUSTOM_VNIC_TYPE_NORMAL"]
    direct = [f"CUSTOM_VNIC_TYPE_{kind}" for kind in ("DIRECT", "DIRECT_PHYSICAL", "MACVTAP")]
    found: list[Provider] = []
    for host, nets in enumerate((["OTHER"], ["MSN_S1"], ["MSN_S2"], ["MSN_S1", "MSN_S2"])):
        name = f"compute{host}"
        rates = {"NET_PACKET_RATE_KILOPACKET_PER_SEC": 1000}
        found += [
            Provider(name, name, stock={"VCPU": 8, "MEMORY_MB": 4096, "DISK_GB": 500}),
            Provider(f"{name}:Open vSwitch agent", f"{name}:ovs_agent", name, (), rates, normal),
            Provider(f"{name}:NIC Switch agent", f"{name}:sriov_agent", name, traits=direct),
        ]
        for number, net in enumerate(nets):
            bridge, card = "br_ex2" if number else "br_ex", f"pf{number}"
            slow = len(nets) > 1
            for variable, below, width, kinds in (
                (bridge, f"{name}:Open vSwitch agent", 1000 if slow else 5000, normal),
                (card, f"{name}:NIC Switch agent", 1000 if slow else 10000, direct),
            ):
                stock = {f"NET_BW_{way}_KILOBIT_PER_SEC": width for way in ("EGR", "IGR")}
                full = f"{name}:{variable}"
                found.append(Provider(full, full, below, (), stock, [*kinds, f"CUSTOM_PHYSNET_{net}"]))
    return Cloud(found)


CLOUDS: Mapping[str, Cloud] = {
    "APIFixture": Cloud(),
    "AllocationFixture": _allocations(),
    "SharedStorageFixture": _shared_storage(),
    "NUMAAggregateFixture": _numa_aggregates(),
    "NUMANetworkFixture": _numa_network(),
    "DeepNUMANetworkFixture": _numa_network(deep=True),
    "NonSharedStorageFixture": _local_storage(),
    "GranularFixture": _granular(),
    "NeutronQoSMultiSegmentFixture": _bandwidth(),
    "OpenPolicyFixture": Cloud(),
    "SecureRBACPolicyFixture": Cloud(),
    "LegacyRBACPolicyFixture": Cloud(),
}
