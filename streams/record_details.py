"""All that the log knows about one record: its history, its documents, its vouchers, and the mappings behind them."""

from dataclasses import dataclass
from typing import Any

import orjson

from schemas.audit import Record
from schemas.base import Model
from schemas.envelope import decode_any
from schemas.errors import UnreadableError
from schemas.topics import DOCUMENT, VOUCHER, VOUCHER_COMMAND, TopicNames
from schemas.vouchers import PostVoucher, VoucherPosted, VoucherRejected
from streams.log.reader import LogRecord, read_many
from streams.projection.queries import CurrentMapping, Place, ReadModel
from streams.settings import KafkaSettings
from streams.views.json import json_value
from streams.views.mappings import mapping_json
from streams.views.records import Step


@dataclass(frozen=True, slots=True)
class RecordDetails:
    """A record with everything that led to it; `document` is the newest as captured, None before the first."""

    record: Record
    steps: list[Step]
    document: dict[str, Any] | None
    commands: list[PostVoucher]
    outcomes: list[VoucherPosted | VoucherRejected]
    mappings: list[CurrentMapping]

    def as_json(self) -> dict[str, Any]:
        """Return the record's own fields with its events, document, vouchers and mapping versions."""
        return {
            **json_value(self.record),
            "events": [json_value(step) for step in self.steps],
            "document": self.document,
            "commands": [json_value(command) for command in self.commands],
            "outcomes": [{"type": type(outcome).__name__, **json_value(outcome)} for outcome in self.outcomes],
            "mappingVersions": [mapping_json(one.key, one.version, one.event) for one in self.mappings],
        }


async def record_details(kafka: KafkaSettings, names: TopicNames, model: ReadModel, record: Record) -> RecordDetails:
    """Gather what is known of a record, its documents and vouchers from the log.

    Raises:
        LogUnavailableError: Kafka does not answer.
        TopicsError: the log has an event no more that the read model points at.

    """
    places = {topic: model.places(record.id, names.public(topic)) for topic in (DOCUMENT, VOUCHER_COMMAND, VOUCHER)}
    newest = places[DOCUMENT][-1:]
    told = [*newest, *places[VOUCHER_COMMAND], *places[VOUCHER]]
    read = await read_many(kafka, [_place(place) for place in told])
    events = [event for one in read[len(newest) :] if (event := _event(one)) is not None]
    commands = [event for event in events if isinstance(event, PostVoucher)]
    return RecordDetails(
        record=record,
        steps=model.steps(record.id),
        document=_document(read[0]) if newest else None,
        commands=commands,
        outcomes=[event for event in events if isinstance(event, VoucherPosted | VoucherRejected)],
        mappings=_mappings(model, commands),
    )


def _event(record: LogRecord) -> Model | None:
    """Return an event; None for what a newer version of this program wrote, which must not hide all the rest."""
    try:
        return decode_any(record.headers, record.value)
    except UnreadableError:
        return None


def _place(place: Place) -> tuple[str, int, int]:
    return place.topic, place.partition, place.offset


def _document(record: LogRecord) -> dict[str, Any]:
    captured: dict[str, Any] = orjson.loads(record.value or b"{}")
    return captured


def _mappings(model: ReadModel, commands: list[PostVoucher]) -> list[CurrentMapping]:
    versions = {pair for command in commands for pair in command.mapping_versions.items()}
    found = [model.mapping(key, version) for key, version in sorted(versions)]
    return [one for one in found if one is not None]
