"""The disk of the guest image."""

import struct

from novakit_micro_image.disk import BOOT, SYSTEM, boot_sector


def test_the_boot_sector_describes_both_partitions() -> None:
    sector = boot_sector(b"\xeb" * 440)
    assert len(sector) == 512
    assert sector[510:] == b"\x55\xaa"
    active, kind, start, size = *struct.unpack_from("<B3xB", sector, 446), *struct.unpack_from("<II", sector, 454)
    assert (active, kind, start * 512, size) == (0x80, 0xEF, BOOT.offset, BOOT.size_mib * 2048)
    assert struct.unpack_from("<I", sector, 470)[0] * 512 == SYSTEM.offset == BOOT.offset + BOOT.size_mib * (1 << 20)
