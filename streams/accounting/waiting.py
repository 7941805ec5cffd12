"""Who waits for what: an index from every key that could change an evaluation to the records that wait for it.

Derived from the table of held records and made again from it at every assignment, so it is never stored. One per
partition.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from heapq import nsmallest


@dataclass(frozen=True, slots=True)
class Running:
    """A release that is under way: what it has passed, and where it ends. Offsets are those of the held documents."""

    after: int
    until: int
    cause: str


@dataclass(slots=True)
class Waiting:
    """The waiting records of one partition, by their place: the offset of their document, which no two share."""

    records: dict[int, str] = field(default_factory=dict)
    """Place to record id."""
    places: dict[str, int] = field(default_factory=dict)
    """Record id to place."""
    by_key: dict[str, set[int]] = field(default_factory=dict)
    by_account: dict[str, set[int]] = field(default_factory=dict)
    running: dict[str, Running] = field(default_factory=dict)
    """Waiting key to its release."""

    def add(self, place: int, record_id: str, account_id: str, keys: Iterable[str]) -> None:
        """Let a record wait for keys."""
        self.records[place] = record_id
        self.places[record_id] = place
        self.by_account.setdefault(account_id, set()).add(place)
        for key in keys:
            self.by_key.setdefault(key, set()).add(place)

    def remove(self, place: int, account_id: str, keys: Iterable[str]) -> None:
        """Let a record wait no longer; harmless when it does not."""
        record_id = self.records.pop(place, None)
        if record_id is not None:
            self.places.pop(record_id, None)
        _discard(self.by_account, account_id, place)
        for key in keys:
            _discard(self.by_key, key, place)

    def next_places(self, key: str, after: int, until: int, at_most: int) -> list[int]:
        """Return the next places of a release, in order; the cost grows with what waits for this key only."""
        return nsmallest(at_most, (place for place in self.by_key.get(key, ()) if after < place <= until))

    def last_place(self, key: str) -> int | None:
        """Return the last place that waits for a key, None when nothing does."""
        places = self.by_key.get(key)
        return max(places) if places else None

    def ahead(self, account_id: str, place: int) -> str | None:
        """Return the key of a running release with earlier records of the account, so that none is overtaken."""
        places = self.by_account.get(account_id)
        if not places or not self.running:
            return None
        for key, release in self.running.items():
            if release.after >= place - 1:
                continue  # what a release lets out itself, in order: no need to go through all others of the account
            waiting = self.by_key.get(key, set())
            if any(release.after < other < place and other in waiting for other in places):
                return key
        return None


def _discard(index: dict[str, set[int]], key: str, place: int) -> None:
    places = index.get(key)
    if places is not None:
        places.discard(place)
        if not places:
            del index[key]
