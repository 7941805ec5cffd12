"""Proposals as they are read: what a record of their topic says, and the changes in it."""

from dataclasses import dataclass
from typing import Any

import orjson

from schemas.base import Model
from schemas.envelope import EVENT_TYPES, decode, decode_any
from schemas.errors import UnreadableError
from schemas.proposals import ChangeProposed, ProposalRefused, ProposedChange
from streams.accounting.keys import mapping_key
from streams.views.mappings import MappingEvent


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a proposal: the event as it was proposed, and the version that it takes the place of."""

    event: MappingEvent
    replaces: int | None

    @property
    def key(self) -> str:
        """Of the mapping or rule."""
        return mapping_key(self.event)


def proposal_event(headers: dict[str, bytes], value: bytes | None) -> ChangeProposed | ProposalRefused:
    """Read what a record of the topic of proposals says; its changes are read by `change_of`.

    Raises:
        UnreadableError: it is neither a proposal nor a decision.

    """
    event = decode_any(headers, value)
    if not isinstance(event, ChangeProposed | ProposalRefused):
        raise UnreadableError(f"{type(event).__name__} is neither a proposal nor a decision on one")
    return event


def change_of(proposed: ProposedChange) -> Change:
    """Read a proposed change.

    Raises:
        UnreadableError: it is none of a mapping or rule.

    """
    event_type: type[Model] | None = EVENT_TYPES.get(proposed.event_type)
    if event_type is None or not issubclass(event_type, MappingEvent):
        raise UnreadableError(f"a proposed {proposed.event_type} is no change of a mapping or rule")
    event: Any = decode(event_type, orjson.dumps(proposed.event))
    return Change(event, proposed.replaces)
