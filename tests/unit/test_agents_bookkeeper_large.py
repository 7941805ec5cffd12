"""Documents with very many items: what is told of them fits into its topics."""

from schemas.base import Status
from schemas.notifications import DocumentCaptured
from schemas.vouchers import PostVoucher
from tests.support.bookkeeping import MAPPINGS, World, account, capture, invoice, product

ITEMS = 5_000
"""A quarter of what is fetched of one document at most."""
USUAL_TOPIC_BYTES = 1_000_000


def large_invoice(items: int, sku_length: int = 100) -> DocumentCaptured:
    """An invoice whose items are all of different products."""
    given = invoice(1, "A", amount=f"{items}.00")
    item = given.document["items"][0]
    rows = [{**item, "id": f"item-{n}", "sku": f"{n:0{sku_length}}", "chargeAmount": "1.00"} for n in range(items)]
    return given.model_copy(update={"document": {**given.document, "items": rows}})


async def test_what_is_missing_for_thousands_of_items_is_told_as_far_as_a_step_can_carry_it() -> None:
    world = World()
    world.say(MAPPINGS, "A", account("A"))
    capture(world, large_invoice(ITEMS))
    await world.settle()

    step = world.history("Invoice:inv-1")[-1]
    assert step.status is Status.MAPPING_MISSING
    assert 500 < len(step.missing) < ITEMS
    assert step.note == (f"{ITEMS - len(step.missing)} more mappings are missing; they are told once these are there")
    assert len(step.model_dump_json(by_alias=True)) < USUAL_TOPIC_BYTES


async def test_few_gaps_are_told_whole_and_without_a_note() -> None:
    world = World()
    world.say(MAPPINGS, "A", account("A"))
    capture(world, large_invoice(50))
    await world.settle()

    step = world.history("Invoice:inv-1")[-1]
    assert len(step.missing) == 50
    assert step.note is None


async def test_a_voucher_is_never_larger_than_its_document() -> None:
    world = World()
    world.say(MAPPINGS, "A", account("A"))
    for number in range(100):
        world.say(MAPPINGS, "10", product(f"{number:0100}"))
    await world.settle()
    document = large_invoice(100)
    capture(world, document)
    await world.settle()

    (command,) = world.commands()
    assert isinstance(command, PostVoucher)
    assert len(command.model_dump_json(by_alias=True)) < len(document.model_dump_json(by_alias=True))
    assert world.status("Invoice:inv-1") is Status.POSTED
