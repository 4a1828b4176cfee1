"""Where a guest's CPUs and memory lie on the host, as domain XML."""

from collections.abc import Iterable, Mapping

from lxml import etree

from novakit_hookspecs.numa import SMALL_KB, Taken
from novakit_hookspecs.servers import GuestPlan


def memory_backing(domain: etree._Element, plan: GuestPlan) -> None:
    """Back the guest's cells with the huge pages they were given."""
    huge: dict[int, list[int]] = {}
    for guest_cell, taken in enumerate(plan.numa):
        if taken.page_kb > SMALL_KB:
            huge.setdefault(taken.page_kb, []).append(guest_cell)
    if huge:
        pages = _add(_add(domain, "memoryBacking"), "hugepages")
        for size, cells in sorted(huge.items()):
            _add(pages, "page", {"size": str(size), "unit": "KiB", "nodeset": ranges(cells)})


def placement(domain: etree._Element, plan: GuestPlan, shared: Mapping[int, Iterable[int]]) -> None:
    """Pin the guest's CPUs and bind its memory; `shared` gives the floating CPUs of each of the host's cells."""
    if not plan.numa:
        return
    _cpus(domain, plan, shared)
    tune = _add(domain, "numatune")
    _add(tune, "memory", {"mode": "strict", "nodeset": ranges(taken.cell for taken in plan.numa)})
    for guest_cell, taken in enumerate(plan.numa):
        _add(tune, "memnode", {"cellid": str(guest_cell), "mode": "strict", "nodeset": str(taken.cell)})


def guest_topology(cpu: etree._Element, plan: GuestPlan) -> None:
    """Show the guest its cells."""
    if plan.numa:
        numa = _add(cpu, "numa")
        for guest_cell, taken in enumerate(plan.numa):
            shape = {"id": str(guest_cell), "cpus": ranges(taken.vcpus), "memory": str(taken.memory_mb), "unit": "MiB"}
            _add(numa, "cell", shape)


def ranges(numbers: Iterable[int]) -> str:
    """Write numbers as libvirt does: `0-3,8`."""
    told: list[list[int]] = []
    for number in sorted(set(numbers)):
        if told and told[-1][1] == number - 1:
            told[-1][1] = number
        else:
            told.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in told)


def _cpus(domain: etree._Element, plan: GuestPlan, shared: Mapping[int, Iterable[int]]) -> None:
    where: dict[int, str] = {}
    for taken in plan.numa:
        pins = dict(taken.pins)
        floating = ranges(shared.get(taken.cell, ()))
        for vcpu in taken.vcpus:
            where[vcpu] = str(pins[vcpu]) if vcpu in pins else floating
    pinned = {vcpu: cpuset for vcpu, cpuset in sorted(where.items()) if cpuset}
    emulator = _emulator(plan, shared)
    if not pinned and not emulator:
        return
    tune = _add(domain, "cputune")
    for vcpu, cpuset in pinned.items():
        _add(tune, "vcpupin", {"vcpu": str(vcpu), "cpuset": cpuset})
    if emulator:
        _add(tune, "emulatorpin", {"cpuset": emulator})


def _emulator(plan: GuestPlan, shared: Mapping[int, Iterable[int]]) -> str:
    """Choose where QEMU's own threads run: on the CPU given for them, on shared ones, or beside the guest's."""
    policy = plan.extra_specs.get("hw:emulator_threads_policy") or plan.image_properties.get(
        "hw_emulator_threads_policy", ""
    )
    first = plan.numa[0]
    if policy == "isolate" and len(first.cpus) > len(first.pins):
        return str(first.cpus[len(first.pins)])
    everywhere = ranges(cpu for cpus in shared.values() for cpu in cpus)
    if policy == "share" and everywhere:
        return everywhere
    return ranges(cpu for taken in plan.numa for cpu in _beside(taken, shared))


def _beside(taken: Taken, shared: Mapping[int, Iterable[int]]) -> Iterable[int]:
    return [cpu for _, cpu in taken.pins] or shared.get(taken.cell, ())


def _add(parent: etree._Element, tag: str, attributes: Mapping[str, str] | None = None) -> etree._Element:
    return etree.SubElement(parent, tag, dict(attributes or {}))
