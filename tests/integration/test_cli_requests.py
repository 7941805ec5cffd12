"""`zuora-ifs replay`, `records correct` and `records settle` against a real broker."""

import asyncio
import json
from datetime import date
from typing import Any

import pytest

from schemas.base import Model
from schemas.envelope import decode_any
from schemas.notifications import DocumentCaptured, NotificationReceived
from schemas.requests import CorrectionRequested, ReplayRequested, SettlementRecorded
from schemas.topics import DOCUMENT, MAPPING, NOTIFICATION, REQUEST, VOUCHER
from schemas.vouchers import VoucherPosted
from streams.accounting.documents import read_document
from streams.log.messages import Message, event_message
from streams.log.reader import LogRecord, read_to_end
from streams.mapping_changes import change_message
from tests.support.company_10 import MAPPINGS, captured, invoice, item
from tests.support.projecting import START, Cluster, ZuoraIfs, step

VOUCHER_NUMBER = {"company": "10", "voucherType": "M", "accountingYear": 2026, "voucherNo": 4711}
BEFORE = read_document(invoice("100.00", item("ANL", "100.00")))
AFTER = invoice("80.00", item("ANL", "80.00"))

pytestmark = pytest.mark.usefixtures("cluster")


def sent(cluster: Cluster, topic: str) -> list[tuple[str, Model]]:
    """Return key and event of all that is in a topic."""

    async def read() -> list[LogRecord]:
        batches = read_to_end(cluster.kafka, [cluster.names.public(topic)], {})
        return [record async for batch in batches for record in batch.records]

    return [((one.key or b"").decode(), decode_any(one.headers, one.value)) for one in asyncio.run(read())]


def plans(output: str) -> list[tuple[str, str]]:
    return [(one["id"], one["action"]) for one in json.loads(output)]


def test_a_replay_sends_what_its_preview_says(cluster: Cluster, zuora_ifs: ZuoraIfs) -> None:
    statuses = ["failed", "rejected", "posted", "uncertain"]
    asyncio.run(cluster.send_steps(*(step(f"Invoice:{one}", one, accountId="A1") for one in statuses)))
    chosen = [word for status in statuses for word in ("--record", f"Invoice:{status}")]

    previewed = zuora_ifs("replay", *chosen, "--date", "2026-05-05", "--dry-run", "--json")
    assert dict(plans(previewed)) == {
        "Invoice:failed": "fetch",
        "Invoice:rejected": "evaluate",
        "Invoice:posted": "nothing",
        "Invoice:uncertain": "look-up",
    }
    assert all(set(one) == {"id", "action", "reason"} for one in json.loads(previewed))
    assert sent(cluster, REQUEST) == sent(cluster, NOTIFICATION) == []

    words = ("--date", "2026-05-05", "--reason", "opened", "--actor", "maria")
    assert zuora_ifs("replay", *chosen, *words, "--json") == previewed
    [(key, notification)] = sent(cluster, NOTIFICATION)
    assert isinstance(notification, NotificationReceived)
    assert (key, notification.origin, notification.fields["actor"]) == ("failed", "replay", "maria")
    assert notification.fields["reason"] == "opened"
    [(key, request)] = sent(cluster, REQUEST)
    assert isinstance(request, ReplayRequested)
    assert (key, request.record_id, request.date, request.actor, request.reason) == (
        "A1",
        "Invoice:rejected",
        date(2026, 5, 5),
        "maria",
        "opened",
    )


def test_a_replay_chooses_by_status_and_time(cluster: Cluster, zuora_ifs: ZuoraIfs) -> None:
    asyncio.run(
        cluster.send_steps(
            step("Invoice:old", "rejected", minute=1, accountId="A1"),
            step("Invoice:new", "rejected", minute=9, accountId="A1"),
            step("Invoice:other", "failed", minute=9, accountId="A1"),
        )
    )
    rejected = ("replay", "--status", "rejected", "--dry-run", "--json")

    assert [record for record, _ in plans(zuora_ifs(*rejected))] == ["Invoice:new", "Invoice:old"]
    assert plans(zuora_ifs(*rejected, "--since", "2026-03-01T08:05Z")) == [("Invoice:new", "evaluate")]
    assert plans(zuora_ifs(*rejected, "--since", "2026-03-01", "--refetch")) == [
        ("Invoice:new", "fetch"),
        ("Invoice:old", "fetch"),
    ]
    assert plans(zuora_ifs(*rejected, "--since", "2026-03-02")) == []


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        ([], 2, "--record"),
        (["--record", "Invoice:1", "--status", "failed"], 2, "one of the two"),
        (["--record", "Invoice:1", "--since", "2026-03-01"], 2, "--since goes with --status"),
        (["--status", "failed"], 2, "--reason"),
        (["--status", "failed", "--date", "soon", "--reason", "r"], 2, "2026-03-31"),
        (["--record", "Invoice:none", "--reason", "r"], 1, "no record 'Invoice:none'"),
    ],
)
def test_a_replay_that_cannot_be_is_one_line(
    cluster: Cluster, zuora_ifs: ZuoraIfs, words: list[str], code: int, told: str
) -> None:
    assert told in zuora_ifs("replay", *words, code=code)
    assert sent(cluster, NOTIFICATION) == []


def test_what_was_booked_by_hand_is_settled(cluster: Cluster, zuora_ifs: ZuoraIfs) -> None:
    asyncio.run(
        cluster.send_steps(step("Invoice:1", "rejected", accountId="A1"), step("Invoice:2", "posted", accountId="A1"))
    )
    said = ("--voucher", "10/M/2026/9", "--reason", "booked in March", "--actor", "maria")

    assert "is posted: only what is" in zuora_ifs("records", "settle", "Invoice:2", *said, code=1)
    zuora_ifs("records", "settle", "Invoice:1", *said)

    [(key, settled)] = sent(cluster, REQUEST)
    assert isinstance(settled, SettlementRecorded)
    assert (key, settled.record_id, settled.voucher, settled.reason) == (
        "A1", "Invoice:1", "10/M/2026/9", "booked in March",
    )  # fmt: skip


def message(cluster: Cluster, topic: str, event: Any) -> Message:
    return event_message(
        cluster.names.public(topic), "A1", event, event_id=topic, process="test", subject=event.record_id, time=START
    )


def posted() -> VoucherPosted:
    rows = [
        {"account": "1510", "codeParts": {"B": "100"}, "debit": "100.00", "companyDebit": "100.00", "text": "t"},
        {"account": "3010", "credit": "100.00", "companyCredit": "100.00", "text": "t"},
    ]
    return VoucherPosted.model_validate(
        VOUCHER_NUMBER
        | {"commandId": "c1", "appId": "app", "recordId": "Invoice:I1", "documentType": "Invoice", "accountId": "A1"}
        | {"reference": "INV1-X", "fingerprint": BEFORE.fingerprint, "documentOffset": 0, "voucherDate": "2026-03-01"}
        | {"currency": "EUR", "companyCurrency": "EUR", "rate": "1", "conversionFactor": "1", "amount": "100.00"}
        | {"rows": rows, "postedAt": START}
    )


def log_a_change(cluster: Cluster, now: DocumentCaptured, mapped: int) -> str:
    """Log an invoice that was posted and is `now` something else, with the first mappings of company 10."""
    fingerprint = BEFORE.fingerprint if now.gone else read_document(now).fingerprint
    changes = [change_message(cluster.names.public(MAPPING), one, process="cli") for one in MAPPINGS[:mapped]]
    asyncio.run(cluster.send([*changes, message(cluster, DOCUMENT, now), message(cluster, VOUCHER, posted())]))
    facts = {"accountId": "A1", "documentNumber": "INV1", "company": "10", "voucher": VOUCHER_NUMBER}
    marks = {"postedFingerprint": BEFORE.fingerprint, "documentFingerprint": fingerprint}
    asyncio.run(
        cluster.send_steps(
            step("Invoice:I1", "posted", minute=1, **facts),
            step("Invoice:I1", "changed-after-posting", minute=2, **facts, **marks),
        )
    )
    return fingerprint


def test_a_correction_is_shown_and_asked_for_with_what_was_seen(cluster: Cluster, zuora_ifs: ZuoraIfs) -> None:
    fingerprint = log_a_change(cluster, AFTER, mapped=2)
    correct = ("records", "correct", "INV1", "--reason", "price changed", "--date", "2026-05-04", "--actor", "maria")

    shown = zuora_ifs(*correct, "--dry-run")
    assert "reverses INV1-X of 2026-03-01, on 2026-05-04, in EUR" in shown
    assert "posts in company 10 on 2026-03-01, in EUR" in shown
    assert [line.split()[0] for line in shown.splitlines() if line[:1].isdigit()] == ["1510", "3010", "1510", "3010"]
    assert "80.00" in shown
    assert sent(cluster, REQUEST) == []

    zuora_ifs(*correct)
    [(key, asked)] = sent(cluster, REQUEST)
    assert isinstance(asked, CorrectionRequested)
    assert (key, asked.record_id, asked.date, asked.actor) == ("A1", "Invoice:I1", date(2026, 5, 4), "maria")
    assert (asked.posted_fingerprint, asked.document_fingerprint) == (BEFORE.fingerprint, fingerprint)


def test_a_correction_is_refused_with_what_is_missing(cluster: Cluster, zuora_ifs: ZuoraIfs) -> None:
    log_a_change(cluster, AFTER, mapped=1)

    told = zuora_ifs("records", "correct", "Invoice:I1", "--reason", "price changed", code=1)

    assert told == "Invoice:I1 cannot be corrected yet: missing: product 10 sku ANL; nothing was sent\n"
    assert sent(cluster, REQUEST) == []


def test_what_is_gone_from_zuora_is_reversed_alone(cluster: Cluster, zuora_ifs: ZuoraIfs) -> None:
    log_a_change(cluster, captured("Invoice", {"id": "I1"}, gone=True), mapped=2)

    assert "posts nothing instead: gone from Zuora" in zuora_ifs("records", "correct", "INV1", "--reason", "cancelled")
    [(_, asked)] = sent(cluster, REQUEST)
    assert isinstance(asked, CorrectionRequested)
    assert asked.document_fingerprint == ""


def test_only_what_changed_after_posting_is_corrected(cluster: Cluster, zuora_ifs: ZuoraIfs) -> None:
    asyncio.run(cluster.send_steps(step("Invoice:1", "posted", accountId="A1")))

    told = zuora_ifs("records", "correct", "Invoice:1", "--reason", "r", code=1)

    assert told == "Invoice:1 is posted: only what is changed-after-posting can be corrected\n"
