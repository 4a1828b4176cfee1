"""What the owner of a server reads of a step that failed, and what administrators read beside it.

Owners read no name of a host, no directory and no words of the database. Where these say more, a failure names the
request id, by which an operator finds the rest in the log.
"""

import re

from novakit.bus import RemoteError, RemoteRefused
from novakit.compute.states import UndefinedMove
from novakit.conductor.work import AnyWork, Failure
from novakit.errors import InsufficientStorage
from novakit.store.faults import shown

UNKNOWN = Failure("This failed, and why is not known any more. Try again.", details="no reason was kept")
"""Why an operation is taken back whose row does not say so."""
_DIRECTORIES = re.compile(r"(?<![^\s'\"(`])/(?:[^\s/'\"`]+/)+(?=[^\s/])")
"""The directories of an absolute path; a URL, a network such as 10.0.0.0/24 and a fraction have no such beginning."""


def of_silence(work: AnyWork, seconds: float, error: Exception) -> Failure:
    """Return the failure of a step whose host did not answer for so long."""
    return Failure(f"The host did not answer. {_advice(work)}", details=f"silent for {seconds:.0f} s: {error}")


def of_host(work: AnyWork, error: RemoteError) -> Failure:
    """Return the failure of a step that its host refused or could not do."""
    if isinstance(error, RemoteRefused):
        message = for_owner(str(error), work.memory.host)
    elif error.kind == InsufficientStorage.__name__:
        message = f"The host's disk is full. {_advice(work)}"
    else:
        message = f"The host could not do '{work.kind}'. {_advice(work)}"
    return Failure(message, details=f"{error.kind}: {error}")


def of_change(error: UndefinedMove) -> Failure:
    """Return the failure of a step whose server somebody has brought to another state."""
    said = "The state of the server was changed meanwhile; look at it, and ask again if this is still wanted."
    return Failure(said, code=409, details=str(error))


def unforeseen(work: AnyWork, error: Exception) -> Failure:
    """Return the failure of a step that raised what nobody foresaw."""
    said = f"An error in the service ended '{work.kind}'. {_advice(work)}"
    found = f"{shown(error)}; the conductor's log has more under the request id {work.request_id}"
    return Failure(said, details=found)


def for_owner(said: str, host: str | None) -> str:
    """Return a refusal of `host` without names of hosts and directories.

    A driver's refusal is one sentence for the user, and names what its author thought of.
    """
    said = _DIRECTORIES.sub("", said)
    if not host:
        return said
    # Its name may stand with the domain that it is in.
    named = re.escape(host) + r"(?:\.[\w-]+)*(?![\w-])"
    said = re.sub(rf"\bhost {named}", "host", said)
    # A name that may be a word of the language is known by the word before it alone.
    return said if host.isalpha() else re.sub(rf"(?<![\w.-]){named}", "its host", said)


def _advice(work: AnyWork) -> str:
    return f"Try again, or give the operator the request id {work.request_id}."
