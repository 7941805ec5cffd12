"""`/_sandbox/…` of the IFS side.

What accountants do in IFS itself, faults on order, and what was booked and counted.
"""

from decimal import Decimal

from aiohttp import web

from deploy.sandbox.common_control import common_routes, set_settings
from deploy.sandbox.exact import Json, json_response, read_json
from deploy.sandbox.ifs.booking import write_as_other
from deploy.sandbox.ifs.company import Account, Company, Rate, VoucherType
from deploy.sandbox.ifs.defaults import new_company
from deploy.sandbox.ifs.ledger import Voucher
from deploy.sandbox.ifs.state import SANDBOX, IfsSandbox


def routes() -> list[web.RouteDef]:
    """All of `/_sandbox`."""
    return [
        web.get("/_sandbox/vouchers", vouchers),
        web.post("/_sandbox/vouchers/other-writer", other_writer),
        web.get("/_sandbox/drafts", drafts),
        web.get("/_sandbox/duplicates", duplicates),
        web.get("/_sandbox/trial-balance", trial_balance),
        web.post("/_sandbox/gl-update", gl_update),
        web.post("/_sandbox/companies", change_company),
        web.post("/_sandbox/accounts", add_account),
        web.post("/_sandbox/code-parts", add_code_part),
        web.post("/_sandbox/voucher-types", add_voucher_type),
        web.post("/_sandbox/periods", change_period),
        web.post("/_sandbox/rates", add_rate),
        web.get("/_sandbox/requests", requests),
        web.post("/_sandbox/settings", change_settings),
        *common_routes(lambda request: request.app[SANDBOX]),
    ]


def _company(sandbox: IfsSandbox, wanted: Json) -> Company:
    company = sandbox.companies.get(str(wanted.get("company")))
    if company is None:
        raise ValueError(f"there is no company {wanted.get('company')}")
    return company


def shown(voucher: Voucher) -> Json:
    """A voucher as `/_sandbox/vouchers` gives it."""
    company, voucher_type, year, number = voucher.key
    return {
        "company": company,
        "voucherType": voucher_type,
        "accountingYear": year,
        "voucherNo": number,
        "inGeneralLedger": voucher.in_gl,
        "references": sorted(voucher.references),
        "header": voucher.header,
        "rows": voucher.rows,
    }


async def vouchers(request: web.Request) -> web.Response:
    """Vouchers in the order of booking; `?company=`, `?reference=`, `?inGeneralLedger=true|false` and `?count=true`."""
    query, found = request.query, list(request.app[SANDBOX].ledger.vouchers.values())
    if "company" in query:
        found = [voucher for voucher in found if voucher.header["Company"] == query["company"]]
    if "reference" in query:
        found = [voucher for voucher in found if query["reference"] in voucher.references]
    if "inGeneralLedger" in query:
        found = [voucher for voucher in found if voucher.in_gl == (query["inGeneralLedger"] == "true")]
    return json_response(
        {"count": len(found)} if query.get("count") == "true" else [shown(voucher) for voucher in found]
    )


async def other_writer(request: web.Request) -> web.Response:
    """`{"company"}`: a voucher of another user, which changes the set's tag."""
    sandbox, wanted = request.app[SANDBOX], await read_json(request)
    voucher = write_as_other(sandbox, _company(sandbox, wanted).company)
    return json_response(shown(voucher) if voucher else {}, 201)


async def drafts(request: web.Request) -> web.Response:
    """Drafts of the entry assistant that nobody cleaned up."""
    left = request.app[SANDBOX].drafts.values()
    return json_response([{"objkey": each.objkey, "header": each.header, "rows": each.rows} for each in left])


async def duplicates(request: web.Request) -> web.Response:
    """References that more than one voucher carries."""
    return json_response(request.app[SANDBOX].ledger.duplicates())


async def trial_balance(request: web.Request) -> web.Response:
    """Net per company, account and currency; `?company=`."""
    return json_response(request.app[SANDBOX].ledger.trial_balance(request.query.get("company")))


async def gl_update(request: web.Request) -> web.Response:
    """`{"company"?}`: move approved vouchers into the general ledger."""
    wanted = await read_json(request)
    moved = request.app[SANDBOX].ledger.update_general_ledger(wanted.get("company"))
    return json_response({"moved": len(moved)})


async def change_company(request: web.Request) -> web.Response:
    """`{"company", "currency"?, "description"?, "parallelCurrency"?, "inverted"?, "visible"?}`.

    Make a company or change it.
    """
    sandbox, wanted = request.app[SANDBOX], await read_json(request)
    name = str(wanted["company"])
    company = sandbox.companies.get(name)
    if company is None:
        company = new_company(
            name,
            wanted.get("description", name),
            wanted["currency"],
            sandbox.settings.user,
            inverted=bool(wanted.get("inverted")),
        )
        sandbox.companies[name] = company
    company.visible = bool(wanted.get("visible", company.visible))
    company.parallel_currency = wanted.get("parallelCurrency", company.parallel_currency)
    return json_response({"company": name, "currency": company.currency, "visible": company.visible}, 201)


async def add_account(request: web.Request) -> web.Response:
    """`{"company", "account", "description"?, "ledger"?, "validFrom"?, "validUntil"?, "requirements"?, "remove"?}`."""
    sandbox, wanted = request.app[SANDBOX], await read_json(request)
    company, number = _company(sandbox, wanted), str(wanted["account"])
    if wanted.get("remove"):
        company.accounts.pop(number, None)
        return json_response({})
    company.accounts[number] = Account(
        number,
        wanted.get("description", number),
        bool(wanted.get("ledger")),
        wanted.get("validFrom", "2000-01-01"),
        wanted.get("validUntil", "2099-12-31"),
        dict(wanted.get("requirements", {})),
    )
    return json_response({}, 201)


async def add_code_part(request: web.Request) -> web.Response:
    """`{"company", "codePart": "B", "value", "description"?, "remove"?}`."""
    sandbox, wanted = request.app[SANDBOX], await read_json(request)
    values = _company(sandbox, wanted).code_parts[wanted["codePart"]]
    if wanted.get("remove"):
        values.pop(wanted["value"], None)
    else:
        values[wanted["value"]] = wanted.get("description", "")
    return json_response({}, 201)


async def add_voucher_type(request: web.Request) -> web.Response:
    """`{"company", "voucherType", "functionGroup"?, "years"?}`: make a voucher type, or give one other years."""
    sandbox, wanted = request.app[SANDBOX], await read_json(request)
    types, name = _company(sandbox, wanted).voucher_types, str(wanted["voucherType"])
    made = types.setdefault(name, VoucherType(name, name, wanted.get("functionGroup", "M")))
    made.years = set(wanted.get("years", made.years))
    return json_response({}, 201)


async def change_period(request: web.Request) -> web.Response:
    """`{"company", "year", "period", "open": true|false}`."""
    sandbox, wanted = request.app[SANDBOX], await read_json(request)
    company, period = _company(sandbox, wanted), (int(wanted["year"]), int(wanted["period"]))
    if wanted["open"]:
        company.closed_periods.discard(period)
        company.years.add(period[0])
    else:
        company.closed_periods.add(period)
    return json_response({"closed": sorted(company.closed_periods)})


async def add_rate(request: web.Request) -> web.Response:
    """`{"company", "currency", "rate", "validFrom", "conversionFactor"?, "currencyType"?}`.

    `{"company", "currency", "remove": true}` takes all rates of a currency away.
    """
    sandbox, wanted = request.app[SANDBOX], await read_json(request)
    company, kind = _company(sandbox, wanted), wanted.get("currencyType", "1")
    if wanted.get("remove"):
        company.rates = [
            rate for rate in company.rates if (rate.currency, rate.currency_type) != (wanted["currency"], kind)
        ]
        return json_response({})
    made = Rate(
        kind,
        wanted["currency"],
        wanted["validFrom"],
        Decimal(str(wanted["rate"])),
        Decimal(str(wanted.get("conversionFactor", 1))),
    )
    same = (made.currency, made.currency_type, made.valid_from)
    company.rates = [rate for rate in company.rates if (rate.currency, rate.currency_type, rate.valid_from) != same]
    company.rates.append(made)
    company.currency_types = tuple(dict.fromkeys((*company.currency_types, kind)))
    return json_response({}, 201)


async def requests(request: web.Request) -> web.Response:
    """What was counted: totals, peaks, refusals; posts, bookings, failed preconditions, refusals by key, statuses."""
    sandbox = request.app[SANDBOX]
    return json_response({**sandbox.traffic.report(), "counts": dict(sorted(sandbox.counts.items()))})


async def change_settings(request: web.Request) -> web.Response:
    """Change settings while it runs, in camelCase.

    For instance latencyMs, requestsPerMinute, etag, etagScope, voucherStatus and so on.
    """
    sandbox = request.app[SANDBOX]
    set_settings(sandbox.settings, await read_json(request))
    sandbox.traffic.requests_per_window, sandbox.traffic.window_seconds = (
        sandbox.settings.requests_per_minute,
        sandbox.settings.window_seconds,
    )
    return json_response({})
