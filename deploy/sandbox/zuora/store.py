"""What the tenant holds: records with ids and numbers, when they may be seen, and who hears of events."""

import datetime as dt
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal

from deploy.sandbox.exact import Json

#: Object type -> prefix of its numbers.
NUMBERS = {
    "Account": "A",
    "Invoice": "INV",
    "Payment": "P-",
    "Refund": "R-",
    "CreditMemo": "CM",
    "DebitMemo": "DM",
    "InvoiceItemAdjustment": "IIA-",
}


class SandboxError(Exception):
    """What was asked through `/_sandbox` cannot be done; the message says why."""


@dataclass
class Record:
    """One document with its items and parts, in the shape of the v1 answers."""

    kind: str
    key: str
    number: str
    document: Json
    visible_at: float
    updated: dt.datetime
    created: dt.datetime
    items: list[Json] = field(default_factory=list)
    parts: list[Json] = field(default_factory=list)


#: Called with the record and the name of what happened to it, `InvoicePosted` for instance.
Listener = Callable[[Record, str], None]


def wire_time(moment: dt.datetime) -> str:
    """A v1 datetime: `yyyy-mm-dd hh:mm:ss`, without an offset."""
    return moment.strftime("%Y-%m-%d %H:%M:%S")


class Store:
    """All records of the tenant, found by id or by number."""

    def __init__(self, seed: int, lag_seconds: float, business_date: dt.date) -> None:
        self.random = random.Random(seed)  # noqa: S311 - made-up data, the same for the same seed
        self.lag_seconds = lag_seconds
        self.business_date = business_date
        self.records: dict[str, Record] = {}
        self.listeners: list[Listener] = []
        self.by_kind: dict[str, list[Record]] = {}
        self._by_number: dict[tuple[str, str], str] = {}
        self._last_number: dict[str, int] = {}

    def new_key(self) -> str:
        """A fresh id: 32 hexadecimal digits."""
        return f"8ad0{self.random.getrandbits(112):028x}"

    def new_number(self, kind: str) -> str:
        """The next number of a kind of document."""
        self._last_number[kind] = self._last_number.get(kind, 0) + 1
        return f"{NUMBERS[kind]}{self._last_number[kind]:08d}"

    def now(self) -> dt.datetime:
        """The tenant's clock, whole seconds as v1 answers have them."""
        return dt.datetime.now(dt.UTC).replace(microsecond=0)

    def add(
        self, kind: str, document: Json, *, items: list[Json] | None = None, parts: list[Json] | None = None
    ) -> Record:
        """Keep a new document; it can be read once the lag is over."""
        basic = document.get("basicInfo", document)
        key = basic.get("id") or basic["Id"]
        number = next(
            basic[name] for name in ("invoiceNumber", "number", "AdjustmentNumber", "accountNumber") if basic.get(name)
        )
        now = self.now()
        record = Record(
            kind, key, number, document, time.monotonic() + self.lag_seconds, now, now, items or [], parts or []
        )
        self.records[key] = record
        self.by_kind.setdefault(kind, []).append(record)
        self._by_number[kind, number] = key
        return record

    def find(self, kind: str, key: str) -> Record | None:
        """Find a record of a kind by id or number, seen or not yet to be seen."""
        record = self.records.get(self._by_number.get((kind, key), key))
        return record if record is not None and record.kind == kind else None

    def get(self, kind: str, key: str) -> Record:
        """Find a record of a kind. Raises SandboxError when there is none."""
        record = self.find(kind, key)
        if record is None:
            raise SandboxError(f"no {kind} {key}")
        return record

    def visible(self, kind: str, key: str) -> Record | None:
        """Find a record as the REST API does: not before the lag is over."""
        record = self.find(kind, key)
        return record if record is not None and record.visible_at <= time.monotonic() else None

    def of_kind(self, kind: str) -> list[Record]:
        """All records of a kind that can be read, oldest first."""
        now = time.monotonic()
        return [record for record in self.by_kind.get(kind, []) if record.visible_at <= now]

    def touch(self, record: Record) -> None:
        """Note that a record changed: `updatedDate` always moves on, by a second at least."""
        record.updated = max(self.now(), record.updated + dt.timedelta(seconds=1))
        for name in ("updatedDate", "UpdatedDate"):
            if name in record.document:
                record.document[name] = wire_time(record.updated)

    def announce(self, record: Record, event: str) -> None:
        """Tell all listeners what happened to a record."""
        for listener in self.listeners:
            listener(record, event)

    def account_of(self, record: Record) -> Record:
        """The account that a document belongs to."""
        return self.get("Account", record.document.get("accountId") or record.document["AccountId"])

    def balance(self, record: Record, name: str, change: Decimal) -> None:
        """Add to one amount of the metrics of a document's account."""
        metrics = self.account_of(record).document["metrics"]
        metrics[name] += change
        if name in {"totalInvoiceBalance", "totalDebitMemoBalance"}:
            metrics["balance"] += change
