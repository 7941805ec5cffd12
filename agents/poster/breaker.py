"""Tells one account's trouble from that of all of IFS Cloud: then nothing more is taken up until a request succeeds."""

from collections.abc import Callable

import structlog

from agents.poster.metrics import SYSTEM_DOWN
from streams.systems.retry import BackOff

ACCOUNTS_IN_A_ROW = 3
"""Different accounts in trouble with not one request answered in between: then it is not the accounts."""
PROBES_PER_COMMAND = 4
"""Every so many probes are made with a new command, should those that wait be in a trouble of their own."""

log = structlog.get_logger(__name__)


class Breaker:
    """Opens when nothing is answered any more; while it is open, one probe is made after each back-off."""

    def __init__(self, back_off: BackOff, steady: Callable[[], float]) -> None:
        self._back_off = back_off
        self._steady = steady
        self._troubled: set[str] = set()
        self._probes = 0
        self._until: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether all of IFS Cloud seems to be down."""
        return self._until is not None

    @property
    def left(self) -> float:
        """Seconds until the next probe is due; 0 when it is, and while the breaker is closed."""
        return 0.0 if self._until is None else max(self._until - self._steady(), 0.0)

    @property
    def wants_command(self) -> bool:
        """Whether the next probe is to be made with a new command."""
        return self._probes % PROBES_PER_COMMAND == PROBES_PER_COMMAND - 1

    def answered(self) -> None:
        """Note that a request was answered."""
        if self.is_open:
            log.info("IFS answers again")
        self._troubled.clear()
        self._probes, self._until = 0, None
        SYSTEM_DOWN.set(0)

    def unanswered(self, account_id: str, why: str) -> None:
        """Note that a command came into trouble, and that none of its requests was answered."""
        self._troubled.add(account_id)
        if self.is_open:
            self._probes += 1
        elif len(self._troubled) < ACCOUNTS_IN_A_ROW:
            return
        else:
            log.warning("IFS answers nothing any more; no new commands are taken until it does", why=why)
            SYSTEM_DOWN.set(1)
        self._until = self._steady() + self._back_off.wait(self._probes + 1)
