"""The guard in front of the host: every tap is dropped before the host's own network stack sees it."""

import os
import shutil
import subprocess
import sys

import pytest

from novakit_host.commands import SEARCH
from novakit_net_linux import guard


def test_each_tap_has_a_chain_at_ingress_that_drops_everything() -> None:
    assert guard.script(["nkt1", "nkt2"]).splitlines() == [
        "add table netdev novakit_taps",
        'add chain netdev novakit_taps nkt1 { type filter hook ingress device "nkt1" priority 0; policy drop; }',
        'add chain netdev novakit_taps nkt2 { type filter hook ingress device "nkt2" priority 0; policy drop; }',
    ]
    assert guard.script(["nkt1"]).endswith("}\n"), "nft wants its last line ended"


@pytest.mark.skipif(not shutil.which("nft", path=SEARCH) or os.geteuid() != 0, reason="needs nft and root")
def test_a_shielded_tap_has_its_chain_in_the_kernel_once_and_an_unshielded_one_has_none() -> None:
    twice = "import asyncio; from novakit_net_linux.guard import shield; t = {'nkt2', 'nkt1'}; "
    twice += "asyncio.run(shield(t, 10)); asyncio.run(shield(t, 10)); asyncio.run(shield([], 10))"
    script = f"""
set -e
for name in nkt1 nkt2 nkt3; do ip tuntap add "$name" mode tap; done
{sys.executable} -c "{twice}"
nft list ruleset
"""
    environment = {**os.environ, "PATH": SEARCH}
    command = ["unshare", "--net", "sh", "-c", script]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    if "Operation not permitted" in done.stderr:
        pytest.skip(f"no network namespace of its own here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("policy drop") == 2
    for name in ("nkt1", "nkt2"):
        assert f"chain {name} {{" in done.stdout and f'hook ingress device "{name}"' in done.stdout
    assert "nkt3" not in done.stdout
