"""Releases in pieces, people who ask for all they can between two of them, and new app ids begun in their midst."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.bookkeeper import bookkeeper
from schemas import topics
from schemas.base import DocumentType, Status
from schemas.envelope import decode, event_id
from schemas.mappings import AccountMappingRemoved, ChartRuleRemoved
from schemas.notifications import DocumentCaptured, NotificationReceived
from schemas.requests import CorrectionRequested, ReplayRequested, SettlementRecorded
from streams.accounting.life_cycle import TRANSITIONS
from tests.support.bookkeeping import (
    DEAD_LETTERS,
    DOCUMENTS,
    PARTITIONS,
    REQUESTS,
    World,
    account,
    card_payment,
    cash,
    invoice,
    product,
    unapplied,
)
from tests.support.ledger import COMMANDS, NAMES, NOW, VOUCHERS

NOTIFICATIONS = NAMES.public(topics.NOTIFICATION)
INVOICES, PAYMENTS = range(1, 5), range(1, 3)
RECORDS = [f"Invoice:inv-{number}" for number in INVOICES] + [f"Payment:pay-{number}" for number in PAYMENTS]
US = ("500.00", "100.00", "0.00")
SETTLED_FROM = frozenset(status for status in Status if Status.SETTLED_BY_HAND in TRANSITIONS[status])

RULES = {"product": product("ANL"), "cash": cash("EUR"), "unapplied": unapplied()}
STEP = st.one_of(
    st.tuples(st.just("handle"), st.integers(1, 10)),
    st.tuples(st.just("handle"), st.integers(1, 10)),
    st.tuples(st.just("map"), st.sampled_from(["account", *RULES])),
    st.tuples(st.just("unmap"), st.sampled_from(["account", *RULES])),
    st.tuples(
        st.just("invoice"),
        st.tuples(
            st.sampled_from(INVOICES), st.sampled_from(["100.00", "80.00"]), st.sampled_from(["Posted", "Draft"])
        ),
    ),
    st.tuples(st.just("payment"), st.tuples(st.sampled_from(PAYMENTS), st.sampled_from(US))),
    st.tuples(st.just("settle"), st.sampled_from(RECORDS)),
    st.tuples(st.just("settle"), st.sampled_from(RECORDS)),
    st.tuples(st.just("correct"), st.sampled_from(RECORDS)),
    st.tuples(
        st.just("replay"),
        st.tuples(st.sampled_from(RECORDS), st.sampled_from([None, date(2026, 4, 1)]), st.booleans()),
    ),
    st.tuples(
        st.sampled_from(
            ["anew", "restart", "reset", "refuse", "allow", "hold answers", "answer", "fetch", "tell outcomes again"]
        ),
        st.none(),
    ),
)


@dataclass
class Story:
    """What happens to six documents of one account that are held while they are released one at a time."""

    world: World
    told_of: dict[str, list[DocumentCaptured]] = field(default_factory=dict)
    settled: dict[str, int] = field(default_factory=dict)
    """How many commands had been sent of each record that a person booked by hand and nobody asked about since."""
    fetched: set[tuple[int, int]] = field(default_factory=set)
    """Where the log has the words by which a document was fetched."""
    told: int = 0

    async def tell(self, kind: str, what: Any) -> None:
        """Let one thing happen."""
        self.told += 1
        match kind:
            case "handle":
                await self.handle(what)
            case "map" | "unmap":
                self.map(kind, what)
            case "invoice":
                number, amount, status = what
                self.capture(invoice(number, "A", amount=amount, status=status))
            case "payment":
                self.capture(card_payment(what[1], name=f"pay-{what[0]}"))
            case "settle":
                await self.settle(what)
            case "correct":
                self.correct(what)
            case "replay":
                self.replay(*what)
            case "anew":
                await self.begin_anew()
            case "restart":
                await self.world.start()
            case _:
                self.at_once()[kind]()

    def at_once(self) -> dict[str, Callable[[], None]]:
        """Return what needs no word more."""
        world = self.world
        return {
            "reset": self.reset,
            "refuse": lambda: world.refuse.add("10"),
            "allow": world.refuse.clear,
            "hold answers": world.hold_answers,
            "answer": world.answer,
            "fetch": self.fetch,
            "tell outcomes again": self.tell_outcomes_again,
        }

    def reset(self) -> None:
        """Rewind all topics by chance."""
        for place in self.world.cursors:
            self.world.cursors[place] = self.world.random.randint(0, self.world.cursors[place])

    def tell_outcomes_again(self) -> None:
        """Reset the poster to the earliest, which says again what it has said."""
        for event in list(self.world.log.all(VOUCHERS)):
            self.world.log.append(VOUCHERS, key=event.key, value=event.value, headers=event.headers.items())

    async def handle(self, most: int) -> None:
        """Handle so many events, in any order of topics; now and then IFS answers."""
        for _ in range(most):
            if (event := self.world.next_event()) is not None:
                await self.world.handle(event)
            if self.world.random.random() < 0.3:
                self.world.answer_one()

    def map(self, kind: str, what: str) -> None:
        if what == "account":
            removed = AccountMappingRemoved(account_id="A", actor="eva", at=NOW)
            self.world.map("A", account("A") if kind == "map" else removed)
            return
        rule = RULES[what]
        gone = ChartRuleRemoved(**rule.model_dump(include=set(ChartRuleRemoved.model_fields)))
        self.world.map("10", rule if kind == "map" else gone)

    def capture(self, document: DocumentCaptured) -> None:
        """Append a document as the collector does."""
        self.told += 1
        document = document.model_copy(update={"fetched_at": NOW + timedelta(seconds=self.told)})
        self.told_of.setdefault(document.record_id, []).append(document)
        self.world.say(DOCUMENTS, "A", document, f"document-{self.told}")

    def fetch(self) -> None:
        """Fetch what was asked for."""
        for event in self.world.log.all(NOTIFICATIONS):
            if (event.partition, event.offset) in self.fetched:
                continue
            self.fetched.add((event.partition, event.offset))
            wanted = decode(NotificationReceived, event.value)
            self.capture(self.told_of[f"{wanted.document_type}:{wanted.object_id}"][-1])

    def fetch_all(self) -> None:
        """Fetch everything once more, as the collector of a new app id does."""
        for documents in self.told_of.values():
            self.capture(documents[-1])

    async def begin_anew(self) -> None:
        """Stop all, let the poster finish, and begin under a new app id, which meets all documents at first."""
        while self.world._answer_next():
            pass
        await self.world.start_anew()
        await self.world.handle_all([DOCUMENTS])
        self.fetch_all()

    async def settle(self, record: str) -> None:
        """Let a person book by hand what they see to be open; it is not weighed against what comes later."""
        if self.world.status(record) not in SETTLED_FROM:
            return
        wish = SettlementRecorded(**self.of(record), voucher="10/M/2026/4711")
        self.world.say(REQUESTS, "A", wish, event_id("settle", str(self.told)))
        await self.world.handle_all([REQUESTS])
        if self.world.status(record) is Status.SETTLED_BY_HAND:
            self.settled[record] = self.sent(record)

    def of(self, record: str) -> dict[str, Any]:
        at = NOW + timedelta(seconds=self.told)
        return {"record_id": record, "account_id": "A", "actor": "eva", "at": at, "reason": "as told"}

    def sent(self, record: str) -> int:
        return sum(command.record_id == record for command in self.world.commands())

    def replay(self, record: str, day: date | None, refetch: bool) -> None:  # noqa: FBT001
        self.told += 1
        self.settled.pop(record, None)
        wish = ReplayRequested(**self.of(record), date=day, refetch=refetch)
        self.world.say(REQUESTS, "A", wish, event_id("replay", str(self.told)))

    def correct(self, record: str) -> None:
        self.told += 1
        seen = self.world.history(record)[-1]
        wish = CorrectionRequested(
            **self.of(record),
            posted_fingerprint=seen.posted_fingerprint or "",
            document_fingerprint=seen.document_fingerprint or "",
        )
        self.world.say(REQUESTS, "A", wish, event_id("correct", str(self.told)))

    def ask_for_what_is_left(self) -> bool:
        """Let a person ask for what each record's status calls for; False where nothing is left to ask for."""
        asked = False
        for record in RECORDS:
            status = self.world.status(record)
            if status in (Status.REJECTED, Status.FAILED):
                self.replay(record, None, refetch=False)
            elif status is Status.CHANGED_AFTER_POSTING:
                self.settled.pop(record, None)
                self.correct(record)
            else:
                continue
            asked = True
        return asked

    async def end(self) -> None:
        """Map all, let IFS post, and let people ask until nothing is left."""
        self.world.answer()
        self.world.refuse.clear()
        for what in ("account", *RULES):
            self.map("map", what)
        await self.world.settle()
        for _ in range(6):
            self.fetch()
            await self.world.settle()
            if not self.ask_for_what_is_left():
                break
            await self.world.settle()

    def booked(self) -> dict[str, dict[str, Decimal]]:
        """Return the net of each record: what has the reference of another voucher is found in IFS, not posted."""
        once = {posted.reference: posted for posted in self.world.posted.values()}
        nets: dict[str, dict[str, Decimal]] = {record: {} for record in RECORDS}
        for posted in once.values():
            net = nets[posted.record_id]
            for row in posted.rows:
                net[row.account] = net.get(row.account, Decimal(0)) + (row.debit or 0) - (row.credit or 0)
        return {record: {name: value for name, value in net.items() if value} for record, net in nets.items()}


@pytest.fixture(autouse=True, scope="module")
def one_at_a_time() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(bookkeeper, "RELEASED_AT_ONCE", 1)
        yield


def expected(document: DocumentCaptured) -> dict[str, Decimal]:
    amount = document.amount or Decimal(0)
    if document.document_type is DocumentType.PAYMENT:
        u = Decimal(document.document["unappliedAmount"])
        net = {"1930": amount, "2420": -u, "1510": u - amount}
    else:
        net = {"1510": amount, "3010": -amount} if document.document["status"] == "Posted" else {}
    return {name: value for name, value in net.items() if value}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=st.lists(STEP, min_size=4, max_size=25), seed=st.integers(0, 2**16), crash_every=st.sampled_from((0, 30)))
async def test_whatever_people_ask_for_between_the_pieces_of_a_release_each_record_ends_as_they_and_zuora_say(
    steps: list[tuple[str, Any]], seed: int, crash_every: int
) -> None:
    story = Story(World(seed, crash_every=crash_every))
    for number in INVOICES:
        story.capture(invoice(number, "A"))
    for number in PAYMENTS:
        story.capture(card_payment("0.00", name=f"pay-{number}"))
    await story.world.settle()
    for what in ("account", "product", "cash"):
        story.map("map", what)
    for kind, what in steps:
        await story.tell(kind, what)
    await story.end()

    world = story.world
    for record, net in story.booked().items():
        told = [f"{step.status} {step.note}" for step in world.history(record)]
        if world.status(record) is Status.SETTLED_BY_HAND:
            assert net in [{}, *map(expected, story.told_of[record])], (record, told)
        else:
            assert net == expected(story.told_of[record][-1]), (record, told)
            assert world.status(record) in {Status.POSTED, Status.CORRECTED, Status.NOT_POSTED}, (record, told)
        assert story.settled.get(record) in (None, story.sent(record)), (record, told)
    partitions = [world.bookkeeper._partitions[number] for number in range(PARTITIONS)]
    assert [partition.waiting.running for partition in partitions] == [{}, {}, {}]
    assert not [name for partition in partitions for name in partition.waiting.places]
    assert not world.log.all(DEAD_LETTERS)
    sent = len(world.log.all(COMMANDS))
    world.crash_every = 0
    await story.begin_anew()
    await world.settle()
    assert len(world.log.all(COMMANDS)) == sent
