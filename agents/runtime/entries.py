"""Where the confirmed entries of one partition of a table lie: in memory, or in RocksDB on a volume.

Both hold exactly what the changelog says up to `offset`, never more: a local copy that ran ahead of the log could keep
an entry that the next owner of the partition never wrote.
"""

import os
import shutil
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

from rocksdict import BlockBasedOptions, Cache, Options, Rdict, WriteBatch, WriteOptions

from schemas.errors import SettingsError

NOTHING_READ = -1

FORGET_AFTER_SECONDS = 12 * 3600
"""A copy that was not kept in step for longer is read anew: the broker forgets deletions after 24 h
(`delete.retention.ms`), and what was deleted meanwhile would come back to life."""

_META = b"\xff progress"  # no key of a table: those are UTF-8, where a byte ff cannot be
_BLOCK_CACHE = Cache(64 * 1024 * 1024)  # one for all partitions of all tables; 60 databases in a process are usual


class Entries(Protocol):
    """Confirmed entries up to and including `offset` of the changelog; `epoch` is the highest seen there."""

    offset: int
    epoch: int

    def get(self, key: bytes) -> bytes | None:
        """Return the value of a key, None if there is none."""

    def apply(
        self, changes: Iterable[tuple[bytes, bytes | None]], offset: int, epoch: int, *, again: bool = False
    ) -> None:
        """Take over changes (None deletes) together with the offset that they reach, in one step.

        `again` says that they were read from the changelog: should they be lost, they are read once more.
        """

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Go through all entries."""

    def clear(self) -> None:
        """Forget everything, to be read anew."""

    def close(self) -> None:
        """Let go of files."""


class MemoryEntries:
    """Entries in a dict."""

    def __init__(self) -> None:
        self.offset = NOTHING_READ
        self.epoch = 0
        self._entries: dict[bytes, bytes] = {}
        self.get = self._entries.get

    def apply(
        self,
        changes: Iterable[tuple[bytes, bytes | None]],
        offset: int,
        epoch: int,
        *,
        again: bool = False,  # noqa: ARG002 - a dict is lost whole or not at all
    ) -> None:
        """Take over changes and the offset that they reach."""
        entries = self._entries
        for key, value in changes:
            if value is None:
                entries.pop(key, None)
            else:
                entries[key] = value
        self.offset, self.epoch = offset, epoch

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Go through a snapshot of all entries."""
        return iter(list(self._entries.items()))

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self.offset, self.epoch = NOTHING_READ, 0

    def close(self) -> None:
        """Nothing to let go of."""


class RocksEntries:
    """Entries in a RocksDB folder of their own; the offset is written in the same batch as the entries."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._in_step = folder.with_suffix(".in-step")
        folder.parent.mkdir(parents=True, exist_ok=True)
        if not self._was_in_step_lately():
            shutil.rmtree(folder, ignore_errors=True)
        self._open()

    def _was_in_step_lately(self) -> bool:
        try:
            newest = max(path.stat().st_mtime for path in (self._in_step, self._folder, *self._folder.iterdir()))
        except FileNotFoundError:
            return False
        return time.time() - newest < FORGET_AFTER_SECONDS

    def _open(self) -> None:
        try:
            self._db = Rdict(str(self._folder), options=_options())
        except Exception as error:
            raise SettingsError(
                f"{self._folder} cannot be opened ({error}): is another worker using the same ZIFS_DATA_DIR?"
            ) from error
        self.get = self._db.get
        self._in_step.touch()
        progress: bytes | None = self._db.get(_META)
        offset, epoch = (progress or b"-1 0").split()
        self.offset, self.epoch = int(offset), int(epoch)
        self._holds_unlogged = False

    def apply(
        self, changes: Iterable[tuple[bytes, bytes | None]], offset: int, epoch: int, *, again: bool = False
    ) -> None:
        """Take over changes and the offset that they reach, in one write."""
        batch = WriteBatch(raw_mode=True)
        for key, value in changes:
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        batch.put(_META, b"%d %d" % (offset, epoch))
        if self._holds_unlogged and not again:
            # A crash would keep what is logged from here on, its offset too, and lose what came before without a log.
            self._db.flush()
        self._holds_unlogged = again
        self._db.write(batch, _UNLOGGED if again else None)
        self.offset, self.epoch = offset, epoch

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Go through all entries as they are now."""
        return ((key, value) for key, value in self._db.items() if key != _META)

    def clear(self) -> None:
        """Forget everything: the folder is made anew."""
        self._db.close()
        shutil.rmtree(self._folder)
        self._open()

    def close(self) -> None:
        """Close the database, so that its lock is free at once and not when garbage is collected."""
        self._db.close()
        os.utime(self._in_step)


def _without_own_log() -> WriteOptions:
    """Return how what is read from the changelog is written: RocksDB's own log of it would be one log too many.

    After a crash a database without its log is what it was at an earlier moment, offset and all.
    """
    options = WriteOptions()
    options.disable_wal = True
    return options


_UNLOGGED = _without_own_log()


def _options() -> Options:
    options = Options(raw_mode=True)  # bytes in, bytes out
    options.create_if_missing(create_if_missing=True)
    options.set_max_open_files(64)  # of each database; a process has the partitions of all its tables open
    options.set_max_file_opening_threads(1)  # 16, the default, are started anew for each database: 0.1 s for 61
    options.set_write_buffer_size(8 * 1024 * 1024)  # 64 MiB, the default, times 60 databases would be 4 GB
    options.set_level_zero_file_num_compaction_trigger(8)  # 4, the default, is 2 s more for a million entries
    options.set_keep_log_file_num(2)
    blocks = BlockBasedOptions()
    blocks.set_block_cache(_BLOCK_CACHE)
    blocks.set_bloom_filter(10, block_based=False)  # bits a key: 1 % false positives
    options.set_block_based_table_factory(blocks)
    return options
