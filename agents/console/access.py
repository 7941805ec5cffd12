"""Who may use the console: bearer tokens for programs, a signed session cookie for people's pages."""

import hashlib
import hmac
import ipaddress
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, TypeVar

from pydantic import SecretStr

from schemas.errors import SettingsError

SESSION_SECONDS = 12 * 3600
"""A working day; then the token is asked for again."""
_REQUIRED = "required_role"

H = TypeVar("H", bound=Callable[..., Any])


class Role(IntEnum):
    """What a person or program may do; each may do what those below it may."""

    VIEWER = 1
    MAPPER = 2
    OPERATOR = 3
    ADMIN = 4


@dataclass(frozen=True, slots=True)
class Identity:
    """Who asks; the name is recorded with what they change."""

    name: str
    role: Role


@dataclass(frozen=True, slots=True)
class _Token:
    identity: Identity
    secret: SecretStr

    def bytes(self) -> bytes:
        return self.secret.get_secret_value().encode()


LOCAL = Identity("local", Role.VIEWER)
"""Whoever asks where no tokens are set; only on this machine, and only to look."""


class Access:
    """Knows the tokens.

    Raises:
        SettingsError: a token is not `name:role:token`, or none is set and the console would listen on a network.

    """

    def __init__(self, tokens: Sequence[SecretStr], host: str) -> None:
        self._tokens = [_token(text, number) for number, text in enumerate(tokens, start=1)]
        if not self._tokens and not is_loopback(host):
            raise SettingsError(
                "ZIFS_CONSOLE__TOKENS is not set: give name:role:token, or set ZIFS_CONSOLE__HOST to 127.0.0.1"
                " to look without a token on this machine alone"
            )

    @property
    def is_open(self) -> bool:
        """Whether no token is asked for."""
        return not self._tokens

    def by_token(self, text: str) -> Identity | None:
        """Return whose token it is; every token is compared, in constant time each."""
        found = [token for token in self._tokens if hmac.compare_digest(token.bytes(), text.encode(errors="replace"))]
        return found[0].identity if found else None

    def session(self, identity: Identity) -> str:
        """Return a cookie's value: it needs no store, holds for every copy of the console, and ends with its token."""
        expires = int(time.time()) + SESSION_SECONDS
        token = next(token for token in self._tokens if token.identity == identity)
        return f"{_signature(token, expires)}.{expires}.{identity.name}"

    def by_session(self, value: str) -> Identity | None:
        """Return whose session it is; None when it has ended or was not made here."""
        signature, _, rest = value.partition(".")
        expires, _, name = rest.partition(".")
        if not (expires.isascii() and expires.isdigit()) or int(expires) < time.time():
            return None
        for token in self._tokens:
            expected = _signature(token, int(expires)).encode()
            if token.identity.name == name and hmac.compare_digest(expected, signature.encode(errors="replace")):
                return token.identity
        return None


def at_least(role: Role) -> Callable[[H], H]:
    """Mark a handler: it is for this role and those above; without a mark it is for viewers."""

    def mark(handler: H) -> H:
        setattr(handler, _REQUIRED, role)
        return handler

    return mark


def required_role(handler: object) -> Role:
    """Return the role that a handler asks for."""
    role = getattr(handler, _REQUIRED, Role.VIEWER)
    return Role(role)


def is_loopback(host: str) -> bool:
    """Return whether a host, with or without a port, is this machine alone."""
    name = host.rsplit(":", 1)[0] if host.count(":") == 1 else host
    name = name.partition("]")[0].removeprefix("[")
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _token(text: SecretStr, number: int) -> _Token:
    name, _, rest = text.get_secret_value().partition(":")
    role, _, secret = rest.partition(":")
    if not name or not secret:
        raise SettingsError(f"ZIFS_CONSOLE__TOKENS: entry {number} is not name:role:token")
    if role.upper() not in Role.__members__:
        roles = ", ".join(one.lower() for one in Role.__members__)
        raise SettingsError(f"ZIFS_CONSOLE__TOKENS: the role of entry {number} ({name}) must be one of {roles}")
    return _Token(Identity(name, Role[role.upper()]), SecretStr(secret))


def _signature(token: _Token, expires: int) -> str:
    signed = f"zuora-ifs console session/{token.identity.name}/{token.identity.role}/{expires}"
    return hmac.new(token.bytes(), signed.encode(), hashlib.sha256).hexdigest()
