"""What the service that runs on a state directory says of itself, for commands that are typed beside it."""

from collections.abc import Sequence
from pathlib import Path

import attrs

from novakit import clouds
from novakit.cli.client import CLOUD, Client, RequestRefused, health, login_where_it_runs
from novakit.errors import ConfigError, in_words
from novakit.plughost import PluginRow
from novakit_hookspecs.findings import Finding, Verdict
from novakit_hookspecs.plain import to_record

NAMED = 5
"""Things of one kind that a line names."""


@attrs.frozen(kw_only=True)
class Running:
    """A service that answers, and what it was started with."""

    driver: str | None
    """The virt driver in use, where hosts have different ones that of most; None where no host has reported yet."""
    network: str | None
    plugins: tuple[PluginRow, ...]


def ask(state: Path) -> Running | None:
    """Ask the service of a state directory; None where none runs, or it does not let us in."""
    cloud = login_where_it_runs(state, CLOUD)
    if isinstance(cloud, Client):
        told = cloud.get("novakit", "v1/plugins")
        rows = tuple(to_record(one, PluginRow, tolerant=True) for one in told["plugins"])
        return Running(driver=told["driver"], network=told["network"], plugins=rows)
    return None


def examine(state: Path) -> list[Finding]:
    """Return whether the running service lets the administrator in, and what hosts have that it does not know."""
    cloud = login_where_it_runs(state, CLOUD)
    if cloud is None:
        return []
    health = _health(state)
    if isinstance(cloud, RequestRefused) and cloud.status_code not in (401, 403):
        remedy = "first repair what the other lines say of the service"
        return [*health, Finding(check="login", verdict=Verdict.WARN, found=f"failed: {cloud}", remedy=remedy)]
    if isinstance(cloud, RequestRefused):
        found = f"the password in {state}/clouds.yaml is not the administrator's: {cloud}"
        remedy = f"novakit admin reset-password --state {state}"
        return [Finding(check="login", verdict=Verdict.WARN, found=found, remedy=remedy)]
    unknown = cloud.get("novakit", "v1/guests")
    findings = [*health, *_image_files(cloud, state), *_strangers(cloud, state)]
    findings += [
        Finding(
            check=f"host {each['host']}",
            verdict=Verdict.WARN,
            found=f"is refused. {each['why']}",
            remedy="see the log of its agent, which says what to do",
        )
        for each in unknown["refused_hosts"]
    ]
    findings += [
        Finding(check="guests", verdict=Verdict.WARN, found=sentence, remedy=f"novakit guest list --state {state}")
        for sentence in unknown.get("full", ())
    ]
    if guests := unknown["guests"]:
        named = _some([f"{each['name'] or each['id']} on {each['host']}" for each in guests])
        found = f"{len(guests)} without a server in the database: {named}"
        remedy = f"novakit guest list --state {state}; then novakit guest adopt, or remove"
        return [*findings, Finding(check="guests", verdict=Verdict.WARN, found=found, remedy=remedy)]
    return [*findings, Finding(check="guests", verdict=Verdict.OK, found="each belongs to a server")]


def _health(state: Path) -> list[Finding]:
    """Return what the service says of itself that is not well, such as a full disk of its database."""
    try:
        degraded = health(clouds.read(state / "clouds.yaml")[CLOUD]["auth_url"])["degraded"]
    except (ConfigError, KeyError) as error:
        return [
            Finding(
                check="health",
                verdict=Verdict.WARN,
                found=in_words(error),
                remedy="run novakit doctor again in a moment",
            )
        ]
    remedy = "repair what it names; /healthcheck of the service says when it is healthy again"
    return [
        Finding(check=f"health of {part}", verdict=Verdict.WARN, found=str(what), remedy=remedy)
        for part, what in degraded.items()
    ]


def _image_files(cloud: Client, state: Path) -> list[Finding]:
    """Return what to do with image files that no image has, and with images whose files are damaged."""
    told = cloud.get("novakit", "v1/image-files")
    findings = []
    if found := told["image_files"]:
        named = _some([each["name"] for each in found])
        remedy = f"novakit image strangers --state {state}; then novakit image adopt, or remove"
        what = f"{len(found)} without an image: {named}"
        findings.append(Finding(check="image files", verdict=Verdict.WARN, found=what, remedy=remedy))
    if damaged := told.get("damaged"):
        named = _some([f"{each['image_id']} ({each['problem']})" for each in damaged])
        what = f"{len(damaged)} whose data is damaged and not given out: {named}"
        remedy = "restore their files from a backup, or openstack image delete"
        findings.append(Finding(check="images", verdict=Verdict.WARN, found=what, remedy=remedy))
    return findings


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")


def _strangers(cloud: Client, state: Path) -> list[Finding]:
    """Return what to do with what belongs to nobody on hosts, where there is any."""
    check = "hosts"
    try:
        found = cloud.get("novakit", "v1/strangers")["strangers"]
    except RequestRefused as error:
        return [
            Finding(
                check=check,
                verdict=Verdict.WARN,
                found=f"could not be asked: {error}",
                remedy="run novakit doctor again in a moment",
            )
        ]
    if not found:
        return []
    named = _some([f"{each['kind']} {each['name']}" for each in found])
    remedy = f"novakit host strangers --state {state}; then novakit host remove"
    what = f"{len(found)} stranger{'' if len(found) == 1 else 's'} on them, which belong to nobody: {named}"
    return [Finding(check=check, verdict=Verdict.WARN, found=what, remedy=remedy)]
