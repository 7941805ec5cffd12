"""One partition of the bookkeeper: its chart, who waits in it, and how a decision is carried out there."""

from collections.abc import Callable, Container, Mapping

from agents.bookkeeper.chart import PartitionChart
from agents.bookkeeper.rows import (
    BUILT,
    SAID,
    Tables,
    ends_row,
    held_row,
    read_ends,
    read_held,
    read_held_keys,
    read_release,
    release_row,
    row_name,
)
from agents.bookkeeper.telling import Teller
from agents.runtime import Work, send_message
from schemas.base import Status
from streams.accounting.applied import evaluate_applied
from streams.accounting.decisions import Decision, Held, Terms
from streams.accounting.evaluation import evaluate
from streams.accounting.keys import company_key, record_key
from streams.accounting.record_state import RecordState
from streams.accounting.waiting import Running, Waiting
from streams.log.reader import Position
from streams.settings import IfsSettings

WHAT_OTHERS_WAIT_FOR = frozenset({Status.POSTED, Status.CORRECTED})
"""A refund waits until its payment is so."""


class Partition:
    """What is in memory for a partition while it is held; made again from the tables at every assignment."""

    def __init__(self, number: int, tables: Tables, terms: Callable[["Partition"], Terms]) -> None:
        self.number = number
        self.tables = tables
        self.chart = PartitionChart(tables.mappings)
        self.waiting = Waiting()
        self.terms = terms(self)
        self.requests_from = 0
        """Offset in `connector.request.v1`: what lies before it was dealt with, here or before this state was built."""
        self.said: dict[Position, int] | None = None
        """Offsets before which all that was said from here is in the tables; None before the first are noted."""

    def load(self) -> None:
        """Read who waits; inside a work of this partition."""
        for name, row in self.tables.held.items():
            place, account_id, keys = read_held_keys(row)
            self.waiting.add(place, name, account_id, keys)
        for key, row in self.tables.releases.items():
            if key == BUILT:
                self.requests_from = int(row)
            elif key == SAID:
                self.said = read_ends(row)
            else:
                self.waiting.running[key] = read_release(row)

    def note_requests(self, offset: int) -> None:
        """Note up to where requests were dealt with: a wish of long ago never undoes what was wished for since."""
        self.requests_from = offset
        self.tables.releases[BUILT] = b"%d" % offset

    def note_said(self, ends: Mapping[Position, int]) -> None:
        """Note up to where all that was said from here is in the tables."""
        self.said = dict(ends)
        self.tables.releases[SAID] = ends_row(ends)

    def take_up(self, record_id: str, state: RecordState) -> None:
        """Write a state that the log tells of, and that a crash kept from the tables; all of it was told."""
        name = row_name(state.account_id, record_id)
        self.tables.records[name] = state.to_json()
        self._hold(name, Decision(state))

    def state(self, account_id: str, record_id: str) -> RecordState | None:
        """Return what is remembered of a record of an account."""
        row = self.tables.records.get(row_name(account_id, record_id))
        return None if row is None else RecordState.from_json(account_id, row)

    def held(self, account_id: str, record_id: str) -> Held | None:
        """Return a record as it is held."""
        # Most are not, and to find nothing in a table on disk takes ten times as long.
        name = row_name(account_id, record_id)
        return read_held(self.tables.held[name])[0] if name in self.waiting.places else None

    def carry_out(self, work: Work, teller: Teller, record_id: str, decision: Decision, cause: str) -> None:
        """Tell, send and write what a decision says; no await in here, so nothing comes between."""
        account_id = decision.state.account_id
        name, state = row_name(account_id, record_id), decision.state.to_json()
        before = self.tables.records.get(name)
        known = RecordState.from_json(account_id, before) if before is not None and decision.steps else None
        for message in teller.decision(record_id, decision, cause, known):
            send_message(work, message)
        if decision.steps or before != state:  # a step always changes it
            self.tables.records[name] = state
        self._hold(name, decision)
        if any(step.status in WHAT_OTHERS_WAIT_FOR and step.previous != step.status for step in decision.steps):
            self.start_release(work, teller, record_key(record_id), cause)

    def start_release(self, work: Work, teller: Teller, key: str, cause: str) -> None:
        """Queue what waits for a key; the cost does not grow with how many do."""
        last = self.waiting.last_place(key)
        if last is not None:
            self.go_on(work, teller, key, Running(-1, last, cause))

    def go_on(self, work: Work, teller: Teller, key: str, running: Running) -> None:
        """Note how far a release has come and ask for its next piece."""
        self._note(key, running)
        send_message(work, teller.next_release(key, running, self.number))

    def end_release(self, key: str) -> None:
        """Forget a release that has come to its end."""
        self.waiting.running.pop(key, None)
        self.tables.releases.pop(key)

    def _note(self, key: str, running: Running) -> None:
        self.waiting.running[key] = running
        self.tables.releases[key] = release_row(running)

    def _hold(self, name: str, decision: Decision) -> None:
        before = self.tables.held[name] if name in self.waiting.places else None
        if before is not None:
            self.waiting.remove(*read_held_keys(before))
        held = decision.held
        if held is None:
            if before is not None:
                self.tables.held.pop(name)
            return
        account_id = decision.state.account_id
        row = held_row(held, account_id)
        if row != before:  # a release evaluates many that stay as they are
            self.tables.held[name] = row
        self.waiting.add(held.place, name, account_id, held.keys)
        for key in held.keys:  # whoever joins a release that is running is part of it
            running = self.waiting.running.get(key)
            if running is not None and held.place > running.until:
                self._note(key, Running(running.after, held.place, running.cause))


class PostedRecords(Container[str]):
    """The records of an account whose voucher stands in IFS; in shadow mode also those that were rehearsed."""

    def __init__(self, partition: Partition, account_id: str, *, shadow: bool) -> None:
        self._partition = partition
        self._account_id = account_id
        self._shadow = shadow

    def __contains__(self, record_id: object) -> bool:
        state = self._partition.state(self._account_id, str(record_id))
        return state is not None and (bool(state.standing) or (self._shadow and state.is_rehearsed))


def terms_of(ifs: IfsSettings, app_id: str) -> Callable[[Partition], Terms]:
    """Return what makes a partition's terms: its own chart and who waits there, the settings for what nobody set."""

    def terms(partition: Partition) -> Terms:
        return Terms(
            evaluate=lambda document, dated: evaluate(
                document,
                partition.chart,
                voucher_date=dated,
                posted=PostedRecords(partition, document.account_id, shadow=ifs.mode == "shadow"),
            ),
            evaluate_applied=lambda document, booked, company, dated: evaluate_applied(
                document, partition.chart, booked=booked, company=company, voucher_date=dated
            ),
            ahead=partition.waiting.ahead,
            stands=lambda account_id, record_id: record_id in PostedRecords(partition, account_id, shadow=False),
            company=lambda company: partition.chart.company(company_key(company)),
            app_id=app_id,
            voucher_type=ifs.voucher_type,
            user_group=ifs.user_group,
            currency_type=ifs.currency_type,
        )

    return terms
