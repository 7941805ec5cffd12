"""The generated data is believable: the same for a seed, adding up, and covered by the mappings."""

import csv
import datetime as dt
import io
from decimal import Decimal
from typing import Any

import pytest

from deploy.sandbox.exact import rounded
from deploy.sandbox.ifs.defaults import companies
from deploy.sandbox.mappings import COMPANIES, company_of, mapping_rows, without, write_csv
from deploy.sandbox.zuora import invoices
from deploy.sandbox.zuora.settings import ZuoraSettings
from deploy.sandbox.zuora.state import ZuoraSandbox
from deploy.sandbox.zuora.store import Record


def filled(seed: int, count: int = 150) -> ZuoraSandbox:
    sandbox = ZuoraSandbox(ZuoraSettings(seed=seed, accounts=25, business_date=dt.date(2026, 3, 1)))
    for _ in range(count):
        record = sandbox.generator.invoice(sandbox.generator.any_account())
        invoices.post(sandbox.store, record)
        sandbox.generator.payment(sandbox.store.account_of(record), record)
    return sandbox


def of_kind(sandbox: ZuoraSandbox, kind: str) -> list[Record]:
    return [record for record in sandbox.store.records.values() if record.kind == kind]


def test_the_same_seed_gives_the_same_data_and_another_seed_other_data() -> None:
    def digest(sandbox: ZuoraSandbox) -> list[Any]:
        return [(record.key, record.number, record.document.get("amount")) for record in sandbox.store.records.values()]

    assert digest(filled(7, 20)) == digest(filled(7, 20))
    assert digest(filled(7, 20)) != digest(filled(8, 20))


def test_every_invoice_is_the_sum_of_its_nets_and_taxes() -> None:
    for record in of_kind(filled(1), "Invoice"):
        currency = record.document["currency"]
        net = sum((item["chargeAmount"] for item in record.items), Decimal(0))
        tax = sum((each["taxAmount"] for item in record.items for each in item["taxationItems"]), Decimal(0))

        assert record.document["amount"] == net + tax
        assert record.document["taxAmount"] == tax
        assert rounded(record.document["amount"], currency) == record.document["amount"]


def test_taxes_round_half_up() -> None:
    for record in of_kind(filled(2), "Invoice"):
        for item in record.items:
            for tax in item["taxationItems"]:
                exact = item["chargeAmount"] * tax["taxRate"]
                assert tax["taxAmount"] == rounded(exact, record.document["currency"])


def test_the_data_has_the_variety_that_makes_it_useful() -> None:
    sandbox = filled(3)
    made = of_kind(sandbox, "Invoice")
    items = [item for record in made for item in record.items]

    assert {"EUR", "SEK", "USD", "JPY"} <= {record.document["currency"] for record in made}
    assert max(len(record.items) for record in made) > 40
    assert any(item["processingType"] == "Discount" and item["chargeAmount"] < 0 for item in items)
    assert any(item["deferredRevenueAccountingCode"] for item in items)
    assert any(len(item["taxationItems"]) == 2 for item in items)
    assert {record.document["type"] for record in of_kind(sandbox, "Payment")} == {"Electronic", "External"}


def test_balances_of_accounts_are_those_of_their_documents() -> None:
    sandbox = filled(4)
    for account in of_kind(sandbox, "Account"):
        own = [record for record in of_kind(sandbox, "Invoice") if record.document["accountId"] == account.key]
        paid = [record for record in of_kind(sandbox, "Payment") if record.document["accountId"] == account.key]
        metrics = account.document["metrics"]

        assert metrics["totalInvoiceBalance"] == sum((record.document["balance"] for record in own), Decimal(0))
        assert metrics["unappliedPaymentAmount"] == sum((each.document["unappliedAmount"] for each in paid), Decimal(0))


def test_the_mappings_cover_everything_generated_with_accounts_that_ifs_has() -> None:
    sandbox = filled(5)
    accounts = [record.document for record in of_kind(sandbox, "Account")]
    rows = list(csv.DictReader(io.StringIO(write_csv(mapping_rows(accounts)))))
    have = {(row["kind"], row["company"], row["match_on"] or row["currency"], row["match_value"]) for row in rows}
    ledgers = companies("BILLCONN")

    for record in of_kind(sandbox, "Invoice"):
        company = company_of(sandbox.store.account_of(record).document)
        assert ledgers[company].knows_currency(record.document["currency"])
        for item in record.items:
            matched = ("sku", item["sku"]) if item["sku"] else ("product_name", item["productName"])
            assert ("product", company, *matched) in have
            assert all(("tax", company, "", tax["taxCode"]) in have for tax in item["taxationItems"])
    for row in rows:
        chart = ledgers[row["company"]]
        assert row["gl_account"] in chart.accounts
        assert not chart.accounts[row["gl_account"]].ledger
        assert not row["cost_center"] or row["cost_center"] in chart.code_parts["B"]
        assert not row["deferred_account"] or row["deferred_account"] in chart.accounts


def test_a_mapping_can_be_left_out_and_a_wrong_name_is_refused() -> None:
    accounts = [record.document for record in of_kind(filled(6, 0), "Account")]
    rows = mapping_rows(accounts)

    left = without(rows, accounts, ("tax:VAT25", "account:FIRST"))

    assert len(rows) - len(left) == len(COMPANIES) + 1
    assert all(row.get("match_value") != "VAT25" for row in left)
    with pytest.raises(ValueError, match="tax:VAT99 fits no mapping"):
        without(rows, accounts, ("tax:VAT99",))
