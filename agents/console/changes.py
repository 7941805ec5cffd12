"""The API's changes of mappings, rules and companies: the checks and words of the command line, with who and why."""

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web
from pydantic import Field

from agents.console.answers import AccountItem, ChartItem, CompanyItem, MappingItem, Removed, RuleItem, mapping_item
from agents.console.api import MODEL, NAMES, SETTINGS
from agents.console.operations import Asked, Operation, Text
from agents.console.proposals import propose_it
from agents.console.refusals import IDENTITY
from agents.console.roles import Role
from agents.console.sending import PROCESS, send
from schemas.base import Date, DocumentType, utc_now
from schemas.errors import UsageError
from schemas.mappings import Code, CodePart, CompanySet, PostingRuleRemoved, PostingRuleSet
from schemas.topics import MAPPING
from streams.accounting.keys import mapping_key
from streams.mapping_changes import change_message, checked, moved_with_vouchers
from streams.mapping_csv import CODE_COLUMNS, check_mapping, check_removal
from streams.proposal_views import ProposalItem
from streams.requests import RequestError
from streams.views.mappings import MappingEvent

PATHS = {
    "account": ("account/{accountId}",),
    "product": ("product/{company}/{matchOn}/{matchValue}",),
    "tax": ("tax/{company}/{matchValue}",),
    "cash": ("cash/{company}/{currency}", "cash/{company}/{currency}/{gateway}"),
    "unapplied": ("unapplied/{company}",),
    "rounding": ("rounding/{company}",),
}
"""Kind of mapping to what follows `/api/mappings/`."""
_COLUMNS = {"accountId": "zuora_account_id", "matchOn": "match_on", "matchValue": "match_value"}


class ChangeBody(Asked):
    """Why something is changed."""

    comment: Text | None = None


class MappingBody(ChangeBody):
    """Where what the path names posts to."""

    gl_account: Code
    code_parts: dict[CodePart, Code] = Field(default_factory=dict)


class AccountBody(MappingBody):
    """Where a Zuora account posts to."""

    company: Code
    confirm: bool = False
    """Move an account to another company or GL account though vouchers are posted for it."""


class ProductBody(MappingBody):
    """Where a product's revenue posts to."""

    deferred_account: Code | None = None


class RuleBody(ChangeBody):
    """Whether documents of a type post in a company, or in all (`*`)."""

    company: Code
    document_type: DocumentType
    post: bool
    external: bool = False
    contra_account: Code | None = None


class CompanyBody(ChangeBody):
    """What is per company; what is left out is as the settings say."""

    company: Code
    cutover: Date | None = None
    voucher_type: Code | None = None
    user_group: Text | None = None
    currency_type: Code | None = None


class RemovalQuery(Asked):
    """Why a mapping is removed."""

    comment: Text | None = None


class RuleQuery(RemovalQuery):
    """Which rule is removed, and why."""

    company: Code
    document_type: DocumentType


def _put_mapping(kind: str) -> Callable[[web.Request, MappingBody], Awaitable[MappingItem | ProposalItem]]:
    async def put(request: web.Request, body: MappingBody) -> MappingItem | ProposalItem:
        cells = _cells(request, kind, body.comment) | {"gl_account": body.gl_account}
        cells |= {CODE_COLUMNS[part]: code for part, code in body.code_parts.items()}
        if isinstance(body, AccountBody):
            cells["company"] = body.company
        if isinstance(body, ProductBody) and body.deferred_account:
            cells["deferred_account"] = body.deferred_account
        event, wrong = check_mapping(cells, actor=request[IDENTITY].name, at=utc_now())
        if event is None:
            raise UsageError("; ".join(wrong))
        await _check_confirmed(request, event, confirmed=isinstance(body, AccountBody) and body.confirm)
        return await _set(request, event)

    return put


def _delete_mapping(kind: str) -> Callable[[web.Request, RemovalQuery], Awaitable[Removed | ProposalItem]]:
    async def delete(request: web.Request, asked: RemovalQuery) -> Removed | ProposalItem:
        cells = _cells(request, kind, asked.comment)
        event, wrong = check_removal(cells, actor=request[IDENTITY].name, at=utc_now())
        if event is None:
            raise UsageError("; ".join(wrong))
        return await _remove(request, event)

    return delete


async def put_rule(request: web.Request, body: RuleBody) -> MappingItem | ProposalItem:
    """Set a posting rule whole."""
    return await _set(request, checked(PostingRuleSet, **dict(body), actor=request[IDENTITY].name, at=utc_now()))


async def delete_rule(request: web.Request, asked: RuleQuery) -> Removed | ProposalItem:
    """Remove a posting rule: that of `*` holds again, or else the default."""
    event = checked(PostingRuleRemoved, **dict(asked), actor=request[IDENTITY].name, at=utc_now())
    return await _remove(request, event)


async def put_company(request: web.Request, body: CompanyBody) -> MappingItem | ProposalItem:
    """Set what is per company whole."""
    return await _set(request, checked(CompanySet, **dict(body), actor=request[IDENTITY].name, at=utc_now()))


def _cells(request: web.Request, kind: str, comment: str | None) -> dict[str, str]:
    named = {_COLUMNS.get(name, name): text for name, text in request.match_info.items()}
    return named | {"kind": kind} | ({"comment": comment} if comment else {})


async def _check_confirmed(request: web.Request, event: MappingEvent, *, confirmed: bool) -> None:
    moved = await asyncio.to_thread(moved_with_vouchers, request.app[MODEL], [event])
    if moved and not confirmed:
        raise RequestError(
            f"vouchers are posted for {moved[0]}: what is open stays on the old company and GL account;"
            " nothing was sent, say `confirm` if that is meant"
        )


async def _set(request: web.Request, event: MappingEvent) -> MappingItem | ProposalItem:
    if request.app[SETTINGS].four_eyes:
        return await propose_it(request, [event])
    return mapping_item(mapping_key(event), await _send(request, event), event)


async def _remove(request: web.Request, event: MappingEvent) -> Removed | ProposalItem:
    key = mapping_key(event)
    now = await asyncio.to_thread(request.app[MODEL].mapping, key)
    if now is None or now.removed:
        raise web.HTTPNotFound(text=f"{key}: there is nothing of that name")
    if request.app[SETTINGS].four_eyes:
        return await propose_it(request, [event])
    return Removed(key=key, version=await _send(request, event))


async def _send(request: web.Request, event: MappingEvent) -> int:
    topic = request.app[NAMES].public(MAPPING)
    return await send(request, [change_message(topic, event, process=PROCESS)])


def _mapping_operations() -> list[Operation]:
    bodies: dict[str, type[MappingBody]] = {"account": AccountBody, "product": ProductBody}
    found: list[Operation] = []
    for kind, paths in PATHS.items():
        answer = AccountItem if kind == "account" else ChartItem
        body = bodies.get(kind, MappingBody)
        also = (409, 503) if kind == "account" else (503,)
        for path in (f"/api/mappings/{path}" for path in paths):
            found += [
                Operation(
                    "PUT",
                    path,
                    f"Set a mapping ({kind})",
                    body,
                    answer,
                    _put_mapping(kind),
                    Role.MAPPER,
                    also,
                    ProposalItem,
                ),
                Operation(
                    "DELETE",
                    path,
                    f"Remove a mapping ({kind})",
                    RemovalQuery,
                    Removed,
                    _delete_mapping(kind),
                    Role.MAPPER,
                    (404, 503),
                    ProposalItem,
                ),
            ]
    return found


CHANGES = (
    *_mapping_operations(),
    Operation(
        "PUT", "/api/rules", "Set a posting rule", RuleBody, RuleItem, put_rule, Role.MAPPER, (503,), ProposalItem
    ),
    Operation(
        "DELETE",
        "/api/rules",
        "Remove a posting rule",
        RuleQuery,
        Removed,
        delete_rule,
        Role.MAPPER,
        (404, 503),
        ProposalItem,
    ),
    Operation(
        "PUT",
        "/api/companies",
        "Set what is per company",
        CompanyBody,
        CompanyItem,
        put_company,
        Role.MAPPER,
        (503,),
        ProposalItem,
    ),
)
