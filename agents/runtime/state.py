"""One partition of a table: the confirmed entries, and over them what is written but not confirmed yet."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

import structlog

from agents.runtime.entries import Entries
from agents.runtime.failure import ExitCode, end_process

log = structlog.get_logger(__name__)

EPOCH_HEADER = "epoch"


class Change:
    """A write to a table on its way to the changelog; value None deletes."""

    __slots__ = ("future", "key", "state", "successor", "value")

    def __init__(self, state: "PartitionState", key: bytes, value: bytes | None) -> None:
        self.state = state
        self.key = key
        self.value = value
        self.future: asyncio.Future[Any] | None = None
        self.successor: Change | None = None

    def overtaken_by(self) -> "asyncio.Future[Any] | None":
        """Return the future of a newer write to the same key that has been sent already.

        Two events of a window may write the same key and end in the other order; the older value must not land behind
        the newer one.
        """
        newer = self.successor
        while newer is not None:
            if newer.future is not None:
                return newer.future
            newer = newer.successor
        return None


class PartitionState:
    """Reads see every write at once; only what the brokers have confirmed goes into `entries`.

    So what an event wrote that was cut off is simply dropped, and a local database never runs ahead of the log. It may
    be a moment behind: what is confirmed at once goes in together, since RocksDB takes a hundred entries in the time of
    three single ones.
    """

    def __init__(self, topic: str, partition: int, entries: Entries) -> None:
        self.topic = topic
        self.partition = partition
        self.entries = entries
        self.epoch = 0
        self.doubtful: set[bytes] = set()
        self._pending: dict[bytes, Change] = {}
        self._confirmed: list[Change] = []
        self._open = True

    def get(self, key: bytes) -> bytes | None:
        """Return the newest value of a key, confirmed or not; None if there is none."""
        change = self._pending.get(key)
        return self.entries.get(key) if change is None else change.value

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Go through the newest values of all keys."""
        pending = dict(self._pending)
        for key, value in self.entries.items():
            if key not in pending:
                yield key, value
        for key, change in pending.items():
            if change.value is not None:
                yield key, change.value

    def write(self, key: bytes, value: bytes | None) -> Change:
        """Note a write; it is seen at once and still has to be sent."""
        change = Change(self, key, value)
        before = self._pending.get(key)
        if before is not None:
            before.successor = change
        self._pending[key] = change
        return change

    def confirm(self, change: Change, offset: int) -> None:
        """Note that the changelog has a write at `offset`; `keep_confirmed` takes it over."""
        if not self._open:
            return
        expected = self.entries.offset + len(self._confirmed) + 1
        if offset < 0:  # the broker knows the record as a duplicate of our own retry but not its offset any more
            offset = expected
        if offset != expected:
            end_process(
                f"changelog {self.topic}[{self.partition}] has records of another writer at {expected}..{offset - 1}: "
                "this process was taken for dead, or its partition still has an older owner",
                ExitCode.CHANGELOG,
            )
        self._confirmed.append(change)

    def keep_confirmed(self) -> None:
        """Take over all confirmed writes in one step."""
        confirmed, self._confirmed = self._confirmed, []
        if not confirmed:
            return
        offset = self.entries.offset + len(confirmed)
        self.entries.apply([(change.key, change.value) for change in confirmed], offset, self.epoch)
        for change in confirmed:
            if self._pending.get(change.key) is change:
                del self._pending[change.key]

    def restore(self, records: Sequence[Any]) -> None:
        """Take over records read from the changelog (offset, key, value, headers), in their order.

        A record of an older epoch than the newest seen before it was written by an owner that was thought dead; it is
        passed over, and its key is kept in `doubtful` so that the good value can be written again: compaction might
        otherwise keep only the bad one.
        """
        if not records:
            return
        epoch = self.entries.epoch
        changes: list[tuple[bytes, bytes | None]] = []
        headers, written_in = None, 0
        for record in records:
            if record.headers != headers:  # thousands in a row have the same; a million entries are 0.5 s quicker
                headers, written_in = record.headers, _epoch_of(record)
            if written_in < epoch:
                log.warning("stale write passed over", topic=self.topic, partition=self.partition, offset=record.offset)
                self.doubtful.add(record.key)
                continue
            epoch = written_in
            if self.doubtful:
                self.doubtful.discard(record.key)
            changes.append((record.key, record.value))
        self.entries.apply(changes, records[-1].offset, epoch, again=True)

    def own(self, generation: int, end: int) -> None:
        """Start writing as the owner: `end` is where the changelog ends.

        The epoch is the consumer group's generation, but always above what the changelog has: the broker forgets a
        group that was empty for a week and counts from 1 again.
        """
        if self.entries.offset < end - 1:  # the last records were compacted away
            self.entries.apply((), end - 1, self.entries.epoch)
        self.epoch = max(generation, self.entries.epoch + 1)

    def drop_unconfirmed(self) -> bool:
        """Drop what was never confirmed; True if there was anything."""
        self.keep_confirmed()
        dropped = bool(self._pending)
        self._pending.clear()
        return dropped

    def close(self) -> None:
        """Let go: confirmations that come later change nothing."""
        self.keep_confirmed()
        self._open = False
        self._pending.clear()
        self.entries.close()


def _epoch_of(record: Any) -> int:
    for name, value in record.headers or ():
        if name == EPOCH_HEADER:
            return int(value)
    return 0
