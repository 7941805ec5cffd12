"""Changes of mappings and rules: what differs from what holds, what needs a second word, and the message to the log."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import ValidationError

from schemas.base import Model
from schemas.envelope import encode, event_id
from schemas.errors import UsageError
from schemas.mappings import AccountMappingSet
from streams.accounting.keys import mapping_key, topic_key
from streams.log.messages import Message, event_message
from streams.projection.queries import ReadModel
from streams.views.mappings import MappingEvent, same_content

E = TypeVar("E", bound=Model)


@dataclass(slots=True)
class Differences:
    """Changes by what they do to what holds now."""

    new: list[MappingEvent] = field(default_factory=list)
    changed: list[MappingEvent] = field(default_factory=list)
    unchanged: list[MappingEvent] = field(default_factory=list)

    @property
    def to_send(self) -> list[MappingEvent]:
        """What makes a difference."""
        return [*self.new, *self.changed]


def differences(events: Iterable[MappingEvent], current: Mapping[str, Model]) -> Differences:
    """Compare mappings or rules that are to be set with the events that hold now, by key."""
    found = Differences()
    for event in events:
        now = current.get(mapping_key(event))
        if now is None:
            found.new.append(event)
        elif same_content(event, now):
            found.unchanged.append(event)
        else:
            found.changed.append(event)
    return found


def moved_accounts(events: Iterable[Model], last_set: Mapping[str, Model]) -> list[AccountMappingSet]:
    """Return the account mappings that change the company or GL account of what was last set for that account.

    Once something is posted, what is open stays on the old account; a person has to want that.
    """
    moved = []
    for event in events:
        before = last_set.get(mapping_key(event))
        if not isinstance(event, AccountMappingSet) or not isinstance(before, AccountMappingSet):
            continue
        if (before.company, before.gl_account) != (event.company, event.gl_account):
            moved.append(event)
    return moved


def moved_with_vouchers(model: ReadModel, events: Sequence[Model]) -> list[str]:
    """Return the accounts that `moved_accounts` finds and for which vouchers are posted: a person has to confirm those.

    What is open stays on the old company and GL account.
    """
    before = model.last_set([mapping_key(event) for event in events])
    return sorted(model.accounts_with_vouchers({event.account_id for event in moved_accounts(events, before)}))


def checked(event_type: type[E], **fields: Any) -> E:
    """Return an event made of what a person wrote.

    Raises:
        UsageError: a field cannot be as it is; the message names it.

    """
    try:
        return event_type.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = "-".join(str(part) for part in first["loc"])
        raise UsageError(f"{where}: {first['msg']}") from None


def change_message(topic: str, event: MappingEvent, *, process: str) -> Message:
    """Return a change as the log takes it, under the key that its readers expect: the account's id, or the company."""
    key = mapping_key(event)
    return event_message(
        topic,
        topic_key(event),
        event,
        event_id=event_id("mapping", type(event).__name__, key, encode(event).decode()),
        process=process,
        subject=key,
        time=event.at,
    )
