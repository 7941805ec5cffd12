"""TLS of a process's own door: certificate and key from files, taken up again when they are renewed."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import structlog

from schemas.errors import SettingsError
from streams import background
from streams.settings import TlsSettings

log = structlog.get_logger(__name__)

LOOK_SECONDS = 30.0
"""How often the files are looked at; certificates are renewed days before they end."""


class ServerTls:
    """The server's side of TLS 1.2 and newer; new connections get what the files held last."""

    def __init__(self, certfile: Path, keyfile: Path, setting: str) -> None:
        """Read both files; `setting` begins the names of their settings, such as `ZIFS_INGRESS__`.

        Raises:
            SettingsError: one cannot be read, or they do not belong together.

        """
        self._certfile = certfile
        self._keyfile = keyfile
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            self._read_at = self._changed_at()
            self._load(self.context)
        except OSError as error:  # SSLError is one
            raise SettingsError(
                f"{setting}TLS_CERTFILE or {setting}TLS_KEYFILE cannot be used: {_reason(error)}"
            ) from error

    @asynccontextmanager
    async def renewing(self) -> AsyncIterator[None]:
        """Take up renewed files for as long as this is open."""
        async with background.running(self._look()):
            yield

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                self._renew()
            except OSError as error:
                # Just being written, perhaps: what was read before goes on serving, the next look tries again.
                log.warning("the renewed certificate cannot be used yet", reason=_reason(error))

    def _renew(self) -> None:
        changed_at = self._changed_at()
        if changed_at == self._read_at:
            return
        self._load(ssl.create_default_context(ssl.Purpose.CLIENT_AUTH))  # tried first: a half pair would stay loaded
        self._load(self.context)
        self._read_at = changed_at
        log.info("the renewed certificate is in use", file=self._certfile.name)

    def _load(self, context: ssl.SSLContext) -> None:
        # Without a function OpenSSL would ask a terminal for the passphrase of an encrypted key.
        context.load_cert_chain(self._certfile, self._keyfile, password=_no_passphrase)

    def _changed_at(self) -> tuple[int, int]:
        return self._certfile.stat().st_mtime_ns, self._keyfile.stat().st_mtime_ns


def server_tls(settings: TlsSettings, setting: str) -> ServerTls | None:
    """Return a door's TLS as it is set; None where it is not.

    Raises:
        SettingsError: only one of the files is named, or they cannot be used.

    """
    certfile, keyfile = settings.tls_certfile, settings.tls_keyfile
    if certfile is None and keyfile is None:
        return None
    if certfile is None or keyfile is None:
        missing = "TLS_KEYFILE" if keyfile is None else "TLS_CERTFILE"
        raise SettingsError(f"{setting}{missing} is not set: certificate and key go together")
    return ServerTls(certfile, keyfile, setting)


def _no_passphrase() -> str:
    raise ssl.SSLError("the key is encrypted with a passphrase, which a service cannot type: store it without one")


def _reason(error: OSError) -> str:
    if error.filename is None and isinstance(error, ssl.SSLError):
        return getattr(error, "reason", None) or str(error)
    return f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}"
