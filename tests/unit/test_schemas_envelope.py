"""Events assembled of values that fit: byte for byte what the validated model encodes to."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.audit import Gap, RecordStatusChanged
from schemas.base import DocumentType, Status
from schemas.envelope import assembled, decode, encode, encode_assembled
from schemas.notifications import DocumentCaptured
from schemas.vouchers import PostVoucher, VoucherNumber, VoucherRow

TEXT = st.text(st.characters(exclude_categories=["Cs"]))  # half a surrogate pair is in no JSON
MAYBE = st.none() | TEXT
AMOUNT = st.builds(
    lambda digits, exponent: Decimal(digits).scaleb(exponent), st.integers(-(10**20), 10**20), st.integers(-20, 20)
)
MOMENT = st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001
NUMBER = TEXT.map(lambda text: VoucherNumber(company=text, voucher_type="M", accounting_year=2026, voucher_no=7))
STEP = st.fixed_dictionaries(
    {
        "id": TEXT,
        "document_type": st.sampled_from(DocumentType),
        "document_number": MAYBE,
        "document_id": TEXT,
        "account_id": MAYBE,
        "status": st.sampled_from(Status),
        "missing": st.lists(st.builds(Gap, kind=st.just("tax"), key=MAYBE, company=MAYBE), max_size=2).map(tuple),
        "amount": st.none() | AMOUNT,
        "voucher": st.none() | NUMBER,
        "vouchers": st.lists(NUMBER, max_size=2).map(tuple),
        "received_at": MOMENT,
        "updated_at": MOMENT,
        "previous": st.none() | st.sampled_from(Status),
        "actor": TEXT,
        "at": MOMENT,
        "cause": TEXT,
    }
)
ROW = st.builds(
    VoucherRow,
    account=TEXT,
    code_parts=st.dictionaries(st.sampled_from("BCDEFGHIJ"), TEXT),
    debit=st.none() | AMOUNT,
    credit=st.none() | AMOUNT,
    text=TEXT,
)
COMMAND: dict[str, Any] = {
    "command_id": "c",
    "app_id": "a",
    "record_id": "CreditMemo:1",
    "document_type": DocumentType.CREDIT_MEMO,
    "account_id": "A",
    "reference": "R",
    "fingerprint": "1-f",
    "document_offset": 7,
    "company": "10",
    "voucher_type": "M",
    "voucher_date": date(2026, 3, 1),
    "rate_date": date(2026, 2, 28),
    "text": "Invoice ÅÄÖ",
    "currency": "EUR",
    "currency_type": "1",
    "rows": (),
    "rest_row": 1,
    "mapping_versions": {"10/tax/VAT25": 12},
}


@given(values=STEP)
def test_a_step_is_written_as_its_model_is(values: dict[str, Any]) -> None:
    assert encode_assembled(assembled(RecordStatusChanged, **values)) == encode(RecordStatusChanged(**values))


@given(rows=st.lists(ROW, max_size=3).map(tuple), text=TEXT, versions=st.dictionaries(TEXT, st.integers(0, 2**53)))
def test_a_command_is_written_as_its_model_is(
    rows: tuple[VoucherRow, ...], text: str, versions: dict[str, int]
) -> None:
    values = COMMAND | {"rows": rows, "text": text, "mapping_versions": versions}

    assert encode_assembled(assembled(PostVoucher, **values)) == encode(PostVoucher(**values))


def test_what_is_assembled_equals_the_validated_model_and_is_read_as_it() -> None:
    command = assembled(PostVoucher, **COMMAND)

    assert command == PostVoucher(**COMMAND)
    assert decode(PostVoucher, encode_assembled(command)) == command


def test_an_amount_is_never_written_with_an_exponent() -> None:
    row = VoucherRow(account="1510", debit=Decimal("1E+3"), text="")

    assert b'"debit":"1000"' in encode_assembled(assembled(PostVoucher, **COMMAND | {"rows": (row,)}))


def test_a_value_that_is_none_of_an_events_is_refused() -> None:
    with pytest.raises(TypeError, match="not JSON serializable: set"):
        encode_assembled(assembled(PostVoucher, **COMMAND | {"rows": {1}}))


def test_a_field_that_is_missing_is_refused() -> None:
    moment = datetime(2026, 3, 1, tzinfo=UTC)

    with pytest.raises(KeyError, match="document"):
        encode_assembled(assembled(DocumentCaptured, record_id="Invoice:1", received_at=moment, fetched_at=moment))
