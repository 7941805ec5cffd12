"""A POST to the voucher set: precondition, rules, commit, and the ways in which the answer can go wrong."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from aiohttp import web

from deploy.sandbox.exact import Json, dumps, json_response, loads
from deploy.sandbox.faults import Fault
from deploy.sandbox.ifs.errors import BusinessError, OdataError, bad_body
from deploy.sandbox.ifs.ledger import Ledger, Voucher, today
from deploy.sandbox.ifs.state import BOOKING_FAULTS, IfsSandbox

#: A connection left open after a commit that the client shall never hear of.
_OPEN_SECONDS = 600.0


async def post_voucher(sandbox: IfsSandbox, request: web.Request) -> web.StreamResponse:
    """Book one voucher and answer 201, or go wrong as ordered."""
    sandbox.counts["posts"] += 1
    body = read_body(await request.read(), request.content_type)
    fault = sandbox.faults.take("POST", request.path, BOOKING_FAULTS)
    if fault is not None and fault.kind == "other-writer":
        write_as_other(sandbox, str(body.get("Company")))
    require_precondition(sandbox, body, request.headers.get("If-Match"))
    text_numbers = "ieee754compatible=true" in request.headers.get("Content-Type", "").lower().replace(" ", "")
    header, rows = checked(sandbox, body, text_numbers=text_numbers)
    return await commit(sandbox, request, fault, (header, rows), lambda voucher: created(request, voucher))


async def commit(
    sandbox: IfsSandbox,
    request: web.Request,
    fault: Fault | None,
    checked_voucher: tuple[Json, list[Json]],
    answer: Callable[[Voucher], web.Response],
) -> web.StreamResponse:
    """Book header and rows and answer, or go wrong as ordered."""
    header, rows = checked_voucher
    if fault is not None and fault.kind == "commit-late":
        return await late(sandbox, request, fault, lambda: book(sandbox, header, rows))
    voucher = book(sandbox, header, rows)
    if fault is not None and fault.kind == "commit-then-drop":
        return drop(request)
    if fault is not None and fault.kind == "commit-then-504":
        raise timed_out(fault.seconds)
    return answer(voucher)


def read_body(raw: bytes, content_type: str) -> Json:
    """The JSON object of a POST."""
    if content_type != "application/json":
        raise OdataError(415, "ODP_DESERIALIZATION_ERROR", "The content type must be application/json")
    try:
        body = loads(raw)
    except ValueError as error:
        raise bad_body(f"The body is no JSON: {error}") from error
    if not isinstance(body, dict):
        raise bad_body("The body is no JSON object")
    return body


def require_precondition(sandbox: IfsSandbox, body: Json, given: str | None) -> None:
    """428 without a tag, 412 for one that is not the set's present one; `*` says nothing about a set."""
    if sandbox.settings.etag == "ignored" or (given is None and sandbox.settings.etag == "if-given"):
        return
    if given is None:
        sandbox.counts["preconditionMissing"] += 1
        raise OdataError(428, "ODP_MISSING_PRECONDITION", "The If-Match header is required for this operation.")
    if given.strip() == "*" or not sandbox.ledger.tag_fits(str(body.get("Company")), given.strip()):
        sandbox.counts["preconditionFailed"] += 1
        message = "The record has been changed by another user. Refresh and try again."
        raise OdataError(412, "ODP_PRECONDITION_FAILED", message, details=[])


def checked(sandbox: IfsSandbox, body: Json, *, text_numbers: bool = False) -> tuple[Json, list[Json]]:
    """Header and rows that keep all rules; a refusal has the status that the settings ask for."""
    with refusing(sandbox):
        return sandbox.checker(text_numbers=text_numbers).check(body)


@contextmanager
def refusing(sandbox: IfsSandbox) -> Iterator[None]:
    """Count what a rule refuses, and give it the status that the settings ask for."""
    try:
        yield
    except BusinessError as error:
        sandbox.counts[f"refused:{error.key}"] += 1
        raise error.under(sandbox.settings.business_error_status) from error


def book(sandbox: IfsSandbox, header: Json, rows: list[Json]) -> Voucher:
    """Commit."""
    sandbox.counts["booked"] += 1
    return sandbox.ledger.book(header, rows)


def location(origin: str, voucher: Voucher) -> str:
    """The address of a voucher."""
    company, voucher_type, year, number = voucher.key
    key = f"Company='{company}',VoucherType='{voucher_type}',AccountingYear={year},VoucherNo={number}"
    return f"{origin}/main/ifsapplications/projection/v1/VoucherHandling.svc/VoucherSet({key})"


def created(request: web.Request, voucher: Voucher) -> web.Response:
    """201 with the header, or 204 where the client asked for no body."""
    headers = {"Location": location(f"http://{request.host}", voucher), "ETag": voucher.etag(), "OData-Version": "4.0"}
    if "return=minimal" in request.headers.get("Prefer", ""):
        return web.Response(status=204, headers=headers)
    context = f"http://{request.host}{request.path.rpartition('/')[0]}/$metadata#VoucherSet/$entity"
    return json_response({"@odata.context": context, "@odata.etag": voucher.etag(), **voucher.header}, 201, headers)


def drop(request: web.Request) -> web.Response:
    """Cut the connection without an answer."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)


def timed_out(seconds: float) -> OdataError:
    """504 as IFS words it."""
    return OdataError(
        504, "ODP_OPERATION_TIMEOUT", f"Operation did not complete in the expected time ({seconds:g} seconds)."
    )


async def late(
    sandbox: IfsSandbox, request: web.Request, fault: Fault, book_now: Callable[[], object]
) -> web.StreamResponse:
    """Commit after the ordered time whatever the client does.

    It hears a 504 (`status` 504), else nothing but a cut line.
    """

    async def commit() -> None:
        await asyncio.sleep(fault.seconds)
        book_now()
        sandbox.counts["committedLate"] += 1

    task = asyncio.get_running_loop().create_task(commit())
    sandbox.late.add(task)
    task.add_done_callback(sandbox.late.discard)
    if fault.status == 504:
        raise timed_out(_wait_seconds(request))
    if fault.body == "hang":
        await asyncio.sleep(_OPEN_SECONDS)
    return drop(request)


def _wait_seconds(request: web.Request) -> float:
    for part in request.headers.get("Prefer", "").split(","):
        name, _, value = part.strip().partition("=")
        if name == "wait" and value.isdecimal():
            return float(value)
    return 300.0


def write_as_other(sandbox: IfsSandbox, company: str) -> Voucher | None:
    """Another user's voucher: it changes the tag of the set. None where the company does not exist."""
    found = sandbox.companies.get(company)
    if found is None:
        return None
    accounts = [account.account for account in found.accounts.values() if not account.ledger][:2]
    shared = {"CurrencyCode": found.currency, "CurrencyType": "1", "Text": "someone else's"}
    body: Json = {
        "Company": company,
        "VoucherType": "M",
        "VoucherDate": f"{max(found.years)}-01-15" if today()[:4] not in {str(y) for y in found.years} else today(),
        sandbox.settings.rows_property: [
            {"Account": accounts[0], "CurrencyDebetAmount": 1, "DebetAmount": 1, **shared},
            {"Account": accounts[1], "CurrencyCreditAmount": 1, "CreditAmount": 1, **shared},
        ],
    }
    ledger: Ledger = sandbox.ledger
    return ledger.book(*sandbox.checker().check(loads(dumps(body))))
