"""Who may call: Basic credentials or a bearer token, an HMAC over the body, or both of these.

Passwords and HMAC secrets may be several while one is being replaced.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import structlog

from agents.ingress.bearer import Bearer, bearer
from schemas.errors import SettingsError
from streams.settings import IngressSettings

log = structlog.get_logger(__name__)

ALGORITHMS = ("sha1", "sha224", "sha256", "sha384", "sha512")
"""What Zuora offers, without MD5: a forged signature is in reach there."""

REALM = "zuora-ifs"

_PREFIX = re.compile(r"([a-z]+-?\d+)=(.+)", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class Basic:
    """One name, and the passwords that are good at present."""

    username: str
    passwords: tuple[str, ...] = field(repr=False)

    def allows(self, authorization: str) -> bool:
        """Say whether an `Authorization` header carries the name and one of the passwords (RFC 7617)."""
        scheme, _, encoded = authorization.strip().partition(" ")
        given = _decoded_base64(encoded.strip()) if scheme.lower() == "basic" else None
        return given is not None and _is_one_of(given, self._accepted())

    def _accepted(self) -> Iterable[bytes]:
        for password in self.passwords:
            pair = f"{self.username}:{password}"
            yield pair.encode()
            # Java's HTTP clients still send Latin-1; where a character is not in it, the first form is the only one.
            yield pair.encode("latin-1", errors="xmlcharrefreplace")


@dataclass(frozen=True)
class Signature:
    """An HMAC over the bytes of the body as they were sent, in a header that the callout template names."""

    secrets: tuple[str, ...] = field(repr=False)
    header: str
    algorithm: str
    encoding: str

    def allows(self, headers: Mapping[str, str], body: bytes) -> bool:
        """Say whether the header holds the body's HMAC under one of the secrets."""
        text = headers.get(self.header, "").strip()
        if prefixed := _PREFIX.fullmatch(text):
            if _algorithm_name(prefixed[1]) != self.algorithm:
                return False
            text = prefixed[2].strip()
        given = _decoded_hex(text) if self.encoding == "hex" else _decoded_base64(text)
        return given is not None and _is_one_of(
            given, (hmac.digest(secret.encode(), body, self.algorithm) for secret in self.secrets)
        )


@dataclass(frozen=True)
class Authentication:
    """The methods that are set; each of them must be passed."""

    basic: Basic | None
    signature: Signature | None
    bearer: Bearer | None = None

    @property
    def challenge(self) -> str:
        """The value of `WWW-Authenticate`: Zuora sends Basic credentials only once it has seen this."""
        scheme = "Basic" if self.basic else "Bearer" if self.bearer else "HMAC"
        return f'{scheme} realm="{REALM}"'

    def knows_caller(self, headers: Mapping[str, str]) -> bool:
        """Say whether the headers carry the Basic credentials, where they are asked for."""
        return self.basic is None or self.basic.allows(headers.get("Authorization", ""))

    def trusts_body(self, headers: Mapping[str, str], body: bytes) -> bool:
        """Say whether the body is signed as it must be."""
        return self.signature is None or self.signature.allows(headers, body)


def authentication(settings: IngressSettings) -> Authentication:
    """Return the methods that are set.

    Raises:
        SettingsError: none is set and anonymous callers are not allowed, or one is set by halves or unsafe.

    """
    methods = Authentication(_basic(settings), _signature(settings), bearer(settings))
    if methods.basic and methods.bearer:
        raise SettingsError(
            "ZIFS_INGRESS__BASIC_USERNAME and ZIFS_INGRESS__JWT_JWKS_URL are both set, but a request has one "
            "Authorization header: choose Basic or bearer tokens"
        )
    if methods.basic is None and methods.signature is None and methods.bearer is None:
        if not settings.allow_anonymous:
            raise SettingsError(
                "no webhook authentication is set: set ZIFS_INGRESS__BASIC_USERNAME and ZIFS_INGRESS__BASIC_PASSWORD, "
                "or ZIFS_INGRESS__HMAC_SECRET, or ZIFS_INGRESS__JWT_JWKS_URL, or ZIFS_INGRESS__ALLOW_ANONYMOUS=true"
            )
        log.warning("webhooks are taken from anyone, as ZIFS_INGRESS__ALLOW_ANONYMOUS says")
    return methods


def _basic(settings: IngressSettings) -> Basic | None:
    passwords = tuple(secret for password in settings.basic_password if (secret := password.get_secret_value()))
    if not settings.basic_username and not passwords:
        return None
    if not settings.basic_username:
        raise SettingsError("ZIFS_INGRESS__BASIC_PASSWORD is set, but ZIFS_INGRESS__BASIC_USERNAME is not")
    if not passwords:
        raise SettingsError("ZIFS_INGRESS__BASIC_USERNAME is set, but ZIFS_INGRESS__BASIC_PASSWORD is not")
    if ":" in settings.basic_username:
        raise SettingsError("ZIFS_INGRESS__BASIC_USERNAME: a colon cannot be part of the name (RFC 7617)")
    return Basic(settings.basic_username, passwords)


def _signature(settings: IngressSettings) -> Signature | None:
    algorithm = _algorithm_name(settings.hmac_algorithm)
    if algorithm not in ALGORITHMS:
        raise SettingsError(f"ZIFS_INGRESS__HMAC_ALGORITHM: {algorithm[:20]} is refused; use one of {_offered()}")
    secrets = tuple(text for secret in settings.hmac_secret if (text := secret.get_secret_value()))
    if not secrets:
        return None
    if not settings.hmac_header:
        raise SettingsError("ZIFS_INGRESS__HMAC_HEADER is empty: name the header that carries the signature")
    if algorithm == "sha1":
        log.warning("ZIFS_INGRESS__HMAC_ALGORITHM is sha1, which is weak: change it to sha256 here and in Zuora")
    return Signature(secrets, settings.hmac_header, algorithm, settings.hmac_encoding)


def _offered() -> str:
    return ", ".join(name for name in ALGORITHMS if name != "sha1")


def _algorithm_name(text: str) -> str:
    """`SHA-256`, `HmacSHA256` and `sha256` are one."""
    return "".join(letter for letter in text.lower() if letter.isalnum()).removeprefix("hmac")


def _decoded_base64(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def _decoded_hex(text: str) -> bytes | None:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return None


def _is_one_of(given: bytes, accepted: Iterable[bytes]) -> bool:
    """Compare with all of them in constant time: digests first, so that not even a length is told."""
    digest = hashlib.sha256(given).digest()
    matches = [hmac.compare_digest(digest, hashlib.sha256(candidate).digest()) for candidate in accepted]
    return any(matches)
