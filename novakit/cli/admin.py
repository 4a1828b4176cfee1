"""`novakit admin`: new passwords and a working administrator, with or without the service running.

It writes the database itself, so whoever may write that may use it.
"""

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from novakit import clouds, config, errors
from novakit.cli import paths
from novakit.errors import ConfigError
from novakit.identity import Identity, rescue
from novakit.identity import bootstrap as bootstraps
from novakit.store import Store, migrate

PASSWORD_HELP = "read the new password from the first line of standard input; without this option, one is generated"
RESET = """\
Give a user of the domain Default a new password.  The tokens of that user stop working.

  novakit admin reset-password                    admin; the password is generated and written to DIR/clouds.yaml
  novakit admin reset-password demo               likewise for the user of the cloud `novakit`
  novakit admin reset-password alice              generated and printed, because DIR/clouds.yaml has no cloud for alice
  echo "$SECRET" | novakit admin reset-password admin --password-stdin

It writes the database of DIR itself, so it works with and without the service, and needs no password.
"""
BOOTSTRAP = """\
Bring back what an administrator needs to log in, after users, roles or assignments were removed or disabled.

The domain Default, the roles, the users admin and demo with projects of the same names, and the catalog are made where
they are missing.  The user admin is enabled and has the role admin again.
Existing passwords stay as they are.  If DIR/clouds.yaml lacks one, use `novakit admin reset-password`.

It writes the database of DIR itself, so it works with and without the service, and needs no password.
"""


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `novakit admin` to the command line."""
    admin = subparsers.add_parser(
        "admin",
        description="Get back into a cloud whose passwords or administrator were lost.",
    )
    actions = admin.add_subparsers(metavar="ACTION", required=True)
    raw = argparse.RawDescriptionHelpFormatter
    reset = actions.add_parser(
        "reset-password", help="give a user a new password", description=RESET, formatter_class=raw
    )
    reset.add_argument("user", nargs="?", default=rescue.ADMIN, help="name of the user; default %(default)s")
    reset.add_argument("--password-stdin", action="store_true", help=PASSWORD_HELP)
    reset.set_defaults(func=reset_password)
    again = actions.add_parser(
        "bootstrap", help="bring back what an administrator needs", description=BOOTSTRAP, formatter_class=raw
    )
    again.set_defaults(func=bootstrap)
    for parser in (reset, again):
        parser.add_argument(
            "--state", metavar="DIR", type=paths.absolute, default="state", help="the service's state directory"
        )
        parser.add_argument(
            "--config", metavar="FILE", type=paths.absolute, help="options in TOML; default DIR/novakit.toml"
        )


def reset_password(args: argparse.Namespace) -> int:
    """Set a new password and say where it is."""
    password = sys.stdin.readline().rstrip("\n") if args.password_stdin else clouds.new_password()
    if args.password_stdin and not password:
        raise ConfigError("--password-stdin found no password on the first line of standard input.")
    cloud = next((cloud for cloud, (user, _) in clouds.CLOUDS.items() if user == args.user), None)
    path = args.state / "clouds.yaml"
    asyncio.run(_reset(args, cloud, password))
    if cloud:
        print(f"{args.user} has a new password; it is in {path}, under the cloud {cloud}.")
    elif args.password_stdin:
        print(f"{args.user} now has the password that you gave.")
    else:
        print(f"{args.user} now has the password {password}")
    return 0


def bootstrap(args: argparse.Namespace) -> int:
    """Make what is missing and say what it was."""
    done = asyncio.run(_bootstrap(args))
    for sentence in done:
        print(sentence)
    if not done:
        print("Nothing was missing.")
    return 0


async def _reset(args: argparse.Namespace, cloud: str | None, password: str) -> None:
    async with _store(args) as store:
        try:
            await rescue.reset_password(store, args.user, password)
        except errors.NovakitError as error:
            raise ConfigError(error.message) from error
        if cloud:
            await _write_clouds(store, args.state, {cloud: password})


async def _bootstrap(args: argparse.Namespace) -> list[str]:
    async with _store(args) as store:
        known, there = clouds.passwords(args.state / "clouds.yaml"), await bootstraps.user_names(store)
        chosen = {
            cloud: known.get(cloud) or clouds.new_password()
            for cloud, (user, _) in clouds.CLOUDS.items()
            if cloud in known or user not in there
        }
        url = await _auth_url(store, args.state)
        await _write_clouds(store, args.state, chosen)
        # Endpoints of other services are made by `novakit serve`, which knows where it listens.
        identity = Identity(store, args.state / "keys", {"identity": url} if url else {})
        await identity.bootstrap(
            admin_password=chosen.get("novakit-admin"), demo_password=chosen.get("novakit"), moves_endpoints=False
        )
        new = sorted(await bootstraps.user_names(store) - there)
        made = [f"The user {user} was missing and has been made." for user in new]
        return made + await rescue.restore_admin(store)


async def _write_clouds(store: Store, state: Path, changed: dict[str, str]) -> None:
    """Put passwords into `clouds.yaml` beside those that are there."""
    path = state / "clouds.yaml"
    url = await _auth_url(store, state)
    if url is None:
        raise ConfigError("The catalog has no endpoint of the identity service; start `novakit serve` once.")
    await asyncio.to_thread(clouds.write, path, url, {**clouds.passwords(path), **changed})


async def _auth_url(store: Store, state: Path) -> str | None:
    """Find where clients log in: as `clouds.yaml` says, else as the catalog does."""
    for keys in clouds.read(state / "clouds.yaml").values():
        if keys.get("auth_url"):
            return keys["auth_url"]
    return await rescue.login_url(store)


@asynccontextmanager
async def _store(args: argparse.Namespace) -> AsyncIterator[Store]:
    """Open the database of a state directory, while no service is just starting on it. Raises ConfigError."""
    from novakit.concurrency.locks import one_at_a_time

    paths.require_config(args.config)
    paths.existing(args.state)
    chosen = config.Config(state=paths.resolved(args.state), **config.read(args.config or args.state / "novakit.toml"))
    if chosen.store_url is None and not (args.state / "novakit.db").exists():
        raise ConfigError(f"{args.state} has no database; start `novakit serve --state {args.state}` once.")
    async with one_at_a_time(chosen.state / "setup.lock"):
        if await migrate.revision(chosen.database) != migrate.head():
            raise ConfigError(
                "The database belongs to another version of novakit; start `novakit serve` of this version once."
            )
        store = await Store.open(chosen.database)
        try:
            yield store
        finally:
            await store.close()
