"""Open vSwitch: what is plugged into its bridges, changes in one transaction, flows in one bundle."""

import asyncio
import json
from collections.abc import Container, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from novakit_net_linux import names
from novakit_net_linux.commands import CommandFailed, run

OWNER, KIND, MTU = "novakit-owner", "novakit-kind", "novakit-mtu"
DIRECTORY = "novakit-directory"
"""On a bridge: the state directory of the one novakit that it belongs to."""
INTEGRATION = "novakit-integration"
"""On a bridge that guests are plugged into: the same again, so that it says nothing of a directory that came later."""
SOCKET = Path("/run/openvswitch/db.sock")
DAEMON = Path("/run/openvswitch/ovs-vswitchd.pid")
READ = (
    *("--columns=name,datapath_type,ports,external_ids", "list", "Bridge"),
    *("--", "--columns=_uuid,name,interfaces", "list", "Port"),
    *("--", "--columns=_uuid,name,type,ofport,error,external_ids", "list", "Interface"),
)


@attrs.frozen(kw_only=True)
class BridgePort:
    """One port of a bridge as it is."""

    name: str
    bridge: str
    type: str
    ofport: int
    """-1 when the switch could not open the device."""
    error: str
    external_ids: Mapping[str, str]

    def is_for(self, wanted: "WantedBridgePort | None") -> bool:
        """Return whether it is plugged in for the port that its device is wanted for."""
        return wanted is not None and self.external_ids.get("iface-id") == wanted.port_id


@attrs.frozen(kw_only=True)
class BridgeWiring:
    """Every bridge with its datapath type and, where it is one's, the directory; every port of one by its name."""

    bridges: Mapping[str, str]
    bridge_ports: Mapping[str, BridgePort]
    directories: Mapping[str, str] = attrs.field(factory=dict)
    for_guests: frozenset[str] = frozenset()
    """Of the bridges that are one's, those that are marked as integration bridges."""


@attrs.frozen(kw_only=True)
class WantedBridgePort:
    """One port of the integration bridge as it shall be."""

    name: str
    kind: str
    """tap, dhcp, router or gateway."""
    owner: str
    """The port, network or router it is removed with."""
    port_id: str
    mac: str
    mtu: int

    @property
    def internal(self) -> bool:
        """Whether the switch makes the device itself."""
        return self.kind != "tap"

    def external_ids(self) -> dict[str, str]:
        """What marks the port as ours."""
        return {
            OWNER: self.owner,
            KIND: self.kind,
            MTU: str(self.mtu),
            "iface-id": self.port_id,
            "attached-mac": self.mac,
        }


class Switch:
    """Open vSwitch on this host, through its own programs."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._flows: dict[str, frozenset[str]] = {}

    def identity(self) -> tuple[object, ...]:
        """Something that changes when the switch or its database was started anew; costs a few microseconds."""
        marks: list[object] = []
        for path in (SOCKET, DAEMON):
            try:
                found = path.stat()
            except OSError:
                marks.append(None)
            else:
                marks += [found.st_ino, found.st_mtime_ns]
        return tuple(marks)

    async def change(self, commands: Sequence[Sequence[str]]) -> None:
        """Make all the changes or none, and wait until the switch has carried them out."""
        if commands:
            argv = ["ovs-vsctl", f"--timeout={max(1, int(self._timeout))}"]
            for command in commands:
                argv += ["--", *command]
            await run(argv, timeout=self._timeout + 5)

    async def wiring(self) -> BridgeWiring:
        """Read what is plugged in now."""
        if self.identity()[0] is None:
            raise CommandFailed(f"ovsdb-server does not listen at {SOCKET}")
        argv = ["ovs-vsctl", f"--timeout={max(1, int(self._timeout))}", "--format=json", "--", *READ]
        answer = await run(argv, timeout=self._timeout + 5)
        bridges, ports, interfaces = (_rows(json.loads(line)) for line in answer.splitlines() if line.strip())
        marks = {row["name"]: row["external_ids"] for row in bridges if DIRECTORY in row["external_ids"]}
        by_port = {row["_uuid"]: row for row in ports}
        by_interface = {row["_uuid"]: row for row in interfaces}
        bridge_ports = {}
        for bridge in bridges:
            for port in _several(bridge["ports"]):
                for interface in _several(by_port[port]["interfaces"]):
                    bridge_ports[by_interface[interface]["name"]] = _bridge_port(
                        bridge["name"], by_interface[interface]
                    )
        return BridgeWiring(
            bridges={row["name"]: row["datapath_type"] or "system" for row in bridges},
            bridge_ports=bridge_ports,
            directories={name: each[DIRECTORY] for name, each in marks.items()},
            for_guests=frozenset(name for name, each in marks.items() if each.get(INTEGRATION) == each[DIRECTORY]),
        )

    async def datapaths(self) -> list[str]:
        """List the datapath types this switch was built with."""
        answer = await run(["ovs-vsctl", "--timeout=5", "get", "Open_vSwitch", ".", "datapath_types"], timeout=10)
        return [word.strip(' "\n') for word in answer.strip("[]\n").split(",")]

    async def replace_flows(self, bridge: str, flows: Iterable[str]) -> bool:
        """Make these all the flows of a bridge, in one step for every packet. Returns whether anything changed."""
        wanted = frozenset(flows)
        # Taken out first: when the installation fails halfway, what the switch has is unknown.
        known = self._flows.pop(bridge, None)
        if known != wanted:
            await (self._install(bridge, wanted) if known is None else self._amend(bridge, known, wanted))
            # The switch goes on as before with connections and packets it has seen, until it has looked at each again;
            # on a busy machine a rule that is gone lets in for a second more.
            await self._quietly("ovs-appctl", "-t", "ovs-vswitchd", "revalidator/wait")
        self._flows[bridge] = wanted
        return known != wanted

    def forget_flows(self) -> None:
        """Believe nothing of what was installed; the next time everything is compared with the switch."""
        self._flows.clear()

    async def flush(self, bridge: str, zone: int, address: str | None = None) -> None:
        """Forget the tracked connections of a zone, or only those of one address in it."""
        if address is None:
            await self._quietly("ovs-ofctl", "ct-flush", bridge, f"zone={zone}")
            return
        field = "ct_ipv6_src" if ":" in address else "ct_nw_src"
        # The address as the one who began, and as the one who answered.
        await asyncio.gather(
            self._quietly("ovs-ofctl", "ct-flush", bridge, f"zone={zone}", f"{field}={address}"),
            self._quietly("ovs-ofctl", "ct-flush", bridge, f"zone={zone}", "", f"{field}={address}"),
        )

    async def _quietly(self, *argv: str) -> None:
        try:
            await run(argv, timeout=self._timeout)
        except CommandFailed:
            # Before Open vSwitch 3.1 there is no `ct-flush`; the rules judge every packet anyway, a moment later.
            return

    async def _install(self, bridge: str, flows: frozenset[str]) -> None:
        text = "\n".join(sorted(flows)) + "\n"
        await run(["ovs-ofctl", "--bundle", "replace-flows", bridge, "-"], input=text, timeout=self._timeout)

    async def _amend(self, bridge: str, known: frozenset[str], wanted: frozenset[str]) -> None:
        # `add` replaces the actions of a flow with the same match, so only matches that are gone need a delete.
        replaced = {flow.split(" actions=")[0] for flow in wanted}
        gone = {flow.split(" actions=")[0] for flow in known} - replaced
        lines = [f"delete_strict {match}" for match in sorted(gone)]
        lines += [f"add {flow}" for flow in sorted(wanted - known)]
        text = "\n".join(lines) + "\n"
        await run(["ovs-ofctl", "--bundle", "add-flows", bridge, "-"], input=text, timeout=self._timeout)


def add_bridge_port(bridge: str, bridge_port: WantedBridgePort) -> list[list[str]]:
    """Return the commands that add a port to a bridge, or correct it."""
    settings = [f"external_ids:{key}={_quoted(value)}" for key, value in bridge_port.external_ids().items()]
    if bridge_port.internal:
        settings += ["type=internal", f"mac={_quoted(bridge_port.mac)}", f"mtu_request={bridge_port.mtu}"]
    return [["--may-exist", "add-port", bridge, bridge_port.name], ["set", "Interface", bridge_port.name, *settings]]


def connect_bridges(integration: str, bridge: str, there: Container[str]) -> list[list[str]]:
    """Return the commands that lead from one bridge to another, without the ports that are there."""
    out, back = names.patch(integration, bridge), names.patch(bridge, integration)
    commands = []
    for at, name, peer in ((integration, out, back), (bridge, back, out)):
        if name not in there:
            commands.append(["--may-exist", "add-port", at, name])
            commands.append(["set", "Interface", name, "type=patch", f"options:peer={peer}"])
    return commands


def claim_bridge(bridge: str, directory: str) -> list[str]:
    """Return the command that makes a bridge one directory's; where it is another's already, that stays."""
    # Unlike `set`, `add` replaces no value that is there: of two that claim at once one wins, and the other reads so.
    return ["add", "Bridge", bridge, "external_ids", f"{DIRECTORY}={_quoted(directory)}"]


def release_bridge(bridge: str) -> list[str]:
    """Return the command that makes a bridge nobody's."""
    return ["remove", "Bridge", bridge, "external_ids", DIRECTORY, INTEGRATION]


def mark_for_guests(bridge: str, directory: str) -> list[str]:
    """Return the command that says of one's bridge that guests are plugged into it."""
    return ["set", "Bridge", bridge, f"external_ids:{INTEGRATION}={_quoted(directory)}"]


def unmark_for_guests(bridge: str) -> list[str]:
    """Return the command that says so no more."""
    return ["remove", "Bridge", bridge, "external_ids", INTEGRATION]


def _quoted(value: str) -> str:
    return json.dumps(value)


def _bridge_port(bridge: str, row: Mapping[str, Any]) -> BridgePort:
    ofport, error = row["ofport"], row["error"]
    return BridgePort(
        name=row["name"],
        bridge=bridge,
        type=row["type"],
        ofport=ofport if isinstance(ofport, int) else -1,
        error=error if isinstance(error, str) else "",
        external_ids=dict(row["external_ids"]),
    )


def _rows(table: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [dict(zip(table["headings"], map(_value, row), strict=True)) for row in table["data"]]


def _value(cell: object) -> object:
    if isinstance(cell, list) and len(cell) == 2:
        kind, content = cell
        if kind == "uuid":
            return content
        if kind == "set":
            return [_value(item) for item in content]
        if kind == "map":
            return dict(content)
    return cell


def _several(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]
