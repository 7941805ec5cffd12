"""Why this voucher: made again from its document and the mappings of then."""

from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from schemas.base import Model
from schemas.envelope import encode
from schemas.notifications import DocumentCaptured
from schemas.topics import MAPPING, TopicNames
from schemas.vouchers import ANOTHER_STANDS, PostVoucher, VoucherRejected, VoucherSubject
from streams.accounting.applied import evaluate_applied
from streams.accounting.chart import DictChart
from streams.accounting.documents import read_document
from streams.accounting.evaluation import Evaluation, evaluate
from streams.accounting.keys import topic_key
from streams.explanation import Explanation, Sent, explain
from streams.log.partitions import partition_of
from streams.projection.projector import Projector
from streams.projection.queries import ReadModel
from streams.projection.store import Store
from streams.record_details import commands_in_ifs, commands_not_made
from tests.support.bookkeeping import DOCUMENTS, PARTITIONS, World, capture, card_payment, mapped_world, unapplied
from tests.support.company_10 import (
    MAPPINGS,
    NOW,
    RULES,
    account,
    adjustment,
    credit_memo,
    invoice,
    item,
    memo_item,
    payment,
    product,
    refund,
    rule,
)
from tests.support.ledger import NAMES
from tests.support.projecting import log_record

INVOICE = invoice("244.00", item("ANL", "100.00"), item("SVC", "99.00"), item("ANL", "20.00", VAT25="25.00"))


class Log:
    """The mapping topic of one partition, as accounting and as the read model see it."""

    def __init__(self, path: Path, *events: Model) -> None:
        self.chart = DictChart()
        self.model = ReadModel(path)
        self._events: list[Model] = []
        self._path = path
        self.set(*events)

    def set(self, *events: Model) -> None:
        first = len(self._events)
        self._events += events
        for version, event in enumerate(events, first):
            self.chart.apply(event, version)
        with Store(self._path) as store:
            projector = Projector(store, TopicNames("", "app"))
            projector.partitions = {MAPPING: 1}
            projector.apply(
                [
                    log_record(event, version, topic=MAPPING, key=topic_key(event))
                    for version, event in enumerate(events, first)
                ]
            )

    def send(self, captured: DocumentCaptured, **changes: Any) -> Sent:
        """Return what is sent for a document today."""
        document = read_document(captured)
        return self._sent(captured, evaluate(document, self.chart, posted={"Payment:P1"}), "X", **changes)

    def send_applied(self, captured: DocumentCaptured, booked: str) -> Sent:
        document = read_document(captured)
        evaluation = evaluate_applied(document, self.chart, booked=Decimal(booked), company="10")
        return self._sent(captured, evaluation, "X-A")

    def _sent(self, captured: DocumentCaptured, evaluation: Evaluation, reference: str, **changes: Any) -> Sent:
        voucher, document = evaluation.voucher, read_document(captured)
        assert voucher, evaluation
        command = PostVoucher(
            command_id="c", app_id="app", record_id=captured.record_id, document_type=captured.document_type,
            account_id=captured.account_id, reference=reference, fingerprint=document.fingerprint, document_offset=0,
            company=voucher.company, voucher_type=voucher.voucher_type or "M", voucher_date=voucher.voucher_date,
            rate_date=voucher.rate_date, text=voucher.text, currency=voucher.currency, currency_type="1",
            rows=voucher.rows, rest_row=voucher.rest_row, mapping_versions=voucher.versions,
        )  # fmt: skip
        return Sent(command.model_copy(update=changes), encode(captured), NOW, posted=True)


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path / "model.sqlite", *MAPPINGS, *RULES)


def later(event: Model) -> Model:
    return event.model_copy(update={"at": NOW.replace(hour=23)})


def one(log: Log, sent: Sent) -> Explanation:
    [explanation] = explain(log.model, [sent])
    return explanation


def origins(explanation: Explanation) -> list[tuple[str, str, str, list[str]]]:
    return [
        (row.row.account, origin.label, str(origin.amount), list(origin.keys))
        for row in explanation.rows
        for origin in row.origins
    ]


@pytest.mark.parametrize(
    "document",
    [
        INVOICE,
        credit_memo("119.00", memo_item("ANL", "100.00", "119.00", VAT19="19.00")),
        payment("500.00", u="100.00"),
        refund("500.00"),
        adjustment("10.00", "Credit"),
    ],
    ids=lambda document: document.record_id,
)
def test_a_voucher_made_again_is_identical(log: Log, document: DocumentCaptured) -> None:
    explanation = one(log, log.send(document))

    assert explanation.differences == ()
    for row in explanation.rows:
        amount = (row.row.debit or Decimal(0)) - (row.row.credit or Decimal(0))
        assert sum(origin.amount for origin in row.origins) == amount
        assert all(explanation.sources_of(origin) for origin in row.origins)


def test_later_changes_of_mappings_change_nothing(log: Log) -> None:
    sent = log.send(INVOICE)
    log.set(*map(later, (account(to="1511/900"), product("ANL", "3999"), rule("Invoice", post=False))))

    explanation = one(log, sent)

    assert explanation.identical
    assert [row.row.account for row in explanation.rows] == ["1510", "2610", "3010", "3020"]


def test_every_row_tells_what_of_the_document_came_there_by_which_mapping(log: Log) -> None:
    assert origins(one(log, log.send(INVOICE))) == [
        ("1510", "A00000123 Nordic Example AB", "244.00", ["account/A1"]),
        ("2610", "VAT25", "-25.00", ["10/tax/VAT25"]),
        # The product leaves the cost centre to the account.
        ("3010", "ANL", "-120.00", ["10/product/sku/ANL", "account/A1"]),
        ("3020", "SVC", "-99.00", ["10/product/sku/SVC"]),
    ]


def test_a_source_tells_version_who_and_when(log: Log) -> None:
    told = one(log, log.send(INVOICE)).as_json()

    tax = told["rows"][1]["origins"][0]
    assert (tax["role"], tax["credit"]) == ("tax", "25.00")
    assert tax["sources"] == [
        {"key": "10/tax/VAT25", "version": 5, "actor": "eva", "at": NOW.isoformat(), "comment": None}
    ]
    assert {one["key"] for one in told["sources"]} >= {"account/A1", "10/rule/Invoice"}


def test_an_adjustment_with_a_contra_account_came_there_by_its_posting_rule(log: Log) -> None:
    log.set(rule("Adjustment", contra_account="6999"))

    found = origins(one(log, log.send(adjustment("10.00", "Charge"))))

    assert found[1] == ("6999", "6351 Bad debt", "-10.00", ["10/rule/Adjustment", "account/A1"])


def test_what_was_applied_since_is_explained_from_what_was_booked_before(log: Log) -> None:
    first = log.send(payment("500.00", u="500.00"))
    applied = log.send_applied(payment("500.00", u="100.00"), booked="500.00")
    again = log.send_applied(payment("500.00", u="350.00"), booked="100.00")
    refused = replace(log.send_applied(payment("500.00", u="0.00"), booked="100.00"), posted=False)

    found = explain(log.model, [first, applied, refused, again])

    assert [explanation.differences for explanation in found] == [(), (), (), ()]
    assert origins(found[3]) == [
        ("1510", "A00000123 Nordic Example AB", "250.00", ["account/A1"]),
        ("2420", "", "-250.00", ["10/unapplied"]),
    ]


def test_a_date_that_a_person_moved_is_no_difference(log: Log) -> None:
    assert one(log, log.send(INVOICE, voucher_date=date(2026, 5, 4))).identical


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"text": "other"}, "text"),
        ({"rows": ()}, "rows"),
        ({"fingerprint": "1-other"}, "fingerprint"),
        ({"mapping_versions": {}}, "it would not be posted: mapping-missing"),
    ],
)
def test_what_comes_out_otherwise_is_named(log: Log, change: dict[str, Any], difference: str) -> None:
    assert one(log, log.send(INVOICE, **change)).differences == (difference,)


def test_the_first_event_of_a_partition_has_version_0_and_is_named_like_any_other(tmp_path: Path) -> None:
    log = Log(tmp_path / "model.sqlite", rule("CreditMemo"), *MAPPINGS)
    document = credit_memo("100.00", memo_item("ANL", "100.00"))
    sent = log.send(document)
    log.set(later(rule("CreditMemo", post=False)))

    assert sent.command.mapping_versions["10/rule/CreditMemo"] == 0
    assert one(log, sent).identical


def test_a_rule_that_was_set_later_is_not_taken_for_the_default_of_then(tmp_path: Path) -> None:
    log = Log(tmp_path / "model.sqlite", later(rule("Invoice", post=False)), *MAPPINGS)
    log.chart = DictChart(MAPPINGS, first_version=1)

    assert one(log, log.send(INVOICE)).identical


def test_a_document_that_cannot_be_read_is_told(log: Log) -> None:
    explanation = one(log, replace(log.send(INVOICE), captured=b"{}"))

    assert not explanation.identical
    assert "DocumentCaptured" in explanation.differences[0]
    assert len(explanation.rows) == 4


async def explained(world: World, path: Path) -> list[Explanation]:
    """Explain all vouchers of a world, as a record's page does."""
    with Store(path) as store:
        projector = Projector(store, NAMES)
        projector.partitions = {MAPPING: PARTITIONS}
        projector.apply([record async for batch in world._read(MAPPING, None) for record in batch])
    records: dict[str, list[Sent]] = {}
    in_ifs = commands_in_ifs(world.posted.values())
    for command in world.commands():
        if isinstance(command, PostVoucher):
            place = (DOCUMENTS, partition_of(command.account_id.encode(), PARTITIONS), command.document_offset)
            [captured] = await world.log.read([place])
            sent = Sent(command, captured, NOW, posted=command.command_id in in_ifs)
            records.setdefault(command.record_id, []).append(sent)
    return [one for sent in records.values() for one in explain(ReadModel(path), sent)]


def told(explanations: list[Explanation]) -> list[tuple[bool, tuple[str, ...], list[str]]]:
    """Return of each voucher whether it is a change of U, what differs, and what its rows are explained by."""
    return [
        (
            one.reference.endswith("-A"),
            one.differences,
            [f"{row.row.account} {origin.amount}" for row in one.rows for origin in row.origins],
        )
        for one in explanations
    ]


async def test_all_that_the_bookkeeper_sends_is_explained(tmp_path: Path) -> None:
    world = World()
    world.map("A1", account())
    for event in (*MAPPINGS[1:], *RULES):
        world.map("10", event)
    await world.settle()
    for document in (INVOICE, *(payment("500.00", u=u) for u in ("500.00", "100.00", "350.00"))):
        world.say(DOCUMENTS, "A1", document)
        await world.settle()

    assert [(is_change, differences) for is_change, differences, _ in told(await explained(world, tmp_path / "m"))] == [
        (False, ()),
        (False, ()),
        (True, ()),
        (True, ()),
    ]


async def test_a_change_of_u_is_explained_from_what_is_booked_not_from_what_was_rehearsed(tmp_path: Path) -> None:
    world = await mapped_world()
    capture(world, card_payment("500.00"))
    await world.settle()
    await world.switch("shadow")
    capture(world, card_payment("100.00"))
    await world.settle()
    await world.switch("live")
    capture(world, card_payment("50.00"))
    await world.settle()

    assert told(await explained(world, tmp_path / "m")) == [
        (False, (), ["1930 500.00", "2420 -500.00"]),
        (True, (), ["1510 -400.00", "2420 400.00"]),
        (True, (), ["1510 -450.00", "2420 450.00"]),
    ]


async def test_a_change_of_u_is_explained_also_after_one_that_made_no_voucher(tmp_path: Path) -> None:
    world = await mapped_world()
    world.map("10", unapplied(gl_account="1510"))
    await world.settle()
    for u in ("500.00", "100.00"):  # both sides on one account: nothing to post
        capture(world, card_payment(u))
        await world.settle()
    world.map("10", unapplied(gl_account="2420"))
    await world.settle()
    for u in ("350.00", "300.00"):
        capture(world, card_payment(u))
        await world.settle()

    assert told(await explained(world, tmp_path / "m")) == [
        (False, (), ["1930 500.00", "1510 -500.00"]),
        (True, (), ["1510 250.00", "2420 -250.00"]),
        (True, (), ["1510 -50.00", "2420 50.00"]),
    ]


@pytest.mark.parametrize(("reason", "is_left_out"), [(ANOTHER_STANDS, True), ("period-closed", False)])
async def test_what_was_refused_since_another_voucher_stands_explains_no_figure(
    reason: str,
    is_left_out: bool,  # noqa: FBT001 - a table's column
) -> None:
    world = await mapped_world()
    capture(world, card_payment("500.00"))
    await world.settle()
    command = world.commands()[0]
    facts = {name: getattr(command, name) for name in VoucherSubject.model_fields}
    refused = VoucherRejected(**facts, reason=reason, message="", advice="", rejected_at=NOW)
    assert commands_not_made([refused]) == ({command.command_id} if is_left_out else set())
