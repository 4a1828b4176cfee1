"""The file with the NUMA cells, the PCI devices and the measurements of simulated hosts."""

import json
import math
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from novakit_hookspecs.columns import metric_name
from novakit_hookspecs.errors import Refused
from novakit_hookspecs.fields import mapping_field, tuple_field
from novakit_hookspecs.hosts import PciDevice
from novakit_hookspecs.numa import MAX_CELLS, NumaCell
from novakit_hookspecs.pci import KIND_PATTERN, parse_address
from novakit_hookspecs.plain import to_record

_KEYS = ("cells", "pci", "metrics")


@attrs.frozen(kw_only=True)
class HostTopology:
    """What the file says of one host."""

    cells: tuple[NumaCell, ...] = tuple_field()
    pci: tuple[PciDevice, ...] = tuple_field()
    metrics: Mapping[str, float] = mapping_field()


def read(path: str, host: str) -> HostTopology:
    """Return what a host has; without a name for the file it has no cells, devices and measurements.

    The file is JSON or TOML with lists `cells` and `pci` and a table `metrics`.
    A table `hosts` may have, by host name, a table with lists of its own, or a list of cells; what a host's table
    leaves out is as for all.
    Raises Refused with what is wrong in it.
    """
    if not path:
        return HostTopology()
    try:
        found = _of_host(_document(Path(path)), host)
        _check_cells(found.cells)
        _check_devices(found)
        _check_metrics(found.metrics)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise Refused(f"the topology file {path} cannot be used: {getattr(error, 'strerror', '') or error}") from error
    return found


def _document(path: Path) -> Mapping[str, object]:
    text = path.read_text()
    document: object = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    if not isinstance(document, Mapping):
        raise TypeError("it must hold a table with lists `cells` and `pci` and a table `metrics`")
    return document


def _of_host(document: Mapping[str, Any], host: str) -> HostTopology:
    if unknown := document.keys() - {*_KEYS, "hosts"}:
        raise TypeError(f"it has no {', '.join(sorted(unknown))}; it takes {', '.join(_KEYS)} and hosts")
    everywhere = {key: document[key] for key in _KEYS if key in document}
    own = document.get("hosts", {}).get(host, {})
    return to_record({**everywhere, **(own if isinstance(own, Mapping) else {"cells": own})}, HostTopology)


def _check_cells(cells: tuple[NumaCell, ...]) -> None:
    ids = [cell.id for cell in cells]
    cpus = [cpu for cell in cells for cpu in {*cell.cpus, *cell.dedicated}]
    if len(ids) > MAX_CELLS or len(set(ids)) < len(ids) or len(set(cpus)) < len(cpus):
        raise ValueError(f"it must have {MAX_CELLS} cells at most, each id once, and each CPU in one cell")


def _check_devices(found: HostTopology) -> None:
    cells, seen = {cell.id for cell in found.cells}, set[str]()
    for device in found.pci:
        parse_address(device.address)
        if device.address in seen:
            raise ValueError(f"PCI device {device.address} is listed twice")
        seen.add(device.address)
        if not re.fullmatch(KIND_PATTERN, device.kind):
            raise ValueError(f"PCI device {device.address} has the kind {device.kind[:80]!r}, which is not a name")
        for key in ("vendor_id", "product_id"):
            if (value := getattr(device, key)) and not re.fullmatch(r"[0-9a-f]{4}", value):
                raise ValueError(f"PCI device {device.address}: {key} {value[:40]!r} is not four hexadecimal digits")
        if cells and device.numa_cell is not None and device.numa_cell not in cells:
            raise ValueError(f"PCI device {device.address} is on cell {device.numa_cell}, which is not there")


def _check_metrics(metrics: Mapping[str, float]) -> None:
    for name, value in metrics.items():
        if metric_name(name) is None or not math.isfinite(value):
            raise ValueError(
                f"metric {name[:80]!r} needs a name as cpu.percent or power_usage_watts, and a finite number"
            )
