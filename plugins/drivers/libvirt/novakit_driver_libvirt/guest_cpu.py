"""What the CPUs of guests can do, by what libvirt says of its hypervisor.

Guests get all that the hypervisor can give (`host-passthrough` with KVM, `maximum` without), and libvirt describes that
as the model `host-model`; with KVM this leaves out a few features that could not move to another host.
"""

from collections.abc import Collection

from lxml import etree


def host_model(domain_capabilities: str) -> str | None:
    """Return the hypervisor's CPU as a model with differences, or None where libvirt does not know it."""
    mode = etree.fromstring(domain_capabilities).find("cpu/mode[@name='host-model'][@supported='yes']")
    if mode is None or mode.find("model") is None:
        return None
    cpu = etree.Element("cpu")
    etree.SubElement(cpu, "arch").text = "x86_64"
    cpu.extend(list(mode))
    return str(etree.tostring(cpu, encoding="unicode"))


def features(cpu: str) -> Collection[str]:
    """Name the features that a CPU has; those it is said to lack are left out."""
    named = etree.fromstring(cpu).iterfind("feature")
    return frozenset(str(one.get("name")) for one in named if one.get("policy", "require") == "require")
