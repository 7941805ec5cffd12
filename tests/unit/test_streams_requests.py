"""What people ask for, as messages."""

from datetime import date

import pytest

from schemas.audit import Record
from schemas.base import Model
from schemas.envelope import decode_any
from schemas.notifications import NotificationReceived
from schemas.requests import CorrectionRequested, ReplayRequested, SettlementRecorded
from schemas.topics import NOTIFICATION, REQUEST, TopicNames
from streams.log.messages import Message
from streams.requests import RequestError, Word, correction_message, replay_message, settlement_message
from streams.views.records import record_after
from streams.views.replay import Replay, plan
from tests.support.projecting import START, step

NAMES = TopicNames("p.", "app")
WORD = Word("maria", START, "period is open now", "cli")


def record(status: str, account: str | None = "A1") -> Record:
    return record_after(step("Invoice:1", status, accountId=account))


def event(message: Message | None) -> Model:
    assert message
    return decode_any(dict(message.headers), message.value)


def replayed(status: str, replay: Replay | None = None) -> Message | None:
    wanted = replay or Replay()
    return replay_message(NAMES, plan(record(status), wanted), wanted, WORD)


def test_a_fetch_is_a_notification_that_tells_who_wanted_it() -> None:
    message = replayed("failed")

    assert message
    assert (message.topic, message.key) == (f"p.{NOTIFICATION}", b"1")
    told = event(message)
    assert isinstance(told, NotificationReceived)
    assert (told.origin, told.object_id, told.notification_id) == ("replay", "1", None)
    assert told.fields == {"actor": "maria", "reason": "period is open now"}


def test_an_evaluation_is_a_request_under_the_account() -> None:
    message = replayed("rejected", Replay(date(2026, 5, 5), refetch=True))

    assert message
    assert (message.topic, message.key) == (f"p.{REQUEST}", b"A1")
    assert event(message) == ReplayRequested(
        record_id="Invoice:1",
        account_id="A1",
        actor="maria",
        at=START,
        reason="period is open now",
        date=date(2026, 5, 5),
        refetch=True,
    )


@pytest.mark.parametrize("status", ["posted", "uncertain", "ready"])
def test_nothing_is_sent_where_nothing_is_planned(status: str) -> None:
    assert replayed(status) is None


def test_the_same_word_said_twice_is_one_event_and_a_later_one_another() -> None:
    first, again = replayed("rejected"), replayed("rejected")
    later = Word("maria", START.replace(minute=1), "again", "cli")
    other = replay_message(NAMES, plan(record("rejected"), Replay()), Replay(), later)

    ids = [dict(message.headers)["ce_id"] for message in (first, again, other) if message]
    assert ids[0] == ids[1] != ids[2]


def test_a_correction_names_the_two_fingerprints() -> None:
    told = event(correction_message(NAMES, record("changed-after-posting"), ("1-a", ""), WORD, None))

    assert isinstance(told, CorrectionRequested)
    assert (told.posted_fingerprint, told.document_fingerprint, told.date) == ("1-a", "", None)


def test_a_settlement_names_the_voucher() -> None:
    told = event(settlement_message(NAMES, record("rejected"), "10/M/2026/4711", WORD))

    assert isinstance(told, SettlementRecorded)
    assert told.voucher == "10/M/2026/4711"


def test_what_was_never_fetched_cannot_be_settled() -> None:
    with pytest.raises(RequestError, match="its Zuora account is not known"):
        settlement_message(NAMES, record("failed", account=None), "10/M/2026/4711", WORD)
