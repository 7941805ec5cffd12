"""How orders to pause and resume add up, and when the backlog will be clear."""

from datetime import UTC, datetime, timedelta

import pytest

from schemas.requests import PostingPaused, PostingResumed
from schemas.topics import TopicNames
from streams.log.reader import LogRecord
from streams.posting_control import PauseBook, control_message
from streams.posting_status import status_of

NOW = datetime(2026, 7, 3, 12, 0, tzinfo=UTC)
NAMES = TopicNames("", "zuora-ifs")


def order(kind: type[PostingPaused], company: str, actor: str = "ann") -> PostingPaused:
    return kind(company=company, actor=actor, at=NOW, reason="month end")


def book_of(*events: PostingPaused) -> PauseBook:
    book = PauseBook()
    for event in events:
        book.apply(event)
    return book


def test_a_company_is_paused_by_its_own_order_or_by_that_for_every_company() -> None:
    book = book_of(order(PostingPaused, "10"), order(PostingPaused, "*", "bob"))

    assert [pause.company for pause in book.pauses] == ["*", "10"]
    assert [(pause.actor if (pause := book.pause_of(company)) else None) for company in ("10", "20")] == ["bob", "bob"]

    book.apply(order(PostingResumed, "*"))
    assert [book.pause_of(company) is not None for company in ("10", "20")] == [True, False]


def test_orders_are_taken_from_the_log_and_what_cannot_be_read_is_passed_over() -> None:
    def record(offset: int, event: PostingPaused) -> LogRecord:
        message = control_message(NAMES, event, "cli")
        return LogRecord(message.topic, 0, offset, message.key, message.value, dict(message.headers), NOW)

    broken = LogRecord("connector.control.v1", 0, 1, b"*", b"{", {"ce_type": b"PostingPaused"}, NOW)
    book = PauseBook()
    changed = book.take([record(0, order(PostingPaused, "10")), broken, record(2, order(PostingPaused, "10", "bob"))])

    assert [event.actor for event in changed] == ["ann"]  # the second says nothing new about what may be posted
    assert [pause.actor for pause in book.pauses] == ["bob"]


@pytest.mark.parametrize(
    ("not_taken", "waiting", "limit", "seconds"),
    [(0, 0, 950, 0.0), (475, 0, 950, 60.0), (400, 75, 950, 60.0), (1_000, 0, 100, 1_200.0)],
)
def test_a_voucher_takes_two_requests(not_taken: int, waiting: int, limit: int, seconds: float) -> None:
    status = status_of(PauseBook(), not_taken, waiting, limit, NOW)
    assert (status.backlog, status.waiting) == (not_taken + waiting, waiting)
    assert (status.seconds_until_clear, status.clear_at) == (seconds, NOW + timedelta(seconds=seconds))


def test_while_all_is_paused_a_backlog_is_never_clear() -> None:
    book = book_of(order(PostingPaused, "*"))
    assert (status_of(book, 5, 0, 950, NOW).clear_at, status_of(book, 0, 0, 950, NOW).clear_at) == (None, NOW)
