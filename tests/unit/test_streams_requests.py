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
from streams.requests import RequestError, Word, correction_message, replay_messages, settlement_message
from streams.views.records import record_after
from streams.views.replay import Replay, plan
from tests.support.projecting import START, step

NAMES = TopicNames("p.", "app")
WORD = Word("maria", START, "period is open now", "cli")


def record(status: str, account: str | None = "A1") -> Record:
    return record_after(step("Invoice:1", status, accountId=account))


def event(message: Message) -> Model:
    return decode_any(dict(message.headers), message.value)


def replayed(status: str, replay: Replay | None = None, word: Word = WORD) -> list[Message]:
    wanted = replay or Replay()
    return replay_messages(NAMES, plan(record(status), wanted), wanted, word)


def test_a_fetch_is_a_notification_that_tells_who_wanted_it() -> None:
    [message] = replayed("failed")

    assert (message.topic, message.key) == (f"p.{NOTIFICATION}", b"1")
    told = event(message)
    assert isinstance(told, NotificationReceived)
    assert (told.origin, told.object_id, told.notification_id) == ("replay", "1", None)
    assert told.fields == {"actor": "maria", "reason": "period is open now"}


def test_an_evaluation_is_a_request_under_the_account() -> None:
    [message] = replayed("rejected", Replay(date(2026, 5, 5)))

    assert (message.topic, message.key) == (f"p.{REQUEST}", b"A1")
    assert event(message) == ReplayRequested(
        record_id="Invoice:1",
        account_id="A1",
        actor="maria",
        at=START,
        reason="period is open now",
        date=date(2026, 5, 5),
    )


@pytest.mark.parametrize("status", ["rejected", "settled-by-hand", "mapping-missing"])
def test_what_is_to_be_fetched_and_evaluated_is_asked_of_the_bookkeeper_which_asks_for_the_fetch(status: str) -> None:
    [message] = replayed(status, Replay(refetch=True))

    request = event(message)
    assert isinstance(request, ReplayRequested)
    assert request.refetch


def test_a_forced_fetch_of_what_is_posted_asks_the_bookkeeper_for_nothing() -> None:
    [message] = replayed("posted", Replay(refetch=True))

    assert isinstance(event(message), NotificationReceived)


@pytest.mark.parametrize("status", ["posted", "uncertain", "ready"])
def test_nothing_is_sent_where_nothing_is_planned(status: str) -> None:
    assert replayed(status) == []


def test_the_same_word_said_twice_is_one_event_and_a_later_one_another() -> None:
    later = Word("maria", START.replace(minute=1), "again", "cli")
    sent = [*replayed("rejected"), *replayed("rejected"), *replayed("rejected", word=later)]

    ids = [dict(message.headers)["ce_id"] for message in sent]
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
