"""A voucher as IFS Cloud takes it."""

from datetime import date
from decimal import Decimal

import pytest

from schemas.base import DocumentType
from schemas.vouchers import PostVoucher, VoucherRow
from streams.accounting.conversion import Rate, convert
from streams.systems.bodies import write_json
from streams.systems.ifs.voucher_json import voucher_body

ROWS = (
    VoucherRow(account="1510", code_parts={"B": "100", "C": "P1"}, debit=Decimal("100.00"), text="INV1 receivable"),
    VoucherRow(account="3010", credit=Decimal("100.00"), text="x" * 250),
)
COMMAND = PostVoucher(
    command_id="c1", app_id="a", record_id="Invoice:1", document_type=DocumentType.INVOICE, account_id="A1",
    reference="INV1-ABC", fingerprint="f", document_offset=7, company="10", voucher_type="M",
    voucher_date=date(2026, 7, 3), rate_date=date(2026, 7, 2), user_group="INT", text="INV1",
    currency="USD", currency_type="1", rows=ROWS, rest_row=1,
)  # fmt: skip
RATE = Rate(Decimal("0.91371"))


def test_header_and_rows_carry_what_ifs_names_so() -> None:
    rows = convert(ROWS, 1, RATE, 2)
    body = voucher_body(COMMAND, rows, rate=RATE.rate, conversion_factor=Decimal(1), rows_property="Rows")

    assert body == {
        "Company": "10",
        "VoucherType": "M",
        "VoucherDate": "2026-07-03",
        "VoucherText2": "INV1-ABC",
        "UserGroup": "INT",
        "Rows": [
            {
                "Account": "1510",
                "CodeB": "100",
                "CodeC": "P1",
                "CurrencyCode": "USD",
                "CurrencyType": "1",
                "CurrencyRate": Decimal("0.91371"),
                "ConversionFactor": Decimal(1),
                "CurrencyDebetAmount": Decimal("100.00"),
                "DebetAmount": Decimal("91.37"),
                "Text": "INV1 receivable",
                "ReferenceSerie": "ZUORA",
                "ReferenceNumber": "INV1-ABC",
            },
            {
                "Account": "3010",
                "CurrencyCode": "USD",
                "CurrencyType": "1",
                "CurrencyRate": Decimal("0.91371"),
                "ConversionFactor": Decimal(1),
                "CurrencyCreditAmount": Decimal("100.00"),
                "CreditAmount": Decimal("91.37"),
                "Text": "x" * 200,
                "ReferenceSerie": "ZUORA",
                "ReferenceNumber": "INV1-ABC",
            },
        ],
    }


def test_amounts_keep_every_digit_on_the_wire() -> None:
    large = Decimal("12345678901234567890.10")
    rows = (ROWS[0].model_copy(update={"debit": large, "company_debit": large}),)
    body = voucher_body(COMMAND, rows, rate=Decimal("1E+2"), conversion_factor=Decimal(1), rows_property="Rows")

    assert b'"CurrencyDebetAmount":12345678901234567890.10,' in write_json(body)
    assert b'"CurrencyRate":100,' in write_json(body)


def test_without_a_user_group_ifs_takes_the_service_users_own() -> None:
    command = COMMAND.model_copy(update={"user_group": None})
    assert "UserGroup" not in voucher_body(
        command, convert(ROWS, 1, RATE, 2), rate=RATE.rate, conversion_factor=Decimal(1), rows_property="Rows"
    )


def test_a_row_without_its_company_amount_is_never_sent() -> None:
    with pytest.raises(ValueError, match="row on account 1510 lacks an amount"):
        voucher_body(COMMAND, ROWS, rate=RATE.rate, conversion_factor=Decimal(1), rows_property="Rows")
