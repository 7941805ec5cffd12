"""The IFS sandbox's voucher entry assistant: a draft counts for nothing until it is created, and then at once."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tests.support.ifs_http import Client, row, signed_in

ASSISTANT = "VoucherEntryAssistantHandling.svc/VoucherSet"
CREATE = "IfsApp.VoucherEntryAssistantHandling.VoucherEntry_CreateVoucher"
HEADER = {"OpennedFrom": "NEW_VOUCHER", "Company": "10", "VoucherDate": "2026-03-01", "VoucherText2": "INV-1"}
ROWS = (
    row("1510", "Debet", 119.00, ReferenceNumber="INV-1", Correction=False, AddInternal=False, IntManualAdded=False),
    row("3010", "Credit", 119.00, ReferenceNumber="INV-1"),
)


@pytest.fixture
async def ifs() -> AsyncIterator[Client]:
    async with signed_in() as client:
        yield client


async def draft_of(ifs: Client, *rows: dict[str, Any], **header: Any) -> dict[str, Any]:
    status, draft = await ifs.send("POST", ASSISTANT, HEADER | header)
    assert status == 201, draft
    for each in rows:
        status, answer = await ifs.send("POST", f"{at(draft)}/VoucherPostingArray", each)
        assert status == 201, answer
    return dict(draft)


def at(draft: dict[str, Any]) -> str:
    return f"{ASSISTANT}(Objkey='{draft['Objkey']}')"


async def test_the_server_derives_what_a_draft_does_not_say(ifs: Client) -> None:
    draft = await draft_of(ifs)
    assert {name: draft[name] for name in ("UserGroup", "VoucherType", "AccountingYear", "AccountingPeriod")} == {
        "UserGroup": "INT", "VoucherType": "M", "AccountingYear": 2026, "AccountingPeriod": 3,
    }  # fmt: skip
    assert (draft["VoucherNo"], draft["VoucherStatus"]) == (0, "Approved")


async def test_a_draft_is_in_no_set_of_vouchers_until_it_is_created(ifs: Client) -> None:
    draft = await draft_of(ifs, *ROWS)
    assert await ifs.control("vouchers?count=true") == {"count": 0}
    assert [len(each["rows"]) for each in await ifs.control("drafts")] == [2]

    status, answer = await ifs.send("POST", f"{at(draft)}/{CREATE}", {})
    assert (status, answer) == (200, {"value": 2026000001})
    for path in ("VouchersAnalysis.svc/VoucherSet?$filter=VoucherText2 eq 'INV-1'",
                 "VoucherRowsAnalysis.svc/VoucherRowSet?$filter=ReferenceNumber eq 'INV-1'&$top=1"):  # fmt: skip
        _, found, _ = await ifs.get(path)
        assert [each["VoucherNo"] for each in found["value"]] == [2026000001]


async def test_a_draft_that_is_created_twice_makes_two_vouchers(ifs: Client) -> None:
    draft = await draft_of(ifs, *ROWS)
    for _ in range(2):
        await ifs.send("POST", f"{at(draft)}/{CREATE}", {})
    assert await ifs.control("vouchers?count=true") == {"count": 2}


@pytest.mark.parametrize("action", ["RemoveTempVoucher", "CleanupVirtualEntity"])
async def test_a_draft_is_gone_once_it_is_cleaned_up(ifs: Client, action: str) -> None:
    draft = await draft_of(ifs, *ROWS)
    path = f"{at(draft)}/IfsApp.VoucherEntryAssistantHandling.VoucherEntry_{action}"

    assert (await ifs.send("POST", path, {}))[0] == 204
    assert (await ifs.send("POST", path, {}))[0] == 404
    assert await ifs.control("drafts") == []


async def test_a_change_needs_the_tag_of_the_draft_or_a_star_and_derives_anew(ifs: Client) -> None:
    draft = await draft_of(ifs)
    changes = {"VoucherType": "Z", "VoucherDate": "2025-11-02"}

    assert (await ifs.send("PATCH", at(draft), changes))[0] == 428
    assert (await ifs.send("PATCH", at(draft), changes, If_Match='W/"old"'))[0] == 412
    status, changed = await ifs.send("PATCH", at(draft), changes, If_Match=draft["@odata.etag"])
    assert (status, changed["VoucherType"], changed["AccountingYear"], changed["AccountingPeriod"]) == (
        200, "Z", 2025, 11,
    )  # fmt: skip
    assert changed["@odata.etag"] != draft["@odata.etag"]
    assert (await ifs.send("PATCH", at(draft), changes, If_Match="*"))[0] == 200


async def test_a_draft_that_does_not_say_that_it_is_new_would_be_a_copy(ifs: Client) -> None:
    status, _ = await ifs.send("POST", ASSISTANT, {"Company": "10", "VoucherDate": "2026-03-01"})
    assert status == 500


@pytest.mark.parametrize(
    ("rows", "key"),
    [
        ((), "Voucher.NOVOUCHERROW"),
        ((ROWS[0],), "Voucher.ACCRULDOUBLEENTRY1"),
        ((row("0000", "Debet", 1), row("3010", "Credit", 1)), "Account.ACCNOTEXIST"),
    ],
)
async def test_a_broken_rule_is_found_when_the_voucher_is_created_and_nothing_is_booked(
    ifs: Client, rows: tuple[dict[str, Any], ...], key: str
) -> None:
    draft = await draft_of(ifs, *rows)
    status, answer = await ifs.send("POST", f"{at(draft)}/{CREATE}", {})
    assert status == 500
    assert key in answer["error"]["details"][0]["message"]
    assert await ifs.control("vouchers?count=true") == {"count": 0}


async def test_a_closed_period_is_refused_as_early_as_the_draft(ifs: Client) -> None:
    await ifs.control("periods", {"company": "10", "year": 2026, "period": 3, "open": False})
    status, answer = await ifs.send("POST", ASSISTANT, HEADER)
    assert status == 500
    assert "UserGroupPeriod.USRGRPPER" in answer["error"]["details"][0]["message"]


@pytest.mark.parametrize("kind", ["commit-then-drop", "commit-then-504"])
async def test_faults_of_booking_strike_when_the_voucher_is_created(ifs: Client, kind: str) -> None:
    await ifs.control("faults", {"kind": kind})
    draft = await draft_of(ifs, *ROWS)
    if kind == "commit-then-drop":
        with pytest.raises(aiohttp.ClientError):
            await ifs.send("POST", f"{at(draft)}/{CREATE}", {})
    else:
        assert (await ifs.send("POST", f"{at(draft)}/{CREATE}", {}))[0] == 504
    assert await ifs.control("vouchers?count=true") == {"count": 1}


async def test_a_row_with_an_unknown_property_is_refused_at_once(ifs: Client) -> None:
    draft = await draft_of(ifs)
    status, answer = await ifs.send("POST", f"{at(draft)}/VoucherPostingArray", {"Account": "1510", "Amont": 1})
    assert (status, answer["error"]["code"]) == (400, "ODP_DESERIALIZATION_ERROR")
