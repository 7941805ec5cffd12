"""The bookkeeper's agent: which event leads to which decision."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime

from agents.bookkeeper.logged import Logged, ReadValues
from agents.bookkeeper.partition import Partition, terms_of
from agents.bookkeeper.rows import Tables, read_held, record_of
from agents.bookkeeper.said import Said
from agents.bookkeeper.telling import Teller
from agents.runtime import Event, Work, send_message
from schemas import topics
from schemas.base import LONGEST_TEXT, DocumentType, Model, Status, utc_now
from schemas.base import record_id as record_id_of
from schemas.envelope import decode, decode_any
from schemas.errors import UnreadableError
from schemas.notifications import DocumentCaptured
from schemas.releases import HandedOver, ReleaseNext
from schemas.requests import CorrectionRequested, ReplayRequested, Request, SettlementRecorded
from schemas.topics import TopicNames
from schemas.vouchers import NothingToPost, PostingProgressed, VoucherPosted, VoucherRejected, VoucherReversed
from streams.accounting.bookkeeping import take_document, take_over, take_pending, take_unreadable
from streams.accounting.decisions import Arrival, Asking, Decision, Held, Terms
from streams.accounting.documents import read_document
from streams.accounting.keys import account_key, mapping_key, topic_key
from streams.accounting.ledger_document import LedgerDocument
from streams.accounting.outcomes import end_unreadable, take_outcome, take_progress, take_reversed, wait_for_payment
from streams.accounting.record_state import RecordState
from streams.accounting.settling import lose, release
from streams.accounting.waiting import Running
from streams.accounting.wishes import (
    handled,
    take_correction,
    take_refetch,
    take_replay,
    take_settlement,
    take_unreadable_wish,
)
from streams.log.messages import Origin, dead_letter, header_text, key_text
from streams.log.partitions import check_partition
from streams.log.producer import record_bytes
from streams.settings import IfsSettings

RELEASED_AT_ONCE = 500
"""Records of one release event: some 0.3 s of work, so that a stop or a rebalance never waits long."""

VERSION_HEADER = "mapping_version"
"""On a chart copy: the offset of the original in `ledger.mapping.v1`, which is its version."""


LARGEST_MAPPING_BYTES = 768 * 1024
"""With key and headers. Its copies have one header more, and the table's entry is one of at most 1,000,000 bytes."""

LONGEST_OFFSET = 18
"""Digits; Kafka counts with 64 bits."""


class Bookkeeper:
    """Carries out what streams.accounting decides, one event at a time."""

    def __init__(
        self,
        *,
        names: TopicNames,
        tables: Tables,
        partitions: int,
        ifs: IfsSettings,
        read_values: ReadValues,
        said: Said,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._names = names
        self._tables = tables
        self._count = partitions
        self._terms = terms_of(ifs, names.app_id)
        self._logged = Logged(names, read_values)
        self._said = said
        self._clock = clock
        self._partitions: dict[int, Partition] = {}
        self._handlers: dict[str, Callable[[Event, Work, Partition], Awaitable[None]]] = {
            names.public(topics.DOCUMENT): self._on_document,
            names.public(topics.MAPPING): self._on_mapping,
            names.public(topics.VOUCHER): self._on_outcome,
            names.public(topics.NOTHING_TO_POST): self._on_nothing,
            names.public(topics.REQUEST): self._on_request,
            names.working(topics.POSTING_PROGRESS): self._on_progress,
            names.working(topics.HANDED_OVER): self._on_handed_over,
            names.working(topics.CHART_COPY): self._on_chart_copy,
            names.working(topics.RELEASE): self._on_release,
        }
        self._keyed = {name for name in self._handlers if name not in _addressed(names)}

    @property
    def topics(self) -> list[str]:
        """All topics that touch an account."""
        return list(self._handlers)

    @property
    def partition_count(self) -> int:
        """How many partitions the topics of documents have."""
        return self._count

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
            if event.topic in self._keyed:
                check_partition(event, self._count)
            partition = self._partitions[event.partition]
            await self._said.note(partition)
            await self._handlers[event.topic](event, work, partition)
        except UnreadableError as error:
            send_message(work, dead_letter(self._names.public(topics.DEAD_LETTER), event, str(error), error))

    # --- documents ---------------------------------------------------------------------------------------------------

    async def _on_document(self, event: Event, work: Work, partition: Partition) -> None:
        captured, account_id = captured_in(event), key_text(event)
        record_id = captured.record_id
        state, held = partition.state(account_id, record_id), partition.held(account_id, record_id)
        asking = Asking(event.offset, event_name(event), self._clock(), fetched_at=captured.fetched_at)
        try:
            document = None if captured.gone else read_document(captured)
        except UnreadableError as error:
            arrival = Arrival(asking, account_id, captured, None)
            self._carry_out(event, work, record_id, take_unreadable(state, held, arrival, str(error)))
            return
        arrival = Arrival(asking, account_id, captured, document)
        self._carry_out(event, work, record_id, take_document(state, held, arrival, partition.terms))

    async def _on_handed_over(self, event: Event, work: Work, partition: Partition) -> None:
        handed = decode(HandedOver, event.value)
        account_id = key_text(event)
        state = partition.state(account_id, handed.record_id) or RecordState.blank(account_id)
        if event.offset <= state.handed_over_offset:
            return
        has_come = state.document_offset >= max(state.newest_offset, 0)
        newest = await self._newest_readable(partition, state, event_name(event)) if has_come else None
        held = partition.held(account_id, handed.record_id)
        decision = take_over(state, held, newest, handed.fetched_at, partition.terms)
        told = replace(decision.state, handed_over_offset=event.offset)
        self._carry_out(event, work, handed.record_id, replace(decision, state=told))

    # --- mappings and releases ---------------------------------------------------------------------------------------

    async def _on_mapping(self, event: Event, work: Work, partition: Partition) -> None:
        key = mapping_key(mapping_in(event))
        if key == account_key(key_text(event)):
            self._apply(event, work, partition, key, event.offset)
            return
        headers = (*_own_headers(event), (VERSION_HEADER, b"%d" % event.offset))
        for number in range(self._count):
            work.send(
                self._names.working(topics.CHART_COPY),
                key=event.key,
                value=event.value,
                headers=headers,
                partition=number,
            )

    async def _on_chart_copy(self, event: Event, work: Work, partition: Partition) -> None:
        self._apply(event, work, partition, mapping_key(mapping_in(event)), _version(event))

    def _apply(self, event: Event, work: Work, partition: Partition, key: str, version: int) -> None:
        event_type = event.headers["ce_type"].decode()
        if partition.chart.apply(key, version, event_type, event.value or b""):
            partition.start_release(work, self._teller(event), key, event_name(event))

    async def _on_release(self, event: Event, work: Work, partition: Partition) -> None:
        """Evaluate the next records of a release; one that was begun anew or has gone on since passes this by."""
        asked = decode(ReleaseNext, event.value)
        key = asked.waiting_key
        running = partition.waiting.running.get(key)
        if running is None or (running.cause, running.after) != (asked.cause, asked.after):
            return
        places = partition.waiting.next_places(key, running.after, running.until, RELEASED_AT_ONCE)
        waiting = [(place, partition.waiting.records[place]) for place in places]
        held = {name: read_held(partition.tables.held[name])[0] for _, name in waiting}
        documents = await self._logged.documents(partition.number, held)
        teller = self._teller(event)
        for place, name in waiting:
            # The mark goes on first: whoever comes after it in this release is not behind it.
            running = partition.waiting.running[key]
            partition.waiting.running[key] = Running(place, running.until, running.cause)
            account_id, record_id = record_of(name)
            state = partition.state(account_id, record_id)
            if state is not None:
                asking = Asking(held[name].document_offset, held[name].event_id, self._clock())
                decision = _released(state, held[name], documents[name], asking, partition.terms)
                partition.carry_out(work, teller, record_id, decision, asked.cause)
        running = partition.waiting.running[key]
        if partition.waiting.next_places(key, running.after, running.until, 1):
            partition.go_on(work, teller, key, running)
        else:
            partition.end_release(key)

    # --- outcomes and requests ---------------------------------------------------------------------------------------

    async def _on_outcome(self, event: Event, work: Work, partition: Partition) -> None:
        outcome = decode_any(event.headers, event.value)
        if not isinstance(outcome, VoucherPosted | VoucherRejected):
            raise UnreadableError(f"{type(outcome).__name__} is no outcome of a voucher")
        _check_key(event, outcome.account_id)
        name = outcome.account_id, outcome.record_id
        before = partition.state(*name)
        decision = take_outcome(before, partition.held(*name), outcome, event.offset)
        self._carry_out(event, work, outcome.record_id, decision)
        if decision is None or before is None or decision.state.is_on_its_way:
            return
        if not (before.is_on_its_way or decision.steps):
            return  # told again
        followed: Decision | None
        if isinstance(outcome, VoucherReversed) and not outcome.shadow and decision.state.correction is not None:
            followed, cause = await self._after_reversal(partition, decision.state), event_name(event)
        elif decision.state.pending_offset is not None:
            followed, cause = await self._after_pending(partition, decision.state)
        elif decision.state.is_rehearsed and outcome.document_type is DocumentType.REFUND:
            cause = event_name(event)
            followed = wait_for_payment(decision.state, await self._newest(partition, decision.state, cause))
        else:
            return
        self._carry_out(event, work, outcome.record_id, followed, cause)

    async def _after_reversal(self, partition: Partition, state: RecordState) -> Decision:
        try:
            newest = await self._newest(partition, state, state.correction or "")
        except UnreadableError as error:
            return end_unreadable(state, str(error), self._clock())
        base = await self._logged.voucher(partition.number, state.standing[-1].offset) if state.standing else None
        return take_reversed(state, base, newest, partition.terms)

    async def _after_pending(self, partition: Partition, state: RecordState) -> tuple[Decision | None, str]:
        cause = state.document_event
        try:
            pending = await self._newest(partition, state, cause)
        except UnreadableError as error:
            return end_unreadable(state, str(error), self._clock()), cause
        return take_pending(state, pending, partition.terms), cause

    async def _on_nothing(self, event: Event, _work: Work, _partition: Partition) -> None:
        """Look whether it can be read, by which it is parked where not: new state reads it, here it is known."""
        _check_key(event, decode(NothingToPost, event.value).account_id)

    async def _on_progress(self, event: Event, work: Work, partition: Partition) -> None:
        progressed = decode(PostingProgressed, event.value)
        _check_key(event, progressed.account_id)
        decision = take_progress(partition.state(progressed.account_id, progressed.record_id), progressed)
        self._carry_out(event, work, progressed.record_id, decision)

    async def _on_request(self, event: Event, work: Work, partition: Partition) -> None:
        wish = decode_any(event.headers, event.value)
        if not isinstance(wish, Request):
            raise UnreadableError(f"{type(wish).__name__} is no request")
        _check_key(event, wish.account_id)
        if event.offset < partition.requests_from:
            return
        partition.note_requests(event.offset + 1)
        name = event_name(event)
        state = partition.state(wish.account_id, wish.record_id)
        if state is None:
            raise UnreadableError(f"{wish.record_id} is not known in the partition of account {wish.account_id}")
        if name not in state.handled_requests:
            decision = handled(await self._wished(partition, state, wish, name), name)
            teller = Teller(self._names, event, self._clock(), actor=wish.actor)
            partition.carry_out(work, teller, wish.record_id, decision, name)

    async def _wished(self, partition: Partition, state: RecordState, wish: Request, name: str) -> Decision:
        if state.handed_to is not None:  # a line in its history from here would hide what the other account tells
            raise UnreadableError(f"{wish.record_id} belongs to Zuora account {state.handed_to} now: ask again")
        held = partition.held(wish.account_id, wish.record_id)
        try:
            return await self._granted(partition, state, held, wish, name)
        except UnreadableError as error:  # whoever asked looks at the record, not at the dead letters
            if not state.document_event:  # known from its outcome alone: there is nothing yet that a line could tell
                raise
            return take_unreadable_wish(state, held, wish, name, reason=str(error), at=self._clock())

    async def _granted(
        self, partition: Partition, state: RecordState, held: Held | None, wish: Request, name: str
    ) -> Decision:
        match wish:
            case ReplayRequested(refetch=True):
                return take_refetch(state, held, wish, name)
            case ReplayRequested():
                newest = await self._newest(partition, state, name)
                asking = newest.asking.moved_to(wish.date)
                newest = Arrival(asking, newest.account_id, newest.captured, newest.document)
                return take_replay(state, held, wish, newest, partition.terms)
            case CorrectionRequested():
                newest, standing = await self._newest(partition, state, name), state.standing
                base = await self._logged.voucher(partition.number, standing[-1].offset) if standing else None
                return take_correction(state, held, wish, newest, base=base, terms=partition.terms)
            case SettlementRecorded():  # without a voucher that stands also of what accounting cannot read
                document = (await self._newest(partition, state, name)).document if state.standing else None
                return take_settlement(state, held, wish, document, self._clock())
        raise UnreadableError(f"{type(wish).__name__} is no request")

    async def _newest(self, partition: Partition, state: RecordState, asked_by: str) -> Arrival:
        """Return a record's newest document, read again from the log, as it is asked for by `asked_by`."""
        offset = max(state.document_offset, state.newest_offset)
        if state.pending_offset is not None:
            offset = state.pending_offset
        captured, document = await self._logged.captured(partition.number, offset)
        asking = Asking(offset, asked_by, self._clock(), fetched_at=captured.fetched_at)
        return Arrival(asking, state.account_id, captured, document)

    async def _newest_readable(self, partition: Partition, state: RecordState, asked_by: str) -> Arrival | None:
        """Return a record's newest document; None for one that accounting cannot read, which was told when it came."""
        try:
            return await self._newest(partition, state, asked_by)
        except UnreadableError:
            if state.status is not Status.FAILED:  # what the log has lost was told to nobody
                raise
            return None

    # --- carrying out ------------------------------------------------------------------------------------------------

    def _carry_out(
        self, event: Event, work: Work, record_id: str, decision: Decision | None, cause: str | None = None
    ) -> None:
        if decision is not None:
            partition = self._partitions[event.partition]
            partition.carry_out(work, self._teller(event), record_id, decision, cause or event_name(event))

    def _teller(self, event: Event) -> Teller:
        return Teller(self._names, event, self._clock())


def _released(
    state: RecordState, held: Held, document: LedgerDocument | UnreadableError, asking: Asking, terms: Terms
) -> Decision:
    """Release a held record; one whose document cannot be read any more ends there, and others go on."""
    if isinstance(document, UnreadableError):
        return lose(state, held, str(document), asking.at)
    return release(state, held, document, asking, terms)


def _addressed(names: TopicNames) -> set[str]:
    """Return the topics whose records are sent to a partition by its number, not by their key."""
    return {names.working(topics.CHART_COPY), names.working(topics.RELEASE)}


def _own_headers(event: Origin) -> list[tuple[str, bytes]]:
    """Return the headers that a mapping and its copies have in common."""
    return [(name, value) for name, value in event.headers.items() if name != VERSION_HEADER]


def mapping_in(event: Origin) -> Model:
    """Return a mapping or rule; under another key than its own it would have versions of two partitions."""
    if record_bytes(event.key, event.value, _own_headers(event)) > LARGEST_MAPPING_BYTES:
        raise UnreadableError(f"a mapping of more than {LARGEST_MAPPING_BYTES} bytes")
    model = decode_any(event.headers, event.value)
    try:
        key = topic_key(model)
    except TypeError as error:
        raise UnreadableError(str(error)) from error
    if event.key != key.encode():
        raise UnreadableError(f"a {type(model).__name__} is keyed by its account or company, here {key}")
    return model


def captured_in(event: Origin) -> DocumentCaptured:
    """Return the document in a record of `zuora.document.v1`."""
    captured = decode(DocumentCaptured, event.value)
    if captured.record_id != record_id_of(captured.document_type, captured.document_id):
        raise UnreadableError("its record id is not that of its type and document id")
    return captured


def event_name(event: Origin) -> str:
    """Return the event's id; for one that carries none, or one too long to be kept with a state, its place."""
    name = header_text(event.headers, "ce_id")
    return name if name and len(name) <= LONGEST_TEXT else f"{event.topic}/{event.partition}/{event.offset}"


def _version(event: Event) -> int:
    """Return the version that a chart copy carries."""
    told = event.headers.get(VERSION_HEADER, b"")
    if not told.isdigit() or len(told) > LONGEST_OFFSET:
        raise UnreadableError(f"a chart copy carries its version in the header {VERSION_HEADER}")
    return int(told)


def _check_key(event: Event, account_id: str) -> None:
    """Refuse what would be looked for in the partition of another account."""
    if event.key != account_id.encode():
        raise UnreadableError(f"not under the key of its account, which is {account_id}")
