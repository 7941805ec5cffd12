"""Four eyes: what is proposed, approved by another, refused, and what a crash in between leaves."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.base import Model
from schemas.envelope import encode
from schemas.mappings import AccountMappingRemoved, ChartRuleSet
from schemas.proposals import ChangeProposed, ProposalApproved, ProposalRefused, ProposedChange
from schemas.topics import TopicNames
from streams.log.reader import LogRecord
from streams.proposals import (
    CHANGES_IN_AN_EVENT,
    Proposal,
    ProposalBook,
    UnknownProposalError,
    approve,
    proposal_message,
    propose,
    refuse,
)
from streams.requests import RequestError
from streams.views.mappings import MappingEvent

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(hours=1)
TAX = ChartRuleSet(company="10", kind="tax", match_value="VAT25", gl_account="2610", actor="anna", at=NOON)
TAX_KEY = "10/tax/VAT25"


def proposed(*events: MappingEvent, versions: dict[str, int] | None = None) -> ProposalBook:
    return book(*propose(events, versions or {}, actor="anna", at=NOON, comment="new tax code"))


def book(*events: Model) -> ProposalBook:
    made = ProposalBook()
    for event in events:
        made.apply(event)
    return made


def only(made: ProposalBook) -> Proposal:
    [proposal] = made.newest_first
    return proposal


def test_what_one_person_proposes_takes_effect_in_the_name_of_both_when_another_approves() -> None:
    proposal = only(proposed(TAX))

    decision, events = approve(proposal, {}, actor="bert", at=LATER)

    assert decision == ProposalApproved(proposal=proposal.id, actor="bert", at=LATER)
    assert events == [TAX.model_copy(update={"approved_by": "bert", "at": LATER})]


def test_nobody_approves_their_own_not_even_by_an_event_in_the_log() -> None:
    made = proposed(TAX)
    proposal = only(made)

    with pytest.raises(RequestError, match="your own"):
        approve(proposal, {}, actor="anna", at=LATER)
    made.apply(ProposalApproved(proposal=proposal.id, actor="anna", at=LATER))

    assert only(made).is_pending


def test_what_changed_since_it_was_proposed_is_not_approved() -> None:
    proposal = only(proposed(TAX, versions={TAX_KEY: 4}))

    with pytest.raises(RequestError, match=f"{TAX_KEY} has changed since"):
        approve(proposal, {TAX_KEY: 5}, actor="bert", at=LATER)


def test_an_approval_that_broke_off_is_completed_by_approving_once_more() -> None:
    other = TAX.model_copy(update={"match_value": "VAT12"})
    made = proposed(TAX, other)
    decision, events = approve(only(made), {}, actor="bert", at=LATER)
    assert decision
    made.apply(decision)

    again, left = approve(only(made), {TAX_KEY: 17}, actor="carl", at=LATER + timedelta(days=1))

    assert again is None
    assert left == events[1:]
    assert approve(only(made), {TAX_KEY: 17, "10/tax/VAT12": 18}, actor="carl", at=LATER) == (None, [])


def test_what_was_refused_stays_refused_and_who_proposed_may_take_it_back() -> None:
    made = proposed(TAX)
    made.apply(refuse(only(made), actor="anna", at=LATER))

    for decide in (approve, lambda proposal, _, **word: refuse(proposal, **word)):
        with pytest.raises(RequestError, match="refused by anna"):
            decide(only(made), {}, actor="bert", at=LATER)


def test_of_two_decisions_the_first_counts() -> None:
    made = proposed(TAX)
    made.apply(ProposalRefused(proposal=only(made).id, actor="bert", at=LATER))
    made.apply(ProposalApproved(proposal=only(made).id, actor="carl", at=LATER))

    assert not only(made).is_approved
    assert not only(made).is_pending


def test_an_import_that_broke_off_is_not_approved_and_nothing_is_added_after_a_decision() -> None:
    events = [TAX.model_copy(update={"match_value": f"T{number}"}) for number in range(CHANGES_IN_AN_EVENT + 1)]
    first, second = propose(events, {}, actor="anna", at=NOON)
    made = book(first)

    with pytest.raises(RequestError, match="whole"):
        approve(only(made), {}, actor="bert", at=LATER)

    made.apply(ProposalRefused(proposal=first.proposal, actor="bert", at=LATER))
    made.apply(second)
    assert len(only(made).changes) == CHANGES_IN_AN_EVENT


def test_an_unknown_proposal_is_told() -> None:
    with pytest.raises(UnknownProposalError, match="no proposal abc"):
        ProposalBook().get("abc")


def test_removals_are_proposed_too_and_what_is_no_mapping_is_passed_over() -> None:
    gone = AccountMappingRemoved(account_id="a1", actor="anna", at=NOON)
    nonsense = ChangeProposed(
        proposal="x",
        part=1,
        parts=1,
        changes=(ProposedChange(event_type="VoucherPosted", event={}),),
        actor="anna",
        at=NOON,
    )
    events = [*propose([gone], {"account/a1": 3}, actor="anna", at=NOON), nonsense]
    made = ProposalBook()
    made.take([record(event, offset) for offset, event in enumerate(events)])

    assert [change.event for change in only(made).changes] == [gone]


def record(event: ChangeProposed, offset: int) -> LogRecord:
    message = proposal_message(TopicNames("", "zuora-ifs"), event, "cli")
    return LogRecord(message.topic, 0, offset, message.key, encode(event), dict(message.headers), NOON)


@given(codes=st.lists(st.text("ABC123", min_size=1, max_size=5), unique=True, min_size=1, max_size=1200))
def test_an_import_of_any_size_takes_effect_whole_and_in_its_order(codes: list[str]) -> None:
    events = [TAX.model_copy(update={"match_value": code}) for code in codes]

    _, approved = approve(only(proposed(*events)), {}, actor="bert", at=LATER)

    assert [event.match_value for event in approved if isinstance(event, ChartRuleSet)] == codes
