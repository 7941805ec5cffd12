"""What a mapping or rule says, in words that accountants read: what it is for, and line by line what it sets."""

from collections.abc import Mapping
from dataclasses import dataclass

from agents.console.wording import GAP_WORDS, MATCH_WORDS, TYPE_WORDS
from schemas.mappings import (
    AccountMappingSet,
    ChartKey,
    ChartRuleSet,
    CodePart,
    CompanySet,
    PostingRuleRemoved,
    PostingRuleSet,
)
from streams.proposal_views import ProposedItem, Set
from streams.views.mappings import MappingEvent

_EVERY = "every company"


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that a change sets, before and after; empty where there is nothing."""

    name: str
    before: str
    after: str


def title(event: MappingEvent) -> str:
    """Return what a mapping or rule is for, such as `Product SKU ANL, company 10`."""
    match event:
        case ChartKey():
            named = [MATCH_WORDS[event.match_on]] if event.match_on else []
            named += [text for text in (event.match_value, event.currency) if text]
            named += [f"gateway {event.gateway}"] if event.gateway else []
            return f"{' '.join([GAP_WORDS[event.kind], *named])}, company {event.company}"
        case PostingRuleSet() | PostingRuleRemoved():
            where = _EVERY if event.company == "*" else f"company {event.company}"
            return f"Posting of documents: {TYPE_WORDS[event.document_type]}, {where}"
        case CompanySet():
            return f"Company {event.company}"
    return f"Customer account {event.account_id}"


def lines(item: ProposedItem) -> list[Line]:
    """Return what a change sets, beside what held before."""
    before, after = _said(item.before), _said(item.after)
    names = list(dict.fromkeys([*before, *after]))
    return [Line(name, before.get(name, ""), after.get(name, "")) for name in names]


def _said(event: Set | None) -> dict[str, str]:
    match event:
        case AccountMappingSet():
            said = {"Company": event.company, "GL account": event.gl_account} | _parts(event.code_parts)
        case ChartRuleSet():
            said = {"GL account": event.gl_account, "Deferred revenue": event.deferred_account}
            said |= _parts(event.code_parts)
        case PostingRuleSet():
            said = {
                "Posts": _yes(value=event.post),
                "External payments": _yes(value=event.external),
                "Contra account": event.contra_account,
            }
        case CompanySet():
            said = {
                "Cut-over": event.cutover.isoformat() if event.cutover else None,
                "Voucher type": event.voucher_type,
                "User group": event.user_group,
                "Currency rate type": event.currency_type,
            }
        case _:
            said = {}
    said["Comment"] = event.comment if event else None
    return {name: text for name, text in said.items() if text}


def _parts(code_parts: Mapping[CodePart, str]) -> dict[str, str | None]:
    return {"Cost centre" if part == "B" else f"Code part {part}": code for part, code in sorted(code_parts.items())}


def _yes(*, value: bool) -> str:
    return "yes" if value else "no"
