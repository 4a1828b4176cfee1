"""What flavor and image say of a guest's hardware, as domain XML."""

from lxml import etree

from novakit_fit.hardware import Hardware


def limit_cpus(domain: etree._Element, wanted: Hardware) -> None:
    """Weigh and bound the time of the guest's CPUs."""
    if not wanted.cpu_limits:
        return
    tune = domain.find("cputune")
    if tune is None:
        tune = etree.SubElement(domain, "cputune")
    for name, number in wanted.cpu_limits:
        etree.SubElement(tune, name).text = str(number)


def features(parent: etree._Element, wanted: Hardware) -> None:
    """Show or hide performance counters and KVM."""
    if wanted.pmu is not None:
        etree.SubElement(parent, "pmu", {"state": "on" if wanted.pmu else "off"})
    if wanted.hidden:
        etree.SubElement(etree.SubElement(parent, "kvm"), "hidden", {"state": "on"})


def cpu(parent: etree._Element, wanted: Hardware, kind: str) -> None:
    """Say how many sockets, cores and threads there are."""
    if wanted.shape is not None:
        parts = zip(("sockets", "cores", "threads"), wanted.shape, strict=True)
        etree.SubElement(parent, "topology", {name: str(number) for name, number in parts})
    if wanted.hidden and kind != "kvm":
        # Emulation has no signature of KVM to hide; its own goes with the bit that tells of a hypervisor.
        etree.SubElement(parent, "feature", {"policy": "disable", "name": "hypervisor"})


def devices(parent: etree._Element, wanted: Hardware) -> None:
    """Add the watchdog and the source of random numbers."""
    if wanted.watchdog:
        etree.SubElement(parent, "watchdog", {"model": "i6300esb", "action": wanted.watchdog})
    if wanted.rng:
        rng = etree.SubElement(parent, "rng", {"model": "virtio"})
        if wanted.rng_bytes:
            rate = {"bytes": str(wanted.rng_bytes), "period": str(wanted.rng_period_ms)}
            etree.SubElement(rng, "rate", rate)
        etree.SubElement(rng, "backend", {"model": "random"}).text = "/dev/urandom"
