"""Four eyes in the console: the words for a change, who may decide, and what a form of another site gets."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock

import pytest

from agents.console import change_words, feed, proposals
from agents.console.change_words import Line
from schemas.base import DocumentType
from schemas.mappings import AccountMappingRemoved, AccountMappingSet, ChartRuleSet, CompanySet, PostingRuleSet
from schemas.topics import MAPPING
from streams.log.reader import Bounds
from streams.proposal_views import ProposedItem, Set
from streams.proposals import ProposalBook, propose
from streams.views.mappings import MappingEvent
from tests.support.console_app import console_app, form_token, sign_in

WHO: dict[str, Any] = {"actor": "anna", "at": datetime(2026, 3, 1, 12, tzinfo=UTC)}
ACCOUNT = AccountMappingSet(**WHO, account_id="8ad0", company="10", gl_account="1510", code_parts={"B": "100"})
TOKENS = "anna:mapper:annas-token,vera:viewer:veras-token"
APPROVE = "/api/proposals/p1/approve"


def item(before: Set | None, after: Set | None) -> ProposedItem:
    return ProposedItem(key="key", kind="kind", before=before, after=after)


def test_a_change_is_told_line_by_line_beside_what_holds() -> None:
    moved = ACCOUNT.model_copy(update={"gl_account": "1520", "code_parts": {"C": "7"}, "comment": "new chart"})

    assert change_words.lines(item(ACCOUNT, moved)) == [
        Line("Company", "10", "10"),
        Line("GL account", "1510", "1520"),
        Line("Cost centre", "100", ""),
        Line("Code part C", "", "7"),
        Line("Comment", "", "new chart"),
    ]
    assert change_words.lines(item(ACCOUNT, None))[1] == Line("GL account", "1510", "")


@pytest.mark.parametrize(
    ("event", "title", "first"),
    [
        (AccountMappingRemoved(**WHO, account_id="8ad0"), "Customer account 8ad0", None),
        (
            ChartRuleSet(**WHO, company="10", kind="product", match_on="sku", match_value="ANL", gl_account="3010"),
            "Product SKU ANL, company 10",
            Line("GL account", "", "3010"),
        ),
        (
            ChartRuleSet(**WHO, company="10", kind="cash", currency="EUR", gateway="GW1", gl_account="1930"),
            "Cash account EUR gateway GW1, company 10",
            Line("GL account", "", "1930"),
        ),
        (
            PostingRuleSet(**WHO, company="*", document_type=DocumentType.REFUND, post=False),
            "Posting of documents: Refund, every company",
            Line("Posts", "", "no"),
        ),
        (CompanySet(**WHO, company="10", voucher_type="Z"), "Company 10", Line("Voucher type", "", "Z")),
    ],
)
def test_every_kind_of_change_has_words(event: MappingEvent, title: str, first: Line | None) -> None:
    assert change_words.title(event) == title
    after = None if isinstance(event, AccountMappingRemoved) else event
    assert isinstance(after, Set | None)
    assert next(iter(change_words.lines(item(None, after))), None) == first


async def test_who_only_looks_decides_nothing(tmp_path: Path) -> None:
    async with console_app(tmp_path, tokens=TOKENS, token="veras-token") as console:
        for path in (APPROVE, "/api/proposals/p1/refuse", "/proposals/p1/approve", "/proposals/p1/refuse"):
            async with console.post(path, json={}) as answer:
                assert answer.status == 403, path


async def test_nobody_approves_where_nobody_signs_in(tmp_path: Path) -> None:
    async with (
        console_app(tmp_path, host="127.0.0.1") as console,
        console.post(APPROVE, json={}, headers={"Sec-Fetch-Site": "same-origin"}) as answer,
    ):
        assert answer.status == 403
        assert (await answer.json())["error"] == "this needs the role mapper, local is viewer"


async def test_a_form_that_the_console_did_not_give_decides_nothing(tmp_path: Path) -> None:
    async with console_app(tmp_path, tokens=TOKENS) as console:
        await sign_in(console, "annas-token")
        own = {"Sec-Fetch-Site": "same-origin"}
        async with console.post("/proposals/p1/approve", data={"form": "guess"}, headers=own) as answer:
            assert answer.status == 403
        form = {"form": await form_token(console, "/")}
        other = {"Sec-Fetch-Site": "cross-site"}
        async with console.post("/proposals/p1/approve", data=form, headers=other) as answer:
            assert answer.status == 403
        async with console.post("/proposals/p1/approve", data=form, headers=own) as answer:
            assert answer.status == 503  # it goes on to Kafka, which is not there


async def test_nothing_is_approved_while_the_read_model_is_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = ProposalBook()
    (proposed,) = propose([ACCOUNT], {}, actor="bert", at=WHO["at"])
    book.apply(proposed)
    one_more_than_read = Bounds("cluster", {(MAPPING, 0): 0}, {(MAPPING, 0): 2})
    monkeypatch.setattr(proposals, "read_proposals", AsyncMock(return_value=book))
    monkeypatch.setattr(proposals, "log_bounds", AsyncMock(return_value=one_more_than_read))
    monkeypatch.setattr(feed, "CATCH_UP_SECONDS", 0.0)

    async with (
        console_app(tmp_path, mappings=[ACCOUNT], tokens=TOKENS, token="annas-token") as console,
        console.post(f"/api/proposals/{proposed.proposal}/approve", json={}) as answer,
    ):
        assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
        assert "has not read all mappings yet" in (await answer.json())["error"]
