"""How the bookkeeper's tables are stored.

mappings   mapping key             version:event type:event        removals stay, with their version
records    record id               RecordState as JSON
held       record id               place, keys, gaps as JSON, a line break, the summed document
releases   waiting key             after, until, cause as JSON
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

import orjson

from agents.runtime import StateTable
from schemas.audit import Gap
from schemas.base import Model
from schemas.envelope import EVENT_TYPES, decode
from streams.accounting.decisions import Held
from streams.accounting.ledger_document import LedgerDocument
from streams.accounting.waiting import Running
from streams.log.reader import Position

HELD_BYTES_MAX = 2_048
"""A held record of more bytes keeps its document's offset only and is read again at its release."""

BUILT = "built"
"""Key in `releases` that says that a partition's new state has been built, and up to which request people were heard
(the offset after it); no waiting key is called so."""


SAID = "said"
"""Key in `releases` of the offsets up to which all that this partition said is in its tables, by topic and partition;
no waiting key is called so."""


@dataclass(frozen=True, slots=True)
class Tables:
    """The tables of the bookkeeper."""

    mappings: StateTable
    records: StateTable
    held: StateTable
    releases: StateTable


def row_name(account_id: str, record_id: str) -> str:
    """Return the key of a record's rows: a document that moved may have rows of two accounts in one partition."""
    return f"{account_id}/{record_id}"


def record_of(name: str) -> tuple[str, str]:
    """Return account id and record id of a row."""
    account_id, _, record_id = name.partition("/")
    return account_id, record_id


def mapping_row(version: int, event_type: str, value: bytes) -> bytes:
    """Return the row of a mapping or rule."""
    return b"%d:%s:%s" % (version, event_type.encode(), value)


def mapping_version(row: bytes) -> int:
    """Return the version in a row."""
    return int(row[: row.index(b":")])


def read_mapping(row: bytes) -> tuple[int, Model]:
    """Return a row's version and event."""
    version, event_type, value = row.split(b":", 2)
    return int(version), decode(EVENT_TYPES[event_type.decode()], value)


def held_row(held: Held, account_id: str) -> bytes:
    """Return the row of a held record; without the document where that is too large."""
    head = orjson.dumps(
        {
            "p": held.place,
            "o": held.document_offset,
            "e": held.event_id,
            "a": account_id,
            "k": held.keys,
            "t": held.fetched_at,
            "d": held.voucher_date,
            "m": [gap.model_dump(exclude_none=True) for gap in held.missing],
        }
    )
    row = head + b"\n" + (orjson.dumps(held.document.to_json()) if held.document else b"")
    return row if len(row) <= HELD_BYTES_MAX else head + b"\n"


def read_held(row: bytes) -> tuple[Held, str]:
    """Return a held record and its account id."""
    head, _, document = row.partition(b"\n")
    told = orjson.loads(head)
    held = Held(
        place=told["p"],
        document_offset=told["o"],
        event_id=told["e"],
        keys=tuple(told["k"]),
        missing=tuple(Gap.model_validate(gap) for gap in told["m"]),
        fetched_at=datetime.fromisoformat(told["t"]) if told["t"] else None,
        voucher_date=date.fromisoformat(told["d"]) if told.get("d") else None,  # rows of an earlier release have none
        document=LedgerDocument.from_json(orjson.loads(document)) if document else None,
    )
    return held, told["a"]


def read_held_keys(row: bytes) -> tuple[int, str, list[str]]:
    """Return place, account id and keys of a held record, without reading the rest."""
    told = orjson.loads(row[: row.index(b"\n")])
    return told["p"], told["a"], told["k"]


def ends_row(ends: Mapping[Position, int]) -> bytes:
    """Return the row of offsets of topics of one cluster."""
    return orjson.dumps([[topic, partition, offset] for (topic, partition), offset in ends.items()])


def read_ends(row: bytes) -> dict[Position, int]:
    """Return the offsets of a row."""
    return {(topic, partition): offset for topic, partition, offset in orjson.loads(row)}


def release_row(running: Running) -> bytes:
    """Return the row of a release that is under way."""
    return orjson.dumps({"after": running.after, "until": running.until, "cause": running.cause})


def read_release(row: bytes) -> Running:
    """Return a release that is under way."""
    return Running(**orjson.loads(row))
