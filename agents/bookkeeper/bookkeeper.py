"""The bookkeeper's agent: which event leads to which decision."""

from collections.abc import Awaitable, Callable, Collection
from datetime import datetime

from agents.bookkeeper.partition import Partition, send, terms_of
from agents.bookkeeper.rows import Tables, read_held
from agents.bookkeeper.telling import Teller
from agents.runtime import Event, Work
from schemas import topics
from schemas.base import Model, utc_now
from schemas.envelope import decode, decode_any
from schemas.errors import UnreadableError
from schemas.notifications import DocumentCaptured
from schemas.releases import ReleaseNext
from schemas.topics import TopicNames
from schemas.vouchers import PostingProgressed, VoucherPosted, VoucherRejected
from streams.accounting.bookkeeping import (
    Arrival,
    Held,
    release,
    take_document,
    take_outcome,
    take_pending,
    take_progress,
    take_unreadable,
)
from streams.accounting.documents import read_document
from streams.accounting.keys import account_key, mapping_key
from streams.accounting.ledger_document import LedgerDocument
from streams.accounting.record_state import RecordState
from streams.accounting.waiting import Running
from streams.log.messages import dead_letter
from streams.log.partitions import partition_of
from streams.settings import IfsSettings

RELEASED_AT_ONCE = 500
"""Records of one release event: some 0.3 s of work, so that a stop or a rebalance never waits long."""

VERSION_HEADER = "mapping_version"
"""On a chart copy: the offset of the original in `ledger.mapping.v1`, which is its version."""

ReadDocuments = Callable[[Collection[tuple[str, int, int]]], Awaitable[list[bytes | None]]]
"""Reads the values of the log at places (topic, partition, offset)."""


class Bookkeeper:
    """Carries out what streams.accounting decides, one event at a time."""

    def __init__(
        self,
        *,
        names: TopicNames,
        tables: Tables,
        partitions: int,
        ifs: IfsSettings,
        read_documents: ReadDocuments,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._names = names
        self._tables = tables
        self._count = partitions
        self._terms = terms_of(ifs, names.app_id)
        self._read_documents = read_documents
        self._clock = clock
        self._partitions: dict[int, Partition] = {}
        self._document_topic = names.public(topics.DOCUMENT)
        self._handlers: dict[str, Callable[[Event, Work, Partition], Awaitable[None]]] = {
            self._document_topic: self._on_document,
            names.public(topics.MAPPING): self._on_mapping,
            names.public(topics.VOUCHER): self._on_outcome,
            names.working(topics.POSTING_PROGRESS): self._on_progress,
            names.working(topics.CHART_COPY): self._on_chart_copy,
            names.working(topics.RELEASE): self._on_release,
        }
        self._keyed = {name for name in self._handlers if name not in _addressed(names)}

    @property
    def topics(self) -> list[str]:
        """All topics that touch an account."""
        return list(self._handlers)

    async def assigned(self, partition: int) -> Partition:
        """Begin to hold a partition; inside a work of it."""
        held = Partition(partition, self._tables, self._terms)
        held.load()
        self._partitions[partition] = held
        return held

    def forget_lost(self) -> None:
        """Forget partitions that are no longer held here."""
        here = self._tables.records.states
        self._partitions = {number: held for number, held in self._partitions.items() if number in here}

    async def on_event(self, event: Event, work: Work) -> None:
        """Handle an event; what cannot be read goes to the dead letters whole."""
        try:
            self._check_partition(event)
            await self._handlers[event.topic](event, work, self._partitions[event.partition])
        except UnreadableError as error:
            self._to_dead_letters(event, work, error)

    def _check_partition(self, event: Event) -> None:
        if event.topic not in self._keyed:
            return
        if event.key is None or partition_of(event.key, self._count) != event.partition:
            raise UnreadableError("not in the partition of its key: produce with the murmur2 partitioner")

    async def _on_document(self, event: Event, work: Work, partition: Partition) -> None:
        captured = decode(DocumentCaptured, event.value)
        state = partition.state(captured.record_id)
        held = partition.held(captured.record_id)
        arrival = self._arrival(captured, event.offset, _event_id(event))
        try:
            document = None if captured.gone else read_document(captured)
        except UnreadableError as error:
            decision = take_unreadable(state, held, arrival, str(error))
        else:
            decision = take_document(state, held, _with_document(arrival, document), partition.terms)
        if decision is not None:
            partition.carry_out(work, self._teller(event), captured.record_id, decision, arrival.event_id)

    async def _on_mapping(self, event: Event, work: Work, partition: Partition) -> None:
        key = mapping_key(_mapping(event))
        if event.key is not None and key == account_key(event.key.decode()):
            self._apply(event, work, partition, key, event.offset)
            return
        headers = (*event.headers.items(), (VERSION_HEADER, b"%d" % event.offset))
        for number in range(self._count):
            work.send(
                self._names.working(topics.CHART_COPY),
                key=event.key,
                value=event.value,
                headers=headers,
                partition=number,
            )

    async def _on_chart_copy(self, event: Event, work: Work, partition: Partition) -> None:
        self._apply(event, work, partition, mapping_key(_mapping(event)), int(event.headers[VERSION_HEADER]))

    def _apply(self, event: Event, work: Work, partition: Partition, key: str, version: int) -> None:
        event_type = event.headers["ce_type"].decode()
        if partition.chart.apply(key, version, event_type, event.value or b""):
            partition.start_release(work, self._teller(event), key, _event_id(event))

    async def _on_release(self, event: Event, work: Work, partition: Partition) -> None:
        """Evaluate the next records of a release; one that was begun anew or has gone on since passes this by."""
        asked = decode(ReleaseNext, event.value)
        key = asked.waiting_key
        running = partition.waiting.running.get(key)
        if running is None or (running.cause, running.after) != (asked.cause, asked.after):
            return
        places = partition.waiting.next_places(key, running.after, running.until, RELEASED_AT_ONCE)
        waiting = [partition.waiting.records[place] for place in places]
        documents = await self._documents(partition, waiting)
        teller = self._teller(event)
        for place, record_id in zip(places, waiting, strict=True):
            # The mark goes on first: whoever comes after it in this release is not behind it.
            running = partition.waiting.running[key]
            partition.waiting.running[key] = Running(place, running.until, running.cause)
            state, held = partition.state(record_id), partition.held(record_id)
            if state is not None and held is not None:
                decision = release(state, held, documents[record_id], self._clock(), partition.terms)
                partition.carry_out(work, teller, record_id, decision, asked.cause)
        running = partition.waiting.running[key]
        if partition.waiting.next_places(key, running.after, running.until, 1):
            partition.go_on(work, teller, key, running)
        else:
            partition.end_release(key)

    async def _documents(self, partition: Partition, record_ids: list[str]) -> dict[str, LedgerDocument]:
        """Return the documents of held records, reading from the log those that were too large to keep."""
        held = {record_id: read_held(partition.tables.held[record_id])[0] for record_id in record_ids}
        kept = {record_id: one.document for record_id, one in held.items() if one.document is not None}
        absent = [record_id for record_id in record_ids if record_id not in kept]
        values = await self._read_documents([self._place(partition, held[record_id]) for record_id in absent])
        read = {
            record_id: read_document(decode(DocumentCaptured, value))
            for record_id, value in zip(absent, values, strict=True)
        }
        return kept | read

    async def _on_outcome(self, event: Event, work: Work, partition: Partition) -> None:
        outcome = decode_any(event.headers, event.value)
        if not isinstance(outcome, VoucherPosted | VoucherRejected):
            raise UnreadableError(f"{type(outcome).__name__} is no outcome of a voucher")
        state = partition.state(outcome.record_id)
        pending = await self._pending(partition, state, outcome.command_id)
        decision = take_outcome(state, outcome)
        if decision is None:
            return
        partition.carry_out(work, self._teller(event), outcome.record_id, decision, _event_id(event))
        followed = take_pending(decision.state, pending, partition.terms) if pending else None
        if pending is not None and followed is not None:
            partition.carry_out(work, self._teller(event), outcome.record_id, followed, pending.event_id)

    async def _on_progress(self, event: Event, work: Work, partition: Partition) -> None:
        progressed = decode(PostingProgressed, event.value)
        decision = take_progress(partition.state(progressed.record_id), progressed)
        if decision is not None:
            partition.carry_out(work, self._teller(event), progressed.record_id, decision, _event_id(event))

    async def _pending(self, partition: Partition, state: RecordState | None, command_id: str) -> Arrival | None:
        """Return the newer document that waited for this outcome, read again from the log."""
        if state is None or state.pending_offset is None or state.command != command_id:
            return None
        place = (self._document_topic, partition.number, state.pending_offset)
        captured = decode(DocumentCaptured, (await self._read_documents([place]))[0])
        arrival = self._arrival(captured, state.pending_offset, state.document_event)
        return _with_document(arrival, None if captured.gone else read_document(captured))

    def _arrival(self, captured: DocumentCaptured, offset: int, event_id: str) -> Arrival:
        return Arrival(offset, event_id, captured, None, self._clock())

    def _place(self, partition: Partition, held: Held) -> tuple[str, int, int]:
        return (self._document_topic, partition.number, held.document_offset)

    def _teller(self, event: Event) -> Teller:
        return Teller(self._names, event, self._clock())

    def _to_dead_letters(self, event: Event, work: Work, error: UnreadableError) -> None:
        send(
            work,
            dead_letter(
                self._names.public(topics.DEAD_LETTER),
                origin_topic=event.topic,
                origin_partition=event.partition,
                origin_offset=event.offset,
                key=event.key,
                value=event.value,
                headers=event.headers,
                reason=str(error),
                exception=error,
            ),
        )


def _addressed(names: TopicNames) -> set[str]:
    """Return the topics whose records are sent to a partition by its number, not by their key."""
    return {names.working(topics.CHART_COPY), names.working(topics.RELEASE)}


def _mapping(event: Event) -> Model:
    model = decode_any(event.headers, event.value)
    try:
        mapping_key(model)
    except TypeError as error:
        raise UnreadableError(str(error)) from error
    return model


def _event_id(event: Event) -> str:
    """Return the event's id; for one that carries none, its place."""
    told = event.headers.get("ce_id")
    return told.decode() if told else f"{event.topic}/{event.partition}/{event.offset}"


def _with_document(arrival: Arrival, document: LedgerDocument | None) -> Arrival:
    return Arrival(arrival.offset, arrival.event_id, arrival.captured, document, arrival.at)
