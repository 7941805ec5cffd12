"""Accounts seen lately: their names go on every record, and a customer's documents come in bunches."""

import time
from collections import OrderedDict
from collections.abc import Callable

from streams.systems.zuora.captured import Account

KEPT_SECONDS = 300.0
"""A changed name is seen after five minutes."""
MOST_ACCOUNTS = 10_000
"""About 3 MB."""


class AccountCache:
    """A bounded memory; what was put in first is forgotten first."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: OrderedDict[str, tuple[float, Account]] = OrderedDict()

    def get(self, account_id: str) -> Account | None:
        """Return an account put in during the last minutes."""
        until, account = self._kept.get(account_id, (0.0, None))
        return account if self._clock() < until else None

    def put(self, account: Account) -> None:
        """Remember an account."""
        self._kept.pop(account.id, None)
        self._kept[account.id] = (self._clock() + KEPT_SECONDS, account)
        while len(self._kept) > MOST_ACCOUNTS:
            self._kept.popitem(last=False)
