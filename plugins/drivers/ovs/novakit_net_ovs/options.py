"""What an operator may set in `[networks.ovs]`."""

from collections.abc import Mapping

import attrs

BRIDGE = r"[A-Za-z][A-Za-z0-9_.-]{0,11}"
"""Short enough that a mark still fits behind it in an address's label."""


@attrs.frozen(kw_only=True)
class OvsOptions:
    """Options of the Open vSwitch network."""

    integration_bridge: str = attrs.field(default="br-int", validator=attrs.validators.matches_re(BRIDGE))
    """The bridge that guests are plugged into; made when it is missing."""
    bridge_mappings: Mapping[str, str] = attrs.field(
        factory=lambda: {"public": "br-ex"},
        validator=attrs.validators.deep_mapping(
            key_validator=attrs.validators.instance_of(str), value_validator=attrs.validators.matches_re(BRIDGE)
        ),
    )
    """Physical network name -> bridge; a bridge that is missing is made."""
    external_address: bool = True
    """Give a bridge without a physical card the external subnet's gateway address, so that this host reaches
    floating IPs."""
    datapath: str = attrs.field(default="auto", validator=attrs.validators.in_(("auto", "system", "netdev")))
    """Kernel (`system`) or userspace (`netdev`) switching for bridges that are made; `auto` tries the kernel first."""
    run_dir: str = "/run/novakit/net-ovs"
    """Where the DHCP servers' files live; lost at a reboot, as they are."""
    command_timeout: float = attrs.field(
        default=30.0, validator=[attrs.validators.ge(0.1), attrs.validators.le(86400.0)]
    )
    """Seconds a single command may take, from 0.1 to a day."""
    sees_all_processes: bool = False
    """Whether all who use this host's switch run in the agent's PID namespace, if that is not the machine's first."""
