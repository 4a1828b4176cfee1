"""What virt drivers tell `novakit doctor` alike."""

import asyncio

from novakit_hookspecs.findings import Finding, Verdict
from novakit_host.commands import filters, sandbox


async def confinement() -> Finding:
    """Return what keeps the programs that open tenants' files from the host."""
    check = "confinement of image tools"
    if await asyncio.to_thread(sandbox) == "bubblewrap":
        filtered = ", a filter of system calls" if await asyncio.to_thread(filters) else ""
        found = f"bubblewrap{filtered}, and limits of CPU, memory, files and time"
        if filtered:
            return Finding(check=check, verdict=Verdict.OK, found=found)
        return Finding(check=check, verdict=Verdict.WARN, found=found, remedy="apt-get install libseccomp2")
    return Finding(
        check=check,
        verdict=Verdict.WARN,
        found="limits of CPU, memory, files and time; bubblewrap is not installed or not allowed to make namespaces",
        remedy="apt-get install bubblewrap",
    )
