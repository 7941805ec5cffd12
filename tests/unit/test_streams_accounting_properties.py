"""What holds for every document, not just for the examples."""

import random
from collections.abc import Iterator
from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.audit import Gap
from schemas.base import Model, Status
from schemas.mappings import AccountMappingSet, ChartRuleSet
from schemas.notifications import DocumentCaptured
from streams.accounting.applied import evaluate_applied
from streams.accounting.chart import DictChart
from streams.accounting.conversion import Rate, convert
from streams.accounting.documents import LedgerDocument, read_document, summarised
from streams.accounting.evaluation import Evaluation, evaluate
from streams.accounting.keys import mapping_key
from streams.accounting.money import minor_unit, rounded
from streams.accounting.voucher import Voucher
from tests.support.company_10 import (
    ALL_POSTED,
    CHANGE,
    MAPPINGS,
    RULES,
    adjustment,
    chart,
    credit_memo,
    debit_memo,
    invoice,
    item,
    memo_item,
    payment,
    refund,
)

# Whether it is true does not depend on how busy the machine is.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

CENTS = st.integers(-100_000, 100_000)
CODES = ("VAT25", "VAT19", "CH", "")


def money(cents: int) -> str:
    return str(Decimal(cents).scaleb(-2))


@st.composite
def items(draw: st.DrawFn) -> tuple[dict[str, Any], Decimal]:
    """Draw an item and its gross amount: any product, tax code and processing type, tax of up to five decimals."""
    net = Decimal(draw(CENTS)).scaleb(-2)
    tax = Decimal(draw(st.integers(-10_000_000, 10_000_000))).scaleb(-5)
    fields = {
        "productName": draw(st.sampled_from(["", "Cloud"])),
        "deferredRevenueAccountingCode": draw(st.sampled_from(["", "2970"])),
        "processingType": draw(st.sampled_from(["Charge", "Charge", "Discount", "Rounding", "Tax"])),
        "taxCode": draw(st.sampled_from(CODES)),
        "taxAmount": str(tax),
    }
    return {**item(draw(st.sampled_from(["ANL", "SVC", "DISC", "NEW", ""])), str(net)), **fields}, net + tax


@st.composite
def invoices(draw: st.DrawFn) -> DocumentCaptured:
    """Draw an invoice that adds up to within some cents, its header's tax too where it names one."""
    drawn = draw(st.lists(items(), max_size=6))
    off = Decimal(draw(st.integers(-3, 3))).scaleb(-2)
    amount = sum((gross for _, gross in drawn), off).quantize(Decimal("0.01"), ROUND_HALF_UP)
    tax = sum((Decimal(entry["taxAmount"]) for entry, _ in drawn), off).quantize(Decimal("0.01"), ROUND_HALF_UP)
    return invoice(str(amount), *[entry for entry, _ in drawn], taxAmount=draw(st.sampled_from([None, str(tax)])))


@st.composite
def memos(draw: st.DrawFn) -> DocumentCaptured:
    nets = draw(st.lists(st.tuples(st.sampled_from(["ANL", "SVC", "NEW"]), CENTS, CENTS), min_size=1, max_size=4))
    entries = [memo_item(sku, money(net), VAT25=money(tax)) for sku, net, tax in nets]
    amount = money(sum(net + tax for _, net, tax in nets))
    of_either_kind = draw(st.sampled_from([credit_memo, debit_memo]))
    memo: DocumentCaptured = of_either_kind(amount, *entries)
    return memo


AMOUNTS = st.integers(0, 1_000_000).map(money)
PAYMENTS = st.builds(payment, AMOUNTS, AMOUNTS, gatewayId=st.sampled_from(["GW1", "GW2", None]))
REFUNDS = st.builds(refund, AMOUNTS, st.sampled_from(["payment", "memo"]))
ADJUSTMENTS = st.builds(adjustment, AMOUNTS, st.sampled_from(["Charge", "Credit"]))
DOCUMENTS = st.one_of(invoices(), memos(), PAYMENTS, REFUNDS, ADJUSTMENTS)


def all_mapped(document: LedgerDocument) -> Evaluation:
    """Return what becomes of a document once everything that it lacks is mapped."""
    evaluation = evaluate(document, chart(), posted=ALL_POSTED)
    return evaluate(document, chart(*(filling(gap) for gap in evaluation.missing)), posted=ALL_POSTED)


def filling(gap: Gap) -> Model:
    """Return the mapping that fills a gap, each to an account of its own."""
    if gap.kind == "account":
        return AccountMappingSet(**CHANGE, account_id=gap.key or "", company="10", gl_account="1510")
    key = {"match_on": gap.match_on, "match_value": gap.key, "currency": gap.currency, "gateway": gap.gateway}
    return ChartRuleSet(**CHANGE, company=gap.company or "", kind=gap.kind, gl_account="9999", **key)


def balance(voucher: Voucher) -> Decimal:
    return sum(((row.debit or Decimal(0)) - (row.credit or Decimal(0)) for row in voucher.rows), Decimal(0))


@unhurried
@given(DOCUMENTS)
def test_every_voucher_balances_in_positive_amounts_at_the_currencys_decimals(captured: DocumentCaptured) -> None:
    voucher = all_mapped(read_document(captured)).voucher
    if voucher is None:
        return

    assert balance(voucher) == 0
    assert len(voucher.rows) > 1
    for row in voucher.rows:
        assert (row.debit is None) != (row.credit is None)
        amount = row.debit or row.credit
        assert amount is not None
        assert amount > 0
        assert amount == amount.quantize(Decimal("0.01"))


@unhurried
@given(DOCUMENTS)
def test_a_document_ends_ready_zero_or_not_adding_up_once_all_is_mapped(captured: DocumentCaptured) -> None:
    evaluation = all_mapped(read_document(captured))

    assert evaluation.outcome in {Status.READY, Status.NOT_POSTED, Status.FAILED}
    assert (evaluation.voucher is not None) == (evaluation.outcome is Status.READY)


@unhurried
@given(DOCUMENTS)
def test_the_summary_comes_to_the_same_as_the_whole(captured: DocumentCaptured) -> None:
    document = read_document(captured)
    kept = LedgerDocument.from_json(summarised(document).to_json())

    assert evaluate(kept, chart(), posted=ALL_POSTED) == evaluate(document, chart(), posted=ALL_POSTED)
    assert all_mapped(kept) == all_mapped(document)
    assert summarised(kept) == kept


def reworded(value: Any, shuffle: random.Random) -> Any:
    """Return the same JSON with keys and items in another order and numbers written otherwise."""
    if isinstance(value, dict):
        pairs = [(key, reworded(entry, shuffle)) for key, entry in value.items() if entry not in ("", None)]
        shuffle.shuffle(pairs)
        return {**dict(pairs), "comment": None}
    if isinstance(value, list):
        entries = [reworded(entry, shuffle) for entry in value]
        shuffle.shuffle(entries)
        return entries
    if isinstance(value, str) and "." in value and value.lstrip("-").replace(".", "").isdigit():
        return shuffle.choice([value, f"{value}00", Decimal(value), str(Decimal(value).normalize())])
    return value


@unhurried
@given(DOCUMENTS, st.randoms(use_true_random=False))
def test_the_same_document_otherwise_written_is_the_same_to_the_byte(
    captured: DocumentCaptured, shuffle: random.Random
) -> None:
    other = captured.model_copy(update={"document": reworded(captured.document, shuffle)})
    one, two = read_document(captured), read_document(other)

    assert one.fingerprint == two.fingerprint
    assert repr(all_mapped(one)) == repr(all_mapped(two))


def left_out() -> st.SearchStrategy[list[Model]]:
    return st.lists(st.sampled_from([*MAPPINGS, *RULES]), unique_by=mapping_key)


@unhurried
@given(DOCUMENTS, left_out())
def test_what_a_record_waits_for_leads_it_on(captured: DocumentCaptured, missing_events: list[Model]) -> None:
    """Filling what is missing, round by round, touches only keys that were waited for, and ends."""
    document = read_document(captured)
    present = [event for event in (*MAPPINGS, *RULES) if event not in missing_events]
    for _ in range(3):
        evaluation = evaluate(document, DictChart(present), posted=ALL_POSTED)
        if evaluation.outcome is not Status.MAPPING_MISSING:
            break
        added = [filling(gap) for gap in evaluation.missing]
        assert {mapping_key(event) for event in added} <= evaluation.waits_for
        present = [*present, *added]
    assert evaluation.outcome is not Status.MAPPING_MISSING


@unhurried
@given(DOCUMENTS, left_out(), st.sampled_from([*MAPPINGS, *RULES]))
def test_no_key_that_is_not_waited_for_alters_the_outcome_of_what_waits(
    captured: DocumentCaptured, missing_events: list[Model], event: Model
) -> None:
    document = read_document(captured)
    present = [known for known in (*MAPPINGS, *RULES) if known not in missing_events]
    before = evaluate(document, DictChart(present), posted=ALL_POSTED)
    if before.outcome not in {Status.MAPPING_MISSING, Status.CAPTURED} or mapping_key(event) in before.waits_for:
        return

    after = evaluate(document, DictChart([*present, event]), posted=ALL_POSTED)

    assert after == before


RATES = st.builds(
    Rate,
    st.integers(1, 10**9).map(lambda rate: Decimal(rate).scaleb(-6)),
    st.sampled_from([Decimal(1), Decimal(10), Decimal(100)]),
    st.booleans(),
)


@unhurried
@given(DOCUMENTS, RATES, st.sampled_from([0, 2, 3]))
def test_conversion_balances_and_every_row_but_one_is_rounded(
    captured: DocumentCaptured, rate: Rate, places: int
) -> None:
    voucher = all_mapped(read_document(captured)).voucher
    if voucher is None:
        return

    rows = convert(voucher.rows, voucher.rest_row, rate, places)

    assert sum((row.company_debit or Decimal(0)) - (row.company_credit or Decimal(0)) for row in rows) == 0
    unit = Decimal(1).scaleb(-places)
    for index, row in enumerate(rows):
        amount, converted = (row.debit, row.company_debit) if row.debit else (row.credit, row.company_credit)
        assert amount is not None
        assert converted is not None
        assert converted == converted.quantize(unit)
        if index != voucher.rest_row:
            assert abs(converted - rate.convert(amount)) < unit


@unhurried
@given(st.lists(AMOUNTS, min_size=1, max_size=6))
def test_a_payment_and_its_changes_add_up_to_its_last_state(history: list[str]) -> None:
    """However U moved, the ledger ends as if the payment had come in its last state."""
    first, *changes = [read_document(payment("10000.00", u)) for u in history]
    ledger = dict(posted_by(evaluate(first, chart())))
    booked = first.unapplied
    for document in changes:
        for account, amount in posted_by(evaluate_applied(document, chart(), booked=booked, company="10")):
            ledger[account] = ledger.get(account, Decimal(0)) + amount
        booked = document.unapplied

    last = dict(posted_by(evaluate(replace(first, unapplied=booked), chart())))
    assert {account: amount for account, amount in ledger.items() if amount} == last


def posted_by(evaluation: Evaluation) -> Iterator[tuple[str, Decimal]]:
    for row in evaluation.voucher.rows if evaluation.voucher else ():
        yield row.account, (row.debit or Decimal(0)) - (row.credit or Decimal(0))


@unhurried
@given(st.decimals("-1000", "1000", places=6), st.sampled_from(["EUR", "JPY", "KWD"]))
def test_rounding_is_half_up_at_the_currencys_decimals(amount: Decimal, currency: str) -> None:
    unit = minor_unit(currency)

    assert abs(rounded(amount, unit) - amount) * 2 <= unit
    assert rounded(unit / 2, unit) == unit
    assert rounded(-unit / 2, unit) == -unit


def test_no_float_is_anywhere_in_a_document_or_a_voucher() -> None:
    document = read_document(invoice("125.00", item("ANL", "100.00", VAT25="25.00"), taxAmount="25.00"))
    evaluation = evaluate(document, chart())

    assert evaluation.voucher
    assert not {type(value) for row in evaluation.voucher.rows for _, value in row} & {float}
    assert "float" not in {type(value).__name__ for value in document.to_json().values()}
