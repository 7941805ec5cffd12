"""Where a voucher is in IFS Cloud: created is not approved, and approved is not in the general ledger."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from streams.settings import IfsSettings
from streams.systems.ifs.client import IfsClient, LookUpRefusedError, Place
from streams.systems.ifs.service import budget_of, connected, token_source
from tests.support.posting import Desk, command, open_desk, the_posted

WAYS = ("voucher-set", "entry-assistant")


@pytest.fixture(params=WAYS)
async def desk(request: pytest.FixtureRequest) -> AsyncIterator[Desk]:
    async with open_desk(posting=request.param) as opened:
        yield opened


@asynccontextmanager
async def client_of(desk: Desk) -> AsyncIterator[IfsClient]:
    settings = IfsSettings(**desk.settings)
    async with connected(settings, token_source(settings), budget_of(settings)) as service:
        yield IfsClient(service, settings)


async def test_created_approved_and_in_the_general_ledger_are_told_apart(desk: Desk) -> None:
    desk.sandbox.settings.voucher_status = "AwaitingApproval"
    posted = the_posted(await desk.post(command()))
    [voucher] = desk.vouchers()
    async with client_of(desk) as client:
        waiting = await client.where_is("10", posted.reference)
        voucher.header["VoucherStatus"] = "Approved"
        approved = await client.where_is("10", posted.reference)
        desk.sandbox.ledger.update_general_ledger()
        settled = await client.where_is("10", posted.reference)

    assert [where.place for where in (waiting, approved, settled)] == [
        Place.HOLD_TABLE, Place.HOLD_TABLE, Place.GENERAL_LEDGER,
    ]  # fmt: skip
    assert all(where.found and where.found.number.voucher_no == posted.voucher_no for where in (waiting, settled))
    assert [where.found and where.found.status for where in (waiting, approved)] == ["AwaitingApproval", "Approved"]


async def test_why_the_general_ledger_did_not_take_it_is_told_in_ifs_words(desk: Desk) -> None:
    posted = the_posted(await desk.post(command()))
    desk.vouchers()[0].header |= {"VoucherStatus": "Error", "UpdateError": "The period is closed"}
    async with client_of(desk) as client:
        found = (await client.where_is("10", posted.reference)).found
    assert found
    assert (found.status, found.update_error) == ("Error", "The period is closed")


async def test_a_voucher_whose_text_a_person_changed_is_found_by_its_rows(desk: Desk) -> None:
    posted = the_posted(await desk.post(command()))
    desk.vouchers()[0].header["VoucherText2"] = "see Maria"
    async with client_of(desk) as client:
        assert (await client.where_is("10", posted.reference)).place is Place.HOLD_TABLE


async def test_what_is_nowhere_is_so_only_in_a_company_that_can_be_seen(desk: Desk) -> None:
    async with client_of(desk) as client:
        assert (await client.where_is("10", "INV9-NEVER")).place is Place.NOWHERE
        desk.sandbox.companies["10"].visible = False
        with pytest.raises(LookUpRefusedError, match="may not see it"):
            await client.where_is("10", "INV9-NEVER")


async def test_a_set_without_a_tag_is_good_enough_to_look() -> None:
    async with open_desk() as desk:
        desk.fault("status", method="GET", status=200, body='{"value": []}', times=2)
        async with client_of(desk) as client:
            assert (await client.where_is("10", "INV9-NEVER")).place is Place.NOWHERE
