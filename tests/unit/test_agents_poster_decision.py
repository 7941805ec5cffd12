"""What the poster does next."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from agents.poster.decision import (
    Answered,
    Look,
    Looked,
    Pause,
    Post,
    Posted,
    Rejected,
    Standing,
    Step,
    Stopped,
    decide,
    first_step,
)
from schemas.vouchers import VoucherNumber
from streams.systems.ifs.client import Found
from streams.systems.ifs.errors import Judgement, Verdict
from streams.systems.ifs.posting import Created
from streams.systems.ifs.refusals import OTHER
from streams.systems.retry import BackOff

SENT = datetime(2026, 7, 3, 12, 0, tzinfo=UTC)
SETTLE = timedelta(seconds=30)
NUMBER = VoucherNumber(company="10", voucher_type="M", accounting_year=2026, voucher_no=2026000124)
FOUND = Found(NUMBER)


def looked(*, after_seconds: float = 0, complete: bool = False, found: Found | None = None) -> Looked:
    return Looked(timedelta(seconds=after_seconds), complete, found, 'W/"tag"')


def answered(verdict: Verdict, *, number: VoucherNumber | None = None, retry_after: float | None = None) -> Answered:
    return Answered(SENT, Created(Judgement(verdict, 500, "words", OTHER, retry_after=retry_after), number))


def next_step(standing: Standing, seen: Looked | Answered) -> Step:
    return decide(standing, seen, SETTLE)[1]


def test_a_fresh_command_begins_with_the_hold_table_and_an_open_intent_with_the_complete_look() -> None:
    assert first_step(Standing()) == Look(complete=False)
    assert first_step(Standing(sent_at=SENT)) == Look(complete=True)


def test_what_is_not_there_is_posted_under_the_tag_just_read() -> None:
    assert next_step(Standing(), looked()) == Post('W/"tag"')


def test_what_is_there_is_adopted_whatever_stood_before() -> None:
    for standing in (Standing(), Standing(sent_at=SENT), Standing(stale=9)):
        assert next_step(standing, looked(found=FOUND)) == Posted(FOUND, was_found=True)


def test_what_was_created_is_posted() -> None:
    assert next_step(Standing(), answered(Verdict.DONE, number=NUMBER)) == Posted(FOUND, was_found=False)


def test_a_lost_answer_leads_to_the_complete_look_and_never_straight_to_a_post() -> None:
    standing, step = decide(Standing(), answered(Verdict.UNCERTAIN), SETTLE)
    assert step == Look(complete=True)
    assert next_step(standing, looked(after_seconds=3600)) == Look(complete=True)  # the hold table alone proves nothing


def test_absence_counts_only_in_a_look_that_began_when_ifs_had_given_up() -> None:
    uncertain = Standing(sent_at=SENT)
    assert next_step(uncertain, looked(after_seconds=29.9, complete=True)) == Look(
        complete=True, pause=Pause(1, at_most=timedelta(seconds=0.1))
    )
    standing, step = decide(uncertain, looked(after_seconds=30, complete=True), SETTLE)
    assert step == Post('W/"tag"', absent_after=SENT)
    assert standing.sent_at is None


def test_a_voucher_whose_posts_never_get_an_answer_is_looked_for_ever_more_seldom() -> None:
    back_off = BackOff(jitter=0)
    now = SENT
    standing, step = decide(Standing(), answered(Verdict.UNCERTAIN), SETTLE)
    counted: list[Counter[str]] = []
    for hour in (1, 2):
        counted.append(Counter())
        while now < SENT + timedelta(hours=hour):
            counted[-1][type(step).__name__] += 1
            if isinstance(step, Look):
                if step.pause:
                    seconds = timedelta(seconds=back_off.wait(step.pause.attempt))
                    now += min(seconds, step.pause.at_most or seconds)
                age = now - standing.sent_at if standing.sent_at else timedelta()
                standing, step = decide(standing, Looked(age, complete=True, found=None, tag=None), SETTLE)
            else:
                lost = Created(Judgement(Verdict.UNCERTAIN, 500, "words", OTHER))
                standing, step = decide(standing, Answered(now, lost), SETTLE)
    first, second = counted
    assert 50 < first["Post"] < 65  # about one a minute, as all else in trouble
    assert first["Look"] < 130
    assert second["Look"] == 2 * second["Post"]


def test_a_done_without_a_number_is_looked_for_and_never_sent_again() -> None:
    standing, step = decide(Standing(), answered(Verdict.DONE), SETTLE)
    assert step == Look(complete=True)
    assert isinstance(next_step(standing, looked(after_seconds=31, complete=True)), Stopped)
    assert isinstance(next_step(standing, looked(after_seconds=31, complete=True, found=FOUND)), Posted)


def test_a_stale_tag_is_read_again_at_once_three_times_and_then_with_back_off() -> None:
    standing = Standing()
    pauses = []
    for _ in range(5):
        standing, step = decide(standing, answered(Verdict.STALE), SETTLE)
        assert isinstance(step, Look)
        assert standing.sent_at is None  # a 412 did nothing: the hold table is enough
        pauses.append(step.pause)
    assert pauses == [None, None, None, Pause(1), Pause(2)]


@pytest.mark.parametrize("verdict", [Verdict.BUSY, Verdict.UNAUTHORIZED])
def test_a_busy_ifs_is_asked_again_after_what_it_asks_for(verdict: Verdict) -> None:
    standing, step = decide(Standing(busy=2), answered(verdict, retry_after=17), SETTLE)
    assert step == Look(complete=False, pause=Pause(3, retry_after=17))
    assert standing.busy == 3


def test_a_database_error_is_tried_three_times_and_then_a_person_is_asked() -> None:
    standing, first = decide(Standing(), answered(Verdict.DATABASE), SETTLE)
    standing, second = decide(standing, answered(Verdict.DATABASE), SETTLE)
    assert isinstance(first, Look)
    assert isinstance(second, Look)
    assert isinstance(next_step(standing, answered(Verdict.DATABASE)), Rejected)


def test_a_duplicate_is_adopted_if_it_is_ours_and_rejected_if_it_is_nowhere() -> None:
    standing, step = decide(Standing(), answered(Verdict.DUPLICATE), SETTLE)
    assert step == Look(complete=True)
    assert isinstance(next_step(standing, looked(complete=True, found=FOUND)), Posted)
    assert isinstance(next_step(standing, looked(complete=True)), Rejected)


def test_a_refusal_ends_the_command_at_once() -> None:
    seen = answered(Verdict.REFUSED)
    assert next_step(Standing(), seen) == Rejected(seen.created.judgement)


def test_a_tag_demanded_that_nobody_gives_stops_the_poster() -> None:
    step = next_step(Standing(), answered(Verdict.TAG_DEMANDED))
    assert isinstance(step, Stopped)
    assert "ZIFS_IFS__ETAG" in step.line


@pytest.mark.parametrize("verdict", list(Verdict))
@pytest.mark.parametrize("standing", [Standing(), Standing(stale=4, busy=4, database=1)])
def test_no_answer_whatever_leads_to_a_post_without_a_look_in_between(verdict: Verdict, standing: Standing) -> None:
    assert not isinstance(next_step(standing, answered(verdict)), Post)
