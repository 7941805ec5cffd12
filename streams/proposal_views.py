"""Proposals as lists and people see them: who, when, why, and each change beside what it takes the place of."""

from collections.abc import Sequence
from enum import StrEnum

from schemas.base import Model, Text, Time, Whole
from schemas.mappings import AccountMappingSet, ChartRuleSet, CompanySet, PostingRuleSet
from streams.projection.queries import ReadModel
from streams.proposals import Proposal
from streams.views.mappings import REMOVALS, kind_of
from streams.views.proposals import Change

Set = AccountMappingSet | ChartRuleSet | PostingRuleSet | CompanySet
"""What sets a mapping or rule."""


class ProposalStatus(StrEnum):
    """How a proposal stands."""

    PENDING = "pending"
    INCOMPLETE = "incomplete"
    """Not all of it reached the log: it can only be refused."""
    APPROVED = "approved"
    REFUSED = "refused"


class ProposalItem(Model):
    """A proposal, and what was decided on it."""

    id: str
    status: ProposalStatus
    actor: Text
    at: Time
    comment: Text | None
    changes: Whole
    """How many mappings and rules it changes."""
    decided_by: Text | None
    decided_at: Time | None
    decision_comment: Text | None


class ProposedItem(Model):
    """A change of a proposal."""

    key: str
    kind: str
    before: Set | None
    """What held when it was proposed; null where there was nothing."""
    after: Set | None
    """What is to hold; null for a removal."""


class ProposalAnswer(ProposalItem):
    """A proposal with its changes."""

    items: tuple[ProposedItem, ...]


def proposal_item(proposal: Proposal) -> ProposalItem:
    """Return a proposal as lists give it."""
    decision = proposal.decision
    return ProposalItem(
        id=proposal.id,
        status=_status(proposal),
        actor=proposal.actor,
        at=proposal.at,
        comment=proposal.comment,
        changes=len(proposal.changes),
        decided_by=decision.actor if decision else None,
        decided_at=decision.at if decision else None,
        decision_comment=decision.comment if decision else None,
    )


def proposal_answer(proposal: Proposal, model: ReadModel) -> ProposalAnswer:
    """Return a proposal with its changes and what they take the place of."""
    return ProposalAnswer(**dict(proposal_item(proposal)), items=tuple(proposed_items(proposal.changes, model)))


def proposed_items(changes: Sequence[Change], model: ReadModel) -> list[ProposedItem]:
    """Return changes beside what they take the place of."""
    # One question for what holds now, which is what most changes of most proposals take the place of.
    now = {(one.key, one.version): one for one in model.mappings(with_removed=True)} if changes else {}
    items = []
    for change in changes:
        before = None
        if change.replaces is not None:
            found = now.get((change.key, change.replaces)) or model.mapping(change.key, change.replaces)
            before = found.event if found else None
        items.append(
            ProposedItem(
                key=change.key,
                kind=kind_of(change.event),
                before=before if isinstance(before, Set) else None,
                after=None if isinstance(change.event, REMOVALS) else change.event,
            )
        )
    return items


def _status(proposal: Proposal) -> ProposalStatus:
    if proposal.decision:
        return ProposalStatus.APPROVED if proposal.is_approved else ProposalStatus.REFUSED
    return ProposalStatus.PENDING if proposal.is_whole else ProposalStatus.INCOMPLETE
