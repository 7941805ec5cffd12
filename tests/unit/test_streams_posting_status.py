"""How orders to pause and resume add up, and when the backlog will be clear."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from schemas.requests import PostingPaused, PostingResumed
from schemas.topics import TopicNames
from streams.log.reader import LogRecord
from streams.posting_control import PauseBook, control_message
from streams.posting_status import Pace, status_of

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


def pace(per_minute: int = 950, per_voucher: float = 2.0, each: float = 0.0) -> Pace:
    return Pace(requests_per_minute=per_minute, requests_per_voucher=per_voucher, seconds_per_request=each, at=NOW)


@pytest.mark.parametrize(
    ("not_taken", "waiting", "found", "seconds"),
    [
        (0, 0, pace(), 0.0),
        (475, 0, pace(), 60.0),
        (400, 75, pace(), 60.0),
        (1_000, 0, pace(100), 1_200.0),
        (38_000, 0, pace(950, 0.04), 96.0),
        (475, 0, pace(each=0.01), 60.0),
        (475, 0, pace(each=2.0), 1_900.0),
        (1, 0, pace(each=600.0), 1_200.0),
    ],
)
def test_the_backlog_takes_what_its_vouchers_take_at_the_limit_that_holds(
    not_taken: int, waiting: int, found: Pace, seconds: float
) -> None:
    status = status_of(PauseBook(), not_taken, Counter({"10": waiting}), found, configured=950, now=NOW)
    assert (status.backlog, status.waiting) == (not_taken + waiting, waiting)
    assert (status.seconds_until_clear, status.clear_at) == (seconds, NOW + timedelta(seconds=seconds))


def test_while_all_is_paused_a_backlog_is_never_clear() -> None:
    book = book_of(order(PostingPaused, "*"))
    clear = [status_of(book, backlog, Counter(), pace(), configured=950, now=NOW).clear_at for backlog in (5, 0)]
    assert clear == [None, NOW]


def test_what_waits_of_a_paused_company_is_in_the_backlog_and_in_no_time_until_it_is_clear() -> None:
    book, waiting = book_of(order(PostingPaused, "10")), Counter({"10": 4_000, "20": 75})

    status = status_of(book, 400, waiting, pace(), configured=950, now=NOW)
    assert (status.backlog, status.waiting, status.held, status.seconds_until_clear) == (4_475, 4_075, 4_000, 60.0)

    only_paused = status_of(book, 0, Counter({"10": 4_000}), pace(), configured=950, now=NOW)
    assert (only_paused.backlog, only_paused.held, only_paused.clear_at) == (4_000, 4_000, None)


def test_an_ifs_that_answers_slowly_is_told_as_what_is_reached() -> None:
    status = status_of(PauseBook(), 475, Counter(), pace(each=2.0), configured=950, now=NOW)
    assert (status.requests_per_minute, status.reached_per_minute) == (950, 30)


@pytest.mark.parametrize(("each", "reached", "is_slow"), [(0.0, 950, False), (0.07, 857, False), (0.08, 750, True)])
def test_ifs_is_told_to_be_slow_where_much_less_is_reached_than_the_limit_allows(
    each: float, reached: int, *, is_slow: bool
) -> None:
    status = status_of(PauseBook(), 475, Counter(), pace(each=each), configured=950, now=NOW)
    assert (status.reached_per_minute, status.ifs_is_slow) == (reached, is_slow)


def test_a_limit_that_was_learnt_above_what_is_configured_by_now_does_not_count() -> None:
    assert status_of(PauseBook(), 1, Counter(), pace(950), configured=400, now=NOW).requests_per_minute == 400
