"""What the bookkeeper tells: steps to the audit trail, commands to the poster, to itself how a release goes on."""

from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from itertools import accumulate

from agents.runtime import Event
from schemas import topics
from schemas.audit import Gap, RecordStatusChanged
from schemas.base import DocumentType, Model
from schemas.envelope import SOURCE, Envelope, assembled, encode_assembled, event_id
from schemas.notifications import NotificationReceived
from schemas.releases import HandedOver, ReleaseNext
from schemas.topics import TopicNames
from schemas.vouchers import NothingToPost, PostVoucher, ReverseVoucher
from streams.accounting.decisions import Decision, Step
from streams.accounting.record_state import RecordState
from streams.accounting.waiting import Running
from streams.log.messages import Message, enveloped, event_message, trace_text

PROCESS = "bookkeeper"

MOST_GAPS_BYTES = 500_000
"""Of the gaps in one step, about: half of what a topic takes that is not made for large messages. An invoice of 20,000
items may lack as many products."""
GAP_BYTES = 200
"""Of a gap without its key, generously; a character of the key may have six, as JSON escapes it."""


class Teller:
    """Makes the messages that follow from one event; what it causes carries its trace on."""

    def __init__(self, names: TopicNames, event: Event, at: datetime, *, actor: str = PROCESS) -> None:
        self._names = names
        self._actor = actor
        self._trace = trace_text(event.headers)
        self._at = at

    def decision(self, record_id: str, decision: Decision, cause: str, before: RecordState | None) -> list[Message]:
        """Return the steps and the command of a decision, in the order in which they happened.

        `before` is the state that it was decided on.
        """
        messages = [self._step(record_id, decision, step, cause, before) for step in decision.steps]
        if decision.command is not None:
            messages.append(self._command(decision.command))
        if decision.nothing is not None:
            messages.append(self._nothing(decision.nothing, cause))
        if decision.hand_over_to is not None:
            messages.append(self._hand_over(record_id, decision, decision.hand_over_to, cause))
        if decision.fetch_anew:
            messages.append(self._fetch(record_id, cause))
        return messages

    def next_release(self, key: str, running: Running, partition: int) -> Message:
        """Return the word to ourselves to go on with a release."""
        release = ReleaseNext(waiting_key=key, after=running.after, cause=running.cause)
        return event_message(
            self._names.working(topics.RELEASE),
            key,
            release,
            event_id=event_id("release", str(partition), key, running.cause, str(running.after)),
            process=PROCESS,
            subject=key,
            time=self._at,
            traceparent=self._trace,
            partition=partition,
        )

    def _step(self, record_id: str, decision: Decision, step: Step, cause: str, before: RecordState | None) -> Message:
        changed = self._audit(record_id, decision.state, step, cause)
        # After a crash it may come again with something else between: it is news then, for it came last.
        known = "" if before is None else replace(before, updated_at="").to_json().decode()
        name = event_id("status", record_id, step.status, cause, step.note or "", known)
        return self._message(topics.AUDIT, record_id, changed, name, record_id)

    def _command(self, command: PostVoucher | ReverseVoucher) -> Message:
        name, subject = command.command_id, command.record_id
        return self._message(topics.VOUCHER_COMMAND, command.company, command, name, subject, partition=0)

    def _nothing(self, nothing: NothingToPost, cause: str) -> Message:
        name = event_id("nothing-to-post", nothing.record_id, str(nothing.document_offset), cause)
        return self._message(topics.NOTHING_TO_POST, nothing.account_id, nothing, name, nothing.record_id)

    def _hand_over(self, record_id: str, decision: Decision, account_id: str, cause: str) -> Message:
        """Tell the partition of the account that a document moved to that it may go on with it."""
        handed = HandedOver(
            record_id=record_id, from_account_id=decision.state.account_id, fetched_at=decision.handed_over_as_of
        )
        name = event_id("handed-over", record_id, account_id, cause)
        return event_message(
            self._names.working(topics.HANDED_OVER),
            account_id,
            handed,
            event_id=name,
            process=PROCESS,
            subject=record_id,
            time=self._at,
            traceparent=self._trace,
        )

    def _fetch(self, record_id: str, cause: str) -> Message:
        """Ask for a document anew, as Zuora would."""
        document_type, _, document_id = record_id.partition(":")
        wanted = NotificationReceived(
            document_type=DocumentType(document_type), object_id=document_id, origin="release", received_at=self._at
        )
        name = event_id("fetch-anew", record_id, cause)
        return self._message(topics.NOTIFICATION, document_id, wanted, name, record_id)

    def _message(
        self, topic: str, key: str, event: Model, name: str, subject: str, *, partition: int | None = None
    ) -> Message:
        envelope = Envelope(name, type(event).__name__, f"{SOURCE}/{PROCESS}", subject, self._at, self._trace)
        return enveloped(self._names.public(topic), key, encode_assembled(event), envelope, partition)

    def _audit(self, record_id: str, state: RecordState, step: Step, cause: str) -> RecordStatusChanged:
        document_type, _, document_id = record_id.partition(":")
        vouchers, missing = state.voucher_numbers, _that_fit(step.missing)
        return assembled(
            RecordStatusChanged,
            id=record_id,
            document_type=DocumentType(document_type),
            document_number=state.document_number,
            document_id=document_id,
            account_id=state.account_id,
            account_number=state.account_number,
            account_name=state.account_name,
            status=step.status,
            previous=step.previous,
            reason=step.reason,
            note=step.note or _left_out(len(step.missing) - len(missing)),
            missing=missing,
            company=state.company,
            amount=None if state.amount is None else Decimal(state.amount),
            currency=state.currency,
            reference=state.reference,
            voucher=vouchers[-1] if vouchers else None,
            vouchers=vouchers,
            received_at=datetime.fromisoformat(state.received_at),
            updated_at=self._at,
            actor=self._actor,
            at=self._at,
            cause=cause,
            posted_fingerprint=state.posted_fingerprint,
            document_fingerprint=state.fingerprint or None,
        )


def _that_fit(gaps: tuple[Gap, ...]) -> tuple[Gap, ...]:
    """Return the first gaps, as many as a step may carry; the others are told once these are there."""
    sizes = accumulate(GAP_BYTES + 6 * len(gap.key or "") for gap in gaps)
    return gaps[: sum(1 for size in sizes if size <= MOST_GAPS_BYTES)]


def _left_out(count: int) -> str | None:
    return f"{count} more mappings are missing; they are told once these are there" if count else None
