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
from agents.poster.metrics import ANSWERS, POST_SECONDS, TROUBLE, UNCERTAIN
from agents.poster.pauses import PostingPausedError
from agents.poster.rates import Rates
from agents.poster.room import Tries
from agents.poster.state import (
    Intent,
    Outcome,
    PostedOutcome,
    RejectedOutcome,
    command_key,
    read_entry,
    written,
)
from agents.poster.telling import progress_message
from agents.poster.trouble import CannotPostError, NotPossibleError
from agents.poster.validating import Validating
from agents.runtime import StateTable, Work
from schemas.errors import RefusedError, TroubleError, UnauthorizedError
from schemas.topics import TopicNames
from schemas.vouchers import KnownRate, ReverseVoucher, VoucherRow
from streams.accounting.conversion import Rate, convert
from streams.accounting.money import decimals
from streams.settings import IfsSettings
from streams.systems.ifs.basics import Company
from streams.systems.ifs.client import Found, IfsClient
from streams.systems.ifs.errors import Judgement, Verdict
from streams.systems.ifs.posting import Created, NotPreparedError, Send
from streams.systems.ifs.refusals import COMPANY_UNKNOWN, OTHER
from streams.systems.ifs.voucher_json import Command
from streams.systems.retry import BackOff

log = structlog.get_logger(__name__)

UNHEARD = Judgement(
    Verdict.BUSY, None, "Kafka has not confirmed a heartbeat lately: another may have taken over", OTHER
)
"""Nothing was sent: a poster that Kafka may think dead must not post while its successor does."""


@dataclass(frozen=True, slots=True)
class Delayed:
    """The command has no outcome yet, and nothing can be done about it before `due`."""

    due: datetime
    why: str
    tries: Tries
    told_uncertain: datetime | None
    is_paused: bool = False
    """A person paused posting; IFS is not in trouble."""


@dataclass(slots=True)
class _Task:
    command: Command
    work: Work
    traceparent: str | None
    tries: Tries
    told_uncertain: datetime | None
    standing: Standing = field(default_factory=Standing)
    is_open: bool = False
    """A POST is under way of which it is not known that it was not done."""


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
    ) -> None:
        self._ifs = ifs
        self._names = names
        self._commands = commands
        self._budget = budget
        self._is_shadow = settings.mode == "shadow"
        self._settle = timedelta(seconds=settings.settle_seconds)
        self._clock = clock
        self._back_off = back_off
        self._rates = Rates(ifs)
        self._validating = Validating(ifs.rules)
        self._is_heard = is_heard

    async def carry(
        self,
        command: Command,
        work: Work,
        traceparent: str | None,
        *,
        tries: Tries | None = None,
        told_uncertain: datetime | None = None,
    ) -> Outcome | Delayed:
        """Return the command's outcome, or why it has to wait; then the same again, with what `Delayed` says.

        Raises:
            CannotPostError, LookUpRefusedError, SettingsError, ForbiddenError: nothing can be posted safely.

        """
        task = _Task(command, work, traceparent, tries or Tries(), told_uncertain)
        try:
            return await self._resolve(task)
        except NotPossibleError as error:
            return self._rejected(error.judgement)

    def company_rows(self, command: Command, rate: KnownRate) -> tuple[VoucherRow, ...]:
        """Return the command's rows with their amounts in the company's currency; a reversal brings its own."""
        if isinstance(command, ReverseVoucher):
            return command.rows
        quoted = Rate(rate.rate, rate.conversion_factor, inverted=rate.inverted)
        return convert(command.rows, command.rest_row, quoted, decimals(rate.company_currency))

    async def _resolve(self, task: _Task) -> Outcome | Delayed:
        task.standing = await self._standing(task)
        try:
            return await self._go_on(task)
        except PostingPausedError as error:
            return self._delayed(task, None, str(error))
        except (TroubleError, UnauthorizedError) as error:
            TROUBLE.labels(type(error).__name__).inc()
            task.tries = task.tries.model_copy(update={"troubles": task.tries.troubles + 1})
            return self._delayed(task, Pause(task.tries.troubles, error.retry_after), str(error))

    async def _go_on(self, task: _Task) -> Outcome | Delayed:
        step = first_step(task.standing)
        while True:
            await self._budget.record()
            match step:
                case Look():
                    seen: Looked | Answered = await self._look(task.command, step, task.standing)
                case Post() if self._is_shadow:
                    rate = await self._terms(task.command)
                    return PostedOutcome(number=None, rate=rate, shadow=True, at=self._clock())
                case Post():
                    seen = await self._post(task, step)
                case Posted():
                    return await self._posted(task.command, step)
                case Rejected():
                    return self._rejected(step.judgement)
                case Stopped():
                    raise CannotPostError(step.line)
            task.standing, step = decide(task.standing, seen, self._settle)
            if isinstance(step, Look) and step.pause:
                if not _was_unheard(seen):
                    return self._delayed(task, step.pause, _words(seen))
                await asyncio.sleep(self._seconds(step.pause))  # Kafka's trouble is not this account's

    async def _standing(self, task: _Task) -> Standing:
        """Return what is known of a command, from its entry and from its tries before."""
        tries = task.tries
        counted = Standing(stale=tries.stale, busy=tries.busy, database=tries.database, looks=tries.looks)
        intent = read_entry(self._commands.get(command_key(task.command.command_id)))
        if not isinstance(intent, Intent):
            return counted
        if task.told_uncertain != intent.sent_at:
            await self._tell_uncertain(task, intent.sent_at, "a poster ended before it knew the outcome")
        return replace(counted, sent_at=intent.sent_at, acknowledged=intent.acknowledged)

    def _delayed(self, task: _Task, pause: Pause | None, why: str) -> Delayed:
        """Put a command off; `pause` None: until a person lets posting go on.

        An intent is taken back where nothing of it can be done any more, so that the next try need not settle it.
        """
        key, standing = command_key(task.command.command_id), task.standing
        is_undone = standing.sent_at is None and standing.duplicate is None and not task.is_open
        if is_undone and isinstance(read_entry(self._commands.get(key)), Intent):
            del self._commands[key]
        return Delayed(
            due=self._clock() + timedelta(seconds=self._seconds(pause) if pause else 0),
            why=why,
            tries=Tries(
                stale=standing.stale,
                busy=standing.busy,
                database=standing.database,
                looks=standing.looks,
                troubles=task.tries.troubles,
            ),
            told_uncertain=task.told_uncertain,
            is_paused=pause is None,
        )

    async def _look(self, command: Command, step: Look, standing: Standing) -> Looked:
        began_at = self._clock()
        found = await self._look_beyond_hold(command) if step.complete else None
        if found:
            return Looked(began_at, complete=True, found=found, tag=None)
        await self._see_company(command, standing, fresh=step.complete)
        held = await self._ifs.look_in_hold(command.company, [command.reference])
        return Looked(began_at, step.complete, held.found.get(command.reference), held.tag)

    async def _look_beyond_hold(self, command: Command) -> Found | None:
        """Look in the hold table and then in the ledger; the caller looks in the hold table again afterwards.

        A voucher on its way from one to the other can be in neither for a moment.
        """
        company, reference = command.company, command.reference
        held = await self._ifs.look_in_hold(company, [reference])
        return (
            held.found.get(reference)
            or await self._ifs.look_in_hold_rows(company, reference)
            or await self._ifs.look_in_ledger(company, reference)
        )

    async def _see_company(self, command: Command, standing: Standing, *, fresh: bool) -> Company:
        """Prove that the company can be seen: IFS answers look-ups in one that cannot with an empty list."""
        try:
            company = await self._ifs.basics.company(command.company, fresh=fresh)
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

    async def _terms(self, command: Command) -> KnownRate:
        """Return the rate to post at, once nothing is known that IFS would refuse; both cost nothing the next time."""
        rate = await self._rates.of(command, await self._company(command))
        await self._validating.demand_possible(command)
        return rate

    async def _company(self, command: Command) -> Company:
        return await self._see_company(command, Standing(), fresh=False)

    async def _post(self, task: _Task, step: Post) -> Answered:
        command = task.command
        known = await self._terms(command)
        rows = self.company_rows(command, known)
        rate = Rate(known.rate, known.conversion_factor, inverted=known.inverted)
        if step.absent_after:
            await self._tell_absent(task, step.absent_after)
        try:
            async with self._ifs.posting.prepared(command, rows, rate, step.tag) as send:
                return await self._send(task, known, send)
        except NotPreparedError as error:
            log.info("IFS did not take a voucher's draft", verdict=error.judgement.verdict.value, words=str(error))
            return Answered(self._clock(), Created(error.judgement))

    async def _send(self, task: _Task, known: KnownRate, send: Send) -> Answered:
        """Send the one request that books, once it is durably written down that it is about to be sent."""
        key = command_key(task.command.command_id)
        await self._ifs.service.admit()
        await self._budget.record(at_once=True)
        sent_at = self._clock()
        self._commands[key] = written(Intent(sent_at=sent_at, rate=known))
        await task.work.confirmed()
        self._ifs.service.before_request()  # an order to pause may have come while the intent was written
        if not self._is_heard():
            return Answered(sent_at, Created(UNHEARD))
        started = time.monotonic()
        task.is_open = True
        created = await send()
        POST_SECONDS.observe(time.monotonic() - started)
        verdict = created.judgement.verdict
        task.is_open = verdict in (Verdict.UNCERTAIN, Verdict.DONE)
        ANSWERS.labels(verdict.value).inc()
        if verdict is Verdict.UNCERTAIN:
            await self._tell_uncertain(task, sent_at, created.judgement.words)
        elif verdict is Verdict.DONE and created.number is None:
            self._commands[key] = written(Intent(sent_at=sent_at, rate=known, acknowledged=True))
            await task.work.confirmed()
        elif verdict is not Verdict.DONE:
            log.info("IFS did not take a voucher", verdict=verdict.value, words=created.judgement.words)
        return Answered(sent_at, created)

    async def _posted(self, command: Command, step: Posted) -> PostedOutcome:
        entry = read_entry(self._commands.get(command_key(command.command_id)))
        if isinstance(entry, Intent):
            rate = entry.rate
        else:
            rate = await self._rates.of_found(command, await self._company(command), step.found)
        return PostedOutcome(number=step.found.number, rate=rate, found=step.was_found, at=self._clock())

    async def _tell_uncertain(self, task: _Task, sent_at: datetime, reason: str) -> None:
        UNCERTAIN.inc()
        task.told_uncertain = sent_at
        log.warning("a POST's effect is not known", record=task.command.record_id, reason=reason)
        await self._tell(task, "uncertain", reason, sent_at)

    async def _tell_absent(self, task: _Task, sent_at: datetime) -> None:
        await self._tell(task, "posting", "not in IFS, so it is sent again", sent_at)

    async def _tell(
        self, task: _Task, progress: Literal["uncertain", "posting"], reason: str, sent_at: datetime
    ) -> None:
        message = progress_message(
            self._names,
            task.command,
            progress,
            reason,
            sent_at=sent_at,
            at=self._clock(),
            traceparent=task.traceparent,
        )
        task.work.send(message.topic, key=message.key, value=message.value, headers=message.headers)
        await task.work.confirmed()

    def _seconds(self, pause: Pause) -> float:
        seconds = self._back_off.wait(pause.attempt, pause.retry_after)
        if pause.until:
            seconds = min(seconds, max((pause.until - self._clock()).total_seconds(), 0.0))
        return seconds

    def _rejected(self, judgement: Judgement) -> RejectedOutcome:
        return RejectedOutcome(
            reason=judgement.explanation.reason,
            code=judgement.code,
            message=judgement.words,
            advice=judgement.explanation.advice,
            at=self._clock(),
        )


def _was_unheard(seen: Looked | Answered) -> bool:
    return isinstance(seen, Answered) and seen.created.judgement is UNHEARD


def _words(seen: Looked | Answered) -> str:
    if isinstance(seen, Looked):
        return "not in IFS yet, but what was sent may still be done"
    return seen.created.judgement.words
