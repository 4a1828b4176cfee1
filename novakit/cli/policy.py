"""`novakit policy`: the rules that say who may do what, and whom each allows."""

import argparse
import fnmatch
import logging
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import orjson
import structlog
from rich.table import Table
from rich.text import Text

from novakit import config
from novakit.cli import paths
from novakit.cli.scheduling.explain import wide
from novakit.errors import ConfigError

if TYPE_CHECKING:
    from novakit.policy import Policy

DESCRIPTION = """\
Read the rules as the service reads them: the defaults, and those that policy.yaml replaces.

  novakit policy list 'os_compute_api:servers:*'       what the rules are
  novakit policy check                                 whether policy.yaml is understood
  novakit policy check os_compute_api:servers:delete   whom a rule allows
  novakit policy check get_image --role auditor        whether it allows a caller with this role
"""


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `novakit policy` to the command line."""
    parser = subparsers.add_parser(
        "policy",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    listing = commands.add_parser("list", help="print the rules", description="Print the rules of every service.")
    listing.add_argument("pattern", nargs="?", default="*", help="names of the rules, with * for any characters")
    listing.add_argument("--changed", action="store_true", help="only rules that policy.yaml replaces")
    listing.set_defaults(func=list_rules)
    checking = commands.add_parser(
        "check",
        help="show whom a rule allows",
        description="Show whom a rule allows; without a rule, check policy.yaml.",
    )
    checking.add_argument("rule", nargs="?", help="the name of a rule")
    checking.add_argument("--role", metavar="R", action="append", help="a role of the caller; may be repeated")
    checking.add_argument(
        "--scope",
        choices=("project", "system", "none"),
        default="project",
        help="scope of the caller's token; default %(default)s",
    )
    checking.add_argument("--foreign", action="store_true", help="ask about a resource of another project and user")
    checking.set_defaults(func=check)
    for each in (listing, checking):
        each.add_argument("--state", metavar="DIR", type=paths.absolute, default="state", help="where all state lives")
        each.add_argument(
            "--config", metavar="FILE", type=paths.absolute, help="options in TOML; default DIR/novakit.toml"
        )
        each.add_argument("--service", metavar="S", help="only the rules of this service: compute, image, ...")
        each.add_argument("--format", choices=("table", "json"), default="table", help="for people, or for programs")


def list_rules(args: argparse.Namespace) -> int:
    """Print the rules that are asked for."""
    rows: list[dict[str, Any]] = [
        {
            "service": policy.service,
            "rule": rule.name,
            "check": policy.check_of(rule.name),
            "default": rule.check,
            "changed": rule.name in policy.file.overrides,
            "scopes": list(rule.scopes),
            "operations": list(rule.operations),
        }
        for policy in _policies(args)
        for rule in policy.table.values()
        if fnmatch.fnmatchcase(rule.name, args.pattern) and (not args.changed or rule.name in policy.file.overrides)
    ]
    if args.format == "json":
        return _print_json(rows)
    table = Table("service", "rule", "check", "scopes", "operations")
    for row in rows:
        check = f"{row['check']} (default: {row['default']})" if row["changed"] else row["check"]
        cells = (row["service"], row["rule"], check, ", ".join(row["scopes"]), "; ".join(row["operations"]))
        table.add_row(*map(Text, cells))
    wide().print(table)
    return 0


def check(args: argparse.Namespace) -> int:
    """Print whom a rule lets. Returns 1 when somebody was named whom it does not."""
    policies = list(_policies(args))
    if args.rule is None:
        if args.role or args.foreign:
            raise ConfigError("--role and --foreign need the name of a rule.")
        return _check_file(args, policies)
    asked = [policy for policy in policies if args.rule in policy.table]
    if not asked:
        raise ConfigError(f"No service uses a rule {args.rule}; `novakit policy list` shows all rules.")
    if args.role or args.scope != "project":
        return _check_caller(args, asked)
    rows = [row for policy in asked for row in _lets(policy, args.rule)]
    if args.format == "json":
        return _print_json({"rule": args.rule, "check": asked[0].check_of(args.rule), "lets": rows})
    table = Table("service", "caller", "on its own", "on another's", title=asked[0].check_of(args.rule))
    for row in rows:
        table.add_row(row["service"], row["caller"], *("yes" if row[key] else "no" for key in ("own", "foreign")))
    wide().print(table)
    return 0


def _check_file(args: argparse.Namespace, policies: "Sequence[Policy]") -> int:
    file = policies[0].file
    exists = bool(file.path and file.path.exists())
    if args.format == "json":
        found = {"file": str(file.path), "exists": exists, "rules": dict(file.overrides), "unknown": file.unknown}
        return _print_json(found)
    if not exists:
        print(f"There is no {file.path}: the defaults apply.")
        return 0
    replaced = f"{len(file.overrides)} rule{'' if len(file.overrides) == 1 else 's'}"
    print(f"{file.path} is understood; it replaces {replaced}.")
    for name in file.unknown:
        print(f"No service uses the rule {name}: it has no effect.")
    return 0


def _check_caller(args: argparse.Namespace, policies: "Sequence[Policy]") -> int:
    from novakit.policy.personas import IMPLIED, MINE, caller, foreign

    system = args.scope == "system"
    roles = {implied for role in args.role or () for implied in (role, *IMPLIED.get(role, ()))}
    somebody = caller(*roles, project=MINE if args.scope == "project" else None, system=system)
    verdicts = [
        policy.allows(policy.admitted(somebody), args.rule, foreign() if args.foreign else None) for policy in policies
    ]
    if args.format == "json":
        _print_json({"rule": args.rule, "allowed": all(verdicts)})
    else:
        print("allowed" if all(verdicts) else "refused")
    return 0 if all(verdicts) else 1


def _lets(policy: "Policy", rule: str) -> Iterator[dict[str, Any]]:
    from novakit.policy.personas import PERSONAS, foreign

    for name, persona in PERSONAS.items():
        known = policy.admitted(persona)
        yield {
            "service": policy.service,
            "caller": name,
            "own": policy.allows(known, rule),
            "foreign": policy.allows(known, rule, foreign()),
        }


def _policies(args: argparse.Namespace) -> "list[Policy]":
    """Make the policy of each service that is asked for, as the service itself makes it."""
    from novakit.api.services import SERVICES, policy_file

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    paths.require_config(args.config)
    fields = config.read(args.config or args.state / "novakit.toml")
    file = policy_file(config.Config(state=paths.resolved(args.state), **fields))
    chosen = [service for service in SERVICES if args.service in (None, service.name)]
    if not chosen:
        raise ConfigError(f"--service takes {', '.join(service.name for service in SERVICES)}, not {args.service}.")
    return [service.policy(file) for service in chosen]


def _print_json(found: object) -> int:
    sys.stdout.buffer.write(orjson.dumps(found, option=orjson.OPT_INDENT_2) + b"\n")
    return 0
