"""Whatever happens in Zuora, and whatever crashes here: the ledger's net ends as the last state of each document."""

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import topics
from schemas.base import DocumentType, Status
from schemas.envelope import event_id
from schemas.notifications import DocumentCaptured
from schemas.requests import CorrectionRequested, ReplayRequested
from tests.support.bookkeeping import World, account, capture, card_payment, cash, invoice, product, unapplied
from tests.support.ledger import NAMES, NOW
from tests.support.memos_and_refunds import adjustment, memo, posting, refund

AMOUNTS = ("100.00", "80.00", "0.00", "-15.00")
Change = tuple[str, int, str]

CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("posted"), st.integers(1, 2), st.sampled_from(AMOUNTS)),
        st.tuples(st.just("draft"), st.integers(1, 2), st.sampled_from(AMOUNTS)),
        st.tuples(st.just("gone"), st.integers(1, 2), st.just("")),
        st.tuples(st.just("payment"), st.integers(1, 2), st.sampled_from(("500.00", "350.00", "100.00", "0"))),
        st.tuples(st.just("refund"), st.integers(0, 1), st.sampled_from(("500.00", "200.00"))),
        st.tuples(st.sampled_from(("CreditMemo", "DebitMemo")), st.integers(0, 1), st.sampled_from(AMOUNTS)),
        st.tuples(st.just("adjustment"), st.integers(0, 1), st.sampled_from(("5.00", "-6.00"))),
        st.tuples(st.sampled_from(("shadow", "live")), st.just(0), st.just("")),
        st.tuples(st.just("refuse"), st.just(0), st.just("")),
        st.tuples(st.just("allow"), st.just(0), st.just("")),
        st.tuples(st.just("map"), st.just(0), st.just("")),
        st.tuples(st.just("correct"), st.just(0), st.just("")),
        st.tuples(st.just("replay"), st.just(0), st.just("")),
        st.tuples(st.just("settle"), st.just(0), st.just("")),
    ),
    max_size=25,
)


def document_of(kind: str, number: int, what: str, last: dict[str, DocumentCaptured]) -> DocumentCaptured | None:
    """Return the document of a change; None for what is no change of a document."""
    match kind:
        case "refund":
            return refund(what, status="Processed" if number else "Canceled")
        case "CreditMemo" | "DebitMemo":
            return memo(DocumentType(kind), what, status="Posted" if number else "Draft")
        case "adjustment":
            return adjustment(what, "Charge" if number else "Credit")
    if kind in ("posted", "draft"):
        return invoice(number, "A", amount=what, status="Posted" if kind == "posted" else "Draft")
    if kind == "payment":
        return card_payment(what, name=f"pay-{number}")
    before = last.get(f"Invoice:inv-{number}")
    if kind == "gone" and before is not None:
        return before.model_copy(update={"gone": True, "document": {}})
    return None


def expected(document: DocumentCaptured, *, is_paid: bool) -> dict[str, Decimal]:
    """Return what the ledger should say of a document, per account, without what is zero; refunds follow a payment."""
    amount = document.amount or Decimal(0)
    if document.gone or document.document.get("status") in ("Draft", "Canceled"):
        return {}
    match document.document_type:
        case DocumentType.PAYMENT:
            u = Decimal(document.document["unappliedAmount"])
            net = {"1930": amount, "2420": -u, "1510": u - amount}
        case DocumentType.REFUND:
            net = {"1510": amount, "1930": -amount} if is_paid else {}
        case _:
            is_credit = document.document_type is DocumentType.CREDIT_MEMO or document.document.get("Type") == "Credit"
            net = {"1510": -amount, "3010": amount} if is_credit else {"1510": amount, "3010": -amount}
    return {name: value for name, value in net.items() if value}


def ask_for_all(world: World, records: list[str], status: Status, round_: int) -> bool:
    """Let a person ask for what a status calls for, for every record that has it; False if none has."""
    found = [record for record in records if world.history(record) and world.status(record) is status]
    for record in found:
        seen = world.history(record)[-1]
        shared = {"record_id": record, "account_id": "A", "actor": "eva", "at": NOW, "reason": "as told"}
        wish: CorrectionRequested | ReplayRequested = ReplayRequested(**shared)
        if status is Status.CHANGED_AFTER_POSTING:
            is_gone = seen.reason == "gone from Zuora"
            fingerprint = "" if is_gone else seen.document_fingerprint or ""
            wish = CorrectionRequested(
                **shared, posted_fingerprint=seen.posted_fingerprint or "", document_fingerprint=fingerprint
            )
        world.say(NAMES.public(topics.REQUEST), "A", wish, event_id(record, status, str(round_)))
    return bool(found)


def map_all(world: World) -> None:
    for key, mapping in (("A", account("A")), ("10", product("ANL")), ("10", cash("EUR")), ("10", unapplied())):
        world.map(key, mapping)
    world.map("10", product("3010").model_copy(update={"match_on": "accounting_code"}))
    for document_type in (
        DocumentType.REFUND,
        DocumentType.CREDIT_MEMO,
        DocumentType.DEBIT_MEMO,
        DocumentType.ADJUSTMENT,
    ):
        world.map("*", posting(document_type))


async def meanwhile(world: World, kind: str, records: list[str], number: int) -> None:
    """Do what is no change of a document."""
    if kind == "map":
        map_all(world)
    elif kind in ("refuse", "allow"):
        world.refuse = {"10"} if kind == "refuse" else set()
    elif kind == "correct":
        ask_for_all(world, records, Status.CHANGED_AFTER_POSTING, number)
    elif kind == "replay":
        ask_for_all(world, records, Status.REJECTED, number)
    elif kind == "settle":
        await world.settle()
    elif kind in ("shadow", "live"):
        await world.switch("shadow" if kind == "shadow" else "live")


@settings(max_examples=80, deadline=None)
@given(changes=CHANGES, seed=st.integers(0, 2**16), crash_every=st.sampled_from((0, 30)))
async def test_the_ledgers_net_is_the_last_state_of_every_document(
    changes: list[Change], seed: int, crash_every: int
) -> None:
    world = World(seed, crash_every=crash_every)
    last: dict[str, DocumentCaptured] = {}
    for number, (kind, which, what) in enumerate(changes):
        document = document_of(kind, which, what, last)
        if document is not None:
            last[document.record_id] = document
            capture(world, document, f"change-{number}")
        else:
            await meanwhile(world, kind, list(last), number)
    world.refuse = set()
    map_all(world)
    await world.settle()
    if any(kind == "shadow" for kind, _, _ in changes):  # what was rehearsed is posted when it is told again
        await world.switch("live")
        for record, document in last.items():
            capture(world, document, f"{record} again")
        await world.settle()
    for round_ in range(1000, 1006):
        asked = [
            ask_for_all(world, list(last), status, round_) for status in (Status.CHANGED_AFTER_POSTING, Status.REJECTED)
        ]
        await world.settle()
        if not any(asked):
            break

    net = world.nets()
    for record, document in last.items():
        is_paid = "Payment:pay-1" in last
        assert net.get(record, {}) == expected(document, is_paid=is_paid), (
            record,
            [step.status for step in world.history(record)],
        )
        assert all(command.rows for command in world.commands())
