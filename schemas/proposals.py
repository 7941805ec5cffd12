"""Four eyes: a change of a mapping or rule that one person proposes and another approves.

Key: the proposal's id. What is approved becomes an event of `ledger.mapping.v1`, which names both.
"""

from typing import Annotated, Any

from pydantic import Field

from schemas.base import Model, Text, Time


class ProposedChange(Model):
    """An event that is to be appended to `ledger.mapping.v1`, and what it takes the place of."""

    event_type: Text
    event: dict[str, Any]
    replaces: int | None = None
    """Version that held when the change was proposed; None if there was none."""


class ChangeProposed(Model):
    """Changes that belong together, or a part of them: an import of thousands of lines does not fit into one event."""

    proposal: Text
    part: Annotated[int, Field(ge=1)]
    parts: Annotated[int, Field(ge=1)]
    changes: tuple[ProposedChange, ...]
    actor: Text
    at: Time
    comment: Text | None = None


class ProposalRefused(Model):
    """A person decided against a proposal, or took their own back."""

    proposal: Text
    actor: Text
    at: Time
    comment: Text | None = None


class ProposalApproved(ProposalRefused):
    """Another person approved: the changes are appended to `ledger.mapping.v1` with this moment as theirs."""
