"""What a correction would reverse."""

from dataclasses import replace
from datetime import date
from typing import Any

from schemas.base import Status
from schemas.vouchers import VoucherPosted, VoucherRejected, VoucherReversed, VoucherRow
from streams.accounting.evaluation import Evaluation
from streams.accounting.voucher import swapped
from streams.views.correction import Correction, standing
from streams.views.records import record_after
from tests.support.company_10 import invoice, item, result, without
from tests.support.projecting import START, step

ROWS = (
    VoucherRow(account="1510", debit="119.00", company_debit="107.10", text="receivable"),
    VoucherRow(account="3010", credit="119.00", company_credit="107.10", text="revenue"),
)
SUBJECT: dict[str, Any] = {
    "command_id": "c1", "app_id": "app", "record_id": "Invoice:I1", "document_type": "Invoice", "account_id": "A1",
    "fingerprint": "1-a", "document_offset": 0, "company": "10",
}  # fmt: skip
POSTED: dict[str, Any] = SUBJECT | {
    "voucher_type": "M", "accounting_year": 2026, "voucher_no": 1, "voucher_date": date(2026, 3, 1), "currency": "USD",
    "company_currency": "EUR", "rate": "0.9", "conversion_factor": "1", "amount": "119.00", "rows": ROWS,
    "posted_at": START,
}  # fmt: skip


def posted(reference: str, **fields: Any) -> VoucherPosted:
    return VoucherPosted(**(POSTED | {"reference": reference} | fields))


def reversal(of: str) -> VoucherReversed:
    number = {"company": "10", "voucherType": "M", "accountingYear": 2026, "voucherNo": 1}
    return VoucherReversed(**(POSTED | {"reference": f"{of}-R"}), reverses=number, reverses_reference=of)


def rejected(reference: str) -> VoucherRejected:
    told = {"reason": "period-closed", "message": "closed", "advice": "open it", "rejected_at": START}
    return VoucherRejected(**(SUBJECT | {"reference": reference} | told))


def correction(evaluation: Evaluation) -> Correction:
    record = record_after(step("Invoice:I1", "changed-after-posting"))
    return Correction(record, "1-a", "1-b", (posted("X"),), evaluation)


def test_what_stands_is_posted_and_not_reversed_counted_once() -> None:
    outcomes = [posted("X"), reversal("X"), posted("Y"), posted("Y"), posted("Y-A"), posted("S", shadow=True)]

    assert [one.reference for one in standing([*outcomes, rejected("Z")])] == ["Y", "Y-A"]


def test_a_reversal_swaps_sides_in_both_currencies() -> None:
    assert swapped(ROWS) == (
        VoucherRow(account="1510", credit="119.00", company_credit="107.10", text="receivable"),
        VoucherRow(account="3010", debit="119.00", company_debit="107.10", text="revenue"),
    )


def test_the_new_state_is_shown_with_its_rows() -> None:
    told = correction(result(invoice("80.00", item("ANL", "80.00")))).as_json()

    assert [(row["account"], row.get("debit"), row.get("credit")) for row in told["posts"]["rows"]] == [
        ("1510", "80.00", None),
        ("3010", None, "80.00"),
    ]
    assert [row["account"] for row in told["reverses"][0]["rows"]] == ["1510", "3010"]


def test_gaps_and_documents_that_do_not_add_up_stand_in_the_way() -> None:
    gap = correction(result(invoice("80.00", item("ANL", "80.00")), without("product", "ANL", "sku")))
    wrong = correction(result(invoice("90.00", item("ANL", "80.00"))))

    assert gap.obstacle == "missing: product 10 sku ANL"
    assert gap.as_json()["missing"] == [{"kind": "product", "company": "10", "matchOn": "sku", "key": "ANL"}]
    assert "does not add up" in str(wrong.obstacle)


def test_what_moved_to_another_account_may_be_held_there() -> None:
    held = correction(result(invoice("80.00", item("ANL", "80.00")), without("product", "ANL", "sku")))

    assert replace(held, moved_to="A2").obstacle is None


def test_what_no_longer_posts_is_reversed_alone() -> None:
    gone = correction(Evaluation(Status.NOT_POSTED, "gone from Zuora"))

    assert gone.obstacle is None
    assert (gone.as_json()["posts"], gone.as_json()["reason"]) == (None, "gone from Zuora")
