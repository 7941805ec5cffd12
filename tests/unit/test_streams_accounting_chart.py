"""A chart is a fold over the events of the mapping topic, of which only the newest of each key counts."""

from typing import Any

import pytest

from schemas.base import Model
from schemas.mappings import ChartRuleSet, CompanySet
from schemas.requests import PostingPaused
from streams.accounting.chart import NOBODYS, CompanyTerms, DictChart, Mapped, Rule, entry_of, posting_rule
from tests.support.company_10 import (
    CHANGE,
    NOW,
    account,
    cash,
    company,
    no_account,
    no_rule,
    product,
    rounding,
    rule,
    tax,
    unapplied,
    without,
)


@pytest.mark.parametrize(
    ("event", "key", "entry"),
    [
        (account(to="1510/100"), "account/A1", Mapped(7, "1510", {"B": "100"}, company="10")),
        (product("ANL", "3010/200"), "10/product/sku/ANL", Mapped(7, "3010", {"B": "200"})),
        (product("ANL", "3010", deferred="2970"), "10/product/sku/ANL", Mapped(7, "3010", deferred_account="2970")),
        (tax("VAT25", "2610"), "10/tax/VAT25", Mapped(7, "2610")),
        (cash("EUR", "1935", "GW1"), "10/cash/EUR/GW1", Mapped(7, "1935")),
        (cash("EUR", "1930"), "10/cash/EUR/", Mapped(7, "1930")),
        (unapplied("2420"), "10/unapplied", Mapped(7, "2420")),
        (rounding("3740"), "10/rounding", Mapped(7, "3740")),
        (rule("Payment", external=True), "10/rule/Payment", Rule(7, post=True, external=True)),
        (rule("Refund", company="*"), "*/rule/Refund", Rule(7, post=True)),
        (company(voucher_type="Z"), "10/company", CompanyTerms(7, voucher_type="Z")),
        (no_account(), "account/A1", None),
        (no_rule("Payment"), "10/rule/Payment", None),
        (without("tax", "VAT25"), "10/tax/VAT25", None),
    ],
)
def test_every_event_of_the_topic_sets_or_removes_the_entry_under_its_key(event: Model, key: str, entry: Any) -> None:
    chart = DictChart([event], first_version=7)

    assert entry_of(event, 7) == entry
    assert chart.entries == ({key: entry} if entry else {})


def test_what_is_no_mapping_is_refused() -> None:
    with pytest.raises(TypeError, match="PostingPaused is no mapping or rule"):
        entry_of(PostingPaused(company="10", actor="eva", at=NOW, reason="audit"), 1)


def test_an_older_or_the_same_version_changes_nothing_also_after_a_removal() -> None:
    chart = DictChart()
    chart.apply(tax("VAT25", "2610"), 5)
    chart.apply(tax("VAT25", "2699"), 5)
    chart.apply(tax("VAT25", "2698"), 4)
    assert chart.mapped("10/tax/VAT25") == Mapped(5, "2610")

    chart.apply(without("tax", "VAT25"), 6)
    chart.apply(tax("VAT25", "2697"), 5)
    assert chart.mapped("10/tax/VAT25") is None

    chart.apply(tax("VAT25", "2611"), 7)
    assert chart.mapped("10/tax/VAT25") == Mapped(7, "2611")


def test_a_key_of_one_kind_is_not_read_as_another() -> None:
    chart = DictChart([account(), rule("Invoice"), CompanySet(**CHANGE, company="10")])

    assert chart.rule("account/A1") is None
    assert chart.mapped("10/rule/Invoice") is None
    assert chart.company("10/rule/Invoice") is None
    assert chart.mapped("10/company") is None


@pytest.mark.parametrize(
    ("events", "company", "found"),
    [
        ([rule("Refund", company="*"), rule("Refund", post=False)], "10", ("10/rule/Refund", Rule(2, post=False))),
        ([rule("Refund", company="*"), rule("Refund", post=False)], "20", ("*/rule/Refund", Rule(1, post=True))),
        ([rule("Refund", company="*"), rule("Refund", post=False)], None, ("*/rule/Refund", Rule(1, post=True))),
        ([], "10", ("*/rule/Refund", Rule(NOBODYS, post=False))),
    ],
)
def test_a_companys_own_rule_replaces_that_of_all_and_that_the_default(
    events: list[Model], company: str | None, found: tuple[str, Rule]
) -> None:
    refund = rule("Refund").document_type

    assert posting_rule(DictChart(events), refund, company) == found


def test_code_parts_are_kept_as_they_were_set() -> None:
    event = ChartRuleSet(**CHANGE, company="10", kind="unapplied", gl_account="2420", code_parts={"C": "7", "B": "1"})

    assert DictChart([event]).mapped("10/unapplied") == Mapped(1, "2420", {"B": "1", "C": "7"})
