"""What the bookkeeper reads again from the log: documents too large to keep, documents that waited, vouchers."""

from collections.abc import Awaitable, Callable, Collection, Mapping

from schemas import topics
from schemas.envelope import decode
from schemas.errors import TopicsError, UnreadableError
from schemas.notifications import DocumentCaptured
from schemas.topics import TopicNames
from schemas.vouchers import VoucherPosted
from streams.accounting.decisions import Held
from streams.accounting.documents import read_document
from streams.accounting.ledger_document import LedgerDocument

ReadValues = Callable[[Collection[tuple[str, int, int]]], Awaitable[list[bytes | None]]]
"""Reads the values of the log at places (topic, partition, offset)."""


class Logged:
    """Reads events at the places that a record's state points to."""

    def __init__(self, names: TopicNames, read: ReadValues) -> None:
        self._documents = names.public(topics.DOCUMENT)
        self._vouchers = names.public(topics.VOUCHER)
        self._read = read

    async def captured(self, partition: int, offset: int) -> tuple[DocumentCaptured, LedgerDocument | None]:
        """Return a captured document; None for what accounting reads where it is gone from Zuora."""
        event = decode(DocumentCaptured, await self._value(self._documents, partition, offset))
        return event, None if event.gone else read_document(event)

    async def voucher(self, partition: int, offset: int) -> VoucherPosted:
        """Return a voucher as it was posted."""
        return decode(VoucherPosted, await self._value(self._vouchers, partition, offset))

    async def _value(self, topic: str, partition: int, offset: int) -> bytes | None:
        """Read one value. Raises UnreadableError where what a person asks about is not in the log."""
        if offset < 0:
            raise UnreadableError("no document of it has been captured yet")
        try:
            return (await self._read([(topic, partition, offset)]))[0]
        except TopicsError as error:
            raise UnreadableError(str(error)) from error

    async def documents(self, partition: int, held: Mapping[str, Held]) -> dict[str, LedgerDocument | UnreadableError]:
        """Return the documents of held records, reading those that were too large to keep; or why one cannot be."""
        kept = {name: one.document for name, one in held.items() if one.document is not None}
        offsets = {name: one.document_offset for name, one in held.items() if one.document is None}
        places = [(self._documents, partition, offset) for offset in offsets.values()]
        try:
            values = await self._read(places) if places else []
        except TopicsError:  # each by itself then: one that is lost keeps no other from its release
            values = [None] * len(places)
        read = {
            name: await self._document(partition, offset, value)
            for (name, offset), value in zip(offsets.items(), values, strict=True)
        }
        return kept | read

    async def _document(self, partition: int, offset: int, value: bytes | None) -> LedgerDocument | UnreadableError:
        try:
            value = value or await self._value(self._documents, partition, offset)
            return read_document(decode(DocumentCaptured, value))
        except UnreadableError as error:
            return error
