"""Which deployment a host belongs to: the first that it joined, until somebody removes the file that says so.

The idea: a host that has guests must not obey a control plane that never heard of them, whatever led it there: a new
database, a wrong URL, a copied configuration.
The invariant: every call that changes something carries the deployment of whoever calls, which the bus vouches for,
and is refused unless it is this host's. What a host belongs to is on disk before it does anything for it.
The cost: a comparison of two texts for each call, below 1 µs, and two durable files for the life of the host.
"""

import asyncio
from pathlib import Path

import attrs
import structlog

from novakit import identities, world
from novakit.bus import NotTaken
from novakit.calls.conductor import Received

log = structlog.get_logger(__name__)


TAKES_NO_PART = "The host takes no part now; its agent's log says why and what to do."
"""What callers are told. Owners of servers read this; where directories are, and whose, is for the log."""


@attrs.define
class Membership:
    """One host's."""

    host: str
    directory: Path
    deployment: str = ""
    """Empty until the host has joined one."""
    own: str = ""
    """The id of the host's directory: another one of the same name does not have its guests."""
    _is_kept: bool = False
    """Whether that id is on disk."""
    _lacks_guests: bool = False
    """Whether the control plane misses guests here: what it asks for is meant for another directory."""
    refusal: str = ""
    """Why the host does not take part; empty while it does."""

    def open(self) -> None:
        """Read what the host belongs to. Raises ConfigError for a file that holds no identity."""
        self.deployment = identities.read(self.directory) or ""
        kept = identities.read_own(self.directory)
        self.own, self._is_kept = kept or world.new_id(), kept is not None

    async def joined(self, deployment: str) -> None:
        """Belong to a deployment from now on, unless the host belongs to one."""
        if not self._is_kept:
            await asyncio.to_thread(identities.make_own, self.directory, self.own)
            self._is_kept = True
        if not self.deployment:
            await asyncio.to_thread(identities.take, self.directory, deployment)
            self.deployment = deployment
            log.info("host joined a deployment", host=self.host, deployment=deployment)
        self.refusal, self._lacks_guests = "", False

    def refused(self, received: Received) -> None:
        """Take no part: the control plane is of another deployment, or misses guests in what this directory has."""
        sentence = self.sentence(received.deployment)
        if received.why:
            sentence = (
                f"{received.why} Start the agent on the directory that has them, instead of {self.directory}. If that"
                f" one is lost, and its guests with it, delete these servers, or write {received.directory} into"
                f" {self.directory / identities.OWN} and start the agent again: they then show that they are lost."
            )
        if sentence != self.refusal:
            log.error("host takes no part", host=self.host, why=sentence)
        self.refusal, self._lacks_guests = sentence, bool(received.why)

    def require(self, deployment: str) -> None:
        """Let a control plane change something here.

        Raises NotTaken for another deployment than ours, and where ours means another directory than this: a guest
        that was built or removed here now would be wrong there. To whoever asks for something such a host is as good
        as silent: it may take part again, so what is asked waits for it, and a delete ends without it.
        """
        is_foreign = bool(self.deployment) and deployment != self.deployment
        if is_foreign or self._lacks_guests:
            raise NotTaken(TAKES_NO_PART)

    def sentence(self, deployment: str) -> str:
        """Return what is wrong and what to do."""
        return (
            f"The host {self.host} belongs to deployment {self.deployment} and refuses the control plane of deployment"
            f" {deployment or 'none'}. Start the control plane on its own database and state directory; or let the"
            f" host join that deployment: stop its agent, remove {self.directory / identities.NAME} and start it again."
            " Its guests are then unknown to the new deployment; `novakit guest list` names them."
        )
