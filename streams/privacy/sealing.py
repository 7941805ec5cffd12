"""One value sealed and opened: AES-SIV, since the same content must give the same event, fetched however often.

A digest of what is to be sealed would let a guess be tried after the key is gone; sealed first, nothing does.
"""

import base64
import binascii
import secrets
from typing import Any, Self

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from schemas.errors import UnreadableError
from schemas.personal import SEALED, is_sealed

KEY_BITS = 512
"""AES-256 in SIV mode takes two keys of 256 bits (RFC 5297, 2.2)."""
KEY_ID_BYTES = 8
BOUND_TO = b"zifs-personal-1"


class DataKey:
    """A key of an account; what it seals opens under no other account and in no other field."""

    def __init__(self, account_id: str, key_id: str, key: bytes) -> None:
        self.account_id = account_id
        self.key_id = key_id
        self.key = key
        self._cipher = AESSIV(key)

    def __repr__(self) -> str:
        return f"DataKey({self.account_id!r}, {self.key_id!r})"

    @classmethod
    def new(cls, account_id: str) -> Self:
        """Make a key."""
        return cls(account_id, secrets.token_hex(KEY_ID_BYTES), AESSIV.generate_key(KEY_BITS))

    def seal(self, field: str, value: Any) -> str:
        """Return a value of JSON sealed, always the same text for the same value."""
        plain = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
        sealed = self._cipher.encrypt(plain, self._bound_to(field))
        return f"{SEALED}{self.key_id}:{base64.urlsafe_b64encode(sealed).decode()}"

    def open(self, field: str, sealed: str) -> Any:
        """Return what was sealed.

        Raises:
            UnreadableError: it was sealed for another field or account, or altered.

        """
        try:
            ciphertext = base64.urlsafe_b64decode(sealed.rpartition(":")[2])
            return orjson.loads(self._cipher.decrypt(ciphertext, self._bound_to(field)))
        except (InvalidTag, ValueError, binascii.Error):
            raise UnreadableError(f"{field} was sealed for something else, or altered") from None

    def _bound_to(self, field: str) -> list[bytes]:
        return [BOUND_TO, self.account_id.encode(), self.key_id.encode(), field.encode()]


def key_id_of(sealed: str) -> str | None:
    """Return the id of the key that a value is sealed under; None if it is not sealed."""
    return sealed.removeprefix(SEALED).partition(":")[0] if is_sealed(sealed) else None
