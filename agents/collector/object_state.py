"""What the collector remembers of each object: a few hundred bytes, for ever."""

from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Self

import orjson

from schemas.base import Status
from schemas.notifications import is_older
from streams.systems.zuora.captured import Fetched

REMEMBERED_IDS = 16
MOST_BETWEEN = 8
"""The newest; hardly any document moves once."""
ID_CHARACTERS = 16
"""Of an event id: 64 bits tell 16 ids of one object apart, and 16 of them take 300 bytes and not 560."""


@dataclass(frozen=True, slots=True)
class ObjectState:
    """What is known of one object; empty for one never heard of."""

    seen: tuple[str, ...] = ()
    """Beginnings of the ids of the last notifications that were carried out whole."""
    status: Status | None = None
    """What we last wrote to the audit log; nothing more once `captured`."""
    captured: bool = False
    """A DocumentCaptured may have been sent: from then on the status is the bookkeeper's alone."""
    number: str | None = None
    first_account: str | None = None
    last_account: str | None = None
    between: tuple[str, ...] = ()
    """Accounts that it belonged to after the first and before the last: what is kept there hears of it too."""
    updated_date: str | None = None
    """Zuora's, of the newest state captured."""
    shown_at: int | None = None
    """When Zuora showed that state last, in seconds since 1970 by our clock; none for states of earlier versions."""

    @classmethod
    def read(cls, value: bytes | None) -> Self:
        """Return the state that a table's entry holds."""
        if value is None:
            return cls()
        entry = orjson.loads(value)
        status = Status(entry["status"]) if "status" in entry else None
        lists = {name: tuple(entry.get(name, ())) for name in ("seen", "between")}
        return cls(**{**entry, **lists, "status": status})

    def write(self) -> bytes:
        """Return the entry for the table."""
        return orjson.dumps({name: value for name, value in asdict(self).items() if value})

    def has_seen(self, cause: str) -> bool:
        """Tell whether a notification is among the last that were carried out."""
        return cause[:ID_CHARACTERS] in self.seen

    def remember(self, cause: str) -> Self:
        """Return the state after a notification was carried out."""
        if self.has_seen(cause):
            return self
        return replace(self, seen=(*self.seen, cause[:ID_CHARACTERS])[-REMEMBERED_IDS:])

    def outdates(self, fetched: Fetched) -> bool:
        """Tell whether a fetched state is older than the one captured last, by Zuora's word."""
        return is_older(fetched.updated_date, self.updated_date)

    def former_accounts(self, fetched: Fetched) -> tuple[str, ...]:
        """Return the accounts that knew the object before it moved to where a fetched state has it."""
        return tuple(account for account in self.accounts if account != fetched.account_id)

    @property
    def accounts(self) -> tuple[str, ...]:
        """The accounts that know the object, the one that it belonged to last at the end."""
        last = self.last_account or self.first_account
        before = (account for account in (self.first_account, *self.between) if account != last)
        return _distinct(*before, last)

    def after(self, fetched: Fetched, now: datetime) -> Self:
        """Return the state once `fetched` was captured."""
        first = self.first_account or fetched.account_id
        between = tuple(account for account in self.accounts if account not in (first, fetched.account_id))
        return replace(
            self,
            captured=True,
            number=fetched.number or self.number,
            first_account=first,
            between=between[-MOST_BETWEEN:],
            last_account=fetched.account_id,
            updated_date=fetched.updated_date or self.updated_date,
            shown_at=int(now.timestamp()),
        )


def _distinct(*accounts: str | None) -> tuple[str, ...]:
    return tuple(dict.fromkeys(account for account in accounts if account))
