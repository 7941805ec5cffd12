"""Console tokens as the settings name them: whole, or by their SHA-256 digest alone."""

import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import SecretStr

from agents.console.roles import Identity, role_named
from schemas.errors import SettingsError

DIGEST = "sha256:"
_HEXADECIMAL = re.compile(r"[0-9a-fA-F]{64}")


@dataclass(frozen=True, slots=True)
class Token:
    """Whose a token is. `secret` is None where only the digest is known."""

    identity: Identity
    digest: bytes
    secret: SecretStr | None


def read_tokens(texts: Sequence[SecretStr]) -> list[Token]:
    """Return the tokens of `ZIFS_CONSOLE__TOKENS`: `name:role:token` or `name:role:sha256:hex` each.

    Raises:
        SettingsError: one is neither; the message has nothing of its secret.

    """
    return [_token(text, number) for number, text in enumerate(texts, start=1)]


def matching(tokens: Sequence[Token], text: str) -> Token | None:
    """Return the token that `text` is; every one is compared, in constant time each."""
    given = digest_of(text)
    found = [token for token in tokens if hmac.compare_digest(token.digest, given)]
    return found[0] if found else None


def digest_of(text: str) -> bytes:
    """Return a token's SHA-256 digest. Tokens are long and random, so it needs no salt and no slow hash."""
    return hashlib.sha256(text.encode(errors="replace")).digest()


def _token(text: SecretStr, number: int) -> Token:
    name, _, rest = text.get_secret_value().partition(":")
    word, _, secret = rest.partition(":")
    if not name or not secret:
        raise SettingsError(f"ZIFS_CONSOLE__TOKENS: entry {number} is not name:role:token")
    identity = Identity(name, role_named(word, f"ZIFS_CONSOLE__TOKENS: the role of entry {number} ({name})"))
    if not secret.startswith(DIGEST):
        return Token(identity, digest_of(secret), SecretStr(secret))
    digest = secret.removeprefix(DIGEST)
    if not _HEXADECIMAL.fullmatch(digest):
        raise SettingsError(
            f"ZIFS_CONSOLE__TOKENS: entry {number} ({name}) must have 64 hexadecimal digits after {DIGEST}"
            " (printf %s TOKEN | sha256sum)"
        )
    return Token(identity, bytes.fromhex(digest), None)
