"""How long ago a POST of unknown effect was sent, by a clock that nobody sets.

Clocks of machines are wrong, differ, and are put right: by minutes at a start, by hours where a person did it. One that
jumps forward would make a POST look old that IFS may still do, and the voucher would be sent twice. So an age is what
processes have seen pass: from the sending in the process that sent it; in the next one from when it found the intent,
and on top of it what the waiting room kept of the age before.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Moment:
    """A point of time by both clocks: what people are told, and what is reckoned with in this process."""

    told: datetime
    steady: float


class Doubts:
    """The POSTs of unknown effect that this process knows of, and since when. An age is never more than the true one.

    They are named by their command and by the time that their intent tells.
    """

    def __init__(self, steady: Callable[[], float]) -> None:
        self._steady = steady
        self._since: dict[str, tuple[datetime, float]] = {}

    def sent(self, command_id: str, moment: Moment) -> None:
        """Note that this process sent a POST whose effect is not known."""
        self._since[command_id] = moment.told, moment.steady

    def notice(self, command_id: str, sent_at: datetime) -> None:
        """Note a POST of an earlier process, unless it is known already."""
        if self._since.get(command_id, (None,))[0] != sent_at:
            self._since[command_id] = sent_at, self._steady()

    def age(self, command_id: str, sent_at: datetime, at_least: timedelta = timedelta()) -> timedelta:
        """Return how long ago it was sent. One that is not known was sent `at_least` so long before this moment."""
        self.notice(command_id, sent_at)
        now, (_, since) = self._steady(), self._since[command_id]
        if now - since < at_least.total_seconds():
            since = now - at_least.total_seconds()
            self._since[command_id] = sent_at, since
        return timedelta(seconds=now - since)

    def forget(self, command_id: str) -> None:
        """Forget a command that is in doubt no more."""
        self._since.pop(command_id, None)

    def forget_all(self) -> None:
        """Forget all: another poster may have had them in between, and sent anew."""
        self._since.clear()
