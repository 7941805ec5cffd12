"""Documents and mappings that are valid events and yet absurd: failed, held or parked with a reason, never a crash."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.cli.tables import print_table
from schemas.base import Model, Status
from schemas.errors import UnreadableError
from schemas.mappings import AccountMappingSet, ChartRuleSet
from schemas.notifications import DocumentCaptured
from schemas.vouchers import PostVoucher
from streams.accounting.commands import check_command
from streams.accounting.conversion import Rate, convert
from streams.systems.ifs.odata import by_key, equal, query
from streams.systems.ifs.voucher_json import voucher_body
from tests.support.bookkeeping import DEAD_LETTERS, DOCUMENTS, MAPPINGS, World, invoice, mapped_world
from tests.support.ledger import NOW
from tests.support.posting import ROWS, command

SMALL_BYTES = 100_000
"""What goes into topics and tables because of one absurd event stays far below the megabyte that they take."""
LONG = "x" * 100_000
INVOICE = invoice(1, "A")
ITEM = INVOICE.document["items"][0]


def document(**fields: Any) -> DocumentCaptured:
    return INVOICE.model_copy(update={"document": {**INVOICE.document, **fields}})


def item(**fields: Any) -> DocumentCaptured:
    return document(items=[{**ITEM, **fields}])


def largest_bytes(world: World) -> int:
    """Return the size of the largest record or row that the bookkeeper made."""
    made = [
        event
        for name in world.log.topics
        if name not in (DOCUMENTS, MAPPINGS, DEAD_LETTERS)
        for event in world.log.all(name)
    ]
    rows = [row for table in world.tables for state in table.states.values() for row in state.values()]
    return max(len(value or b"") for value in (*(event.value for event in made), *rows, b""))


ABSURD: dict[str, tuple[DocumentCaptured, str]] = {
    "less than nothing": (document(amount="-100.00"), "does not add up"),
    "10^30": (document(amount="1E+30"), "amount: not an amount of money"),
    "10^17 in an item": (item(chargeAmount="1E+17"), "does not add up"),
    "a billion decimals": (item(chargeAmount="1E-999999999"), "items[0].chargeAmount: not an amount of money"),
    "not a number": (document(amount="NaN"), "amount: not an amount of money"),
    "infinite": (document(amount="Infinity"), "amount: not an amount of money"),
    "a comma": (document(amount="1,234.56"), "amount: not a decimal number"),
    "true": (document(amount=True), "amount: not a decimal number"),
    "a currency that is none": (document(currency="XXX"), "currency: 'XXX' is not a currency"),
    "gold": (document(currency="XAU"), "currency: 'XAU' is not a currency"),
    "a currency of 100 kB": (document(currency=LONG), "currency: longer than 1000 characters"),
    "a currency that is a list": (document(currency=["EUR"]), "currency: not a text"),
    "the 30th of February": (document(invoiceDate="2026-02-30"), "invoiceDate: not a date"),
    "no date": (document(invoiceDate=None), "invoiceDate: missing"),
    "a number of 100 kB": (document(invoiceNumber=LONG), "invoiceNumber: longer than 1000 characters"),
    "an article of 100 kB": (item(sku=LONG), "items[0].sku: longer than 1000 characters"),
    "a tax code of 100 kB": (item(taxAmount="1", taxCode=LONG), "items[0].taxCode: longer than 1000 characters"),
    "a status of 100 kB": (document(status=LONG), "status: longer than 1000 characters"),
    "items that are none": (document(items="x"), "items: not a list of objects"),
    "items of lists": (document(items=[[[[]]]]), "items: not a list of objects"),
    "a draft of 10^30": (
        document(status="Draft", amount=None).model_copy(update={"amount": Decimal("1E+30")}),
        "amount: not an amount of money",
    ),
}


@pytest.mark.parametrize("name", ABSURD)
async def test_an_absurd_document_fails_with_a_reason_and_nothing_is_sent(name: str) -> None:
    absurd, reason = ABSURD[name]
    world = await mapped_world()
    world.say(DOCUMENTS, "A", absurd)
    world.say(DOCUMENTS, "A", invoice(2, "A"))

    await world.settle()

    last = world.history("Invoice:inv-1")[-1]
    assert (last.status, str(last.reason)[: len(reason)]) == (Status.FAILED, reason)
    assert len(str(last.reason)) < 300
    assert [command.record_id for command in world.commands()] == ["Invoice:inv-2"]
    assert largest_bytes(world) < SMALL_BYTES


@pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31"])
async def test_a_document_of_the_first_or_last_day_there_is_goes_on_to_ifs_which_knows_its_periods(day: str) -> None:
    world = await mapped_world()
    world.say(DOCUMENTS, "A", document(invoiceDate=day))
    await world.settle()
    assert [command.voucher_date.isoformat() for command in world.commands()] == [day]


@pytest.mark.parametrize(
    "changes",
    [
        {"document_number": LONG},
        {"account_name": LONG},
        {"account_id": LONG},
        {"currency": LONG},
        {"updated_date": LONG},
    ],
    ids=lambda changes: next(iter(changes)),
)
async def test_a_document_with_words_that_no_record_has_room_for_is_a_dead_letter(changes: dict[str, str]) -> None:
    world = await mapped_world()
    world.say(DOCUMENTS, changes.get("account_id", "A"), INVOICE.model_copy(update=changes))
    world.say(DOCUMENTS, "A", invoice(2, "A"))

    await world.settle()

    assert len(world.log.all(DEAD_LETTERS)) == 1
    assert world.status("Invoice:inv-2") is Status.POSTED
    assert largest_bytes(world) < SMALL_BYTES


async def test_no_control_character_of_a_document_reaches_ifs() -> None:
    world = await mapped_world()
    noisy = "IN\0V\x1b[2J\u202e\n1"
    world.say(DOCUMENTS, "A", document(invoiceNumber=noisy).model_copy(update={"account_name": noisy}))
    await world.settle()

    [sent] = world.commands()
    assert isinstance(sent, PostVoucher)
    body = voucher_body(
        sent,
        convert(sent.rows, sent.rest_row, Rate(Decimal(1)), 2),
        rate=Decimal(1),
        conversion_factor=Decimal(1),
        rows_property="Rows",
    )
    assert all(text.isprintable() for row in body["Rows"] for text in row.values() if isinstance(text, str))
    assert all(text.isprintable() for text in body.values() if isinstance(text, str))


@pytest.mark.parametrize("name", ["a/b", "a\nb", "a\x1fb", "a'b", "../..", "\u202e", " ", "a/Invoice:inv-1"])
async def test_an_account_id_with_any_letters_is_an_account_of_its_own(name: str) -> None:
    world = World()
    world.map("A", AccountMappingSet(account_id="A", company="10", gl_account="1510", actor="eva", at=NOW))
    world.say(DOCUMENTS, name, invoice(1, name))
    await world.settle()

    assert world.history("Invoice:inv-1")[-1].status is Status.MAPPING_MISSING
    assert world.commands() == []


def mapping(**changes: Any) -> dict[str, Any]:
    return {"account_id": "A", "company": "10", "gl_account": "1510", "actor": "eva", "at": NOW} | changes


@pytest.mark.parametrize(
    ("model", "values"),
    [
        (AccountMappingSet, mapping(comment=LONG)),
        (AccountMappingSet, mapping(actor=LONG)),
        (AccountMappingSet, mapping(account_id=LONG)),
        (AccountMappingSet, mapping(company="1" * 21)),
        (AccountMappingSet, mapping(gl_account=" ")),
        (
            ChartRuleSet,
            {k: v for k, v in mapping().items() if k != "account_id"} | {"kind": "tax", "match_value": LONG},
        ),
    ],
    ids=["comment", "actor", "account", "company", "no account", "match value"],
)
async def test_an_absurd_mapping_is_a_dead_letter_and_maps_nothing(model: type[Model], values: dict[str, Any]) -> None:
    world = await mapped_world()
    absurd = model.model_construct(**values)
    world.say(MAPPINGS, str(values.get("account_id", values["company"])), absurd)
    world.say(DOCUMENTS, "A", INVOICE)

    await world.settle()

    assert len(world.log.all(DEAD_LETTERS)) == 1
    assert world.status(INVOICE.record_id) is Status.POSTED
    assert largest_bytes(world) < SMALL_BYTES


SCALAR = st.none() | st.booleans() | st.integers() | st.decimals().map(str) | st.text(max_size=10) | st.just(LONG)
VALUES = st.recursive(
    SCALAR,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
FIELDS = st.sampled_from(["amount", "currency", "status", "invoiceDate", "invoiceNumber", "taxAmount", "items", "sku"])
OF_ITEMS = st.sampled_from(
    ["chargeAmount", "sku", "productName", "taxAmount", "taxCode", "taxationItems", "id", "processingType"]
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(FIELDS, VALUES, max_size=3), st.dictionaries(OF_ITEMS, VALUES, max_size=3))
async def test_whatever_a_document_holds_its_record_has_a_status_and_the_next_one_is_posted(
    fields: dict[str, Any], of_item: dict[str, Any]
) -> None:
    world = await mapped_world()
    world.say(DOCUMENTS, "A", document(**{"items": [{**ITEM, **of_item}], **fields}))
    world.say(DOCUMENTS, "A", invoice(2, "A"))

    await world.settle()

    assert world.history("Invoice:inv-1") or world.log.all(DEAD_LETTERS)
    assert world.status("Invoice:inv-2") is Status.POSTED
    assert largest_bytes(world) < SMALL_BYTES
    for sent in world.commands():
        check_command(sent)


# --- commands ---------------------------------------------------------------------------------------------------------


def rows(**changes: Any) -> tuple[Any, ...]:
    return (ROWS[0].model_copy(update=changes), *ROWS[1:])


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"rows": ()}, "without rows"),
        ({"rows": rows(debit=Decimal("-100.00"))}, "above zero"),
        ({"rows": rows(debit=Decimal(0))}, "above zero"),
        ({"rows": rows(debit=Decimal("1E+30"))}, "above zero, and below"),
        ({"rows": rows(debit=Decimal("100.01"))}, "not equal"),
        ({"rows": rows(credit=Decimal(1))}, "one side"),
        ({"rows": rows(debit=None)}, "one side"),
        ({"rows": rows(account="1510\n")}, "1 to 50 printable characters"),
        ({"rows": rows(account="")}, "1 to 50 printable characters"),
        ({"rows": rows(account=LONG)}, "1 to 50 printable characters"),
        ({"rows": rows(code_parts={"B": "\0"})}, "1 to 50 printable characters"),
        ({"company": "1\r\n0"}, "1 to 50 printable characters"),
        ({"voucher_type": ""}, "1 to 50 printable characters"),
        ({"currency": "XXX"}, "not a currency"),
        ({"currency": LONG}, "not a currency"),
        ({"reference": "INV 1' or 'a' eq 'a"}, "reference"),
        ({"reference": LONG}, "reference"),
        ({"rest_row": 4}, "none of the command's rows"),
        ({"rest_row": -1}, "none of the command's rows"),
    ],
    ids=lambda value: value if isinstance(value, str) else str(value)[:40],
)
def test_a_command_that_no_ledger_could_mean_is_refused_before_ifs_is_asked(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(UnreadableError, match=told) as error:
        check_command(command().model_copy(update=changes))
    assert len(str(error.value)) < 200


def test_the_largest_amount_at_the_largest_rate_is_converted_exactly() -> None:
    most = Decimal("9999999999999999999999.99")
    pair = (
        ROWS[0].model_copy(update={"debit": most}),
        ROWS[1].model_copy(update={"credit": most}),
    )
    converted = convert(pair, 1, Rate(Decimal("1e12")), 2)
    assert converted[0].company_debit == converted[1].company_credit == most * 10**12


@given(st.text(max_size=30))
def test_no_text_leaves_its_place_in_a_query(text: str) -> None:
    written = query(filter=equal("Company", text)) + by_key("Set", Company=text)
    assert written.isascii()
    assert written.isprintable()
    assert not set(written) & set(' "<>\\^`{|}#&')


def test_what_others_wrote_does_not_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["REASON"], [["\x1b[2J\x1b]0;owned\x07\u202ein\nZuora"]])
    told = capsys.readouterr().out
    assert "\x1b" not in told
    assert "\u202e" not in told
    assert len(told.splitlines()) == 2
