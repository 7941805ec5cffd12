"""Changes of mappings: what differs from what holds, what moves an account, the message to the log."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from schemas.errors import UsageError
from schemas.mappings import AccountMappingSet, ChartRuleSet, PostingRuleSet
from streams.accounting.keys import mapping_key
from streams.mapping_changes import change_message, checked, differences, moved_accounts

AT = datetime(2026, 3, 1, tzinfo=UTC)


def account(**fields: Any) -> AccountMappingSet:
    given = {"actor": "maria", "at": AT, "account_id": "A1", "company": "10", "gl_account": "1510"}
    return AccountMappingSet.model_validate(given | fields)


def test_who_and_when_make_no_difference_all_else_does() -> None:
    now = {"account/A1": account(), "account/A2": account(account_id="A2")}

    found = differences(
        [
            account(actor="tom", at=AT + timedelta(days=1)),
            account(account_id="A2", comment="moved"),
            account(account_id="A3"),
        ],
        now,
    )

    assert [mapping_key(event) for event in found.unchanged] == ["account/A1"]
    assert [mapping_key(event) for event in found.changed] == ["account/A2"]
    assert [mapping_key(event) for event in found.new] == ["account/A3"]
    assert found.to_send == [*found.new, *found.changed]


@pytest.mark.parametrize(
    ("change", "moves"),
    [({"company": "20"}, True), ({"gl_account": "1511"}, True), ({"code_parts": {"B": "1"}}, False), ({}, False)],
)
def test_an_account_moves_with_its_company_or_gl_account(change: dict[str, Any], moves: bool) -> None:  # noqa: FBT001
    assert bool(moved_accounts([account(**change)], {"account/A1": account()})) is moves


def test_messages_have_the_key_that_their_readers_expect() -> None:
    rule = ChartRuleSet(actor="maria", at=AT, company="10", kind="rounding", gl_account="3740")

    assert change_message("t", account(), process="cli").key == b"A1"
    assert change_message("t", rule, process="cli").key == b"10"


def test_what_a_person_wrote_wrongly_is_named() -> None:
    with pytest.raises(UsageError, match="company"):
        checked(PostingRuleSet, company="", document_type="Invoice", post=True, actor="maria", at=AT)
