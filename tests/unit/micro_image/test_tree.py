"""The files of the guest image."""

from novakit_micro_image.tree import _with_dependencies


def test_modules_come_with_all_they_depend_on() -> None:
    dep = "kernel/a/virtio-net.ko: kernel/b/failover.ko kernel/c/virtio.ko\nkernel/x/other.ko:\nkernel/z/evdev.ko.xz:\n"
    assert list(_with_dependencies(dep, ["virtio_net", "evdev"])) == [
        "kernel/a/virtio-net.ko",
        "kernel/b/failover.ko",
        "kernel/c/virtio.ko",
        "kernel/z/evdev.ko.xz",
    ]
