"""All that the log knows about one record: its history, its documents, its vouchers, and the mappings behind them."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson

from schemas.audit import Record
from schemas.base import Model
from schemas.envelope import decode_any
from schemas.errors import UnreadableError
from schemas.topics import DOCUMENT, VOUCHER, VOUCHER_COMMAND, TopicNames
from schemas.vouchers import ANOTHER_STANDS, PostVoucher, ReverseVoucher, VoucherPosted, VoucherRejected
from streams.explanation import Explanation, Sent, explain
from streams.log.partitions import partition_of
from streams.log.reader import LogRecord, log_bounds, read_many
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
    commands: list[PostVoucher | ReverseVoucher]
    outcomes: list[VoucherPosted | VoucherRejected]
    mappings: list[CurrentMapping]
    explanations: list[Explanation]

    def as_json(self) -> dict[str, Any]:
        """Return the record's own fields with its events, document, vouchers and mapping versions."""
        return {
            **json_value(self.record),
            "events": [json_value(step) for step in self.steps],
            "document": self.document,
            "commands": [_typed(command) for command in self.commands],
            "outcomes": [_typed(outcome) for outcome in self.outcomes],
            "mappingVersions": [mapping_json(one.key, one.version, one.event) for one in self.mappings],
            "explanations": [one.as_json() for one in self.explanations],
        }


def _typed(event: Model) -> dict[str, Any]:
    return {"type": type(event).__name__, **json_value(event)}


async def record_details(kafka: KafkaSettings, names: TopicNames, model: ReadModel, record: Record) -> RecordDetails:
    """Gather what is known of a record, its documents and vouchers from the log.

    Raises:
        LogUnavailableError: Kafka does not answer.
        TopicsError: the log has an event no more that the read model points at.

    """
    places = {topic: model.places(record.id, names.public(topic)) for topic in (DOCUMENT, VOUCHER_COMMAND, VOUCHER)}
    documents = _last_of_each_partition(places[DOCUMENT])
    told = [*documents, *places[VOUCHER_COMMAND], *places[VOUCHER]]
    read = await read_many(kafka, [(place.topic, place.partition, place.offset) for place in told])
    events = [(one, event) for one in read[len(documents) :] if (event := _event(one)) is not None]
    outcomes = [event for _, event in events if isinstance(event, VoucherPosted | VoucherRejected)]
    not_made = commands_not_made(outcomes)
    commands = [
        (one, event) for one, event in events if isinstance(event, PostVoucher) and event.command_id not in not_made
    ]
    sent = await _sent(kafka, names, commands, outcomes)
    return RecordDetails(
        record=record,
        steps=model.steps(record.id),
        document=_opened(model, _newest(read[: len(documents)])),
        commands=[event for _, event in events if isinstance(event, PostVoucher | ReverseVoucher)],
        outcomes=outcomes,
        mappings=_mappings(model, [command for _, command in commands]),
        explanations=await asyncio.to_thread(explain, model, sent),
    )


async def _sent(
    kafka: KafkaSettings,
    names: TopicNames,
    commands: list[tuple[LogRecord, PostVoucher]],
    outcomes: list[VoucherPosted | VoucherRejected],
) -> list[Sent]:
    """Read the documents that vouchers were made from: they lie under their account, where the command says."""
    if not commands:
        return []
    topic = names.public(DOCUMENT)
    partitions = len((await log_bounds(kafka, [topic])).end)
    places = [
        (topic, partition_of(command.account_id.encode(), partitions), command.document_offset)
        for _, command in commands
    ]
    in_ifs = commands_in_ifs(outcomes)
    return [
        Sent(command, one.value, source.timestamp, command.command_id in in_ifs)
        for (source, command), one in zip(commands, await read_many(kafka, places), strict=True)
    ]


def commands_in_ifs(outcomes: Iterable[VoucherPosted | VoucherRejected]) -> set[str]:
    """Return the ids of the commands whose vouchers are in IFS Cloud; what is a rehearsal is not."""
    return {one.command_id for one in outcomes if isinstance(one, VoucherPosted) and not one.shadow}


def commands_not_made(outcomes: Iterable[VoucherPosted | VoucherRejected]) -> set[str]:
    """Return the ids of the commands that were refused here: no figure of the ledger comes from them."""
    return {one.command_id for one in outcomes if isinstance(one, VoucherRejected) and one.reason == ANOTHER_STANDS}


def _event(record: LogRecord) -> Model | None:
    """Return an event; None for what a newer version of this program wrote, which must not hide all the rest."""
    try:
        return decode_any(record.headers, record.value)
    except UnreadableError:
        return None


def _last_of_each_partition(places: list[Place]) -> list[Place]:
    """Return the newest place in each partition: a document that moved to another account lies in two."""
    return list({place.partition: place for place in places}.values())


def _newest(documents: list[LogRecord]) -> dict[str, Any] | None:
    captured: list[dict[str, Any]] = [orjson.loads(one.value or b"{}") for one in documents]
    return max(captured, key=lambda one: str(one.get("fetchedAt", "")), default=None)


def _opened(model: ReadModel, document: dict[str, Any] | None) -> dict[str, Any] | None:
    return model.opened(document) if document else document


def _mappings(model: ReadModel, commands: list[PostVoucher]) -> list[CurrentMapping]:
    versions = {pair for command in commands for pair in command.mapping_versions.items()}
    found = [model.mapping(key, version) for key, version in sorted(versions)]
    return [one for one in found if one is not None]
