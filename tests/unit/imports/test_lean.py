"""What is left out of a library is what nobody here asks of it, and is there for who does."""

import asyncio
import ssl
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

ASKS = """
import asyncio, ssl, sys
from novakit.imports import lean
import aiohttp

async def ask():
    async with aiohttp.ClientSession() as session:
        for options in ({}, {}, {"ssl": False}):
            try:
                async with session.get(sys.argv[1], **options) as answer:
                    print(await answer.text())
            except aiohttp.ClientConnectorCertificateError as error:
                print("refused")

asyncio.run(ask())
"""
LOOKS = """
import ssl, sys
from novakit.imports import lean
from aiohttp import connector

context = connector._SSL_CONTEXT_VERIFIED
assert type(context) is lean.Late and isinstance(context, ssl.SSLContext)
assert context.verify_mode is ssl.CERT_REQUIRED and context.check_hostname
known = len(ssl.create_default_context().get_ca_certs())
assert context.cert_store_stats()["x509_ca"] == known
assert type(context) is ssl.SSLContext
assert len(connector._SSL_CONTEXT_UNVERIFIED.get_ca_certs()) == known
assert "set_default_verify_paths" not in vars(ssl.SSLContext)
assert ssl.SSLContext.load_default_certs is lean._load_default_certs
"""
DRAWS = """
import sys
from novakit.imports import lean
import structlog

assert "rich" not in sys.modules
from rich.console import Console

structlog.dev.plain_traceback(sys.stdout, (ValueError, ValueError("of it"), None))
Console().print("[bold]drawn[/bold]")
"""


def ran(script: str, *arguments: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate of 127.0.0.1 by nobody but itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    own, private = tmp_path / "own.pem", tmp_path / "key.pem"
    own.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    private.write_bytes(key.private_bytes(serialization.Encoding.PEM, *form))
    return own, private


@pytest.mark.parametrize("trusted", [True, False], ids=["trusted", "a stranger"])
async def test_a_server_is_believed_by_the_certificates_that_this_machine_trusts(
    certificate: tuple[Path, Path], trusted: bool, tmp_path: Path
) -> None:
    async def hello(request: web.Request) -> web.Response:
        return web.Response(text="hello")

    app = web.Application()
    app.router.add_get("/", hello)
    runner = web.AppRunner(app)
    await runner.setup()
    own, private = certificate
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own, private)
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    port = runner.addresses[0][1]
    places = {"SSL_CERT_FILE": str(own if trusted else tmp_path / "none"), "SSL_CERT_DIR": str(tmp_path / "none")}
    said = await asyncio.to_thread(ran, ASKS, f"https://127.0.0.1:{port}/", **places)
    await runner.cleanup()
    assert said.split() == (["hello"] * 3 if trusted else ["refused", "refused", "hello"])


def test_aiohttps_contexts_know_what_others_know_once_they_are_asked() -> None:
    ran(LOOKS)


def test_rich_is_there_for_who_wants_it() -> None:
    said = ran(DRAWS)
    assert "ValueError: of it" in said
    assert said.endswith("drawn\n")
