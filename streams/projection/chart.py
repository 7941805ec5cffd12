"""Mappings and rules of the read model as accounting looks them up: today's, or those of an earlier moment."""

from collections.abc import Callable

from streams.accounting.chart import Entry, KeyedChart, entry_of
from streams.projection.queries import CurrentMapping


class ProjectedChart(KeyedChart):
    """A Chart that asks for each key once, by `find`: `ReadModel.mapping` for how things stand today."""

    def __init__(self, find: Callable[[str], CurrentMapping | None]) -> None:
        self._find = find
        self._found: dict[str, CurrentMapping | None] = {}

    def source(self, key: str) -> CurrentMapping | None:
        """Return the event behind a key, with who set it and when; None if it is not mapped."""
        if key not in self._found:
            self._found[key] = self._find(key)
        found = self._found[key]
        return None if found is None or found.removed else found

    def entry(self, key: str) -> Entry | None:
        """Return what is set under a key, or None."""
        source = self.source(key)
        return entry_of(source.event, source.version) if source else None
