"""What is known to be wrong with a voucher before IFS Cloud is asked."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from schemas.vouchers import VoucherRow
from streams.systems.ifs.refusals import (
    ACCOUNT_NOT_ALLOWED,
    ACCOUNT_NOT_VALID,
    CODE_PART,
    PERIOD_NOT_OPEN,
    VOUCHER_TYPE,
    YEAR_MISSING,
    Explanation,
)
from streams.systems.ifs.validation import Account, Facts, Period, Validity, VoucherType, problems
from tests.support.posting import command

DAY = date(2026, 7, 3)
ROW = VoucherRow(account="1510", code_parts={"B": "100"}, debit=Decimal(1), text="INV1 receivable")
GOOD = Facts(
    accounts={"1510": Account(Validity("2020-01-01", "2026-07-03"))},
    code_values={"B": {"100": Validity()}},
    voucher_types={"M": VoucherType("M")},
    periods={DAY: Period(2026, 7, frozenset({"INT"}))},
)


def told(facts: Facts = GOOD, rows: tuple[VoucherRow, ...] = (ROW,), **changes: Any) -> list[tuple[Explanation, str]]:
    found = problems(command(rows=rows, voucher_date=DAY, **changes), facts)
    return [(problem.explanation, problem.words) for problem in found]


def facts(**changes: Any) -> Facts:
    return Facts(**{name: changes.get(name, getattr(GOOD, name)) for name in Facts.__dataclass_fields__})


def test_a_voucher_that_names_only_what_exists_has_no_problem() -> None:
    assert told() == []


def test_what_is_not_known_is_no_problem() -> None:
    assert told(Facts()) == []


@pytest.mark.parametrize(
    ("account", "explanation", "words"),
    [
        (None, ACCOUNT_NOT_VALID, "account 1510 does not exist in company 10"),
        (
            Account(Validity("2020-01-01", "2026-07-02")),
            ACCOUNT_NOT_VALID,
            "account 1510 is not valid on 2026-07-03 (valid 2020-01-01 to 2026-07-02)",
        ),
        (
            Account(Validity("2026-07-04")),
            ACCOUNT_NOT_VALID,
            "account 1510 is not valid on 2026-07-03 (valid 2026-07-04 to for ever)",
        ),
        (
            Account(is_ledger=True),
            ACCOUNT_NOT_ALLOWED,
            "account 1510 is a ledger account of company 10, which takes no manual vouchers",
        ),
        (
            Account(demanded=frozenset("BC")),
            CODE_PART,
            "account 1510 demands code part C, and the row has none: INV1 receivable",
        ),
        (
            Account(blocked=frozenset("BC")),
            CODE_PART,
            "account 1510 takes no code part B, and the row has one: INV1 receivable",
        ),
    ],
    ids=["unknown", "expired", "not yet valid", "ledger", "demanded", "blocked"],
)
def test_an_account_is_named_with_what_is_wrong_with_it(
    account: Account | None, explanation: Explanation, words: str
) -> None:
    assert told(facts(accounts={"1510": account} if account else {})) == [(explanation, words)]


def test_a_code_part_is_named_with_its_value() -> None:
    assert told(facts(code_values={"B": {}})) == [(CODE_PART, "code part B has no value 100 in company 10")]
    assert told(facts(code_values={"B": {"100": Validity("", "2025-12-31")}})) == [
        (CODE_PART, "value 100 of code part B is not valid on 2026-07-03 (valid from ever to 2025-12-31)")
    ]
    assert told(facts(code_values={})) == []  # not known


@pytest.mark.parametrize(
    ("types", "words"),
    [
        ({}, "voucher type M does not exist in company 10"),
        ({"M": VoucherType("F")}, "voucher type M has function group F; manual vouchers need M, K or Q"),
    ],
)
def test_a_voucher_type_is_named(types: dict[str, VoucherType], words: str) -> None:
    assert told(facts(voucher_types=types)) == [(VOUCHER_TYPE, words)]


def test_a_voucher_type_whose_function_group_is_not_shown_is_no_problem() -> None:
    assert told(facts(voucher_types={"M": VoucherType(None)})) == []


def test_a_period_is_named_with_the_group_that_it_is_not_open_for() -> None:
    closed = facts(periods={DAY: Period(2026, 7, frozenset({"AC"}))})
    assert told(closed) == [(PERIOD_NOT_OPEN, "period 2026-07 is not open for user group INT in company 10")]
    assert told(closed, user_group=None) == []  # IFS takes the service user's own group, which is not known here
    shut = facts(periods={DAY: Period(2026, 7, frozenset())})
    assert told(shut, user_group=None) == [
        (PERIOD_NOT_OPEN, "period 2026-07 is not open for any user group in company 10")
    ]
    assert told(facts(periods={})) == [(YEAR_MISSING, "no accounting period of company 10 has 2026-07-03")]


def test_all_problems_are_told_each_once_and_accounts_first() -> None:
    rows = (ROW, ROW.model_copy(update={"account": "0000", "code_parts": {}}), ROW)
    found = told(facts(accounts={}, periods={}), rows)
    assert [words for _, words in found] == [
        "account 1510 does not exist in company 10",
        "account 0000 does not exist in company 10",
        "no accounting period of company 10 has 2026-07-03",
    ]
