"""The read model without a broker: what batches of records become, and how the file is kept."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from schemas.base import DocumentType, Status
from schemas.errors import UsageError
from schemas.mappings import AccountMappingRemoved, AccountMappingSet, ChartRuleSet
from schemas.topics import AUDIT, DOCUMENT, MAPPING, TopicNames
from streams.log.partitions import partition_of
from streams.log.reader import LogRecord
from streams.projection import store as store_module
from streams.projection.projector import LogChangedError, Projector
from streams.projection.queries import ReadModel, Wanted
from streams.projection.store import ProjectionError, Store
from tests.support.projecting import START, log_record, step


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.sqlite"


def project(path: Path, *batches: list[LogRecord]) -> ReadModel:
    with Store(path) as store:
        projector = Projector(store, TopicNames("", "app"))
        projector.partitions = {AUDIT: 3, MAPPING: 3, DOCUMENT: 3}
        for batch in batches:
            projector.apply(batch)
    return ReadModel(path)


def steps(*events: Any, first: int = 0) -> list[LogRecord]:
    return [log_record(event, offset) for offset, event in enumerate(events, start=first)]


def amounts(model: ReadModel) -> dict[tuple[str, str | None], tuple[int, Decimal]]:
    return {(row.status.value, row.currency): (row.records, row.amount) for row in model.totals()}


def test_the_last_step_is_the_state_and_totals_follow_it(path: Path) -> None:
    model = project(
        path,
        steps(
            step("Invoice:1", "received"),
            step("Invoice:1", "fetched", minute=1, amount="100.10", currency="EUR"),
            step("Invoice:2", "captured", minute=1, amount="0.20", currency="EUR"),
        ),
        steps(
            step("Invoice:1", "posted", minute=2, amount="100.10", currency="EUR"),
            step("Invoice:3", "posted", minute=3, amount="7", currency="JPY"),
            step("Invoice:4", "posted", minute=3, amount="-0.10", currency="EUR"),
            first=3,
        ),
    )

    assert amounts(model) == {
        ("posted", "EUR"): (2, Decimal("100.00")),
        ("posted", "JPY"): (1, Decimal(7)),
        ("captured", "EUR"): (1, Decimal("0.20")),
    }
    assert [one.status.value for one in model.steps("Invoice:1")] == ["received", "fetched", "posted"]
    posted = next(total for total in model.status_totals() if total.status is Status.POSTED)
    assert [(money.currency, money.amount) for money in posted.amounts] == [("EUR", Decimal("100.00")), ("JPY", 7)]


def test_an_event_said_twice_counts_once_however_late(path: Path) -> None:
    first = log_record(step("Invoice:1", "received"), 0, event_id="one")
    second = log_record(step("Invoice:1", "captured", minute=1), 1, event_id="two")
    again = log_record(step("Invoice:1", "received"), 2, event_id="one")

    model = project(path, [first, second], [again])

    record = model.record("Invoice:1")
    assert record is not None
    assert record.status is Status.CAPTURED
    assert len(model.steps("Invoice:1")) == 2


@pytest.mark.parametrize("batches", [[3], [1, 2], [1, 1, 1]])
def test_a_collectors_step_that_comes_late_is_history_and_no_state(path: Path, batches: list[int]) -> None:
    """It slept while another took over: its step is no repeat, for another notification led to it."""
    said = ["received", "posted", "fetched"]
    records = [log_record(step("Invoice:1", status), at, event_id=status) for at, status in enumerate(said)]

    model = project(path, *(records[sum(batches[:n]) : sum(batches[: n + 1])] for n in range(len(batches))))

    record = model.record("Invoice:1")
    assert record is not None
    assert record.status is Status.POSTED
    assert {total.status: total.records for total in model.status_totals() if total.records} == {Status.POSTED: 1}
    assert [one.status for one in model.steps("Invoice:1")] == ["received", "posted", "fetched"]


def test_missing_mappings_are_counted_while_records_wait_for_them(path: Path) -> None:
    product = {"kind": "product", "company": "10", "matchOn": "sku", "key": "ANL"}
    account = {"kind": "account", "key": "A1"}
    held: dict[str, Any] = {"status": "mapping-missing", "currency": "EUR", "accountId": "A1", "accountName": "Acme"}
    model = project(
        path,
        steps(
            step("Invoice:1", amount="10.00", missing=[account], **held),
            step("Invoice:2", amount="5.50", missing=[product], **held),
            step("Invoice:3", amount="4.50", missing=[product], **held),
        ),
        steps(
            step("Invoice:1", minute=1, amount="10.00", missing=[product], **held),
            step("Invoice:2", minute=1, **(held | {"status": "ready"}), amount="5.50"),
            first=3,
        ),
    )

    missing = model.missing_mappings()

    assert [(gap.kind, gap.key, gap.records, gap.amounts[0].amount) for gap in missing] == [
        ("product", "ANL", 2, Decimal("14.50"))
    ]


def test_a_missing_account_is_named(path: Path) -> None:
    gap = {"kind": "account", "key": "A1"}
    fields = {"accountId": "A1", "accountName": "Acme", "accountNumber": "A-1", "missing": [gap]}
    model = project(path, steps(step("Invoice:1", "mapping-missing", **fields)))

    assert [(one.account_name, one.account_number) for one in model.missing_mappings()] == [("Acme", "A-1")]


def test_lists_are_read_page_by_page_the_last_received_first(path: Path) -> None:
    model = project(path, steps(*(step(f"Invoice:{n}", "received") for n in range(7))))

    found, cursor = [], None
    while True:
        page = model.records(Wanted(), limit=3, cursor=cursor)
        found += [record.id for record in page.records]
        if (cursor := page.next_cursor) is None:
            break

    assert found == [f"Invoice:{n}" for n in range(7)]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Wanted(status=Status.POSTED), ["Invoice:1"]),
        (Wanted(account="A-2"), ["Payment:2"]),
        (Wanted(account="acc1"), ["Invoice:1"]),
        (Wanted(document_type=DocumentType.PAYMENT), ["Payment:2"]),
        (Wanted(search="inv-0"), ["Invoice:1"]),
        (Wanted(search="nord"), ["Payment:2"]),
        (Wanted(search="1"), ["Invoice:1"]),
        (Wanted(search="nv-0"), []),
        (Wanted(search="inv", status=Status.FAILED), []),
    ],
)
def test_lists_give_what_is_wanted(path: Path, wanted: Wanted, expected: list[str]) -> None:
    model = project(
        path,
        steps(
            step(
                "Invoice:1",
                "posted",
                documentNumber="INV-001",
                accountId="acc1",
                accountNumber="A-1",
                accountName="Acme",
            ),
            step(
                "Payment:2", "failed", documentNumber="P-002", accountId="acc2", accountNumber="a-2", accountName="Nord"
            ),
        ),
    )

    assert [record.id for record in model.records(wanted, limit=10).records] == expected


@pytest.mark.parametrize("cursor", ["!", "abc", "8J+YgA", "é"])
def test_a_cursor_of_somebody_else_is_refused(path: Path, cursor: str) -> None:
    with pytest.raises(UsageError, match="cursor"):
        project(path).records(Wanted(), limit=1, cursor=cursor)


def test_the_newest_mapping_of_a_key_holds_and_versions_stay_known(path: Path) -> None:
    common: dict[str, Any] = {"actor": "maria", "at": START, "account_id": "A1"}
    events = [
        AccountMappingSet(**common, company="10", gl_account="1510"),
        AccountMappingSet(**common, company="10", gl_account="1511"),
        AccountMappingRemoved(**common),
    ]
    own = partition_of(b"A1", 3)
    records = [log_record(event, n, topic=MAPPING, partition=own, key="A1") for n, event in enumerate(events)]

    model = project(path, records[:2])
    assert [(one.version, one.event) for one in model.mappings()] == [(1, events[1])]

    model = project(path, records[2:])
    assert model.mappings() == []
    assert model.last_set(["account/A1", "account/other"]) == {"account/A1": events[1]}
    version = model.mapping("account/A1", version=0)
    assert version is not None
    assert version.event == events[0]


def test_a_mapping_in_a_partition_that_is_not_its_keys_holds_for_nobody(path: Path) -> None:
    rule = ChartRuleSet(actor="maria", at=START, company="10", kind="rounding", gl_account="3740")
    other = (partition_of(b"10", 3) + 1) % 3

    assert project(path, [log_record(rule, 0, topic=MAPPING, partition=other, key="10")]).mappings() == []


def test_a_record_met_again_that_is_another_one_is_noticed(path: Path) -> None:
    project(path, steps(step("Invoice:1", "received"), step("Invoice:2", "received")))
    with Store(path) as store:
        projector = Projector(store, TopicNames("", "app"))
        again = log_record(step("Invoice:2", "received"), 1)
        assert projector.apply([again]) == 0

        with pytest.raises(LogChangedError):
            projector.apply([log_record(step("Invoice:9", "received"), 1, event_id="another")])


def test_a_batch_that_fails_leaves_nothing_behind(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store(path) as store:
        projector = Projector(store, TopicNames("", "app"))
        monkeypatch.setattr(store, "advance", lambda _records: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            projector.apply(steps(step("Invoice:1", "received")))
        assert store.positions([AUDIT]) == {}

    assert ReadModel(path).record("Invoice:1") is None


def test_a_file_of_another_version_or_of_no_version_is_made_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project(path, steps(step("Invoice:1", "received")))
    monkeypatch.setattr(store_module, "SCHEMA_VERSION", "other")
    assert project(path).record("Invoice:1") is None

    path.write_bytes(b"this is no database at all, and long enough to be looked at as one")
    assert project(path, steps(step("Invoice:2", "received"))).record("Invoice:2") is not None


def test_a_second_writer_is_told_so_in_one_line(path: Path) -> None:
    with Store(path), pytest.raises(ProjectionError, match="written by another process"):
        Store(path)
