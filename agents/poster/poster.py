"""The poster's agent: takes each voucher command to its outcome; what is in trouble waits beside the road."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import structlog

from agents.poster.batching import Batching, Results
from agents.poster.breaker import Breaker
from agents.poster.budget import RecordedBudget
from agents.poster.carrying import Carrying, Delayed, Task
from agents.poster.metrics import OUTCOMES, WAITING
from agents.poster.pace import RECORD_EVERY_SECONDS, PaceRecord
from agents.poster.pauses import Pauses
from agents.poster.road import Ahead, Road, decode_command, read_command
from agents.poster.room import MOST_WAITING, Waiting, WaitingRoom
from agents.poster.state import Outcome, PostedOutcome, command_key, entry_of, written
from agents.poster.telling import outcome_message
from agents.runtime import Event, OpenWork, StateTable, Work, handling, send_message
from schemas import topics
from schemas.base import utc_now
from schemas.errors import UnreadableError
from schemas.topics import TopicNames
from schemas.vouchers import ReverseVoucher
from streams.clocks import steady_seconds
from streams.log.messages import dead_letter, header_text
from streams.posting_control import EVERY_COMPANY
from streams.posting_status import Backlog
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
        steady: Callable[[], float] = steady_seconds,
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
        self._in_hand: Work | None = None
        ifs.service.before_request = lambda: self._pauses.demand(self._company)
        ifs.service.on_admitted = self._record_in_time
        self._budget = RecordedBudget(ifs.service, commands, clock)
        self._room = WaitingRoom(waiting, clock=clock, steady=steady, most=most_waiting)
        self._breaker = Breaker(back_off or BackOff(), steady)
        self._road = Road()
        batch_size = settings.batch_size if settings.posting == "voucher-set" else 1
        self._pace = PaceRecord(ifs.service, waiting, batch_size=batch_size, clock=clock)
        self._carrying = Carrying(
            ifs,
            names=names,
            commands=commands,
            budget=self._budget,
            settings=settings,
            clock=clock,
            back_off=back_off or BackOff(),
            is_heard=is_heard,
            steady=steady,
        )
        self._batching = Batching(self._carrying, batch_size)

    async def on_events(self, taken: Sequence[tuple[Event, Work]]) -> None:
        """Take events, commands or ticks, and carry what has its turn; called again as long as commands are left.

        Raises:
            ConnectorError: nothing can be posted safely (a look-up is refused, no tag is given); one clear line.

        """
        try:
            self._road.forget_abandoned()
            for event, work in taken:
                with handling(work):
                    await self._take(event, work)
            if self._road:
                await self._take_turn()
        except BaseException:
            self._room.forget()  # what was written for these events may be dropped
            self._road.clear()
            raise
        finally:
            WAITING.set(len(self._room))
            self._pace.tell(self._backlog())

    async def before_events(self, partitions: frozenset[int], open_work: OpenWork) -> None:
        """Take up the waiting room that a poster before us left, and the budget that it has spent."""
        self._budget.forget()
        self._carrying.doubts.forget_all()
        for partition in partitions:
            async with open_work(partition):
                self._room.load()
                for command_id in self._room.command_ids:
                    self._carrying.notice(command_id)
        if len(self._room):
            log.info("commands wait from before", commands=len(self._room))

    @property
    def seconds_until_due(self) -> float | None:
        """In how many seconds somebody in the room is to be tried again; None if nobody is, or nobody may."""
        if self._pauses.all_paused or (left := self._room.seconds_until_due(self._may_post)) is None:
            return None
        return self._breaker.left if self._breaker.is_open else left

    async def _take(self, event: Event, work: Work) -> None:
        """Handle a tick; put a command on the road, unless it cannot be read or is another app's."""
        if event.topic != self._names.public(topics.VOUCHER_COMMAND):
            await self._on_word(event, work)
        elif command := self._read(event, work):
            self._carrying.notice(command.command_id)
            self._road.add(Ahead(command.command_id, command.account_id, command.company, event, work))
            return
        await work.finish()

    async def _on_word(self, event: Event, work: Work) -> None:
        """Try again whose turn it is, if anybody's, when the poster's own word says that somebody is due."""
        if event.key != TICK:
            send_message(work, dead_letter(self._names.public(topics.DEAD_LETTER), event, "no tick of the poster's"))
            return
        await self._begin()
        if self._pauses.all_paused or self._breaker.left:
            return
        await self._retry_next(work, probe=self._breaker.is_open)

    def _read(self, event: Event, work: Work) -> Command | None:
        try:
            command = read_command(event)
        except UnreadableError as error:
            send_message(work, dead_letter(self._names.public(topics.DEAD_LETTER), event, str(error), error))
            return None
        if command.app_id != self._app_id:
            log.info("command of another app passed over", app_id=command.app_id, record=command.record_id)
            return None
        return command

    async def _take_turn(self) -> None:
        """Carry a change set of the company whose turn it is to its outcomes, or into the waiting room."""
        turn = self._road.turn(self._batching.size)
        with handling(turn[0].work):
            await self._begin()
        turn = [one for one in turn if not await self._is_known(one)]
        if not turn:
            return
        lead = turn[0].work
        with handling(lead):
            await self._make_way(lead)
            await self._retry_next(lead)
        await self._carry_new([one for one in turn if not await self._follows(one)])
        if not lead.is_handled:
            await lead.confirmed()  # it stays on the road; what it wrote for those in the room is not to wait for it

    async def _is_known(self, one: Ahead) -> bool:
        """Tell the outcome again of a command that has one; let go of it also if it waits in the room."""
        with handling(one.work):
            if outcome := self._outcome(one.command_id):
                self._tell(Task(one.command, one.work, one.traceparent), outcome)
            elif not self._room.has(one.command_id):
                return False
        await self._leave(one)
        return True

    async def _follows(self, one: Ahead) -> bool:
        """Let a command wait behind those of its account in the room; a full room lets it stay on the road."""
        if not self._room.has_account(one.account_id):
            return False
        waits = self._room.has(one.command_id)  # it came twice, and the other one is of this turn too
        if not waits and not self._room.is_full:
            with handling(one.work):
                self._room.put(self._newcomer(one), one.event.value or b"")
            waits = True
        if waits:
            await self._leave(one)
        return True

    async def _carry_new(self, turn: Sequence[Ahead]) -> None:
        tasks: dict[str, Task] = {}
        for one in turn:  # the same command a second time stays on the road until the first has its outcome
            tasks.setdefault(one.command_id, Task(one.command, one.work, one.traceparent))
        if not tasks:
            return
        results = await self._carried(list(tasks.values()))
        for one in turn:
            result = results.pop(one.command_id, None)
            if result is None:
                continue
            if isinstance(result, Delayed):
                with handling(one.work):
                    self._room.put(_delayed(self._newcomer(one), result), one.event.value or b"")
            await self._leave(one)

    async def _leave(self, one: Ahead) -> None:
        self._road.remove(one)
        await one.work.finish()

    async def _begin(self) -> None:
        await self._budget.take_over()
        if not self._room.is_loaded:
            self._room.load()

    async def _make_way(self, work: Work) -> None:
        """Return when a new command may be taken up: not while all is paused, IFS is down, or the room is full."""
        while True:
            if self._pauses.all_paused:
                self._pace.tell(self._backlog())
                await self._pauses.changed(RECORD_EVERY_SECONDS)
            elif left := self._breaker.left:
                await self._pauses.changed(left)
            elif self._breaker.is_open:
                if self._breaker.wants_command and not self._room.is_full:
                    return
                if not await self._retry_next(work, probe=True):
                    return
            elif not self._room.is_full:
                return
            elif not await self._retry_next(work):
                await self._pauses.changed(self._room.seconds_until_due(self._may_post))

    async def _retry_next(self, work: Work, *, probe: bool = False) -> bool:
        """Try those again whose turn it is; False if it is nobody's. A `probe` is one, and does not wait until due."""
        head = self._room.take_turn(self._may_post, also_early=probe)
        if head is None:
            return False
        turn = [head] if probe else [head, *self._room.companions(head, self._batching.size - 1)]
        tasks = [self._task(waiting, work) for waiting in turn]
        known = {task.command.command_id: entry for task in tasks if (entry := self._outcome(task.command.command_id))}
        for task in tasks:  # a crash came before it was let out of the room
            if outcome := known.get(task.command.command_id):
                self._tell(task, outcome)
        results = known | await self._carried([task for task in tasks if task.command.command_id not in known])
        if any(not isinstance(result, Delayed) for result in results.values()):
            await work.confirmed()  # before they leave the room: else they could be in neither after a crash
        for waiting in turn:
            result = results.get(waiting.command_id)
            if isinstance(result, Delayed):
                self._room.update(_delayed(waiting, result))
            elif result is not None:
                self._room.remove(waiting)
        return True

    def _task(self, waiting: Waiting, work: Work) -> Task:
        command = decode_command({"ce_type": waiting.event_type.encode()}, self._room.command_of(waiting))
        doubted = timedelta(seconds=waiting.doubted_seconds)
        return Task(command, work, waiting.traceparent, waiting.tries, waiting.told_uncertain, doubted)

    def _outcome(self, command_id: str) -> Outcome | None:
        entry = entry_of(self._commands, command_id)
        return entry if isinstance(entry, Outcome) else None

    async def _carried(self, tasks: Sequence[Task]) -> Results:
        """Take commands of one company to their outcomes, which are written and told; or return how they wait (on)."""
        if not tasks:
            return {}
        self._company, self._in_hand = tasks[0].command.company, tasks[0].work
        answered = self._service.answered
        with self._pace.turn() as turn:
            results = await self._batching.carry(tasks)
            turn.outcomes = sum(not isinstance(result, Delayed) for result in results.values())
        is_answered = self._service.answered > answered
        if is_answered:
            self._breaker.answered()
        for task in tasks:
            result = results.get(task.command.command_id)
            if isinstance(result, Delayed):
                if result.is_paused or (result.is_behind and not self._breaker.is_open):
                    continue  # a pause was told once, and who waits for it may be ten thousands
                if not is_answered:
                    self._breaker.unanswered(task.command.account_id, result.why)
                log.info(
                    "a command waits", record=task.command.record_id, until=f"{result.due:%H:%M:%SZ}", why=result.why
                )
            elif result is not None:
                self._carrying.doubts.forget(task.command.command_id)
                self._note(task, result)
        return results

    async def _record_in_time(self) -> None:
        """Tell a successor what is spent, and people the pace, also where one command takes many requests."""
        if self._in_hand is None:
            return
        with handling(self._in_hand):
            if self._pace.record():
                self._pace.tell(self._backlog())
            if self._budget.is_behind:
                await self._budget.record(at_once=True)
                await self._in_hand.confirmed()

    def _backlog(self) -> Backlog:
        commands = self._behind() + len(self._room)
        return Backlog(commands, commands if self._pauses.all_paused else self._room.count(self._pauses.holds))

    def _note(self, task: Task, outcome: Outcome) -> None:
        with handling(task.work):
            if isinstance(outcome, PostedOutcome):
                self._carrying.interlock.ends(task.command, outcome)
            self._commands[command_key(task.command.command_id)] = written(outcome)
        self._tell(task, outcome)
        self._log(task.command, outcome)

    def _newcomer(self, one: Ahead) -> Waiting:
        now = self._clock()
        return Waiting(
            command_id=one.command_id,
            account_id=one.account_id,
            company=one.company,
            offset=one.event.offset,
            event_type=header_text(one.event.headers, "ce_type") or "",
            traceparent=one.traceparent,
            since=now,
            due=now,
            why="an earlier command of the account waits",
        )

    def _may_post(self, company: str) -> bool:
        return not self._pauses.holds(company)

    def _tell(self, task: Task, outcome: Outcome) -> None:
        rows = self._carrying.company_rows(task, outcome.rate) if isinstance(outcome, PostedOutcome) else ()
        send_message(task.work, outcome_message(self._names, task.command, outcome, rows, task.traceparent))

    def _log(self, command: Command, outcome: Outcome) -> None:
        facts = {"record": command.record_id, "company": command.company, "reference": command.reference}
        if isinstance(outcome, PostedOutcome):
            made = "reversed" if isinstance(command, ReverseVoucher) else "posted"
            kind = "shadow" if outcome.shadow else "found" if outcome.found else made
            log.info("voucher in IFS", kind=kind, voucher=outcome.number and outcome.number.voucher_no, **facts)
        else:
            kind = "rejected"
            log.warning("a voucher was refused", reason=outcome.reason, code=outcome.code, **facts)
        OUTCOMES.labels(kind).inc()


def _delayed(waiting: Waiting, delayed: Delayed) -> Waiting:
    changes = {
        "due": delayed.due,
        "put_off_at": delayed.put_off_at,
        "why": delayed.why,
        "tries": delayed.tries,
        "told_uncertain": delayed.told_uncertain,
        "doubted_seconds": delayed.doubted.total_seconds(),
    }
    return waiting.model_copy(update=changes)
