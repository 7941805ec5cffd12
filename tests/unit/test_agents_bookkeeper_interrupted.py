"""Releases in many pieces, and whatever comes between two of them: each record ends as its last state says, once.

Workers die, and are taken for dead while their commands are under way, which arrive whenever they do.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.bookkeeper import bookkeeper
from schemas import topics
from schemas.base import Model, Status
from schemas.envelope import decode, event_id
from schemas.mappings import AccountMappingRemoved, ChartRuleRemoved
from schemas.notifications import DocumentCaptured, NotificationReceived
from schemas.requests import CorrectionRequested, ReplayRequested
from schemas.vouchers import VoucherReversed
from tests.support.bookkeeping import DEAD_LETTERS, DOCUMENTS, REQUESTS, World, account, invoice, product
from tests.support.ledger import COMMANDS, NAMES, NOW

FETCHES = NAMES.public(topics.NOTIFICATION)
INVOICES = range(1, 7)
ACCOUNTS, SKUS, COMPANIES = ("A", "B"), ("ANL", "LATE"), ("10", "20")
ENDS = {Status.POSTED, Status.CORRECTED, Status.NOT_POSTED}

STEP = st.one_of(
    st.tuples(st.just("handle"), st.integers(1, 12)),
    st.tuples(st.just("handle"), st.integers(1, 12)),
    st.tuples(st.just("account"), st.tuples(st.sampled_from(ACCOUNTS), st.sampled_from(COMPANIES))),
    st.tuples(st.just("no account"), st.sampled_from(ACCOUNTS)),
    st.tuples(st.just("product"), st.tuples(st.sampled_from(SKUS), st.sampled_from(COMPANIES))),
    st.tuples(st.just("no product"), st.tuples(st.sampled_from(SKUS), st.sampled_from(COMPANIES))),
    st.tuples(
        st.just("newer"),
        st.tuples(
            st.sampled_from(INVOICES),
            st.sampled_from(["100.00", "80.00", "0.00", "-15.00"]),
            st.sampled_from(SKUS),
            st.sampled_from(["Posted", "Posted", "Draft"]),
        ),
    ),
    st.tuples(st.just("move"), st.sampled_from(INVOICES)),
    st.tuples(st.just("unreadable"), st.sampled_from(INVOICES)),
    st.tuples(st.just("replay"), st.tuples(st.sampled_from(INVOICES), st.sampled_from([None, date(2026, 4, 1)]))),
    st.tuples(
        st.sampled_from(
            ["ask", "restart", "reset", "refuse", "allow", "hold answers", "answer", "late", "old", "fetch"]
        ),
        st.none(),
    ),
)


def mapping(kind: str, what: Any) -> tuple[str, Model]:
    """Return the key and the event of a mapping, or of its removal."""
    match kind:
        case "account":
            return what[0], account(*what)
        case "no account":
            return what, AccountMappingRemoved(account_id=what, actor="eva", at=NOW)
        case "product":
            return what[1], product(*what)
    rule = product(*what).model_dump(include=set(ChartRuleRemoved.model_fields))
    return what[1], ChartRuleRemoved(**rule)


@dataclass
class Story:
    """What happens to six invoices that are held while they are released one at a time."""

    world: World
    last: dict[str, DocumentCaptured] = field(default_factory=dict)
    known_to: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    states: list[DocumentCaptured] = field(default_factory=list)
    told: int = 0
    fetched: int = 0
    """How many of the words that ask for a document have been followed."""

    async def tell(self, kind: str, what: Any) -> None:
        """Let one thing happen."""
        self.told += 1
        if kind == "handle":
            await self.handle(what)
        elif kind == "restart":
            await self.world.start()
        elif kind == "replay":
            self.replay(*what)
        elif kind == "ask":
            self.ask_for_what_is_left()
        elif kind in ("newer", "move", "unreadable"):
            self.capture(self.changed(kind, what))
        elif kind in ("account", "no account", "product", "no product"):
            self.world.map(*mapping(kind, what))
        else:
            self.at_once()[kind]()

    def changed(self, kind: str, what: Any) -> DocumentCaptured:
        """Return a newer state of a document."""
        number = what[0] if kind == "newer" else what
        last = self.last[f"Invoice:inv-{number}"]
        if kind == "newer":
            _, amount, sku, status = what
            return invoice(number, last.account_id, amount=amount, sku=sku, status=status)
        if kind == "unreadable":
            return last.model_copy(update={"document": last.document | {"amount": "many"}})
        other = "B" if last.account_id == "A" else "A"
        source = last.document | {"accountId": other}
        return last.model_copy(update={"account_id": other, "document": source})

    def at_once(self) -> dict[str, Callable[[], object]]:
        """Return what needs no word more."""
        world = self.world
        return {
            "reset": self.reset,
            "refuse": lambda: world.refuse.update(COMPANIES),
            "allow": world.refuse.clear,
            "hold answers": world.hold_answers,
            "answer": world.answer,
            "late": world.deliver_late,
            "old": self.append_late,
            "fetch": self.fetch,
        }

    def reset(self) -> None:
        """Rewind all topics by chance."""
        for place in self.world.cursors:
            self.world.cursors[place] = self.world.random.randint(0, self.world.cursors[place])

    async def handle(self, most: int) -> None:
        """Handle so many events, in any order of topics; now and then IFS answers."""
        for _ in range(most):
            if (event := self.world.next_event()) is not None:
                await self.world.handle(event)
            if self.world.random.random() < 0.3:
                self.world.answer_one()

    def capture(self, document: DocumentCaptured) -> None:
        """Append a document for the accounts that know it, as the collector does."""
        known = self.known_to[document.record_id]
        former = tuple(dict.fromkeys(name for name in known if name != document.account_id))
        known.append(document.account_id)
        self.told += 1
        told = {"former_account_ids": former, "updated_date": f"{self.told:04}"}
        self.last[document.record_id] = document = document.model_copy(update=told)
        self.states.append(document)
        self.append(document)

    def append(self, document: DocumentCaptured) -> None:
        """Append a document for each account that it names, which are those that knew it when it was fetched."""
        self.told += 1
        for key in (*document.former_account_ids, document.account_id):
            self.world.say(DOCUMENTS, key, document, f"document-{self.told}")

    def append_late(self) -> None:
        """Let a collector that was taken for dead append what it had fetched, behind what its successor fetched."""
        self.append(self.world.random.choice(self.states))

    def fetch(self) -> bool:
        """Append the newest state of each document that was asked for again; False where none was."""
        asked = self.world.log.all(FETCHES)[self.fetched :]
        self.fetched += len(asked)
        for event in asked:
            wanted = decode(NotificationReceived, event.value)
            self.append(self.last[f"{wanted.document_type}:{wanted.object_id}"])
        return bool(asked)

    def replay(self, number: int, day: date | None) -> None:
        record = f"Invoice:inv-{number}"
        account_id = self.world.history(record)[-1].account_id or ""
        wish = ReplayRequested(record_id=record, account_id=account_id, actor="eva", at=NOW, reason="as told", date=day)
        self.world.say(REQUESTS, account_id, wish, event_id("replay", str(self.told)))

    def ask_for_what_is_left(self) -> bool:
        """Let a person ask for what each record's status calls for; False where nothing is left to ask for."""
        asked = False
        for record in self.last:
            self.told += 1
            seen = self.world.history(record)[-1]
            shared = {
                "record_id": record,
                "account_id": seen.account_id or "",
                "actor": "eva",
                "at": NOW,
                "reason": "as told",
            }
            wish: ReplayRequested | CorrectionRequested
            if seen.status in (Status.REJECTED, Status.FAILED):
                wish = ReplayRequested(**shared)
            elif seen.status is Status.CHANGED_AFTER_POSTING:
                posted, newest = seen.posted_fingerprint or "", seen.document_fingerprint or ""
                wish = CorrectionRequested(**shared, posted_fingerprint=posted, document_fingerprint=newest)
            else:
                continue
            asked = True
            self.world.say(REQUESTS, wish.account_id, wish, event_id("left", str(self.told)))
        return asked

    async def end(self) -> None:
        """Map all, let IFS post, and let people ask until nothing is left."""
        self.world.answer()
        self.world.refuse = set()
        for number in INVOICES:
            if self.last[f"Invoice:inv-{number}"].document["amount"] == "many":
                await self.tell("newer", (number, "100.00", "ANL", "Posted"))
        for company in COMPANIES:
            for sku in SKUS:
                self.world.map(company, product(sku, company))
        for name in ACCOUNTS:
            self.world.map(name, account(name))
        await self.world.settle()
        for _ in range(12):
            self.world.deliver_late()
            await self.world.settle()
            if not self.fetch() and not self.ask_for_what_is_left() and not self.world.late:
                break
            await self.world.settle()


def most_at_once(world: World) -> int:
    """How many vouchers of one record have stood at the same time."""
    standing: Counter[str] = Counter()
    most = 0
    for posted in world.posted.values():
        if not posted.found:
            standing[posted.record_id] += -1 if isinstance(posted, VoucherReversed) else 1
            most = max(most, standing[posted.record_id])
    return most


@pytest.fixture(autouse=True, scope="module")
def one_at_a_time() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(bookkeeper, "RELEASED_AT_ONCE", 1)
        yield


def expected(document: DocumentCaptured) -> dict[str, Decimal]:
    amount = document.amount or Decimal(0)
    is_posted = document.document["status"] == "Posted" and amount
    return {"1510": amount, "3010": -amount} if is_posted else {}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    steps=st.lists(STEP, min_size=4, max_size=25),
    seed=st.integers(0, 2**16),
    crash_every=st.sampled_from((0, 30)),
    freezes=st.booleans(),
)
async def test_whatever_comes_between_the_pieces_of_a_release_each_record_ends_as_its_last_state_says(
    steps: list[tuple[str, Any]],
    seed: int,
    crash_every: int,
    freezes: bool,  # noqa: FBT001 - drawn
) -> None:
    story = Story(World(seed, crash_every=crash_every, freezes=freezes))
    for number in INVOICES:
        story.capture(invoice(number, ACCOUNTS[number % 2], sku=SKUS[number % 3 == 0]))
    await story.world.settle()
    for company in COMPANIES:
        story.world.map(company, product("ANL", company))
    for name in ACCOUNTS:
        story.world.map(name, account(name))
    for kind, what in steps:
        if kind != "move" or not freezes:  # a late voucher of an account that has lost its record is told above its end
            await story.tell(kind, what)
    await story.end()

    assert most_at_once(story.world) <= 1
    nets = story.world.nets()
    for record, document in story.last.items():
        told = [f"{step.status} {step.account_id}" for step in story.world.history(record)]
        assert nets.get(record, {}) == expected(document), (record, told)
        assert story.world.status(record) in ENDS, (record, told)
    partitions = [story.world.bookkeeper._partitions[number] for number in range(3)]
    assert [partition.waiting.running for partition in partitions] == [{}, {}, {}]
    assert not [name for partition in partitions for name in partition.waiting.places]
    letters = [letter.headers["dlq.reason"].decode() for letter in story.world.log.all(DEAD_LETTERS)]
    # Who asked of an account that it had just left, or right after a crash, before its document was met again.
    assert all("now: ask again" in reason or "has been captured yet" in reason for reason in letters)
    sent = len(story.world.log.all(COMMANDS))
    story.world.crash_every = 0
    await story.world.start_anew()
    await story.world.settle()
    assert len(story.world.log.all(COMMANDS)) == sent
