"""Which sets each projection offers, their properties and where their rows come from.

Voucher sets: VoucherHandling/VoucherSet (+ VoucherPostingArray, VoucherRowArray), VouchersAnalysis/VoucherSet,
VoucherDetailsAnalysis/VoucherSet (+ DetailVoucherDetail), VoucherRowsAnalysis/VoucherRowSet: hold table only.
GLVoucherRowsAnalysis/GenLedVoucherRowSet: general ledger only. Set-up sets are described in the README.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from deploy.sandbox.exact import Json
from deploy.sandbox.ifs.company import CODE_PARTS, Company
from deploy.sandbox.ifs.ledger import Voucher
from deploy.sandbox.ifs.state import IfsSandbox

#: Equalities of a filter, to narrow what is looked at.
Equal = dict[str, frozenset[object]]
Source = Callable[[IfsSandbox, Equal], Iterable[Json]]

META = ("luname", "keyref", "Objgrants", "Objstate")


@dataclass(frozen=True)
class EntitySet:
    """A set: its keys, its properties with their types, its rows; `arrays` are navigations to rows of a voucher."""

    name: str
    unit: str
    keys: tuple[str, ...]
    types: dict[str, str]
    source: Source
    arrays: dict[str, "EntitySet"] = field(default_factory=dict)


def _types(texts: str, numbers: str = "", dates: str = "", booleans: str = "") -> dict[str, str]:
    kinds = {"text": texts, "number": numbers, "date": dates, "boolean": booleans}
    return {name: kind for kind, names in kinds.items() for name in names.split()}


HEADER_TYPES = _types(
    "Company VoucherType UserGroup VoucherStatus AmountMethod FunctionGroup VoucherText VoucherText2 "
    "TransferId Userid VoucherUpdated UpdateError "
    "Objstate",
    "AccountingYear VoucherNo AccountingPeriod",
    "VoucherDate DateReg",
    "UseCorrectionRows InterimVoucher SimulationVoucher",
)
ROW_TYPES = _types(
    "Company VoucherType UserGroup VoucherStatus Account ProcessCode OptionalCode TaxDirection "
    "CurrencyCode CurrencyType Text ReferenceSerie "
    "ReferenceNumber PartyTypeId TransCode VoucherText2 " + " ".join(f"Code{letter}" for letter in CODE_PARTS),
    "AccountingYear VoucherNo AccountingPeriod RowNo CurrencyRate ConversionFactor CurrencyDebetAmount "
    "CurrencyCreditAmount CurrencyAmount "
    "DebetAmount CreditAmount Amount Quantity ThirdCurrencyDebitAmount ThirdCurrencyCreditAmount "
    "ParallelCurrencyRate ProjectActivityId",
    "VoucherDate",
    "Correction",
)
_VOUCHER_KEYS = ("Company", "VoucherType", "AccountingYear", "VoucherNo")


def _seen(sandbox: IfsSandbox, equal: Equal, *, in_gl: bool) -> Iterable[Voucher]:
    for voucher in sandbox.ledger.candidates(equal):
        if voucher.in_gl == in_gl and sandbox.companies[voucher.header["Company"]].visible:
            yield voucher


def _held_headers(sandbox: IfsSandbox, equal: Equal) -> Iterable[Json]:
    return ({"@odata.etag": voucher.etag(), **voucher.header} for voucher in _seen(sandbox, equal, in_gl=False))


def _held_rows(sandbox: IfsSandbox, equal: Equal) -> Iterable[Json]:
    return (
        {"@odata.etag": voucher.etag(), **row} for voucher in _seen(sandbox, equal, in_gl=False) for row in voucher.rows
    )


def _gl_rows(sandbox: IfsSandbox, equal: Equal) -> Iterable[Json]:
    return (
        {"@odata.etag": voucher.etag(), **row, "luname": "GenLedVoucherRow"}
        for voucher in _seen(sandbox, equal, in_gl=True)
        for row in voucher.rows
    )


_POSTINGS = EntitySet("VoucherPostingArray", "VoucherRow", (*_VOUCHER_KEYS, "RowNo"), ROW_TYPES, _held_rows)
_ARRAYS = dict.fromkeys(("VoucherPostingArray", "VoucherRowArray", "DetailVoucherDetail"), _POSTINGS)


def _set_up(unit: str, keys: str, types: dict[str, str], rows_of: Callable[[Company], Iterable[Json]]) -> Source:
    del types

    def rows(sandbox: IfsSandbox, equal: Equal) -> Iterable[Json]:
        wanted = equal.get("Company")
        for company in sandbox.companies.values():
            if company.visible and (wanted is None or company.company in wanted):
                for row in rows_of(company):
                    keyref = "^".join(f"{key.upper()}={row.get(key, company.company)}" for key in keys.split()) + "^"
                    yield {
                        "@odata.etag": f'W/"{unit}-{keyref}"',
                        "luname": unit,
                        "keyref": keyref,
                        "Objgrants": None,
                        "Company": company.company,
                        **row,
                    }

    return rows


def _set(
    name: str, unit: str, keys: str, types: dict[str, str], rows_of: Callable[[Company], Iterable[Json]]
) -> EntitySet:
    return EntitySet(name, unit, tuple(keys.split()), types, _set_up(unit, keys, types, rows_of))


def _finance(company: Company) -> Iterable[Json]:
    yield {
        "Description": company.description,
        "CurrencyCode": company.currency,
        "ParallelAccCurrency": company.parallel_currency,
        "ParallelCurrencyCode": company.parallel_currency,
        "ValidFrom": "2000-01-01",
    }


def _accounts(company: Company) -> Iterable[Json]:
    for account in company.accounts.values():
        needs = {f"ReqCode{letter}": account.requirements.get(letter, "Can") for letter in CODE_PARTS}
        yield {
            "Account": account.account,
            "Description": account.description,
            "LedgFlag": account.ledger,
            "ValidFrom": account.valid_from,
            "ValidUntil": account.valid_until,
            **needs,
            "ReqText": "Can",
            "ReqQuantity": "Can",
        }


def _code_values(letter: str) -> Callable[[Company], Iterable[Json]]:
    def rows(company: Company) -> Iterable[Json]:
        for value, description in company.code_parts[letter].items():
            yield {
                f"Code{letter}": value,
                "Description": description,
                "ValidFrom": "2000-01-01",
                "ValidUntil": "2099-12-31",
            }

    return rows


def _voucher_types(company: Company) -> Iterable[Json]:
    for each in company.voucher_types.values():
        yield {
            "VoucherType": each.voucher_type,
            "Description": each.description,
            "AutomaticAllot": "Y",
            "FunctionGroup": each.function_group,
            "LedgerId": "*",
            "SimulationVoucher": False,
            "Balance": True,
            "UseApprovalWorkflow": False,
            "SeparateUserApproval": False,
        }


def _series(company: Company) -> Iterable[Json]:
    for each in company.voucher_types.values():
        for year in sorted(each.years):
            yield {
                "VoucherType": each.voucher_type,
                "AccountingYear": year,
                "SerieFrom": year * 1_000_000 + 1,
                "SerieUntil": year * 1_000_000 + 999_999,
                "CurrentNumber": year * 1_000_000 + each.next_number.get(year, 0) + 1,
            }


def _periods(company: Company) -> Iterable[Json]:
    for year in sorted(company.years):
        for period in range(1, 13):
            first, last = company.period_dates(year, period)
            yield {
                "AccountingYear": year,
                "AccountingPeriod": period,
                "DateFrom": first,
                "DateUntil": last,
                "YearEndPeriod": "Ordinary",
                "PeriodStatus": "Closed" if (year, period) in company.closed_periods else "Open",
            }


def _years(company: Company) -> Iterable[Json]:
    for year in sorted(company.years):
        yield {"AccountingYear": year, "OpenBalConsolidation": "Yes"}


def _group_periods(company: Company) -> Iterable[Json]:
    for period in _periods(company):
        for group in company.user_groups:
            yield {
                "UserGroup": group,
                "LedgerId": "00",
                **{k: period[k] for k in ("AccountingYear", "AccountingPeriod", "PeriodStatus")},
            }


def _groups(company: Company) -> Iterable[Json]:
    for group in company.user_groups:
        yield {"UserGroup": group, "Description": f"User group {group}"}


def _members(company: Company) -> Iterable[Json]:
    for group, members in company.user_groups.items():
        for member in sorted(members):
            yield {"UserGroup": group, "Userid": member, "DefaultGroup": group == next(iter(company.user_groups))}


def _group_types(company: Company) -> Iterable[Json]:
    for each in company.voucher_types.values():
        for year in sorted(each.years):
            for group in company.user_groups:
                yield {
                    "AccountingYear": year,
                    "UserGroup": group,
                    "VoucherType": each.voucher_type,
                    "FunctionGroup": each.function_group,
                    "AuthorizeLevel": "EnterAndApprove",
                }


def _currencies(company: Company) -> Iterable[Json]:
    for currency in sorted({company.currency, *(rate.currency for rate in company.rates)}):
        factor = next((rate.conversion_factor for rate in company.rates if rate.currency == currency), 1)
        yield {
            "CurrencyCode": currency,
            "ConvFactor": factor,
            "Inverted": company.inverted,
            "CurrencyRounding": {"JPY": 0, "KWD": 3}.get(currency, 2),
            "DecimalsInRate": 6,
        }


def _currency_types(company: Company) -> Iterable[Json]:
    for kind in company.currency_types:
        yield {
            "CurrencyType": kind,
            "Description": "Daily rates",
            "RefCurrencyCode": company.currency,
            "TypeDefault": "Y" if kind == "1" else "N",
        }


def _rates(company: Company) -> Iterable[Json]:
    for rate in company.rates:
        yield {
            "CurrencyType": rate.currency_type,
            "CurrencyCode": rate.currency,
            "ValidFrom": rate.valid_from,
            "CurrencyRate": rate.rate,
            "ConvFactor": rate.conversion_factor,
            "ConversionFactor": rate.conversion_factor,
            "RefCurrencyCode": company.currency,
            "Inverted": company.inverted,
        }


_ACCOUNT_TYPES = _types(
    "Company Account Description ReqText ReqQuantity " + " ".join(f"ReqCode{letter}" for letter in CODE_PARTS),
    "",
    "ValidFrom ValidUntil",
    "LedgFlag",
)
_TYPE_TYPES = _types(
    "Company VoucherType Description AutomaticAllot FunctionGroup LedgerId",
    "",
    "",
    "SimulationVoucher Balance UseApprovalWorkflow SeparateUserApproval",
)
_SERIES_TYPES = _types("Company VoucherType", "AccountingYear SerieFrom SerieUntil CurrentNumber")
_PERIOD_TYPES = _types("Company YearEndPeriod PeriodStatus", "AccountingYear AccountingPeriod", "DateFrom DateUntil")
_GROUP_PERIOD_TYPES = _types("Company UserGroup LedgerId PeriodStatus", "AccountingYear AccountingPeriod")
_RATE_TYPES = _types(
    "Company CurrencyType CurrencyCode RefCurrencyCode",
    "CurrencyRate ConvFactor ConversionFactor",
    "ValidFrom",
    "Inverted",
)


def _code_projection(letter: str) -> dict[str, EntitySet]:
    name = f"Code{letter}"
    types = _types(f"Company {name} Description", "", "ValidFrom ValidUntil")
    return {f"{name}Set": _set(f"{name}Set", name, f"Company {name}", types, _code_values(letter))}


def _named(*sets: EntitySet) -> dict[str, EntitySet]:
    return {each.name: each for each in sets}


_PERIOD_DETAILS = _set(
    "AccountingPeriodDetailArray",
    "AccountingPeriod",
    "Company AccountingYear AccountingPeriod",
    _PERIOD_TYPES,
    _periods,
)
_DETAIL_GROUPS = _set(
    "DetailUserGroups",
    "UserGroupPeriod",
    "Company AccountingYear AccountingPeriod UserGroup",
    _GROUP_PERIOD_TYPES,
    _group_periods,
)
_MEMBERS = _set(
    "UserGroupMemberFinanceArray",
    "UserGroupMemberFinance",
    "Company UserGroup Userid",
    _types("Company UserGroup Userid", "", "", "DefaultGroup"),
    _members,
)
_TYPE_GROUPS = _set(
    "VoucherTypeUserGroupArray",
    "VoucherTypeUserGroup",
    "Company AccountingYear UserGroup VoucherType",
    _types("Company UserGroup VoucherType FunctionGroup AuthorizeLevel", "AccountingYear"),
    _group_types,
)


def _with(entity_set: EntitySet, **arrays: EntitySet) -> EntitySet:
    return EntitySet(entity_set.name, entity_set.unit, entity_set.keys, entity_set.types, entity_set.source, arrays)


#: Projection -> its sets by name.
PROJECTIONS: dict[str, dict[str, EntitySet]] = {
    "VoucherHandling": _named(EntitySet("VoucherSet", "Voucher", _VOUCHER_KEYS, HEADER_TYPES, _held_headers, _ARRAYS)),
    "VouchersAnalysis": _named(EntitySet("VoucherSet", "Voucher", _VOUCHER_KEYS, HEADER_TYPES, _held_headers)),
    "VoucherDetailsAnalysis": _named(
        EntitySet("VoucherSet", "Voucher", _VOUCHER_KEYS, HEADER_TYPES, _held_headers, _ARRAYS)
    ),
    "VoucherRowsAnalysis": _named(
        EntitySet("VoucherRowSet", "VoucherRow", (*_VOUCHER_KEYS, "RowNo"), ROW_TYPES, _held_rows)
    ),
    "GLVoucherRowsAnalysis": _named(
        EntitySet("GenLedVoucherRowSet", "GenLedVoucherRow", (*_VOUCHER_KEYS, "RowNo"), ROW_TYPES, _gl_rows)
    ),
    "CodePartValuesHandling": _named(
        _set(
            "CompanyFinanceSet",
            "CompanyFinance",
            "Company",
            _types("Company Description CurrencyCode ParallelAccCurrency ParallelCurrencyCode", "", "ValidFrom"),
            _finance,
        )
    ),
    "AccountsHandling": _named(_set("AccountSet", "Account", "Company Account", _ACCOUNT_TYPES, _accounts)),
    **{f"Code{letter}Handling": _code_projection(letter) for letter in CODE_PARTS},
    "VoucherTypeHandling": _named(
        _set("VoucherTypes", "VoucherType", "Company VoucherType", _TYPE_TYPES, _voucher_types)
    ),
    "UserRelatedVoucherData": _named(
        _set("VoucherNoSerialSet", "VoucherNoSerial", "Company VoucherType AccountingYear", _SERIES_TYPES, _series)
    ),
    "UserGroupPerVoucherSeriesHandling": _named(
        _with(
            _set(
                "VoucherNoSerialYearSet",
                "VoucherNoSerial",
                "Company VoucherType AccountingYear",
                _SERIES_TYPES,
                _series,
            ),
            VoucherTypeUserGroupArray=_TYPE_GROUPS,
        )
    ),
    "AccountingPeriodsHandling": _named(
        _with(
            _set(
                "AccountingYearSet",
                "AccountingYear",
                "Company AccountingYear",
                _types("Company OpenBalConsolidation", "AccountingYear"),
                _years,
            ),
            AccountingPeriodDetailArray=_PERIOD_DETAILS,
        )
    ),
    "UserGroupPerPeriodHandling": _named(
        _with(
            _set(
                "AccountingPeriodSet",
                "AccountingPeriod",
                "Company AccountingYear AccountingPeriod",
                _PERIOD_TYPES,
                _periods,
            ),
            DetailUserGroups=_DETAIL_GROUPS,
        )
    ),
    "UsersPerUserGroupHandling": _named(
        _with(
            _set(
                "UserGroupFinanceSet",
                "UserGroupFinance",
                "Company UserGroup",
                _types("Company UserGroup Description"),
                _groups,
            ),
            UserGroupMemberFinanceArray=_MEMBERS,
        )
    ),
    "CurrencyCodesHandling": _named(
        _set(
            "CurrencyCodeSet",
            "CurrencyCode",
            "Company CurrencyCode",
            _types("Company CurrencyCode", "ConvFactor CurrencyRounding DecimalsInRate", "", "Inverted"),
            _currencies,
        )
    ),
    "CurrencyRatesHandling": _named(
        _set(
            "CurrencyTypeSet",
            "CurrencyType",
            "Company CurrencyType",
            _types("Company CurrencyType Description RefCurrencyCode TypeDefault"),
            _currency_types,
        ),
        _set("CurrencyRateSet", "CurrencyRate", "Company CurrencyType CurrencyCode ValidFrom", _RATE_TYPES, _rates),
    ),
}
