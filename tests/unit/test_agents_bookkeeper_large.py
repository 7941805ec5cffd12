"""Documents with very many items: what is told of them fits into its topics."""

from agents.runtime import Event
from schemas.base import Status
from schemas.notifications import DocumentCaptured
from schemas.topics import AUDIT, CHART_COPY, DEAD_LETTER
from schemas.vouchers import PostVoucher
from streams.log.producer import record_bytes
from tests.support.bookkeeping import DOCUMENTS, MAPPINGS, World, account, capture, invoice, product
from tests.support.ledger import NAMES

DEAD_LETTERS = NAMES.public(DEAD_LETTER)

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


async def test_a_mapping_that_would_not_fit_into_what_is_made_of_it_is_parked_and_later_ones_count() -> None:
    world = World()
    given = world.say(MAPPINGS, "A", account("A"))
    padded = (given.value or b"") + b" " * (USUAL_TOPIC_BYTES + 20_000)  # its topic takes it, the table's would not
    world.log.append(MAPPINGS, key=b"A", value=padded, headers=given.headers.items())
    chart = world.say(MAPPINGS, "10", product("SKU"))
    headers = {**chart.headers, "comment": b"x" * USUAL_TOPIC_BYTES}
    world.log.append(MAPPINGS, key=b"10", value=chart.value, headers=headers.items())
    await world.settle()

    reasons = [letter.headers["dlq.reason"] for letter in world.log.all(DEAD_LETTERS)]
    assert len(reasons) == 2
    assert {bytes(reason)[:19] for reason in reasons} == {b"a mapping of more t"}
    assert all(_bytes_of(copy) < USUAL_TOPIC_BYTES for copy in world.log.all(NAMES.working(CHART_COPY)))
    assert _largest_entry(world) < USUAL_TOPIC_BYTES


async def test_new_state_from_the_log_passes_over_a_mapping_that_is_too_large() -> None:
    world = World()
    given = world.say(MAPPINGS, "A", account("A"))
    padded = (given.value or b"") + b" " * (USUAL_TOPIC_BYTES + 20_000)
    world.log.append(MAPPINGS, key=b"A", value=padded, headers=given.headers.items())

    await world.start()

    assert 0 < _largest_entry(world) < USUAL_TOPIC_BYTES


async def test_an_id_or_a_trace_of_any_length_is_carried_into_no_state_and_no_step() -> None:
    world = World()
    long = b"x" * USUAL_TOPIC_BYTES
    world.say(MAPPINGS, "A", account("A"))
    given = invoice(1, "A")
    captured = world.say(DOCUMENTS, "A", given)
    world.log.topics[DOCUMENTS].clear()
    headers = {**captured.headers, "ce_id": long, "traceparent": long}
    world.log.append(DOCUMENTS, key=captured.key, value=captured.value, headers=headers.items())
    await world.settle()

    assert world.history("Invoice:inv-1")
    assert all(_bytes_of(step) < 10_000 for step in world.log.all(NAMES.public(AUDIT)))
    assert 0 < _largest_entry(world) < 10_000


def _bytes_of(event: Event) -> int:
    return record_bytes(event.key, event.value, event.headers.items())


def _largest_entry(world: World) -> int:
    return max([len(value) for table in world.tables for state in table.states.values() for value in state.values()])


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
