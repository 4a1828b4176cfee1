"""How commands talk to the running service: over its own APIs, as the admin of `DIR/clouds.yaml`."""

import argparse
import http.client
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from novakit import clouds
from novakit.cli import paths
from novakit.concurrency import locks
from novakit.errors import ConfigError, in_words
from novakit_hookspecs.urls import without_secrets

CLOUD = "novakit-admin"
"""The cloud of `clouds.yaml` whose login is the administrator's."""
NEEDED = ("username", "user_domain_id", "project_name", "project_domain_id", "auth_url")
"""What a login is made of, besides a password."""
WITHIN = 400.0
"""Seconds to wait for an answer: longer than the longest that an operator can ask of the conductor."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what every command that talks to the service takes."""
    parser.add_argument(
        "--state", metavar="DIR", type=paths.absolute, default="state", help="the service's state directory"
    )
    parser.add_argument("--cloud", default=CLOUD, help="which cloud of DIR/clouds.yaml to log in to")
    parser.add_argument("--format", choices=("table", "json"), default="table", help="for people, or for programs")


class RequestRefused(ConfigError):
    """The service said no; the message is its own."""

    def __init__(self, status_code: int, message: str) -> None:
        super().__init__(message)
        self.status_code = status_code


@attrs.define
class Client:
    """A login at the running service."""

    url: str
    """Of the whole service, without a trailing slash."""
    token: str = attrs.field(repr=False)

    def get(self, service: str, path: str, **query: str) -> Any:
        """GET `/service/path`. Returns the JSON document."""
        suffix = f"?{urllib.parse.urlencode(query)}" if query else ""
        return self.send("GET", service, path + suffix)

    def post(self, service: str, path: str, body: Mapping[str, object]) -> Any:
        """POST a JSON document. Returns that of the answer."""
        return self.send("POST", service, path, body)

    def send(
        self, method: str, service: str, path: str, body: object = None, headers: Mapping[str, str] = {}
    ) -> object:
        """Send one request; `body` is a document or a file to stream. Raises RequestRefused for error statuses."""
        url = f"{self.url}/{service}/{path.lstrip('/')}"
        sent = {"X-Auth-Token": self.token, "OpenStack-API-Version": "placement 1.39", **headers}
        return _send(method, url, body, sent)[0]


def client(args: argparse.Namespace) -> Client:
    """Log in at the service that runs on `args.state`. Raises ConfigError when it does not run."""
    return login(args.state, args.cloud)


def login_where_it_runs(state: Path, cloud: str) -> Client | RequestRefused | None:
    """Log in where a service runs. Returns its refusal, or None where none answers."""
    if locks.holder(state / "conductor.lock") is None or cloud not in clouds.read(state / "clouds.yaml"):
        return None
    try:
        return login(state, cloud)
    except RequestRefused as error:
        return error
    except ConfigError:
        return None


def login(state: Path, cloud: str) -> Client:
    """Log in as a cloud of the state directory's `clouds.yaml`. Raises ConfigError when no service runs there."""
    path = state / "clouds.yaml"
    keys = clouds.read(path).get(cloud)
    if keys is None:
        if not paths.existing(state).joinpath(path.name).exists():
            raise ConfigError(
                f"There is no {path}; start `novakit serve --state {state}`, which writes it, or name the running"
                " service's directory with --state."
            )
        raise ConfigError(
            f"{path} has no cloud {cloud}; start `novakit serve --state {state}`, or name the running service's"
            " directory with --state."
        )
    if "password" not in keys:
        raise ConfigError(
            f"{path} has no password of {keys.get('username', cloud)}; make a new one with"
            f" `novakit admin reset-password {keys.get('username', 'USER')} --state {state}`."
        )
    if lacking := [name for name in NEEDED if not keys.get(name)]:
        raise ConfigError(
            f"{path} lacks {', '.join(lacking)} of {cloud}; start `novakit serve` again, which rewrites the file."
        )
    user = {"name": keys["username"], "domain": {"id": keys["user_domain_id"]}, "password": keys["password"]}
    scope = {"project": {"name": keys["project_name"], "domain": {"id": keys["project_domain_id"]}}}
    body = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope}}
    _, headers = _send("POST", f"{keys['auth_url']}/auth/tokens", body, {})
    if "X-Subject-Token" not in headers:
        shown = without_secrets(keys["auth_url"])
        raise ConfigError(f"{shown} answers, but not as an identity service; is `novakit serve` running there?")
    return Client(keys["auth_url"].removesuffix("/identity/v3"), headers["X-Subject-Token"])


def health(auth_url: str) -> Mapping[str, Any]:
    """Return what a service on this machine says of its health. Raises ConfigError when it does not answer."""
    url = f"{auth_url.removesuffix('/identity/v3')}/healthcheck"
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            told = json.loads(answer.read())
    except urllib.error.HTTPError as error:
        if error.code == 403:
            return {"degraded": {}}  # it runs on another machine, or behind a proxy: /healthcheck is for its own
        with error:
            try:
                told = json.loads(error.read())
            except ValueError:
                told = {"degraded": {"http": f"/healthcheck answers {error.code} {error.reason}"}}
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise ConfigError(f"{without_secrets(url)} does not answer: {in_words(error)}.") from error
    return told if isinstance(told, dict) and isinstance(told.get("degraded"), dict) else {"degraded": {}}


def _send(method: str, url: str, body: Any, headers: Mapping[str, str]) -> tuple[object, Mapping[str, str]]:
    sent = dict(headers)
    data = body
    if isinstance(body, dict | list):
        data = json.dumps(body).encode()
        sent["Content-Type"] = sent.get("Content-Type", "application/json")
    try:
        request = urllib.request.Request(url, data=data, headers=sent, method=method)
        with urllib.request.urlopen(request, timeout=WITHIN) as answer:
            text = answer.read()
            return (json.loads(text) if text else None), answer.headers
    except urllib.error.HTTPError as error:
        raise RequestRefused(error.code, _sentence(error)) from error
    except (OSError, http.client.HTTPException) as error:
        raise ConfigError(
            f"The service at {without_secrets(url)} does not answer ({in_words(error)}); is `novakit serve` running?"
        ) from error
    except ValueError as error:
        told = str(error).replace(url, without_secrets(url))
        raise ConfigError(
            f"{without_secrets(url)} is not an address of novakit, or something else answers there: {told}."
        ) from error


def _sentence(error: urllib.error.HTTPError) -> str:
    text = error.read().decode(errors="replace")
    try:
        document = json.loads(text)
    except ValueError:
        return f"{error.code} {error.reason}: {text[:300]}"
    while isinstance(document, dict):
        inner = document.get("message") or document.get("detail") or next(iter(document.values()), "")
        document = inner[0] if isinstance(inner, list) and inner else inner
    return f"{error.code} {error.reason}: {document}"
