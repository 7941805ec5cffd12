"""Four eyes: what one person proposes takes effect when another approves. Decided purely, as the log tells it.

Nothing is decided twice: what was approved and did not all reach the log (a crash came between) is completed by
approving once more, and what has been changed meanwhile is refused.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import orjson
import structlog

from schemas.base import Model
from schemas.envelope import encode, event_id, utc_text
from schemas.errors import UnreadableError
from schemas.proposals import ChangeProposed, ProposalApproved, ProposalRefused, ProposedChange
from schemas.topics import PROPOSAL, TopicNames
from streams.accounting.keys import mapping_key
from streams.log.messages import Message, event_message
from streams.log.reader import LogRecord, read_to_end
from streams.projection.queries import ReadModel
from streams.requests import RequestError, UnknownRecordError
from streams.settings import KafkaSettings
from streams.views.mappings import MappingEvent
from streams.views.proposals import Change, change_of, proposal_event

CHANGES_IN_AN_EVENT = 500
"""Of some 300 bytes each: far below the 1 MB that a topic takes."""

log = structlog.get_logger(__name__)


class UnknownProposalError(UnknownRecordError):
    """There is no proposal of that id."""


@dataclass(slots=True)
class Proposal:
    """A proposal as far as the log tells it."""

    id: str
    actor: str
    at: datetime
    comment: str | None
    parts: int
    read: dict[int, tuple[Change, ...]] = field(default_factory=dict)
    decision: ProposalRefused | None = None
    """The first one; later ones change nothing."""

    @property
    def is_whole(self) -> bool:
        """Whether all of its parts are in the log; one that broke off can only be refused."""
        return len(self.read) == self.parts

    @property
    def is_pending(self) -> bool:
        """Whether nobody has decided on it."""
        return self.decision is None

    @property
    def is_approved(self) -> bool:
        """Whether another person approved it."""
        return isinstance(self.decision, ProposalApproved)

    @property
    def changes(self) -> list[Change]:
        """All changes, in the order in which they are to take effect."""
        return [change for part in sorted(self.read) for change in self.read[part]]


class ProposalBook:
    """All proposals, folded from `connector.proposal.v1`."""

    def __init__(self) -> None:
        self._proposals: dict[str, Proposal] = {}

    def take(self, records: Iterable[LogRecord]) -> None:
        """Take over records in their order; what cannot be read is logged and passed over."""
        for record in records:
            try:
                self.apply(proposal_event(record.headers, record.value))
            except UnreadableError as error:
                log.warning("a proposal cannot be read", offset=record.offset, why=str(error))

    def apply(self, event: Model) -> None:
        """Take over one event.

        Raises:
            UnreadableError: a proposed change is none of a mapping or rule.

        """
        if isinstance(event, ChangeProposed):
            changes = tuple(change_of(one) for one in event.changes)
            proposal = self._proposals.setdefault(
                event.proposal, Proposal(event.proposal, event.actor, event.at, event.comment, event.parts)
            )
            if proposal.is_pending:  # nobody may add to what another person has seen and approved
                proposal.read.setdefault(event.part, changes)
        elif isinstance(event, ProposalRefused):
            found = self._proposals.get(event.proposal)
            if found and found.is_pending and not (isinstance(event, ProposalApproved) and event.actor == found.actor):
                found.decision = event

    def get(self, proposal_id: str) -> Proposal:
        """Return a proposal.

        Raises:
            UnknownProposalError: there is none of that id.

        """
        if proposal_id not in self._proposals:
            raise UnknownProposalError(f"there is no proposal {proposal_id}")
        return self._proposals[proposal_id]

    @property
    def newest_first(self) -> list[Proposal]:
        """All proposals, decided ones too."""
        return list(reversed(self._proposals.values()))

    @property
    def pending(self) -> int:
        """How many nobody has decided on."""
        return sum(proposal.is_pending for proposal in self._proposals.values())


async def read_proposals(kafka: KafkaSettings, names: TopicNames) -> ProposalBook:
    """Return all proposals as the log tells them now.

    Raises:
        LogUnavailableError: Kafka does not answer.
        TopicsError: the topic does not exist.

    """
    book = ProposalBook()
    async for batch in read_to_end(kafka, [names.public(PROPOSAL)], {}):
        book.take(batch.records)
    return book


def versions_now(model: ReadModel) -> dict[str, int]:
    """Return the versions that hold now, by key; what was removed has that of its removal."""
    return {one.key: one.version for one in model.mappings(with_removed=True)}


def propose(
    events: Sequence[MappingEvent], versions: Mapping[str, int], *, actor: str, at: datetime, comment: str | None = None
) -> list[ChangeProposed]:
    """Return the events by which changes are proposed together; `versions` are those that hold now, by key."""
    changes = [
        ProposedChange(
            event_type=type(event).__name__,
            event=orjson.loads(encode(event)),
            replaces=versions.get(mapping_key(event)),
        )
        for event in events
    ]
    proposal = event_id("proposal", actor, utc_text(at), *(encode(change).decode() for change in changes))
    pieces = [changes[first : first + CHANGES_IN_AN_EVENT] for first in range(0, len(changes), CHANGES_IN_AN_EVENT)]
    return [
        ChangeProposed(
            proposal=proposal,
            part=part,
            parts=len(pieces),
            changes=tuple(piece),
            actor=actor,
            at=at,
            comment=comment,
        )
        for part, piece in enumerate(pieces, start=1)
    ]


def approve(
    proposal: Proposal, versions: Mapping[str, int], *, actor: str, at: datetime, comment: str | None = None
) -> tuple[ProposalApproved | None, list[MappingEvent]]:
    """Return the decision to append (None if it is there already), and then the events for `ledger.mapping.v1`.

    `versions` are those that hold now, by key. Of what was approved before, only what has not reached the log is
    returned.

    Raises:
        RequestError: it was refused, is not in the log whole, is the person's own, or something has changed since.

    """
    if proposal.decision and not proposal.is_approved:
        raise RequestError(f"proposal {proposal.id} was refused by {proposal.decision.actor}")
    if not proposal.is_whole:
        raise RequestError(f"proposal {proposal.id} has not reached the log whole: refuse it, and propose it again")
    if proposal.actor == actor:
        raise RequestError(f"proposal {proposal.id} is your own: another person has to approve it")
    left = [change for change in proposal.changes if versions.get(change.key) == change.replaces]
    if isinstance(proposal.decision, ProposalApproved):
        return None, [_approved(change, proposal, proposal.decision) for change in left]
    if len(left) < len(proposal.changes):
        kept = {change.key for change in left}
        changed = [change.key for change in proposal.changes if change.key not in kept]
        raise RequestError(
            f"{', '.join(changed[:3])} has changed since proposal {proposal.id} was made: refuse it, and propose again"
        )
    decision = ProposalApproved(proposal=proposal.id, actor=actor, at=at, comment=comment)
    return decision, [_approved(change, proposal, decision) for change in left]


def refuse(proposal: Proposal, *, actor: str, at: datetime, comment: str | None = None) -> ProposalRefused:
    """Return the decision to append; who proposed may take it back.

    Raises:
        RequestError: it has been decided.

    """
    if proposal.decision:
        word = "approved" if proposal.is_approved else "refused"
        raise RequestError(f"proposal {proposal.id} was {word} by {proposal.decision.actor}")
    return ProposalRefused(proposal=proposal.id, actor=actor, at=at, comment=comment)


def proposal_message(names: TopicNames, event: ChangeProposed | ProposalRefused, process: str) -> Message:
    """Return the message that carries a proposal or a decision; `process` is where it was said, such as `cli`."""
    part = str(event.part) if isinstance(event, ChangeProposed) else event.actor
    return event_message(
        names.public(PROPOSAL),
        event.proposal,
        event,
        event_id=event_id(type(event).__name__, event.proposal, part),
        process=process,
        subject=event.proposal,
        time=event.at,
    )


def _approved(change: Change, proposal: Proposal, decision: ProposalApproved) -> MappingEvent:
    return change.event.model_copy(update={"actor": proposal.actor, "approved_by": decision.actor, "at": decision.at})
