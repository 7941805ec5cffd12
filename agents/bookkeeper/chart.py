"""The mappings and rules of one partition, as evaluation looks them up."""

from agents.bookkeeper.rows import mapping_row, mapping_version, read_mapping
from agents.runtime import StateTable
from streams.accounting.chart import Entry, KeyedChart, entry_of


class PartitionChart(KeyedChart):
    """A Chart on the mappings table; decoded entries are kept, for a document asks for some ten of them.

    Valid while its partition is held: nobody else writes there.
    """

    def __init__(self, mappings: StateTable) -> None:
        self._mappings = mappings
        self._entries: dict[str, Entry | None] = {}

    def apply(self, key: str, version: int, event_type: str, value: bytes) -> bool:
        """Apply an event when its version is higher than the one held; False when it is not."""
        row = self._mappings.get(key)
        if row is not None and version <= mapping_version(row):
            return False
        self._mappings[key] = mapping_row(version, event_type, value)
        self._entries.pop(key, None)
        return True

    def entry(self, key: str) -> Entry | None:
        """Return what is set under a key, or None."""
        if key not in self._entries:
            row = self._mappings.get(key)
            if row is None:
                self._entries[key] = None
            else:
                version, event = read_mapping(row)
                self._entries[key] = entry_of(event, version)
        return self._entries[key]
