"""A document that becomes one that accounting cannot read while a voucher of it is on its way."""

from schemas.base import Status
from tests.support.bookkeeping import World, after, capture, invoice, mapped_world, unreadable

INVOICE = "Invoice:inv-1"


async def sent_and_then_unreadable(*between: str, is_refused: bool) -> World:
    """An invoice is sent; as these amounts, and then as none, it comes before IFS answers that one voucher."""
    world = await mapped_world()
    world.refuse.update({"10"} if is_refused else ())
    world.hold_answers()
    await after(world, invoice(1, "A"), *(invoice(1, "A", amount=amount) for amount in between))
    await after(world, unreadable(invoice(1, "A")))
    world.answer_one()
    world.refuse.clear()
    world.answer()
    await world.settle()
    return world


async def test_a_state_that_waited_is_not_posted_once_the_one_after_it_cannot_be_read() -> None:
    world = await sent_and_then_unreadable("80.00", is_refused=True)
    assert world.status(INVOICE) is Status.FAILED
    assert len(world.commands()) == 1
    assert world.net() == {}


async def test_what_became_unreadable_before_its_voucher_was_refused_is_failed_here_and_in_new_state() -> None:
    world = await sent_and_then_unreadable(is_refused=True)
    assert world.status(INVOICE) is Status.FAILED
    await world.start_anew()
    await world.settle()
    assert world.status(INVOICE) is Status.FAILED


async def test_what_became_unreadable_before_its_voucher_was_posted_is_posted_here_and_in_new_state() -> None:
    world = await sent_and_then_unreadable("80.00", is_refused=False)
    assert world.status(INVOICE) is Status.POSTED
    await world.start_anew()
    await world.settle()
    assert world.status(INVOICE) is Status.POSTED


async def test_what_became_unreadable_is_posted_as_it_is_when_it_can_be_read_again() -> None:
    world = await sent_and_then_unreadable("80.00", is_refused=True)
    capture(world, invoice(1, "A", amount="70.00"))
    await world.settle()
    assert world.status(INVOICE) is Status.POSTED
    assert world.net() == {"1510": 70, "3010": -70}
