"""What compute hosts ask over HTTP: the bytes of one image, in or out, with a ticket for it."""

from novakit.api.hosts.service import HostImages, service

__all__ = ["HostImages", "service"]
