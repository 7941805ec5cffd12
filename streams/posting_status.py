"""How posting stands: what is paused, what is still to be carried out, and when that will be done."""

from datetime import datetime, timedelta

from schemas.base import Model, Time
from schemas.requests import PostingPaused
from schemas.topics import CONTROL, VOUCHER_COMMAND, WAITING_ENTRY, TopicNames
from streams.log.backlog import backlog as backlog_of
from streams.log.reader import read_to_end
from streams.posting_control import PauseBook
from streams.settings import KafkaSettings, Settings
from streams.systems.ifs.service import budget_of

REQUESTS_PER_VOUCHER = 2
"""One look and one POST; what is read beside them is kept for minutes."""


class PostingStatus(Model):
    """What `posting status` tells."""

    paused: tuple[PostingPaused, ...]
    backlog: int
    """Commands without an outcome, those in the waiting room among them."""
    waiting: int
    """Commands in the poster's waiting room: in trouble, behind one of their account, or of a paused company."""
    requests_per_minute: int
    """The configured limit less the reserve; the poster may have learnt a lower one."""
    seconds_until_clear: float | None
    """At that limit, were nothing new to come; None while all is paused, and nothing would ever be done."""
    clear_at: Time | None


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


async def posting_status(settings: Settings, names: TopicNames, now: datetime) -> PostingStatus:
    """Return how posting stands at `now`. Raises like `read_pauses`."""
    book = await read_pauses(settings.kafka, names)
    not_taken = await backlog_of(settings.kafka, group=names.agent("poster"), topic=names.public(VOUCHER_COMMAND))
    waiting = await _waiting(settings.kafka, names)
    return status_of(book, not_taken, waiting, budget_of(settings.ifs).limit, now)


def status_of(book: PauseBook, not_taken: int, waiting: int, requests_per_minute: int, now: datetime) -> PostingStatus:
    """Put together how posting stands."""
    backlog = not_taken + waiting
    paused = backlog > 0 and book.pause_of_all is not None
    seconds = None if paused else backlog * REQUESTS_PER_VOUCHER * 60.0 / requests_per_minute
    return PostingStatus(
        paused=tuple(book.pauses),
        backlog=backlog,
        waiting=waiting,
        requests_per_minute=requests_per_minute,
        seconds_until_clear=seconds,
        clear_at=None if seconds is None else now + timedelta(seconds=seconds),
    )


async def _waiting(kafka: KafkaSettings, names: TopicNames) -> int:
    """Count who waits: the entries of the poster's table, as its changelog has them."""
    entries: set[bytes] = set()
    async for batch in read_to_end(kafka, [names.changelog("poster", "waiting")], {}):
        for record in batch.records:
            if record.key is not None and record.key.startswith(WAITING_ENTRY.encode()):
                (entries.add if record.value is not None else entries.discard)(record.key)
    return len(entries)
