"""Cookies that nobody else can read or make: encrypted, signed and dated, with no store behind them."""

import base64
import hashlib
import hmac
import json
import secrets
from typing import Any

from cryptography.fernet import Fernet, InvalidToken

DRAWN = secrets.token_bytes(32)
"""Stands in where no secret is configured: what it sealed ends with this process."""


class Seal:
    """Seals values for one purpose; `root` is a secret, and all of `purpose` has to agree for a value to open."""

    def __init__(self, root: bytes, *purpose: str) -> None:
        # Lengths before parts, so that no two purposes give the same text.
        label = "".join(f"{len(part)}:{part}" for part in ("zuora-ifs console", *purpose))
        key = hmac.new(root, label.encode(), hashlib.sha256).digest()
        self._fernet = Fernet(base64.urlsafe_b64encode(key))

    def close(self, value: dict[str, Any]) -> str:
        """Return a value sealed."""
        return self._fernet.encrypt(json.dumps(value).encode()).decode()

    def open(self, sealed: str, seconds: int) -> dict[str, Any] | None:
        """Return what was sealed; None if it was not sealed here, or longer ago than `seconds`."""
        try:
            opened: dict[str, Any] = json.loads(self._fernet.decrypt(sealed.encode(errors="replace"), ttl=seconds))
        except InvalidToken:
            return None
        return opened
