"""The voucher entry assistant: IFS's shipped way to a manual voucher, in steps of which only the last one books.

`POST VoucherSet` makes a draft (virtual, one key: Objkey), `PATCH` changes it, `POST …/VoucherPostingArray` adds a row,
`VoucherEntry_CreateVoucher` books header and rows in one transaction and returns the voucher's number. The draft stays
until it is cleaned up: creating twice from one draft makes two vouchers. Drafts are in no other set.
"""

import re
import secrets
from collections.abc import Iterable

from aiohttp import web

from deploy.sandbox.exact import Json, json_response
from deploy.sandbox.ifs import booking
from deploy.sandbox.ifs.company import Company
from deploy.sandbox.ifs.entities import HEADER_TYPES, ROW_TYPES, EntitySet, Equal
from deploy.sandbox.ifs.errors import OdataError, mandatory, not_found, rule
from deploy.sandbox.ifs.ledger import Draft, Voucher
from deploy.sandbox.ifs.state import BOOKING_FAULTS, IfsSandbox

PROJECTION = "VoucherEntryAssistantHandling"
_DRAFT = re.compile(r"VoucherSet\(Objkey='(?P<objkey>\w+)'\)(?:/(?P<rest>.+))?")
#: The assistant's own properties, which a voucher does not have.
_OF_DRAFTS = frozenset({"OpennedFrom", "MultiCompanyMode"})
_OF_ROWS = frozenset({"AddInternal", "IntManualAdded"})


def _drafts(sandbox: IfsSandbox, equal: Equal) -> Iterable[Json]:
    del equal
    return [_shown(draft) for draft in sandbox.drafts.values()]


def _rows(sandbox: IfsSandbox, equal: Equal) -> Iterable[Json]:
    del equal
    return [row for draft in sandbox.drafts.values() for row in draft.rows]


_POSTINGS = EntitySet(
    "VoucherPostingArray", "VoucherPosting", ("Objkey", "RowNo"), {**ROW_TYPES, "Objkey": "text"}, _rows
)
SETS = {
    "VoucherSet": EntitySet(
        "VoucherSet",
        "VoucherEntry",
        ("Objkey",),
        {**HEADER_TYPES, "Objkey": "text"},
        _drafts,
        {"VoucherPostingArray": _POSTINGS},
    )
}


async def write(sandbox: IfsSandbox, request: web.Request) -> web.StreamResponse:
    """A POST: a new draft, a row of one, or one of its actions."""
    resource = request.match_info["resource"]
    body = booking.read_body(await request.read() or b"{}", request.content_type)
    if resource == "VoucherSet":
        return _new(sandbox, body)
    draft, rest = _draft(sandbox, resource)
    if rest == "VoucherPostingArray":
        return _add_row(sandbox, draft, body)
    action = rest.removeprefix(f"IfsApp.{PROJECTION}.VoucherEntry_")
    if action == "CreateVoucher":
        return await _create(sandbox, request, draft)
    if action in {"RemoveTempVoucher", "CleanupVirtualEntity"}:
        del sandbox.drafts[draft.objkey]
        return web.Response(status=204, headers={"OData-Version": "4.0"})
    raise not_found(resource)


async def change(sandbox: IfsSandbox, request: web.Request) -> web.Response:
    """A PATCH of a draft, under its tag or `*`; the server derives period and status anew."""
    draft, rest = _draft(sandbox, request.match_info["resource"])
    if rest:
        raise OdataError(405, "ODP_ILLEGAL_STATE", "Only the draft itself can be changed.")
    tag = request.headers.get("If-Match")
    if tag is None:
        raise OdataError(428, "ODP_MISSING_PRECONDITION", "The If-Match header is required for this operation.")
    if tag.strip() not in {"*", draft.etag()}:
        raise OdataError(412, "ODP_PRECONDITION_FAILED", "The record has been changed by another user.", details=[])
    given = draft.given | booking.read_body(await request.read(), request.content_type)
    draft.header = _derived(sandbox, given)
    draft.given, draft.version = given, draft.version + 1
    return _answer(_shown(draft), 200)


def _new(sandbox: IfsSandbox, body: Json) -> web.Response:
    if body.get("OpennedFrom") != "NEW_VOUCHER":
        raise rule("Voucher.VOUCHERNOTEXIST", "There is no voucher in the hold table to copy from")
    objkey = secrets.token_hex(16).upper()
    draft = Draft(objkey, body, _derived(sandbox, body))
    sandbox.drafts[objkey] = draft
    return _answer(_shown(draft), 201)


def _derived(sandbox: IfsSandbox, given: Json) -> Json:
    """What the server makes of the header; without a voucher type it takes the first one for manual vouchers."""
    body = {name: value for name, value in given.items() if name not in _OF_DRAFTS}
    with booking.refusing(sandbox):
        checker = sandbox.checker()
        if not body.get("VoucherType"):
            body["VoucherType"] = _default_type(checker.company_of(body))
        return checker.header(body)


def _default_type(company: Company) -> str:
    manual = [name for name, each in company.voucher_types.items() if each.function_group == "M"]
    if not manual:
        raise rule("Voucher.NOFUNGROUP", "There is no voucher type for function group M")
    return manual[0]


def _add_row(sandbox: IfsSandbox, draft: Draft, body: Json) -> web.Response:
    """Take a row as it is: neither amounts nor accounts are looked at before the voucher is created."""
    row = {name: value for name, value in body.items() if name not in _OF_ROWS}
    with booking.refusing(sandbox):
        sandbox.checker().row_shape(row)
        if not row.get("Account"):
            raise mandatory("VoucherRow", "ACCOUNT", "Voucher Row")
    draft.rows.append({**row, "Objkey": draft.objkey, "RowNo": len(draft.rows) + 1})
    return _answer({"@odata.etag": draft.etag(), "luname": "VoucherPosting", **draft.rows[-1]}, 201)


async def _create(sandbox: IfsSandbox, request: web.Request, draft: Draft) -> web.StreamResponse:
    sandbox.counts["posts"] += 1
    fault = sandbox.faults.take("POST", request.path, BOOKING_FAULTS)
    if fault is not None and fault.kind == "other-writer":
        booking.write_as_other(sandbox, str(draft.header["Company"]))
    body = {name: value for name, value in draft.given.items() if name not in _OF_DRAFTS}
    body["VoucherType"] = draft.header["VoucherType"]
    body[sandbox.settings.rows_property] = [
        {name: value for name, value in row.items() if name not in {"Objkey", "RowNo"}} for row in draft.rows
    ]
    return await booking.commit(sandbox, request, fault, booking.checked(sandbox, body), _number)


def _number(voucher: Voucher) -> web.Response:
    return _answer({"value": voucher.header["VoucherNo"]}, 200)


def _draft(sandbox: IfsSandbox, resource: str) -> tuple[Draft, str]:
    """The draft that a resource names, and what follows its key."""
    match = _DRAFT.fullmatch(resource)
    if match is None or match["objkey"] not in sandbox.drafts:
        raise not_found(resource)
    return sandbox.drafts[match["objkey"]], match["rest"] or ""


def _shown(draft: Draft) -> Json:
    return {"@odata.etag": draft.etag(), "Objkey": draft.objkey, **draft.header, "luname": "VoucherEntry"}


def _answer(body: Json, status: int) -> web.Response:
    return json_response(body, status, {"OData-Version": "4.0"})
