"""Credentials of the bus for participants that tests play."""

from pathlib import Path

from novakit.bus import enrolments
from novakit.bus.enrolments import Credential, Enrolments
from novakit.bus.local import LocalBus


def credential_of(state: Path, participant: str) -> Credential:
    """Return the credential of a participant at a control plane, enrolled when it was not."""
    participant = participant if participant.startswith("agent:") else participant.partition(":")[0]
    known, kept = Enrolments(state), state.parent / f"{state.name}-credentials"
    mine = enrolments.directory(state) if participant in enrolments.ROLES else kept
    path = mine / participant.replace(":", ".")
    if path.exists():
        return enrolments.read(path)
    enrolled = participant in {one.participant for one in known.everybody()}
    credential = (known.rotate if enrolled else known.enrol)(participant)
    enrolments.write(credential, mine)
    return credential


def joining(state: Path, identity: str, *, with_that_of: str | None = None) -> LocalBus:
    """Return a participant that joins the bus of a control plane, with another one's credential when that is asked."""
    credential = credential_of(state, with_that_of or identity)
    return LocalBus(identity, lambda: credential)
