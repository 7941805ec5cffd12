"""TLS of a process's own door, with certificates of a test's own authority."""

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest
import trustme
from aiohttp import web
from structlog.testing import capture_logs

from agents import tls as tls_module
from agents.serving import add_probes, start_site
from agents.tls import server_tls
from schemas.errors import SettingsError
from streams.settings import TlsSettings
from tests.support.waiting import eventually

AUTHORITY = trustme.CA()


def issue(folder: Path, authority: trustme.CA = AUTHORITY) -> TlsSettings:
    """Write a certificate and its key as a renewal does: the one, then the other."""
    issued = authority.issue_cert("127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    return TlsSettings(tls_certfile=folder / "cert.pem", tls_keyfile=folder / "key.pem")


def client_of(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


async def ready() -> list[str]:
    return []


async def test_a_site_answers_by_tls_alone(tmp_path: Path) -> None:
    app = web.Application()
    add_probes(app, ready)
    site = await start_site(app, "127.0.0.1", 0, tls=server_tls(issue(tmp_path), "ZIFS_INGRESS__"))
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{site.url}/healthz", ssl=client_of(AUTHORITY)) as answer:
            assert (site.url[:8], answer.status) == ("https://", 200)
        with pytest.raises(aiohttp.ClientConnectionError):
            await session.get(f"{site.url}/healthz".replace("https", "http"))
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await session.get(f"{site.url}/healthz", ssl=client_of(trustme.CA()))
    await site.stop()


async def test_renewed_files_are_taken_up_without_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls_module, "LOOK_SECONDS", 0.02)
    renewed = trustme.CA()
    app = web.Application()
    add_probes(app, ready)
    site = await start_site(app, "127.0.0.1", 0, tls=server_tls(issue(tmp_path), "ZIFS_INGRESS__"))

    async def known_by(authority: trustme.CA) -> bool:
        async with aiohttp.ClientSession() as session:
            try:
                async with session.get(f"{site.url}/healthz", ssl=client_of(authority)):
                    return True
            except aiohttp.ClientConnectorCertificateError:
                return False

    with capture_logs() as logs:
        (tmp_path / "key.pem").write_text("half written")
        await eventually(lambda: asyncio.sleep(0, str(logs)), lambda said: "cannot be used yet" in said)
        assert await known_by(AUTHORITY)
        issue(tmp_path, renewed)
        await eventually(lambda: known_by(renewed), lambda known: known)
    await site.stop()


def without_key(folder: Path) -> TlsSettings:
    return TlsSettings(tls_certfile=issue(folder).tls_certfile)


def of_another_pair(folder: Path) -> TlsSettings:
    settings = issue(folder)
    AUTHORITY.issue_cert("127.0.0.1").private_key_pem.write_to_path(folder / "key.pem")
    return settings


def missing(folder: Path) -> TlsSettings:
    return TlsSettings(tls_certfile=folder / "gone.pem", tls_keyfile=folder / "key.pem")


def nonsense(folder: Path) -> TlsSettings:
    settings = issue(folder)
    (folder / "cert.pem").write_text("nonsense")
    return settings


def encrypted(folder: Path) -> TlsSettings:
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - of this case alone

    settings = issue(folder)
    key = serialization.load_pem_private_key((folder / "key.pem").read_bytes(), None)
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"hunter2"),
        )
    )
    return settings


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (without_key, "ZIFS_CONSOLE__TLS_KEYFILE is not set"),
        (of_another_pair, "cannot be used: KEY_VALUES_MISMATCH"),
        (missing, "cannot be used: No such file or directory: .*gone.pem"),
        (nonsense, "cannot be used: "),
        (encrypted, "encrypted with a passphrase"),
    ],
)
def test_files_that_cannot_be_used_are_named_in_one_line(
    settings: Callable[[Path], TlsSettings], said: str, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match=said) as refused:
        server_tls(settings(tmp_path), "ZIFS_CONSOLE__")

    assert "\n" not in str(refused.value)
    assert "ZIFS_CONSOLE__TLS_" in str(refused.value)


def test_without_files_there_is_no_tls() -> None:
    assert server_tls(TlsSettings(), "ZIFS_WORKER__") is None
