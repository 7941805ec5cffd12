"""The poster's agent: takes each voucher command to its outcome; what is in trouble waits beside the road."""

from collections.abc import Callable
from datetime import datetime

import structlog

from agents.poster.breaker import Breaker
from agents.poster.budget import RecordedBudget
from agents.poster.carrying import Carrying, Delayed
from agents.poster.metrics import BACKLOG, OUTCOMES, WAITING
from agents.poster.pauses import Pauses
from agents.poster.room import MOST_WAITING, Waiting, WaitingRoom
from agents.poster.state import Outcome, PostedOutcome, command_key, read_entry, written
from agents.poster.telling import outcome_message
from agents.runtime import Event, OpenWork, StateTable, Work, send_message
from schemas import topics
from schemas.base import utc_now
from schemas.envelope import decode_any
from schemas.errors import UnreadableError
from schemas.topics import TopicNames
from schemas.vouchers import PostVoucher, ReverseVoucher
from streams.accounting.commands import check_command
from streams.log.messages import dead_letter
from streams.posting_control import EVERY_COMPANY
from streams.settings import IfsSettings
from streams.systems.ifs.client import IfsClient
from streams.systems.ifs.voucher_json import Command
from streams.systems.retry import BackOff

TICK = b"tick"
"""Key of the poster's word to itself to wake those who wait."""

log = structlog.get_logger(__name__)


class Poster:
    """Carries commands to IFS Cloud. Its table keeps the outcome of every command id, so none is carried out twice.

    What is in trouble waits in the room, and with it what comes later of the same account; all others go on. Whoever is
    due in the room is tried again with the next command, or with the next tick where none comes.
    """

    def __init__(
        self,
        ifs: IfsClient,
        *,
        names: TopicNames,
        commands: StateTable,
        waiting: StateTable,
        app_id: str,
        settings: IfsSettings,
        clock: Callable[[], datetime] = utc_now,
        back_off: BackOff | None = None,
        is_heard: Callable[[], bool] = lambda: True,
        pauses: Pauses | None = None,
        behind: Callable[[], int] = lambda: 0,
        most_waiting: int = MOST_WAITING,
    ) -> None:
        """Wire the poster; `is_heard` tells, directly before a POST, whether Kafka surely still counts on this one.

        `pauses` are obeyed before every request; `behind` tells how many commands are not acknowledged.
        """
        self._names = names
        self._commands = commands
        self._app_id = app_id
        self._clock = clock
        self._service = ifs.service
        self._pauses = pauses or Pauses()
        self._behind = behind
        self._company = EVERY_COMPANY
        ifs.service.before_request = lambda: self._pauses.demand(self._company)
        self._budget = RecordedBudget(ifs.service, commands, clock)
        self._room = WaitingRoom(waiting, most=most_waiting)
        self._breaker = Breaker(back_off or BackOff())
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

    async def on_event(self, event: Event, work: Work) -> None:
        """Handle a command, or a tick that wakes those who wait.

        Raises:
            ConnectorError: nothing can be posted safely (a look-up is refused, no tag is given); one clear line.

        """
        try:
            if event.topic == self._names.public(topics.VOUCHER_COMMAND):
                await self.on_command(event, work)
            elif event.key == TICK:
                await self.on_tick(work)
            else:
                send_message(
                    work, dead_letter(self._names.public(topics.DEAD_LETTER), event, "no tick of the poster's")
                )
        except BaseException:
            self._room.forget()  # what was written for this event may be dropped
            raise
        finally:
            WAITING.set(len(self._room))
            BACKLOG.set(self._behind() + len(self._room))

    async def before_events(self, partitions: frozenset[int], open_work: OpenWork) -> None:
        """Take up the waiting room that a poster before us left."""
        for partition in partitions:
            async with open_work(partition):
                self._room.load()
        if len(self._room):
            log.info("commands wait from before", commands=len(self._room))

    @property
    def next_due(self) -> datetime | None:
        """When somebody in the room is to be tried again; None if nobody is, or nobody may."""
        if self._pauses.all_paused or (due := self._room.next_due(self._may_post)) is None:
            return None
        return self._breaker.until or due

    async def on_command(self, event: Event, work: Work) -> None:
        """Take one command to its outcome, or into the waiting room. Raises like `on_event`."""
        try:
            command = _read(event)
        except UnreadableError as error:
            send_message(work, dead_letter(self._names.public(topics.DEAD_LETTER), event, str(error), error))
            return
        if command.app_id != self._app_id:
            log.info("command of another app passed over", app_id=command.app_id, record=command.record_id)
            return
        traceparent = event.headers.get("traceparent", b"").decode(errors="replace") or None
        entry = read_entry(self._commands.get(command_key(command.command_id)))
        if isinstance(entry, Outcome):
            self._tell(work, command, entry, traceparent)
            return
        await self._begin()
        if self._room.has(command.command_id):
            return
        await self._make_way(work)
        await self._retry_next(work)
        newcomer = self._newcomer(event, command, traceparent)
        if self._room.has_account(command.account_id):
            self._room.put(newcomer, event.value or b"")
        elif delayed := await self._carried(command, work, newcomer):
            self._room.put(delayed, event.value or b"")

    async def on_tick(self, work: Work) -> None:
        """Try again whose turn it is, if anybody's. Raises like `on_event`."""
        await self._begin()
        now = self._clock()
        if self._pauses.all_paused or (self._breaker.until or now) > now:
            return
        await self._retry_next(work, probe=self._breaker.is_open)

    async def _begin(self) -> None:
        await self._budget.take_over()
        if not self._room.is_loaded:
            self._room.load()

    async def _make_way(self, work: Work) -> None:
        """Return when a new command may be taken up: not while all is paused, IFS is down, or the room is full."""
        while True:
            now = self._clock()
            if self._pauses.all_paused:
                await self._pauses.changed()
            elif self._breaker.until and self._breaker.until > now:
                await self._pauses.changed((self._breaker.until - now).total_seconds())
            elif self._breaker.is_open:
                if self._breaker.wants_command and not self._room.is_full:
                    return
                if not await self._retry_next(work, probe=True):
                    return
            elif not self._room.is_full:
                return
            elif not await self._retry_next(work):
                due = self._room.next_due(self._may_post)
                await self._pauses.changed((due - now).total_seconds() if due else None)

    async def _retry_next(self, work: Work, *, probe: bool = False) -> bool:
        """Try the one again whose turn it is; False if it is nobody's. A `probe` does not wait until it is due."""
        waiting = self._room.take_turn(self._may_post, None if probe else self._clock())
        if waiting is None:
            return False
        command = decode_any({"ce_type": waiting.event_type.encode()}, self._room.command_of(waiting))
        if not isinstance(command, PostVoucher | ReverseVoucher):
            raise UnreadableError(f"a {type(command).__name__} is in the waiting room")
        if delayed := await self._carried(command, work, waiting):
            self._room.update(delayed)
        else:
            self._room.remove(waiting)
        return True

    async def _carried(self, command: Command, work: Work, waiting: Waiting) -> Waiting | None:
        """Take a command to its outcome, durably; or return how it waits (on)."""
        entry = read_entry(self._commands.get(command_key(command.command_id)))
        if isinstance(entry, Outcome):  # a crash came before it was let out of the room
            self._tell(work, command, entry, waiting.traceparent)
            await work.confirmed()
            return None
        self._company = command.company
        answered = self._service.answered
        result = await self._carrying.carry(
            command, work, waiting.traceparent, tries=waiting.tries, told_uncertain=waiting.told_uncertain
        )
        if self._service.answered > answered:
            self._breaker.answered()
        if isinstance(result, Delayed):
            if self._service.answered == answered and not result.is_paused:
                self._breaker.unanswered(command.account_id, self._clock(), result.why)
            log.info("a command waits", record=command.record_id, until=f"{result.due:%H:%M:%SZ}", why=result.why)
            changes = {"due": result.due, "why": result.why, "tries": result.tries}
            return waiting.model_copy(update=changes | {"told_uncertain": result.told_uncertain})
        self._commands[command_key(command.command_id)] = written(result)
        self._tell(work, command, result, waiting.traceparent)
        self._log(command, result)
        await work.confirmed()  # before the command leaves the room: else it could be in neither after a crash
        return None

    def _newcomer(self, event: Event, command: Command, traceparent: str | None) -> Waiting:
        now = self._clock()
        return Waiting(
            command_id=command.command_id,
            account_id=command.account_id,
            company=command.company,
            offset=event.offset,
            event_type=type(command).__name__,
            traceparent=traceparent,
            since=now,
            due=now,
            why="an earlier command of the account waits",
        )

    def _may_post(self, company: str) -> bool:
        return not self._pauses.holds(company)

    def _tell(self, work: Work, command: Command, outcome: Outcome, traceparent: str | None) -> None:
        rows = self._carrying.company_rows(command, outcome.rate) if isinstance(outcome, PostedOutcome) else ()
        send_message(work, outcome_message(self._names, command, outcome, rows, traceparent))

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


def _read(event: Event) -> Command:
    command = decode_any(event.headers, event.value)
    if not isinstance(command, PostVoucher | ReverseVoucher):
        raise UnreadableError(f"{type(command).__name__} is no voucher command")
    check_command(command)
    return command
