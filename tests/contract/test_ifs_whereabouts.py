"""Where a record's vouchers are in IFS, asked of the sandbox."""

from collections.abc import Sequence

from schemas.vouchers import VoucherPosted
from streams.settings import IfsSettings
from streams.systems.ifs.client import IfsClient
from streams.systems.ifs.service import budget_of, connected, token_source
from streams.systems.ifs.whereabouts import MOST_LOOKED_UP, VoucherPlace, places_of
from tests.support.posting import Desk, command, open_desk, the_posted


async def places(desk: Desk, posted: Sequence[VoucherPosted]) -> list[VoucherPlace]:
    ifs = IfsSettings(**desk.settings)
    async with connected(ifs, token_source(ifs), budget_of(ifs)) as service:
        return await places_of(IfsClient(service, ifs), posted)


async def test_a_voucher_is_followed_from_the_hold_table_into_the_general_ledger() -> None:
    async with open_desk() as desk:
        posted = the_posted(await desk.post(command()))
        [held] = await places(desk, [posted])
        for voucher in desk.vouchers():
            voucher.header["VoucherStatus"] = "Approved"
        desk.sandbox.ledger.update_general_ledger(None)
        [moved] = await places(desk, [posted])

    assert (held.reference, held.place) == (posted.reference, "hold table")
    assert held.status
    assert moved.place == "general ledger"
    assert held.voucher == moved.voucher
    assert moved.voucher
    assert moved.voucher.voucher_no == posted.voucher_no


async def test_a_voucher_that_is_not_there_any_more_is_nowhere() -> None:
    async with open_desk() as desk:
        posted = the_posted(await desk.post(command()))
        [gone] = await places(desk, [posted.model_copy(update={"reference": "INV1-DELETED"})])

    assert (gone.place, gone.voucher) == ("nowhere", None)


async def test_rehearsals_and_what_is_long_ago_are_not_looked_for() -> None:
    async with open_desk() as desk:
        posted = the_posted(await desk.post(command()))
        rehearsed = posted.model_copy(update={"shadow": True, "reference": "SHADOW"})
        many = [posted.model_copy(update={"reference": f"INV1-{number}"}) for number in range(MOST_LOOKED_UP + 2)]
        found = await places(desk, [*many, rehearsed])

    assert [one.reference for one in found] == [f"INV1-{number}" for number in range(2, MOST_LOOKED_UP + 2)]
