"""Carrying one command to IFS Cloud: does what agents.poster.decision says, and lets nothing happen twice."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal

import structlog

from agents.poster.budget import RecordedBudget
from agents.poster.decision import (
    Answered,
    Look,
    Looked,
    Pause,
    Post,
    Posted,
    Rejected,
    Standing,
    Stopped,
    decide,
    first_step,
)
from agents.poster.doubts import Doubts, Moment
from agents.poster.interlock import Interlock
from agents.poster.metrics import ANSWERS, POST_SECONDS, TROUBLE, UNCERTAIN
from agents.poster.pauses import PostingPausedError
from agents.poster.rates import Rates
from agents.poster.room import Tries
from agents.poster.state import (
    INTENT_BEGINS,
    Intent,
    Outcome,
    PostedOutcome,
    RejectedOutcome,
    command_key,
    entry_of,
    written,
)
from agents.poster.telling import progress_message
from agents.poster.trouble import CannotPostError, NotPossibleError
from agents.poster.validating import Validating
from agents.runtime import StateTable, Work, handling
from schemas.errors import RefusedError, TroubleError, UnauthorizedError
from schemas.topics import TopicNames
from schemas.vouchers import KnownRate, PostVoucher, ReverseVoucher, VoucherRow
from streams.accounting.conversion import Rate, convert
from streams.accounting.money import decimals
from streams.settings import IfsSettings
from streams.systems.ifs.basics import Company
from streams.systems.ifs.client import IfsClient
from streams.systems.ifs.errors import Judgement, Verdict
from streams.systems.ifs.posting import Created, NotPreparedError, Send
from streams.systems.ifs.refusals import COMPANY_UNKNOWN, OTHER
from streams.systems.ifs.voucher_json import Command
from streams.systems.retry import BackOff

log = structlog.get_logger(__name__)

UNHEARD = Judgement(Verdict.BUSY, None, "Kafka confirms nothing lately, or late: another may have taken over", OTHER)
"""Nothing was sent: a poster that Kafka may think dead must not post while its successor does."""

LONGEST_TO_CONFIRM = timedelta(seconds=5)
"""Of an intent: absence is concluded from its time, so a POST that left much later could still be done after that.
The other half of the 10 seconds' margin is for the POST to leave (3 s at most) and to arrive (2 s)."""


@dataclass(frozen=True, slots=True)
class Delayed:
    """The command has no outcome yet, and nothing can be done about it before `due`."""

    due: datetime
    why: str
    tries: Tries
    told_uncertain: datetime | None
    put_off_at: datetime
    doubted: timedelta
    """How long ago at least the POST was sent whose effect is not known."""
    is_paused: bool = False
    """A person paused posting; IFS is not in trouble."""
    is_behind: bool = False
    """Another command of the record has no outcome yet; IFS was not asked anything."""


@dataclass(slots=True, eq=False)
class Task:
    """One command on its way, and the event in hand for which that is done."""

    command: Command
    work: Work
    traceparent: str | None
    tries: Tries = field(default_factory=Tries)
    told_uncertain: datetime | None = None
    doubted: timedelta = timedelta()
    """How long before it was taken up the POST of `told_uncertain` had been sent, at least."""
    standing: Standing = field(default_factory=Standing)
    is_open: bool = False
    """A POST is under way of which it is not known that it was not done."""
    converted: tuple[KnownRate, tuple[VoucherRow, ...]] | None = None
    """A rate, and its rows with company amounts at that rate."""

    def is_told(self, sent_at: datetime) -> None:
        """Note that a POST was told of as uncertain; how old the one before it was says nothing about this one."""
        self.told_uncertain, self.doubted = sent_at, timedelta()


class Carrying:
    """Looks, posts and looks again until a command has its outcome, or until nothing can be done but wait."""

    def __init__(
        self,
        ifs: IfsClient,
        *,
        names: TopicNames,
        commands: StateTable,
        budget: RecordedBudget,
        settings: IfsSettings,
        clock: Callable[[], datetime],
        back_off: BackOff,
        is_heard: Callable[[], bool],
        steady: Callable[[], float],
    ) -> None:
        self.ifs = ifs
        self._names = names
        self.commands = commands
        self.budget = budget
        self._is_shadow = settings.mode == "shadow"
        self.settle = timedelta(seconds=settings.settle_seconds)
        self.clock = clock
        self.steady = steady
        self.doubts = Doubts(steady)
        self.interlock = Interlock(commands)
        self._back_off = back_off
        self._rates = Rates(ifs)
        self._validating = Validating(ifs.rules)
        self.is_heard = is_heard

    async def carry(self, task: Task) -> Outcome | Delayed:
        """Return a command's outcome, or why it has to wait; then the same again, with what `Delayed` says.

        Raises:
            CannotPostError, LookUpRefusedError, SettingsError, ForbiddenError: nothing can be posted safely.

        """
        with handling(task.work):
            try:
                return await self._resolve(task)
            except NotPossibleError as error:
                return self.rejected(error.judgement)

    def held_back(self, task: Task) -> Outcome | Delayed | None:
        """Return what keeps a command from being sent though nothing was asked yet; None if nothing does."""
        command = task.command
        if self.is_rehearsed(command) or isinstance(entry_of(self.commands, command.command_id), Intent):
            return None
        if self.interlock.is_behind_another(command):
            tries = task.tries.model_copy(update={"troubles": task.tries.troubles + 1})
            now = self.clock()
            return Delayed(
                due=now + timedelta(seconds=self.seconds(Pause(tries.troubles))),
                why="another command of the record has no outcome yet",
                tries=tries,
                told_uncertain=task.told_uncertain,
                put_off_at=now,
                doubted=timedelta(),
                is_behind=True,
            )
        refusal = self.interlock.refusal(command)
        return None if refusal is None else self.rejected(refusal)

    def is_rehearsed(self, command: Command) -> bool:
        """Tell whether a command is never sent: in shadow mode none is, else none that pays back what was not."""
        return self._is_shadow or (isinstance(command, PostVoucher) and command.rehearsal)

    def rehearsed(self, rate: KnownRate) -> PostedOutcome:
        """Return the outcome of a command that is ready to be sent, and is not."""
        return PostedOutcome(number=None, rate=rate, shadow=True, at=self.clock())

    def now(self) -> Moment:
        """Return this moment, by both clocks."""
        return Moment(self.clock(), self.steady())

    def may_send(self, sent: Moment) -> bool:
        """Tell whether a POST may go out now whose intent was made then: Kafka heard us, and confirmed it quickly.

        By both clocks: a machine that was frozen may find one of them frozen too.
        """
        passed = max(self.clock() - sent.told, timedelta(seconds=self.steady() - sent.steady))
        return self.is_heard() and passed < LONGEST_TO_CONFIRM

    def company_rows(self, task: Task, rate: KnownRate) -> tuple[VoucherRow, ...]:
        """Return the command's rows with their amounts in the company's currency; a reversal brings its own.

        They are made once, for sending them and for telling them afterwards.
        """
        command = task.command
        if isinstance(command, ReverseVoucher):
            return command.rows
        if task.converted is None or task.converted[0] != rate:
            quoted = Rate(rate.rate, rate.conversion_factor, inverted=rate.inverted)
            rows = convert(command.rows, command.rest_row, quoted, decimals(rate.company_currency))
            task.converted = (rate, rows)
        return task.converted[1]

    async def _resolve(self, task: Task) -> Outcome | Delayed:
        if self.recall(task):
            await task.work.confirmed()
        try:
            return await self._go_on(task)
        except PostingPausedError as error:
            return self.delayed(task, None, str(error))
        except (TroubleError, UnauthorizedError) as error:
            return self.troubled(task, error)

    async def _go_on(self, task: Task) -> Outcome | Delayed:
        step = first_step(task.standing)
        while True:
            await self.budget.record()
            match step:
                case Look():
                    seen: Looked | Answered = await self._look(task, step)
                case Post() if self.is_rehearsed(task.command):
                    return self.rehearsed(await self.terms(task.command))
                case Post():
                    seen = await self._post(task, step)
                case Posted():
                    return await self.posted(task.command, step)
                case Rejected():
                    return self.rejected(step.judgement)
                case Stopped():
                    raise CannotPostError(step.line)
            task.standing, step = decide(task.standing, seen, self.settle)
            if isinstance(step, Look) and step.pause:
                if not _was_unheard(seen):
                    return self.delayed(task, step.pause, _words(seen))
                await asyncio.sleep(self.seconds(step.pause))  # Kafka's trouble is not this account's

    def recall(self, task: Task) -> bool:
        """Take up what is known of a command, from its entry and from its tries before; True if that was told."""
        tries = task.tries
        counted = Standing(stale=tries.stale, busy=tries.busy, database=tries.database, looks=tries.looks)
        intent = entry_of(self.commands, task.command.command_id)
        if not isinstance(intent, Intent):
            task.standing = counted
            return False
        is_news = task.told_uncertain != intent.sent_at
        if is_news:
            self.tell_uncertain(task, intent.sent_at, "a poster ended before it knew the outcome")
        settle = None if intent.settle_seconds is None else timedelta(seconds=intent.settle_seconds)
        task.standing = replace(counted, sent_at=intent.sent_at, settle=settle, acknowledged=intent.acknowledged)
        return is_news

    def troubled(self, task: Task, error: TroubleError | UnauthorizedError) -> Delayed:
        """Put a command off whose read was not answered."""
        TROUBLE.labels(type(error).__name__).inc()
        task.tries = task.tries.model_copy(update={"troubles": task.tries.troubles + 1})
        return self.delayed(task, Pause(task.tries.troubles, error.retry_after), str(error))

    def delayed(self, task: Task, pause: Pause | None, why: str) -> Delayed:
        """Put a command off; `pause` None: until a person lets posting go on.

        An intent is taken back where nothing of it can be done any more, so that the next try need not settle it.
        """
        standing, now = task.standing, self.clock()
        if standing.sent_at is None and standing.duplicate is None and not task.is_open:
            self.take_back(task)
        return Delayed(
            due=now + timedelta(seconds=self.seconds(pause) if pause else 0),
            why=why,
            tries=Tries(
                stale=standing.stale,
                busy=standing.busy,
                database=standing.database,
                looks=standing.looks,
                troubles=task.tries.troubles,
            ),
            told_uncertain=task.told_uncertain,
            put_off_at=now,
            doubted=self.doubted(task),
            is_paused=pause is None,
        )

    def notice(self, command_id: str) -> None:
        """Note since when the effect of a POST is not known that an earlier poster sent, long before its turn comes."""
        value = self.commands.get(command_key(command_id))
        if value is not None and value.startswith(INTENT_BEGINS):
            self.doubts.notice(command_id, Intent.model_validate_json(value).sent_at)

    def doubted(self, task: Task) -> timedelta:
        """Return how long ago at least the POST was sent whose effect is not known; zero if there is none such."""
        sent_at = task.standing.sent_at
        if sent_at is None:
            return timedelta()
        known = task.doubted if task.told_uncertain == sent_at else timedelta()
        return self.doubts.age(task.command.command_id, sent_at, known)

    def take_back(self, task: Task) -> None:
        """Drop a command's intent, of which nothing can be done any more; what is not an intent stays."""
        if isinstance(entry_of(self.commands, task.command.command_id), Intent):
            del self.commands[command_key(task.command.command_id)]

    async def _look(self, task: Task, step: Look) -> Looked:
        age = self.doubted(task)
        command, company, reference = task.command, task.command.company, task.command.reference
        found = (await self.ifs.look_beyond_hold(company, [reference])).get(reference) if step.complete else None
        if found:
            return Looked(age, complete=True, found=found, tag=None)
        await self.see_company(command, task.standing, fresh=step.complete)
        held = await self.ifs.look_in_hold(company, [reference])
        return Looked(age, step.complete, held.found.get(reference), held.tag)

    async def see_company(self, command: Command, standing: Standing, *, fresh: bool) -> Company:
        """Prove that the company can be seen: IFS answers look-ups in one that cannot with an empty list."""
        try:
            company = await self.ifs.basics.company(command.company, fresh=fresh)
        except RefusedError as error:  # what is odd about one company is no reason to stop for all
            if standing.sent_at is None:
                raise NotPossibleError(COMPANY_UNKNOWN, str(error)) from error
            raise
        if company:
            return company
        line = f"company {command.company} does not exist in IFS, or its service user may not see it"
        if standing.sent_at is None:
            raise NotPossibleError(COMPANY_UNKNOWN, line)
        raise CannotPostError(f"{line} any more, and a voucher may have been created there: {command.reference}")

    async def terms(self, command: Command) -> KnownRate:
        """Return the rate to post at, once nothing is known that IFS would refuse; both cost nothing the next time."""
        rate = await self._rates.of(command, await self._company(command))
        await self._validating.demand_possible(command)
        return rate

    async def _company(self, command: Command) -> Company:
        return await self.see_company(command, Standing(), fresh=False)

    async def _post(self, task: Task, step: Post) -> Answered:
        command = task.command
        known = await self.terms(command)
        rows = self.company_rows(task, known)
        rate = Rate(known.rate, known.conversion_factor, inverted=known.inverted)
        if step.absent_after:
            self.tell_absent(task, step.absent_after)
            await task.work.confirmed()
        try:
            async with self.ifs.posting.prepared(command, rows, rate, step.tag) as send:
                return await self._send(task, known, send)
        except NotPreparedError as error:
            log.info("IFS did not take a voucher's draft", verdict=error.judgement.verdict.value, words=str(error))
            return Answered(self.clock(), Created(error.judgement))

    async def _send(self, task: Task, known: KnownRate, send: Send) -> Answered:
        """Send the one request that books, once it is durably written down that it is about to be sent."""
        key = command_key(task.command.command_id)
        await self.ifs.service.admit()
        await self.budget.record(at_once=True)
        sent, settle = self.now(), self.settle.total_seconds()
        sent_at = sent.told
        self.interlock.begins(task.command)
        self.commands[key] = written(Intent(sent_at=sent_at, rate=known, settle_seconds=settle))
        await task.work.confirmed()
        self.ifs.service.before_request()  # an order to pause may have come while the intent was written
        if not self.may_send(sent):
            return Answered(sent_at, Created(UNHEARD))
        started = time.monotonic()
        task.is_open = True
        created = await send()
        POST_SECONDS.observe(time.monotonic() - started)
        verdict = created.judgement.verdict
        task.is_open = verdict in (Verdict.UNCERTAIN, Verdict.DONE)
        if task.is_open:
            self.doubts.sent(task.command.command_id, sent)
        ANSWERS.labels(verdict.value).inc()
        if verdict is Verdict.UNCERTAIN:
            self.tell_uncertain(task, sent_at, created.judgement.words)
            await task.work.confirmed()
        elif verdict is Verdict.DONE and created.number is None:
            self.commands[key] = written(Intent(sent_at=sent_at, rate=known, settle_seconds=settle, acknowledged=True))
            await task.work.confirmed()
        elif verdict is not Verdict.DONE:
            log.info("IFS did not take a voucher", verdict=verdict.value, words=created.judgement.words)
        return Answered(sent_at, created)

    async def posted(self, command: Command, step: Posted) -> PostedOutcome:
        """Return the outcome of a voucher that is in IFS, with the rate at which it was posted."""
        entry = entry_of(self.commands, command.command_id)
        if isinstance(entry, Intent):
            rate = entry.rate
        else:
            rate = await self._rates.of_found(command, await self._company(command), step.found)
        return PostedOutcome(number=step.found.number, rate=rate, found=step.was_found, at=self.clock())

    def tell_uncertain(self, task: Task, sent_at: datetime, reason: str) -> None:
        """Tell the bookkeeper that the effect of a POST is not known; the caller confirms."""
        UNCERTAIN.inc()
        task.is_told(sent_at)
        log.warning("a POST's effect is not known", record=task.command.record_id, reason=reason)
        self._tell(task, "uncertain", reason, sent_at)

    def tell_absent(self, task: Task, sent_at: datetime) -> None:
        """Tell the bookkeeper that a POST is known not to have been done; the caller confirms."""
        self._tell(task, "posting", "not in IFS, so it is sent again", sent_at)

    def _tell(self, task: Task, progress: Literal["uncertain", "posting"], reason: str, sent_at: datetime) -> None:
        message = progress_message(
            self._names,
            task.command,
            progress,
            reason,
            sent_at=sent_at,
            at=self.clock(),
            traceparent=task.traceparent,
        )
        task.work.send(message.topic, key=message.key, value=message.value, headers=message.headers)

    def seconds(self, pause: Pause) -> float:
        """Return how long a pause is now."""
        seconds = self._back_off.wait(pause.attempt, pause.retry_after)
        return seconds if pause.at_most is None else min(seconds, pause.at_most.total_seconds())

    def rejected(self, judgement: Judgement) -> RejectedOutcome:
        """Return the outcome of what IFS refuses."""
        return RejectedOutcome(
            reason=judgement.explanation.reason,
            code=judgement.code,
            message=judgement.words,
            advice=judgement.explanation.advice,
            at=self.clock(),
        )


def _was_unheard(seen: Looked | Answered) -> bool:
    return isinstance(seen, Answered) and seen.created.judgement is UNHEARD


def _words(seen: Looked | Answered) -> str:
    if isinstance(seen, Looked):
        return "not in IFS yet, but what was sent may still be done"
    return seen.created.judgement.words
