"""What tools that open strangers' files may ask of the kernel: a filter that libseccomp makes and bubblewrap sets.

The filter denies what no such tool needs and holes of kernels were reached by: other namespaces, mounts, modules,
tracing, keys, BPF, io_uring, handles of files, and sockets but those of the host's own programs.
libseccomp is asked by ctypes: it is on every host with QEMU, which is linked with it, and has no binding on PyPI that
is kept.
"""

import ctypes
import errno
import functools
import os
import socket
from collections.abc import Sequence
from contextlib import suppress

LIBRARY = "libseccomp.so.2"
DENIED: Sequence[str] = (
    *("mount", "umount2", "pivot_root", "chroot", "unshare", "setns", "open_tree", "move_mount", "fsopen", "fsconfig"),
    *("fsmount", "fspick", "mount_setattr", "swapon", "swapoff", "quotactl", "acct", "reboot", "syslog"),
    *("ptrace", "process_vm_readv", "process_vm_writev", "kcmp", "pidfd_getfd", "perf_event_open", "bpf"),
    *("userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register", "keyctl", "add_key", "request_key"),
    *("init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load"),
    *("open_by_handle_at", "name_to_handle_at", "fanotify_init", "iopl", "ioperm", "modify_ldt", "personality"),
    *("settimeofday", "clock_settime", "clock_adjtime", "adjtimex", "sethostname", "setdomainname", "vhangup"),
)
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
"""SECCOMP_RET_ALLOW and SECCOMP_RET_ERRNO of linux/seccomp.h."""
_NOT_EQUAL, _MASKED_EQUAL = 1, 7
"""Comparisons of an argument, as libseccomp numbers them (SCMP_CMP_NE, SCMP_CMP_MASKED_EQ)."""
_NEW_USER = 0x10000000
"""CLONE_NEWUSER, see clone(2)."""


class _Comparison(ctypes.Structure):
    _fields_ = (
        ("argument", ctypes.c_uint),
        ("how", ctypes.c_int),
        ("first", ctypes.c_uint64),
        ("second", ctypes.c_uint64),
    )


@functools.cache
def denying() -> bytes:
    """Return the filter as the kernel reads it; empty where libseccomp is not installed or cannot make it."""
    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError:
        return b""
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_init.argtypes = [ctypes.c_uint32]
    if not (context := library.seccomp_init(_ALLOW)):
        return b""
    try:
        return _exported(library, context) if _filled(library, context) else b""
    finally:
        library.seccomp_release(ctypes.c_void_p(context))


def _filled(library: ctypes.CDLL, context: int) -> bool:
    denied = _ERRNO | errno.EPERM
    rules: list[tuple[int, str, _Comparison | None]] = [(denied, name, None) for name in DENIED]
    rules.append((denied, "socket", _Comparison(0, _NOT_EQUAL, socket.AF_UNIX, 0)))
    rules.append((denied, "clone", _Comparison(0, _MASKED_EQUAL, _NEW_USER, _NEW_USER)))
    # Its flags lie in memory, which no filter sees; libraries take clone instead when it is said not to be there.
    rules.append((_ERRNO | errno.ENOSYS, "clone3", None))
    for action, name, comparison in rules:
        number = library.seccomp_syscall_resolve_name(name.encode())
        if number == -1:
            continue  # newer than this libseccomp
        compared = () if comparison is None else (comparison,)
        if library.seccomp_rule_add(
            ctypes.c_void_p(context), ctypes.c_uint32(action), number, ctypes.c_uint(len(compared)), *compared
        ):
            return False
    return True


def _exported(library: ctypes.CDLL, context: int) -> bytes:
    descriptor = os.memfd_create("filter")
    with open(descriptor, "rb") as file, suppress(OSError):
        if library.seccomp_export_bpf(ctypes.c_void_p(context), descriptor):
            return b""
        file.seek(0)
        return file.read()
    return b""
