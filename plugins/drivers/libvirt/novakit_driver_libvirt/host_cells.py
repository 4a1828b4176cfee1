"""The host's NUMA cells, from libvirt's capabilities and the operator's sets of CPUs."""

from collections.abc import Sequence

import attrs
from lxml import etree

from novakit_driver_libvirt.options import LibvirtOptions
from novakit_fit.numa_request import BadTopology, cpu_set, numbers, split_cpus
from novakit_hookspecs.numa import SMALL_KB, NumaCell


def cells(tree: etree._Element, options: LibvirtOptions, *, pages: bool = True) -> tuple[NumaCell, ...]:
    """Return the cells; none where libvirt tells of none.

    `pages` says whether guests can be given the huge pages that the kernel keeps.
    """
    found = tree.findall("host/topology/cells/cell")
    there = [int(str(cpu.get("id"))) for cell in found for cpu in cell.iterfind("cpus/cpu")]
    dedicated, shared = split_cpus(there, _set(options.cpu_dedicated_set), _set(options.cpu_shared_set))
    told = (_cell(one, dedicated, shared) for one in found)
    return tuple(told if pages else (attrs.evolve(one, pages={}) for one in told))


def _set(text: str | None) -> frozenset[int] | None:
    return None if text is None else cpu_set(text)


def _cell(element: etree._Element, dedicated: frozenset[int], shared: frozenset[int]) -> NumaCell:
    cpus = element.findall("cpus/cpu")
    here = frozenset(int(str(cpu.get("id"))) for cpu in cpus)
    cores = {_siblings(cpu) & dedicated & here for cpu in cpus}
    pages = {int(str(page.get("size"))): int(page.text or 0) for page in element.iterfind("pages")}
    return NumaCell(
        id=int(str(element.get("id"))),
        cpus=tuple(sorted(here & shared)),
        dedicated=tuple(sorted(here & dedicated)),
        siblings=tuple(sorted(tuple(sorted(core)) for core in cores if core)),
        memory_mb=int(element.findtext("memory") or 0) // 1024,
        pages={size: count for size, count in sorted(pages.items()) if size > SMALL_KB and count},
        distances=_distances(element.findall("distances/sibling")),
        socket=_socket(cpus),
    )


def _socket(cpus: Sequence[etree._Element]) -> int | None:
    """Return the socket of the cell's CPUs; none where they tell of none, or of several."""
    told = {int(str(name)) for cpu in cpus if (name := cpu.get("socket_id")) is not None and str(name).isdecimal()}
    return told.pop() if len(told) == 1 else None


def _siblings(cpu: etree._Element) -> frozenset[int]:
    """Return the threads of a CPU's core; a CPU that is off line tells of none."""
    try:
        return numbers(str(cpu.get("siblings", "")))
    except BadTopology:
        return frozenset()


def _distances(siblings: Sequence[etree._Element]) -> dict[int, int]:
    return {int(str(one.get("id"))): int(str(one.get("value"))) for one in siblings}
