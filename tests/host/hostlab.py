"""One isolated "host" for a test: its own network, mounts, processes, name, Open vSwitch and, when asked for, libvirt.

Everything runs in namespaces, so a test can do to the host whatever it wants and the machine never notices.
Ending the namespace's first process ends all the others, so nothing survives `close`.

    with Lab(libvirt=True) as lab:
        lab.run(["ovs-vsctl", "show"])

Seen from outside, the sockets are `lab.run_dir / "openvswitch/db.sock"` and `lab.run_dir / "libvirt/libvirt-sock"`.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

CGROUPS = Path("/sys/fs/cgroup")
CONTROLLERS = ("cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids")
START_WITHIN = 60.0
NEEDED = ("unshare", "nsenter", "ip", "ovsdb-tool", "ovsdb-server", "ovs-vswitchd", "ovs-vsctl")
NEEDED_BY_LIBVIRT = ("libvirtd", "virtlogd", "qemu-system-x86_64")
WAY_OUT = "slirp4netns"
"""Gives the host a network card whose packets leave as this machine's own connections; nothing is set up for it."""

LIBVIRTD_CONF = """\
listen_tls = 0
auth_unix_ro = "none"
auth_unix_rw = "none"
unix_sock_group = "root"
unix_sock_rw_perms = "0700"
auth_tcp = "none"
listen_tcp = 1
listen_addr = "{address}"
host_uuid = "00000000-0000-0000-0000-{number:012d}"
"""

QEMU_CONF = """\
user = "root"
group = "root"
security_driver = "none"
migration_address = "0.0.0.0"
migration_host = "{address}"
vnc_listen = "127.0.0.1"
"""

FIRST_PROCESS = """\
set -e
base=$1 name=$2 libvirt=$3
hostname "$name"
mount --make-rprivate /
mount -t proc proc /proc
mount -t sysfs sysfs /sys
ip link set lo up
mount --bind "$base/lib-openvswitch" /var/lib/openvswitch
mount --bind "$base/log-openvswitch" /var/log/openvswitch
mount --bind "$base/run" /run
mkdir -p /run/openvswitch /run/lock /run/netns
"""

LIBVIRT_MOUNTS = """\
mount -t tmpfs cgroup /sys/fs/cgroup
for controller in {controllers}; do
  [ -d "$base/cgroup-$controller" ] || continue
  mkdir "/sys/fs/cgroup/$controller"; mount -t cgroup -o "$controller" cgroup "/sys/fs/cgroup/$controller"
done
mkdir -p "$base/dev"; mount -t tmpfs -o mode=755 dev "$base/dev"
cp -a /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty /dev/net "$base/dev/"
[ ! -e "$base/kvm" ] || cp -a "$base/kvm" "$base/dev/"
ln -s /proc/self/fd "$base/dev/fd"; ln -s pts/ptmx "$base/dev/ptmx"; mkdir "$base/dev/pts" "$base/dev/shm"
umount -l /dev; mount --move "$base/dev" /dev
mount -t devpts -o mode=620,ptmxmode=666 devpts /dev/pts; mount -t tmpfs shm /dev/shm
mkdir /dev/hugepages; mount -t hugetlbfs hugetlbfs /dev/hugepages
mount --bind "$base/etc-libvirt" /etc/libvirt
mount --bind "$base/lib-libvirt" /var/lib/libvirt
mount --bind "$base/cache-libvirt" /var/cache/libvirt
mount --bind "$base/log-libvirt" /var/log/libvirt
"""

NAMES = """\
resolver=$(realpath -m /etc/resolv.conf)
mkdir -p "$(dirname "$resolver")"; [ -e "$resolver" ] || touch "$resolver"
echo "nameserver 10.0.2.3" > "$base/resolv.conf"; mount --bind "$base/resolv.conf" "$resolver"
"""

OPEN_VSWITCH = """\
ovsdb-tool create /var/lib/openvswitch/conf.db /usr/share/openvswitch/vswitch.ovsschema
ovsdb-server /var/lib/openvswitch/conf.db --remote=punix:/run/openvswitch/db.sock \\
  --pidfile=/run/openvswitch/ovsdb-server.pid --unixctl=/run/openvswitch/ovsdb.ctl \\
  --log-file=/run/openvswitch/ovsdb.log --detach --no-chdir
ovs-vsctl --no-wait init
ovs-vswitchd unix:/run/openvswitch/db.sock --pidfile=/run/openvswitch/ovs-vswitchd.pid \\
  --log-file=/run/openvswitch/vswitchd.log --detach --no-chdir
"""

LIBVIRT = """\
virtlogd -d -p /run/virtlogd.pid
libvirtd -d -l -p /run/libvirtd.pid
"""

# Bash stays the first process: it reaps the orphans of the daemons.
LAST_STEPS = """\
touch /run/ready
sleep infinity & wait $!
"""


def missing(*, libvirt: bool = False, way_out: bool = False) -> str | None:
    """Say why no lab can be made here, or None."""
    if os.geteuid() != 0:
        return "a host lab needs root"
    names = NEEDED + (NEEDED_BY_LIBVIRT if libvirt else ()) + ((WAY_OUT,) if way_out else ())
    absent = [name for name in names if not shutil.which(name)]
    return f"a host lab needs {', '.join(absent)}" if absent else None


class Lab:
    """One isolated host; started when made, gone after `close`."""

    def __init__(
        self,
        name: str = "alpha",
        number: int = 1,
        *,
        libvirt: bool = False,
        openvswitch: bool = True,
        daemons: bool = True,
        as_installed: bool = False,
        way_out: bool = False,
        kvm: Path | None = None,
    ):
        """With `daemons=False` everything is there that libvirt and Open vSwitch need, and nothing runs.

        With `as_installed` libvirt reads the configuration that Debian ships.
        With `way_out` the host reaches what this machine reaches, such as a package index.
        `kvm` is the device that is the host's /dev/kvm; without it there is none.
        """
        if why := missing(libvirt=libvirt, way_out=way_out):
            raise RuntimeError(why)
        self.name = name
        self.number = number
        self.address = f"192.168.250.{number}"
        """The management address, on `mgmt0` once `connect` has made it; libvirt listens there."""
        self.directory = Path(tempfile.mkdtemp(prefix="novalab-"))
        self.directory.chmod(0o755)
        self.run_dir = self.directory / "run"
        self._cgroups: list[Path] = []
        self._pid: int | None = None
        self._way_out: subprocess.Popen[bytes] | None = None
        try:
            self._prepare(libvirt, as_installed)
            if kvm is not None:
                subprocess.run(["cp", "-a", kvm, self.directory / "kvm"], check=True)
            self._start(libvirt, openvswitch, daemons, way_out)
            if way_out:
                self._lead_out()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(
        self,
        argv: Sequence[str | Path],
        *,
        check: bool = True,
        input: str | None = None,
        timeout: float = 120,
        env: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside the host and give its output; a failed one raises with what it wrote."""
        done = subprocess.run(
            self.inside(argv), input=input, text=True, capture_output=True, timeout=timeout, env=env, check=False
        )
        if check and done.returncode:
            raise AssertionError(f"{list(map(str, argv))} ended with {done.returncode}: {done.stdout}{done.stderr}")
        return done

    def popen(self, argv: Sequence[str | Path], **options: Any) -> "subprocess.Popen[Any]":
        """Start a command inside the host; it ends with the lab at the latest."""
        return subprocess.Popen(self.inside(argv), **options)

    def log(self) -> str:
        """What the start of the host printed."""
        return (self.directory / "start.log").read_text(errors="replace")

    @property
    def pid(self) -> int:
        """The host's first process, as seen from outside: its namespaces are below /proc/<pid>/ns."""
        if self._pid is None:
            raise RuntimeError(f"the lab {self.name} is closed")
        return self._pid

    def close(self) -> None:
        """End every process of the host and remove its files; a second time changes nothing."""
        if self._way_out is not None:
            self._way_out.kill()
            self._way_out.wait(timeout=START_WITHIN)
        if self._pid is not None:
            os.kill(self._pid, signal.SIGKILL)
            self._pid = None
        if holder := getattr(self, "_holder", None):
            holder.wait(timeout=START_WITHIN)
        for group in self._cgroups:
            for path, _, _ in os.walk(group, topdown=False):
                _wait(lambda path=path: _rmdir(path), 5.0)
        self._cgroups.clear()
        shutil.rmtree(self.directory, ignore_errors=True)

    def inside(self, argv: Sequence[str | Path]) -> list[str]:
        """Turn a command into one that runs inside the host."""
        return ["nsenter", "-t", str(self.pid), "-m", "-n", "-u", "-p", "-C", "--", *map(str, argv)]

    def _prepare(self, libvirt: bool, as_installed: bool) -> None:
        self.run_dir.mkdir()
        for name in ("lib", "log"):
            (self.directory / f"{name}-openvswitch").mkdir()
            Path(f"/var/{name}/openvswitch").mkdir(exist_ok=True)
        if not libvirt:
            return
        for name in ("lib-libvirt", "cache-libvirt", "log-libvirt"):
            (self.directory / name).mkdir()
        etc = self.directory / "etc-libvirt"
        shutil.copytree("/etc/libvirt", etc, symlinks=True)
        shutil.rmtree(etc / "qemu/networks/autostart", ignore_errors=True)
        if not as_installed:
            values = {"address": self.address, "number": self.number}
            (etc / "libvirtd.conf").write_text(LIBVIRTD_CONF.format(**values))
            (etc / "qemu.conf").write_text(QEMU_CONF.format(**values))
        self._make_cgroups()

    def _make_cgroups(self) -> None:
        for controller in CONTROLLERS:
            if not (CGROUPS / controller).is_dir():
                continue
            group = CGROUPS / controller / self.directory.name
            group.mkdir()
            self._cgroups.append(group)
            (self.directory / f"cgroup-{controller}").mkdir()
            for name in ("cpuset.cpus", "cpuset.mems"):
                if (group / name).exists():
                    (group / name).write_text((group.parent / name).read_text())

    def _lead_out(self) -> None:
        """Give the host a default route that ends in this machine's own connections."""
        reading, writing = os.pipe()
        command = [WAY_OUT, "--configure", "--mtu=65520", f"--ready-fd={writing}", str(self.pid), "tap0"]
        with (self.directory / "way_out.log").open("wb") as log:
            self._way_out = subprocess.Popen(command, pass_fds=[writing], stdout=log, stderr=log)
        os.close(writing)
        with open(reading, "rb") as told:
            if not told.read(1):
                raise RuntimeError(f"{WAY_OUT}: {(self.directory / 'way_out.log').read_text()}")

    def _start(self, libvirt: bool, openvswitch: bool, daemons: bool, way_out: bool) -> None:
        script = FIRST_PROCESS + (NAMES if way_out else "")
        if libvirt:
            # Until it is on the management network, the address lives on the loopback so that libvirtd can listen.
            script += LIBVIRT_MOUNTS.format(controllers=" ".join(CONTROLLERS))
            script += f"ip addr add {self.address}/32 dev lo\n"
        script += OPEN_VSWITCH if openvswitch and daemons else ""
        script += LIBVIRT if libvirt and daemons else ""
        (self.directory / "first.sh").write_text(script + LAST_STEPS)
        enter = "".join(f"echo $$ > {group}/cgroup.procs; " for group in self._cgroups)
        unshare = "exec unshare --net --mount --uts --cgroup --pid --fork --kill-child "
        command = f'{enter}{unshare} bash "$0" "$@"'
        arguments = [self.directory / "first.sh", self.directory, self.name, str(libvirt)]
        with (self.directory / "start.log").open("wb") as log:
            self._holder = subprocess.Popen(
                ["bash", "-c", command, *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        children = Path(f"/proc/{self._holder.pid}/task/{self._holder.pid}/children")
        _wait(lambda: self._holder.poll() is not None or (self.run_dir / "ready").exists(), START_WITHIN)
        if self._holder.poll() is not None or not (self.run_dir / "ready").exists():
            self._holder.kill()
            raise RuntimeError(f"the lab {self.name} did not start: {self.log()}")
        self._pid = int(children.read_text().split()[0])


def connect(*labs: Lab) -> None:
    """Put the labs on one management network: device `mgmt0` with address `lab.address`/24 in each.

    The switch between them is a bridge inside the first lab, so it ends with that lab.
    """
    hub, *others = labs
    hub.run(["ip", "link", "add", "mgmt0", "type", "bridge"])
    for lab in others:
        # Made by a process in the outer process namespace, where both hosts' first processes have a number.
        here = ["nsenter", "-t", str(hub.pid), "-n", "--", "ip", "link", "add", f"to-{lab.number}", "type", "veth"]
        subprocess.run([*here, "peer", "name", "mgmt0", "netns", str(lab.pid)], check=True)
        hub.run(["ip", "link", "set", f"to-{lab.number}", "master", "mgmt0", "up"])
    for lab in labs:
        lab.run(["ip", "addr", "del", f"{lab.address}/32", "dev", "lo"], check=False)
        lab.run(["ip", "addr", "add", f"{lab.address}/24", "dev", "mgmt0"])
        lab.run(["ip", "link", "set", "mgmt0", "up"])


def _rmdir(path: str) -> bool:
    try:
        Path(path).rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _wait(condition: Any, within: float) -> bool:
    end = time.monotonic() + within
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True
