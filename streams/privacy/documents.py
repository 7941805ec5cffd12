"""Captured documents before they reach the log: what tells of a person is sealed or, without a key, left out."""

from collections.abc import Collection
from typing import Any, Protocol

from schemas.notifications import DocumentCaptured
from streams.privacy.fields import ACCOUNT_NAME, NEVER_IN_CLEAR, PersonalFields, without_personal
from streams.privacy.sealing import DataKey


class Keys(Protocol):
    """Where the key of an account comes from."""

    async def key_of(self, account_id: str) -> DataKey:
        """Return the key of an account."""


class Sealing(Protocol):
    """What the collector does with a document before it sends it."""

    async def sealed(self, captured: DocumentCaptured) -> DocumentCaptured:
        """Return the document as it may lie in the log."""


class LeftOut:
    """Without a key of keys: personal fields are not stored, but what people know things by is, in clear."""

    def __init__(self, further: Collection[str] = ()) -> None:
        self._personal = PersonalFields(further, NEVER_IN_CLEAR)

    async def sealed(self, captured: DocumentCaptured) -> DocumentCaptured:
        """Return it without its personal fields."""
        return captured.model_copy(update={"document": without_personal(captured.document, self._personal)})


class Sealed:
    """With one: each personal field is sealed under the account's own key, the account's name too."""

    def __init__(self, keys: Keys, further: Collection[str] = ()) -> None:
        self._keys = keys
        self._personal = PersonalFields(further)

    async def sealed(self, captured: DocumentCaptured) -> DocumentCaptured:
        """Return it with its personal fields sealed; accounts of which nothing is to be sealed get no key."""
        found = _Found()
        self._personal.replaced(captured.document, found)
        if not found and not captured.account_name:
            return captured
        key = await self._keys.key_of(captured.account_id)
        name = key.seal(ACCOUNT_NAME, captured.account_name) if captured.account_name else None
        document = self._personal.replaced(captured.document, key.seal) if found else captured.document
        return captured.model_copy(update={"account_name": name, "document": document})


class _Found:
    """Notes whether a walk met a personal field."""

    def __init__(self) -> None:
        self._any = False

    def __bool__(self) -> bool:
        return self._any

    def __call__(self, _name: str, value: Any) -> Any:
        self._any = True
        return value
