"""The ordinary `openstack` command, begun in a fifth of its time.

The idea: of the 1.5 s of CPU that a run of the command takes, 1.2 go into the import of its modules, and tests run it a
hundred times. A process that has imported them waits, and each run is a fork of it.
The invariant: all from the client's `main` on is as installed, with the run's own words, environment, directory,
umask, streams and exit code; one run knows nothing of another.
The cost: the script that pip makes of the entry point is not run here. The pages of the documentation run that.
"""

import atexit
import functools
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from importlib.util import find_spec
from pathlib import Path

import pytest

PROGRAM = """#!{python} -IS
import json, os, socket, sys

mask = os.umask(0)
os.umask(mask)
told = json.dumps({{"words": sys.argv, "environment": dict(os.environ), "directory": os.getcwd(), "umask": mask}})
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    socket.send_fds(server, [b"!"], [0, 1, 2])
    server.sendall(told.encode())
    server.shutdown(socket.SHUT_WR)
    sys.exit(int(server.recv(16) or b"70"))
"""


@functools.cache
def openstack_command() -> str:
    """Give the path of a program that is the client; its process ends with this one."""
    if find_spec("openstackclient") is None:
        pytest.skip("the openstack client is not installed: `pip install python-openstackclient osc-placement`")
    folder = tempfile.TemporaryDirectory(prefix="novakit-client-")
    address, program = f"{folder.name}/socket", Path(folder.name) / "openstack"
    program.write_text(PROGRAM.format(python=sys.executable, address=address))
    program.chmod(0o755)
    server = subprocess.Popen(
        [sys.executable, __file__, address], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=folder.name
    )
    assert server.stdin is not None and server.stdout is not None
    assert server.stdout.read(1) == b"!", "the client could not be imported"

    def end() -> None:
        assert server.stdin is not None
        server.stdin.close()
        server.wait()
        folder.cleanup()

    atexit.register(end)
    return str(program)


def _serve(address: str) -> None:
    """Run the client for whoever asks, until whoever started this is gone."""
    sys.argv = ["openstack"]  # by which the client calls itself from its import on
    for name in ("openstackclient.shell", "openstack.connection"):
        importlib.import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        os.write(1, b"!")
        while sys.stdin not in select.select([sys.stdin, listener], [], [])[0]:
            connection, _ = listener.accept()
            with connection:
                if not os.fork():
                    listener.close()
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    connection.sendall(str(_run(connection)).encode())
                    os._exit(0)


def _run(connection: socket.socket) -> int:
    """Run the client as the other side is told to, and return its exit code."""
    _, streams, _, _ = socket.recv_fds(connection, 1, 3)
    with connection.makefile("rb") as file:
        told = json.load(file)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(told["directory"])
    os.umask(told["umask"])
    os.environ.clear()
    os.environ.update(told["environment"])
    sys.argv = told["words"]
    from openstack.config import loader
    from openstackclient import shell

    importlib.reload(loader)  # works out where clouds.yaml may lie while it is imported
    try:
        code = shell.main(sys.argv[1:])
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return code if isinstance(code, int) else int(code is not None)


if __name__ == "__main__":
    _serve(sys.argv[1])
