"""Sealed values as people see them: opened, or a word that says why they cannot be."""

from collections.abc import Callable
from typing import Any, Final

from schemas.errors import SettingsError, UnreadableError
from schemas.personal import is_sealed
from streams.privacy.key_book import KeptKey
from streams.privacy.messages import opened_key
from streams.privacy.sealing import DataKey, key_id_of
from streams.vault.keys import LocalKeys

ERASED: Final = "(erased)"
NOT_OPENED: Final = "(sealed)"
"""Without ZIFS_VAULT__KEYS, or with others than it was sealed under."""
MOST_OPEN: Final = 10_000

Find = Callable[[str], tuple[str, KeptKey | None] | None]
"""From the id of a key to its account and the key, None where it was shredded; None where the key is not known."""


class Opener:
    """Opens what was sealed, with the keys that a process has."""

    def __init__(self, keys: LocalKeys | None = None) -> None:
        self._keys = keys or LocalKeys(())
        self._open: dict[str, DataKey] = {}

    @property
    def mark(self) -> str:
        """What a file of opened values was made with: with keys or without."""
        return "opened" if self._keys.fingerprints else "sealed"

    def shown(self, field: str, value: str, find: Find) -> Any:
        """Return what a sealed value holds; ERASED once its key was shredded, else NOT_OPENED."""
        found = find(key_id_of(value) or "")
        if found is None or not self._keys.fingerprints:
            return NOT_OPENED
        account_id, kept = found
        if kept is None:
            return ERASED
        try:
            return self._key(account_id, kept).open(field, value)
        except (SettingsError, UnreadableError):
            return NOT_OPENED

    def opened(self, value: Any, find: Find, field: str = "") -> Any:
        """Return JSON data with all that was sealed in it as `shown` has it."""
        if isinstance(value, dict):
            return {name: self.opened(entry, find, name) for name, entry in value.items()}
        if isinstance(value, list):
            return [self.opened(entry, find, field) for entry in value]
        return self.shown(field, value, find) if is_sealed(value) else value

    def _key(self, account_id: str, kept: KeptKey) -> DataKey:
        known = self._open.get(kept.key_id)
        if known is None:
            known = self._open[kept.key_id] = opened_key(account_id, kept, self._keys)
            if len(self._open) > MOST_OPEN:
                self._open.pop(next(iter(self._open)))
        return known
