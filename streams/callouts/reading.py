"""From a callout to what it says: pure, and never an exception.

Only ids are believed. Amounts and dates of callouts are formatted for a locale; the collector fetches the real ones.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from schemas.base import DocumentType
from schemas.errors import UnreadableError
from streams.callouts import vocabulary
from streams.callouts.bodies import read_fields
from streams.callouts.vocabulary import plain
from streams.privacy.fields import PersonalFields, without_personal

NOTIFICATION_ID_HEADER = "Zuora-Notification-Id"
"""The same on every retry of one callout; `Zuora-Request-Id` is not."""

PERSONAL_FIELDS = PersonalFields()
"""Left out of what is kept of a callout: nothing reads them, and the document has them sealed."""

LONGEST_ID = 255
"""Characters of an object id; Zuora's have 32, numbers up to some 30."""

MOST_FIELDS_BYTES = 512 * 1024
"""What `fields` may take as JSON: with it an event stays below the 1 MiB that a topic takes by default."""


@dataclass(frozen=True, slots=True)
class Callout:
    """A callout about a document that we know: which, and all that it carried but credentials."""

    document_type: DocumentType
    object_id: str
    event: str | None
    object_number: str | None
    account_id: str | None
    notification_id: str | None
    fields: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Unknown:
    """A callout that can be read but tells of nothing that we know."""

    reason: str
    object_id: str | None


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Bytes that are no callout, or a callout that does not say which document it is about."""

    reason: str


def read_callout(
    body: bytes, content_type: str, query: Mapping[str, str], headers: Mapping[str, str]
) -> Callout | Unknown | Unreadable:
    """Return what a callout says; where body and query both tell a value, the body is believed."""
    try:
        told = read_fields(body, content_type)
        fields = _kept({**query, **told})
    except UnreadableError as error:
        return Unreadable(str(error))
    if not told and not query:
        return Unreadable("empty: neither a body nor query parameters")
    return _understood({**_values(query), **_values(told)}, fields, _usable(headers.get(NOTIFICATION_ID_HEADER)))


def _understood(
    values: dict[str, str], fields: dict[str, Any], notification_id: str | None
) -> Callout | Unknown | Unreadable:
    event = _first(values, vocabulary.EVENT_KEYS)
    document_type = _document_type(values)
    if document_type is None:
        about = f"event {event!r}" if event else "no event"
        return Unknown(f"of no type that we know: {about}", _first(values, vocabulary.OBJECT_ID_KEYS))
    number = _first(values, (*vocabulary.OBJECT_NUMBER_KEYS, *vocabulary.NUMBER_KEYS[document_type]))
    # Zuora's API takes a document's number wherever it takes its id.
    object_id = _first(values, (*_typed_keys(document_type), *vocabulary.OBJECT_ID_KEYS)) or number
    if object_id is None:
        return Unreadable(f"about type {document_type.value}, but without an object id of 1 to {LONGEST_ID} characters")
    account_id = _first(values, vocabulary.ACCOUNT_ID_KEYS)
    return Callout(document_type, object_id, event, number, account_id, notification_id, fields)


def _document_type(values: dict[str, str]) -> DocumentType | None:
    """By the event, else by the object's type, else by the one id that there is."""
    events = (vocabulary.type_of_event(values[key]) for key in vocabulary.EVENT_KEYS if key in values)
    objects = (vocabulary.type_of_object(values[key]) for key in vocabulary.OBJECT_TYPE_KEYS if key in values)
    typed = (document_type for key, document_type in vocabulary.TYPED_ID_KEYS.items() if key in values)
    return next((found for found in (*events, *objects, *typed) if found), None)


def _typed_keys(document_type: DocumentType) -> Iterator[str]:
    return (key for key, its_type in vocabulary.TYPED_ID_KEYS.items() if its_type is document_type)


def _first(values: dict[str, str], keys: Iterable[str]) -> str | None:
    return next((values[key] for key in keys if key in values), None)


def _values(fields: Mapping[str, Any]) -> dict[str, str]:
    """Usable values by their plain names; `{"Invoice": {"Id": …}}` tells an `invoiceid`, unless one stands outside."""
    fields = {**_enveloped(fields), **fields}
    inner = {
        plain(outer + name): _usable(value)
        for outer, group in fields.items()
        if isinstance(group, dict)
        for name, value in group.items()
    }
    top = {plain(name): _usable(value) for name, value in fields.items()}
    return {name: text for values in (inner, top) for name, text in values.items() if text}


def _enveloped(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return what stands in an object that says nothing of what is in it: `{"data": {"InvoiceId": …}}`."""
    envelopes = (value for name, value in fields.items() if plain(name) in vocabulary.ENVELOPES)
    return {name: value for envelope in envelopes if isinstance(envelope, dict) for name, value in envelope.items()}


def _usable(value: object) -> str | None:
    """Return a value that can be an id or a name; Zuora sends what is empty as nothing, `null` or "null"."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        return None
    text = value.strip()
    return text if 0 < len(text) <= LONGEST_ID and text.isprintable() and text.lower() != "null" else None


def _kept(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields that go into the event: no credentials, nothing of a person, no more than it can hold."""
    kept: dict[str, Any] = {}
    left = MOST_FIELDS_BYTES
    for name, value in without_personal(vocabulary.without_credentials(fields), PERSONAL_FIELDS).items():
        try:
            left -= len(json.dumps({name: value}, ensure_ascii=False).encode())
        except UnicodeEncodeError:
            raise UnreadableError("text with half a character (a lone surrogate)") from None
        if left >= 0:
            kept[name] = value
    return kept
