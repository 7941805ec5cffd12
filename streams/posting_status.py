"""How posting stands: what is paused, what is still to be carried out, and when that will be done."""

import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import BaseModel

from schemas.base import Model, Time
from schemas.requests import PostingPaused
from schemas.topics import CONTROL, POSTING_PACE, VOUCHER_COMMAND, WAITING_ENTRY, TopicNames
from streams.log.backlog import backlog as backlog_of
from streams.log.reader import LogRecord, Position, log_bounds, read_to_end
from streams.posting_control import PauseBook
from streams.settings import KafkaSettings, Settings
from streams.systems.ifs.service import budget_of

REQUESTS_PER_BATCH = 2
"""One look and one POST; what is read beside them is kept for minutes."""
USED_SHARE = 0.9
"""Of the limit; whoever reaches less is slowed down by something else."""
PACE_COUNTS_FOR = timedelta(minutes=15)
"""How long what the poster wrote down of its pace is taken for true: a learnt limit comes back in less."""


class Pace(Model):
    """How fast the poster gets on, as it was at `at`."""

    requests_per_minute: int
    """The limit that held: configured, or lower where IFS said so."""
    requests_per_voucher: float
    seconds_per_request: float = 0.0
    """What the poster's one request at a time took lately, with the waits asked for; 0 where nothing is known."""
    at: Time

    def reached_per_minute(self, limit: int) -> int:
        """Return how many requests a minute come of it: as many as the limit allows, or fewer of a slow IFS."""
        return limit if self.seconds_per_request <= 0 else max(1, min(limit, round(60.0 / self.seconds_per_request)))

    def seconds_for(self, commands: int, limit: int) -> float:
        """Return how long so many commands take, were nothing new to come."""
        return commands * self.requests_per_voucher * max(60.0 / limit, self.seconds_per_request)


@dataclass(frozen=True, slots=True)
class Backlog:
    """How many commands have no outcome, and how many of them are held until a person lets posting go on."""

    commands: int
    held: int

    def seconds_until_clear(self, pace: Pace, limit: int) -> float | None:
        """Return how long those take that go on; None where all are held, for nothing would ever be done."""
        goes_on = self.commands - self.held
        return None if self.commands and not goes_on else pace.seconds_for(goes_on, limit)


class _Entry(BaseModel):
    """What counts here of an entry of the waiting room."""

    company: str


class PostingStatus(Model):
    """What `posting status` tells."""

    paused: tuple[PostingPaused, ...]
    backlog: int
    """Commands without an outcome, those in the waiting room among them."""
    waiting: int
    """Commands in the poster's waiting room: in trouble, behind one of their account, or of a paused company."""
    held: int
    """Of those in the waiting room, the ones of companies that are paused: no time until clear counts them."""
    requests_per_minute: int
    """The limit that holds: the configured one less the reserve, or a lower one that the poster has learnt."""
    configured_per_minute: int
    """The configured limit less the reserve."""
    reached_per_minute: int
    """What is reached of the limit with one request at a time, as quickly as IFS answered lately."""
    ifs_is_slow: bool
    """IFS answers so slowly that less is reached than the limit allows."""
    requests_per_voucher: float
    """As it was lately; where nothing was posted lately, as it is with full batches."""
    seconds_until_clear: float | None
    """At what is reached, were nothing new to come; None while all of it is paused, and nothing would ever be done."""
    clear_at: Time | None


class WaitingBook:
    """Who waits, by company, and the poster's pace: the entries of its table, as the changelog has them.

    Whoever asks often keeps it: then only what is new is read. With 100,000 that wait the whole is 300 MB.
    """

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self.pace: Pace | None = None
        self._companies: dict[bytes, str] = {}
        self._read_to: dict[Position, int] = {}

    @property
    def by_company(self) -> Counter[str]:
        """How many wait, by company."""
        return Counter(self._companies.values())

    async def read(self, kafka: KafkaSettings, names: TopicNames) -> None:
        """Take over what is new. Raises like `read_pauses`."""
        topics = [names.changelog("poster", "waiting")]
        bounds = await log_bounds(kafka, topics)
        if any(bounds.end.get(place, 0) < offset for place, offset in self._read_to.items()):  # it was made anew
            self._forget()
        async for batch in read_to_end(kafka, topics, self._read_to, bounds):
            self._take(batch.records)

    def _take(self, records: Iterable[LogRecord]) -> None:
        for record in records:
            self._read_to[record.topic, record.partition] = record.offset + 1
            if record.key is not None and record.key.startswith(WAITING_ENTRY.encode()):
                self._companies.pop(record.key, None)
                if record.value is not None:
                    self._companies[record.key] = sys.intern(_Entry.model_validate_json(record.value).company)
            elif record.key == POSTING_PACE.encode() and record.value is not None:
                self.pace = Pace.model_validate_json(record.value)


async def read_pauses(kafka: KafkaSettings, names: TopicNames) -> PauseBook:
    """Return what is paused now.

    Raises:
        LogUnavailableError: Kafka does not answer.
        TopicsError: the topic does not exist.

    """
    book = PauseBook()
    async for batch in read_to_end(kafka, [names.public(CONTROL)], {}):
        book.take(batch.records)
    return book


async def posting_status(
    settings: Settings, names: TopicNames, now: datetime, waiting: WaitingBook | None = None
) -> PostingStatus:
    """Return how posting stands at `now`; `waiting` is what was read before. Raises like `read_pauses`."""
    waiting = waiting or WaitingBook()
    book = await read_pauses(settings.kafka, names)
    not_taken = await backlog_of(settings.kafka, group=names.agent("poster"), topic=names.public(VOUCHER_COMMAND))
    await waiting.read(settings.kafka, names)
    pace, configured = waiting.pace, budget_of(settings.ifs).limit
    if pace is None or now - pace.at > PACE_COUNTS_FOR:
        together = settings.ifs.batch_size if settings.ifs.posting == "voucher-set" else 1
        pace = Pace(requests_per_minute=configured, requests_per_voucher=requests_expected(together), at=now)
    return status_of(book, not_taken, waiting.by_company, pace, configured=configured, now=now)


def requests_expected(batch_size: int) -> float:
    """Return how many requests a voucher takes in full batches."""
    return REQUESTS_PER_BATCH / batch_size


def status_of(
    book: PauseBook, not_taken: int, waiting: Counter[str], pace: Pace, *, configured: int, now: datetime
) -> PostingStatus:
    """Put together how posting stands; `waiting` counts by company who is in the waiting room.

    `configured` is the limit, in requests a minute, that was not learnt.
    """
    backlog = not_taken + waiting.total()
    held = sum(many for company, many in waiting.items() if book.pause_of(company))
    limit = min(pace.requests_per_minute, configured)
    reached = pace.reached_per_minute(limit)
    seconds = Backlog(backlog, backlog if book.pause_of_all else held).seconds_until_clear(pace, limit)
    return PostingStatus(
        paused=tuple(book.pauses),
        backlog=backlog,
        waiting=waiting.total(),
        held=held,
        requests_per_minute=limit,
        configured_per_minute=configured,
        reached_per_minute=reached,
        ifs_is_slow=reached < USED_SHARE * limit,
        requests_per_voucher=pace.requests_per_voucher,
        seconds_until_clear=seconds,
        clear_at=None if seconds is None else now + timedelta(seconds=seconds),
    )
