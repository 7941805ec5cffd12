"""Stand-ins for the runtime: an event, its work that keeps what was sent, a table that knows what is durable."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from schemas.base import Model, utc_now
from schemas.envelope import decode_any
from streams.log.messages import Message, event_message


@dataclass(frozen=True)
class FakeEvent:
    """A record of the log, undecoded, as handlers get it."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: dict[str, bytes] = field(default_factory=dict)
    partition: int = 0
    offset: int = 0
    timestamp: float = 0.0


def fake_event(topic: str, key: str, event: Model, *, event_id: str | None = None, offset: int = 0) -> FakeEvent:
    """An event as another process would have sent it."""
    message = event_message(
        topic, key, event, event_id=event_id or uuid.uuid4().hex, process="test", subject=key, time=utc_now()
    )
    return as_event(message, offset=offset)


def as_event(message: Message, *, offset: int = 0) -> FakeEvent:
    """A message that was sent, as its reader gets it."""
    return FakeEvent(message.topic, message.key, message.value, dict(message.headers), message.partition or 0, offset)


def decoded(message: Message) -> Model:
    """What a message says."""
    return decode_any(dict(message.headers), message.value)


def header(message: Message, name: str) -> str:
    """One header of a message."""
    return dict(message.headers)[name].decode()


class CrashError(Exception):
    """The process dies here."""


class FakeTable(dict[str, bytes]):
    """A table; `durable` is what a restart would find: all writes up to the last confirmation."""

    def __init__(self, entries: dict[str, bytes] | None = None) -> None:
        super().__init__(entries or {})
        self.durable: dict[str, bytes] = dict(self)

    def set(self, key: str, value: bytes) -> None:
        self[key] = value

    def confirm(self) -> None:
        self.durable = dict(self)


class FakeWork:
    """Keeps what was sent; `crash_at` is the number of the confirmation in which the process dies, counted from 1."""

    def __init__(self, table: FakeTable | None = None, *, crash_at: int = 0) -> None:
        self.sent: list[Message] = []
        self.confirmed_up_to: list[int] = []
        """How many messages were confirmed by each call of `confirmed`."""
        self._table = table
        self._crash_at = crash_at
        self.is_current = True
        self.is_handled = False

    async def finish(self) -> None:
        """The handler is through with this event; counts as a confirmation."""
        await self.confirmed()
        self.is_handled = True

    def send(
        self,
        topic: str,
        *,
        key: bytes | None = None,
        value: bytes | None = None,
        headers: Sequence[tuple[str, bytes]] = (),
        partition: int | None = None,
    ) -> None:
        self.sent.append(Message(topic, key, value, tuple(headers), partition))

    async def confirmed(self) -> None:
        if len(self.confirmed_up_to) + 1 == self._crash_at:
            raise CrashError
        self.confirmed_up_to.append(len(self.sent))
        if self._table is not None:
            self._table.confirm()

    def to(self, topic: str) -> list[Message]:
        """What was sent to a topic, in order."""
        return [message for message in self.sent if message.topic == topic]


class FakeClock:
    """A clock that moves when told."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now
