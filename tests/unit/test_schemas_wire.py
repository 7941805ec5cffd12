"""What stands on the wire, and what does not: the public contract of rows and gaps."""

import json

import pytest

from schemas.audit import Gap
from schemas.base import Amount, Model
from schemas.envelope import decode, encode, encode_assembled
from schemas.vouchers import VoucherRow


@pytest.mark.parametrize("written", [encode, encode_assembled])
class TestEmptyFieldsThatAreLeftOut:
    def test_a_row_has_the_one_side_that_it_is_on(self, written: object) -> None:
        row = VoucherRow(account="1510", code_parts={"B": "100"}, debit="1190.00", text="INV-1 receivable")
        assert callable(written)
        assert json.loads(written(row)) == {
            "account": "1510",
            "codeParts": {"B": "100"},
            "debit": "1190.00",
            "text": "INV-1 receivable",
        }

    def test_a_row_has_its_company_amount_once_it_is_known(self, written: object) -> None:
        row = VoucherRow(account="3010", credit="100.00", company_credit="90.00", text="INV-1 revenue")
        assert callable(written)
        assert json.loads(written(row)) == {
            "account": "3010",
            "codeParts": {},
            "credit": "100.00",
            "companyCredit": "90.00",
            "text": "INV-1 revenue",
        }

    def test_a_gap_names_only_what_its_kind_has(self, written: object) -> None:
        assert callable(written)
        assert json.loads(written(Gap(kind="rounding", company="10"))) == {"kind": "rounding", "company": "10"}
        assert json.loads(written(Gap(kind="product", company="10", match_on="sku", key="SKU-7"))) == {
            "kind": "product",
            "company": "10",
            "matchOn": "sku",
            "key": "SKU-7",
        }


def test_rows_that_name_an_empty_side_are_read_too() -> None:
    """Events are kept for ever, and earlier ones wrote both sides."""
    earlier = b'{"account":"1510","codeParts":{},"debit":"1.00","credit":null,"companyDebit":null,"text":"x"}'

    assert decode(VoucherRow, earlier) == VoucherRow(account="1510", debit="1.00", text="x")


def test_other_empty_fields_stay_so_that_a_reader_sees_that_there_is_nothing() -> None:
    class Event(Model):
        amount: Amount | None = None

    assert json.loads(encode(Event())) == {"amount": None}
