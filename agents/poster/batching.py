"""Carrying many commands of one company at once: one look for all, one change set, each voucher exactly once.

The rules are those of a single command (agents.poster.decision); only the requests are shared. A change set is booked
as a whole or not at all, so a refusal says nothing about any one voucher: halves are tried in order, each after a fresh
look, until the bad one stands alone and is carried as a single command is.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog

from agents.poster.carrying import Carrying, Delayed, Task
from agents.poster.decision import FAST_STALE_TRIES, Answered, Look, Looked, Pause, Post, Posted, Stopped, decide
from agents.poster.doubts import Moment
from agents.poster.metrics import ANSWERS, POST_SECONDS
from agents.poster.pauses import PostingPausedError
from agents.poster.state import Intent, Outcome, command_key, written
from agents.poster.trouble import CannotPostError, NotPossibleError
from agents.runtime import handling
from schemas.errors import RefusedError, TroubleError, UnauthorizedError
from schemas.vouchers import KnownRate, VoucherNumber
from streams.accounting.conversion import Rate
from streams.systems.ifs.change_set import Booked, VoucherPart
from streams.systems.ifs.errors import Judgement, Verdict
from streams.systems.ifs.posting import Created

log = structlog.get_logger(__name__)

Results = dict[str, Outcome | Delayed]
"""What came of commands, by their ids; those that are not in it stay where they are, to be taken up again soon."""

TURNS_TILL_LARGER = 50
"""In a row without a batch refused as a whole; where IFS takes none at all that costs a request in a hundred."""
NOT_DONE_LATER = frozenset({Verdict.STALE, Verdict.BUSY, Verdict.UNAUTHORIZED})
"""Says nothing about any voucher: the same again, later."""


@dataclass(frozen=True, slots=True)
class _Ready:
    """A command that is not in IFS and may be sent at a rate."""

    task: Task
    known: KnownRate
    part: VoucherPart


class _TroubledError(Exception):
    """One command's own reads were not answered."""

    def __init__(self, task: Task, error: TroubleError | UnauthorizedError) -> None:
        super().__init__(str(error))
        self.task, self.error = task, error


class Batching:
    """Carries commands of one company together, at most `size` in a change set."""

    def __init__(self, carrying: Carrying, size: int) -> None:
        self.size = size
        """How many go together now: fewer than configured for some time after a batch was refused as a whole."""
        self._most = size
        self._good_turns = 0
        self._carrying = carrying
        self._turn: Sequence[Task] = ()

    async def carry(self, tasks: Sequence[Task]) -> Results:
        """Return what came of commands of one company, with different ids, those of an account in their order.

        Where something is in trouble that is nobody's own, the first takes it and the others stay. Raises like
        `Carrying.carry`.
        """
        self._grow()
        results: Results = {}
        tasks = self._admitted(tasks, results)
        if len(tasks) == 1:
            results[tasks[0].command.command_id] = await self._carrying.carry(tasks[0])
            return results
        for task in tasks:
            with handling(task.work):
                self._carrying.recall(task)
        self._turn = tasks
        await self._carry(list(tasks), results)
        for task in _open(tasks, results):
            if task.standing.sent_at is None and not task.is_open:
                with handling(task.work):
                    self._carrying.take_back(task)
        return results

    def _admitted(self, tasks: Sequence[Task], results: Results) -> list[Task]:
        """Return those that may be looked for and sent: one of each record, and nobody behind one that stays."""
        admitted: dict[str, Task] = {}
        held_up: set[str] = set()
        for task in tasks:
            command = task.command
            if command.account_id not in held_up and command.record_id not in admitted:
                with handling(task.work):
                    result = self._carrying.held_back(task)
                if result is None:
                    admitted[command.record_id] = task
                    continue
                self._set(results, task, result)
            held_up.add(command.account_id)
        return list(admitted.values())

    async def _carry(self, tasks: list[Task], results: Results) -> bool:
        """Carry them together, in halves, or the last one alone; False if the others must stay for now."""
        tasks = self._free(tasks, results)
        if len(tasks) == 1:
            return await self._carry_alone(tasks[0], results)
        left = tasks if len(tasks) > self.size or not tasks else await self._carry_together(tasks, results)
        if left is None:
            return False
        middle = (len(left) + 1) // 2
        return not left or (await self._carry(left[:middle], results) and await self._carry(left[middle:], results))

    async def _carry_alone(self, task: Task, results: Results) -> bool:
        if task.standing.sent_at is None and not task.is_open:
            with handling(task.work):
                self._carrying.take_back(task)  # that of the change set which is known not to have been done
        results[task.command.command_id] = await self._carrying.carry(task)
        return True

    async def _carry_together(self, tasks: list[Task], results: Results) -> list[Task] | None:
        """Return which of them are refused together; None if the others must stay for now."""
        try:
            return await self._try_together(tasks, results)
        except NotPossibleError as error:  # of the company, so of all of them
            for task in _open(tasks, results):
                self._set(results, task, self._carrying.rejected(error.judgement))
            return []
        except PostingPausedError as error:
            for task in _open(tasks, results):
                self._delay(results, task, None, str(error))
        except _TroubledError as error:
            self._trouble(results, error.task, error.error)
        except (TroubleError, UnauthorizedError) as error:
            for task in _open(tasks, results)[:1]:
                self._trouble(results, task, error)
        except RefusedError as error:
            self._shrink(len(tasks), str(error))
            return _open(tasks, results)
        return None

    async def _try_together(self, tasks: list[Task], results: Results) -> list[Task] | None:
        stale = unheard = 0
        while True:
            with handling(tasks[0].work):  # the event that woke us may be through already
                await self._carrying.budget.record()
            ready, tag = await self._looked(_open(tasks, results), results)
            ready = self._without_rehearsed(ready, results)
            if len(ready) < 2:
                return [one.task for one in ready]
            sent = await self._intend(ready)
            if not self._carrying.may_send(sent):
                unheard += 1
                await asyncio.sleep(self._carrying.seconds(Pause(unheard)))  # Kafka's trouble, not IFS's
                continue
            booked = await self._send(ready, tag)
            verdict = booked.judgement.verdict
            if verdict in (Verdict.DONE, Verdict.UNCERTAIN):
                await self._after_booking(ready, booked, sent, results)
                return []
            log.info("IFS did not take a change set", vouchers=len(ready), verdict=verdict.value)
            if verdict is Verdict.STALE and stale < FAST_STALE_TRIES:
                stale += 1
                continue
            if verdict in NOT_DONE_LATER:
                self._blame(results, ready[0].task, booked.judgement)
                return None
            if booked.batch_refused:
                self._shrink(len(ready), booked.judgement.words)
            return [one.task for one in ready]

    # --- looking ------------------------------------------------------------------------------------------------------

    async def _looked(self, tasks: list[Task], results: Results) -> tuple[list[_Ready], str | None]:
        """Look for all of them with the same requests; return which may be sent now, and under which tag."""
        if not tasks:
            return [], None
        carrying, company = self._carrying, tasks[0].command.company
        references = [task.command.reference for task in tasks]
        doubtful = [task for task in tasks if task.standing.sent_at is not None]
        ages = {id(task): carrying.doubted(task) for task in tasks}
        beyond = (
            await carrying.ifs.look_beyond_hold(company, [task.command.reference for task in doubtful])
            if doubtful
            else {}
        )
        witness = (doubtful or tasks)[0]
        await carrying.see_company(witness.command, witness.standing, fresh=bool(doubtful))
        held = await carrying.ifs.look_in_hold(company, references)
        ready: list[_Ready] = []
        for task in tasks:
            found = beyond.get(task.command.reference) or held.found.get(task.command.reference)
            is_complete = task.standing.sent_at is not None
            if await self._may_send(task, Looked(ages[id(task)], is_complete, found, held.tag), results):
                ready += await self._ready(task, results)
        free = {id(task) for task in self._free(tasks, results)}
        return [one for one in ready if id(one.task) in free], held.tag

    async def _may_send(self, task: Task, seen: Looked, results: Results) -> bool:
        carrying = self._carrying
        task.standing, step = decide(task.standing, seen, carrying.settle)
        match step:
            case Post():
                task.is_open = False
                if step.absent_after:
                    carrying.tell_absent(task, step.absent_after)
                return True
            case Posted():
                with handling(task.work):
                    self._set(results, task, await carrying.posted(task.command, step))
            case Look():
                self._delay(results, task, step.pause, "not in IFS yet, but what was sent may still be done")
            case Stopped():
                raise CannotPostError(step.line)
        return False

    async def _ready(self, task: Task, results: Results) -> list[_Ready]:
        try:
            known = await self._carrying.terms(task.command)
        except NotPossibleError as error:
            self._set(results, task, self._carrying.rejected(error.judgement))
            return []
        except (TroubleError, UnauthorizedError) as error:
            raise _TroubledError(task, error) from error
        rate = Rate(known.rate, known.conversion_factor, inverted=known.inverted)
        rows = self._carrying.company_rows(task, known)
        return [_Ready(task, known, VoucherPart(task.command, rows, rate))]

    # --- sending ------------------------------------------------------------------------------------------------------

    async def _intend(self, ready: Sequence[_Ready]) -> Moment:
        """Write down durably that all of them are about to be sent, and when; one place in the budget is taken."""
        carrying = self._carrying
        await carrying.ifs.service.admit()
        with handling(ready[0].task.work):
            await carrying.budget.record(at_once=True)
        sent = carrying.now()
        settle = carrying.ifs.change_sets.settles_after(len(ready)).total_seconds()
        for one in ready:
            intent = Intent(sent_at=sent.told, rate=one.known, settle_seconds=settle)
            with handling(one.task.work):
                carrying.interlock.begins(one.task.command)
                carrying.commands[command_key(one.task.command.command_id)] = written(intent)
        await _confirmed([one.task for one in ready])
        carrying.ifs.service.before_request()  # an order to pause may have come while the intents were written
        return sent

    async def _send(self, ready: Sequence[_Ready], tag: str | None) -> Booked:
        started = time.monotonic()
        for one in ready:
            one.task.is_open = True
        booked = await self._carrying.ifs.change_sets.send([one.part for one in ready], tag)
        POST_SECONDS.observe(time.monotonic() - started)
        verdict = booked.judgement.verdict
        ANSWERS.labels(verdict.value).inc()
        for one in ready:
            one.task.is_open = verdict in (Verdict.UNCERTAIN, Verdict.DONE)
        return booked

    async def _after_booking(self, ready: Sequence[_Ready], booked: Booked, sent: Moment, results: Results) -> None:
        """Take over the numbers; where one is not known, look at once for what is there already."""
        numbers: Sequence[VoucherNumber | None] = booked.numbers or [None] * len(ready)
        unknown = []
        for one, number in zip(ready, numbers, strict=True):
            task = one.task
            task.standing, step = decide(
                task.standing, Answered(sent.told, Created(booked.judgement, number)), self._carrying.settle
            )
            if isinstance(step, Posted):
                with handling(task.work):
                    self._set(results, task, await self._carrying.posted(task.command, step))
            else:
                self._carrying.doubts.sent(task.command.command_id, sent)
                unknown.append(one)
        if unknown:
            await self._look_again(unknown, booked.judgement, sent.told, results)

    async def _look_again(
        self, unknown: Sequence[_Ready], judgement: Judgement, sent_at: datetime, results: Results
    ) -> None:
        """Tell that they are uncertain, and adopt those that can be seen already; all others have to settle."""
        carrying, tasks = self._carrying, [one.task for one in unknown]
        settle = carrying.ifs.change_sets.settles_after(len(unknown))
        for one in unknown:
            one.task.standing = replace(one.task.standing, settle=settle)
            if judgement.verdict is Verdict.UNCERTAIN:
                carrying.tell_uncertain(one.task, sent_at, judgement.words)
            else:
                one.task.is_told(sent_at)
                acknowledged = Intent(
                    sent_at=sent_at, rate=one.known, settle_seconds=settle.total_seconds(), acknowledged=True
                )
                with handling(one.task.work):
                    carrying.commands[command_key(one.task.command.command_id)] = written(acknowledged)
        await _confirmed(tasks)
        try:
            held = await carrying.ifs.look_in_hold(tasks[0].command.company, [task.command.reference for task in tasks])
            found = held.found
        except (TroubleError, UnauthorizedError, PostingPausedError) as error:
            log.info("the look after a lost answer was not answered", why=str(error))
            found = {}
        for task in tasks:
            if there := found.get(task.command.reference):
                with handling(task.work):
                    self._set(results, task, await carrying.posted(task.command, Posted(there, was_found=True)))
            else:
                self._delay(results, task, Pause(1), judgement.words, within=settle - carrying.doubted(task))

    def _without_rehearsed(self, ready: Sequence[_Ready], results: Results) -> list[_Ready]:
        """Return those that are to be sent; the others have come to their outcome by now."""
        to_send = []
        for one in ready:
            if self._carrying.is_rehearsed(one.task.command):
                self._set(results, one.task, self._carrying.rehearsed(one.known))
            else:
                to_send.append(one)
        return to_send

    # --- what came of it ----------------------------------------------------------------------------------------------

    def _free(self, tasks: Sequence[Task], results: Results) -> list[Task]:
        """Return those without a result, of whose account nobody has come to one in this turn, here or in another half.

        One that waits holds up those after it. One that is done or refused does for this turn: its outcome is not
        written down yet, and after a crash it would be found out anew, behind the later one.
        """
        held = {task.command.account_id for task in self._turn if task.command.command_id in results}
        return [task for task in _open(tasks, results) if task.command.account_id not in held]

    def _set(self, results: Results, task: Task, result: Outcome | Delayed) -> None:
        results[task.command.command_id] = result

    def _delay(
        self, results: Results, task: Task, pause: Pause | None, why: str, *, within: timedelta | None = None
    ) -> None:
        """Put a command off: as long as `pause` says, or, if it is given, for as long as `within`."""
        with handling(task.work):
            delayed = self._carrying.delayed(task, pause, why)
        self._set(results, task, delayed if within is None else replace(delayed, due=delayed.put_off_at + within))

    def _trouble(self, results: Results, task: Task, error: TroubleError | UnauthorizedError) -> None:
        with handling(task.work):
            self._set(results, task, self._carrying.troubled(task, error))

    def _blame(self, results: Results, task: Task, judgement: Judgement) -> None:
        """Let the first wait for what is nobody's fault: as with single commands, one after the other."""
        busy = task.standing.busy + 1
        task.standing = replace(task.standing, busy=busy)
        self._delay(results, task, Pause(busy, judgement.retry_after), judgement.words)

    def _grow(self) -> None:
        """Try larger batches again after many good turns: a gateway may have minded the words of one voucher."""
        self._good_turns += 1
        if self.size < self._most and self._good_turns > TURNS_TILL_LARGER:
            self.size, self._good_turns = min(self._most, self.size * 2), 0
            log.info("larger batches are tried again", size=self.size)

    def _shrink(self, tried: int, words: str) -> None:
        self.size, self._good_turns = max(1, tried // 2), 0
        log.warning(
            "IFS does not take batches of this size; smaller ones from now on", tried=tried, size=self.size, words=words
        )


def _open(tasks: Sequence[Task], results: Results) -> list[Task]:
    return [task for task in tasks if task.command.command_id not in results]


async def _confirmed(tasks: Sequence[Task]) -> None:
    """Wait until all that was sent and written for them is confirmed."""
    works = {id(task.work): task.work for task in tasks}
    await asyncio.gather(*(work.confirmed() for work in works.values()))
