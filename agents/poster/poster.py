"""The poster's agent: takes each voucher command to its outcome, one after the other."""

from collections.abc import Callable
from datetime import datetime

import structlog

from agents.poster.budget import RecordedBudget
from agents.poster.carrying import Carrying
from agents.poster.metrics import OUTCOMES
from agents.poster.pauses import Pauses, PostingPausedError
from agents.poster.state import Intent, Outcome, PostedOutcome, command_key, read_entry, written
from agents.poster.telling import outcome_message
from agents.runtime import Event, StateTable, Work
from schemas import topics
from schemas.base import utc_now
from schemas.envelope import decode_any
from schemas.errors import UnreadableError
from schemas.topics import TopicNames
from schemas.vouchers import PostVoucher, ReverseVoucher, VoucherRow
from streams.log.messages import Message, dead_letter
from streams.posting_control import EVERY_COMPANY
from streams.settings import IfsSettings
from streams.systems.ifs.client import IfsClient
from streams.systems.ifs.voucher_json import Command
from streams.systems.retry import BackOff

log = structlog.get_logger(__name__)


class Poster:
    """Carries commands to IFS Cloud. Its table keeps the outcome of every command id, so none is carried out twice."""

    def __init__(
        self,
        ifs: IfsClient,
        *,
        names: TopicNames,
        commands: StateTable,
        app_id: str,
        settings: IfsSettings,
        clock: Callable[[], datetime] = utc_now,
        back_off: BackOff | None = None,
        is_heard: Callable[[], bool] = lambda: True,
        pauses: Pauses | None = None,
    ) -> None:
        """Wire the poster; `is_heard` tells, directly before a POST, whether Kafka surely still counts on this one.

        `pauses` are obeyed before every request.
        """
        self._names = names
        self._commands = commands
        self._app_id = app_id
        self._clock = clock
        self._pauses = pauses or Pauses()
        self._company = EVERY_COMPANY
        ifs.service.before_request = lambda: self._pauses.demand(self._company)
        self._budget = RecordedBudget(ifs.service, commands, clock)
        self._carrying = Carrying(
            ifs,
            names=names,
            commands=commands,
            budget=self._budget,
            settings=settings,
            clock=clock,
            back_off=back_off or BackOff(),
            is_heard=is_heard,
        )

    async def on_command(self, event: Event, work: Work) -> None:
        """Take one command to its outcome; returns when that is written down and on its way.

        Raises:
            ConnectorError: nothing can be posted safely (a look-up is refused, no tag is given); one clear line.

        """
        try:
            command = _read(event)
        except UnreadableError as error:
            _send(work, self._dead_letter(event, error))
            return
        if command.app_id != self._app_id:
            log.info("command of another app passed over", app_id=command.app_id, record=command.record_id)
            return
        traceparent = event.headers.get("traceparent", b"").decode(errors="replace") or None
        entry = read_entry(self._commands.get(command_key(command.command_id)))
        if isinstance(entry, Outcome):
            self._tell(work, command, entry, traceparent)
            return
        await self._budget.take_over()
        outcome = await self._carried(command, work, traceparent)
        self._commands[command_key(command.command_id)] = written(outcome)
        self._tell(work, command, outcome, traceparent)
        self._log(command, outcome)
        await work.confirmed()

    async def _carried(self, command: Command, work: Work, traceparent: str | None) -> Outcome:
        """Take a command to its outcome; a pause keeps it waiting, and all is looked at afresh afterwards."""
        self._company = command.company
        while True:
            entry = read_entry(self._commands.get(command_key(command.command_id)))
            try:
                return await self._carrying.carry(
                    command, entry if isinstance(entry, Intent) else None, work, traceparent
                )
            except PostingPausedError as error:
                log.info("a command waits", record=command.record_id, why=str(error))
                while self._pauses.holds(command.company):
                    await self._pauses.changed()

    def _tell(self, work: Work, command: Command, outcome: Outcome, traceparent: str | None) -> None:
        rows = self._carrying.company_rows(command, outcome.rate) if isinstance(outcome, PostedOutcome) else ()
        _send(work, outcome_message(self._names, command, outcome, rows, traceparent))

    def _log(self, command: Command, outcome: Outcome) -> None:
        facts = {"record": command.record_id, "company": command.company, "reference": command.reference}
        if isinstance(outcome, PostedOutcome):
            made = "reversed" if isinstance(command, ReverseVoucher) else "posted"
            kind = "shadow" if outcome.shadow else "found" if outcome.found else made
            log.info("voucher in IFS", kind=kind, voucher=outcome.number and outcome.number.voucher_no, **facts)
        else:
            kind = "rejected"
            log.warning("IFS refused a voucher", reason=outcome.reason, code=outcome.code, **facts)
        OUTCOMES.labels(kind).inc()

    def _dead_letter(self, event: Event, error: UnreadableError) -> Message:
        return dead_letter(
            self._names.public(topics.DEAD_LETTER),
            origin_topic=event.topic,
            origin_partition=event.partition,
            origin_offset=event.offset,
            key=event.key,
            value=event.value,
            headers=event.headers,
            reason=str(error),
            exception=error,
        )


def _read(event: Event) -> Command:
    command = decode_any(event.headers, event.value)
    if not isinstance(command, PostVoucher | ReverseVoucher):
        raise UnreadableError(f"{type(command).__name__} is no voucher command")
    if isinstance(command, ReverseVoucher) and any(_has_no_company_amount(row) for row in command.rows):
        raise UnreadableError("a reversal's rows must bring their amounts in the company's currency")
    return command


def _has_no_company_amount(row: VoucherRow) -> bool:
    return row.company_debit is None and row.company_credit is None


def _send(work: Work, message: Message) -> None:
    work.send(message.topic, key=message.key, value=message.value, headers=message.headers, partition=message.partition)
