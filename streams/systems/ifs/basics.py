"""A company's basic data in IFS Cloud: its currency, and the rates of others. Read now and then, kept some minutes.

Names are those of IFS's Accounting Rules: CompanyFinance, CurrencyType, CurrencyRate.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import structlog

from schemas.errors import NotFoundError, RefusedError
from streams.accounting.conversion import SAME_CURRENCY, Rate
from streams.systems.ifs import odata
from streams.systems.ifs.kept import Kept
from streams.systems.ifs.refusals import CURRENCY, Explanation
from streams.systems.ifs.service import Service

NEWEST_RATES = 50
"""Rates read to find the newest: one would do, were there no gateways that drop $orderby."""
SMALLEST_RATE, LARGEST_RATE = Decimal("1e-12"), Decimal("1e12")
"""The most extreme rates in use are beyond 10^5; an amount times a rate must stay within the 28 digits of decimal."""
RATES = "CurrencyRatesHandling"
COMPANIES = "CodePartValuesHandling"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Company:
    """What the poster must know of a company."""

    company: str
    currency: str
    parallel_currency: str | None


class UnusableRateError(RefusedError):
    """There is a rate, but this connector must not use it."""

    explanation: Explanation = CURRENCY


class Basics:
    """Reads companies and rates. What is missing is never remembered: a person may enter it any moment."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._companies: Kept[Company] = Kept()
        self._inverted: Kept[bool] = Kept()
        self._rates: Kept[Rate] = Kept()

    async def company(self, company: str, *, fresh: bool = False) -> Company | None:
        """Return the company, or None where it does not exist or the service user may not see it.

        `fresh` asks IFS in any case: an empty look-up proves absence only if the company can be seen just now.

        Raises:
            ForbiddenError, NotFoundError: the projection is not granted or not there; that says nothing of the company.

        """
        kept = None if fresh else self._companies.get(company)
        if kept:
            return kept
        row = await self._company_row(company)
        if row is None:
            return None
        currency = row.get("CurrencyCode") or row.get("AccountingCurrency")
        if not currency:
            raise RefusedError(f"IFS {COMPANIES}.svc/CompanyFinanceSet gives no CurrencyCode for company {company}")
        parallel = row.get("ParallelAccCurrency") or row.get("ParallelCurrency")
        return self._companies.put(company, Company(company, str(currency), str(parallel) if parallel else None))

    async def rate(self, company: Company, currency_type: str, currency: str, day: date) -> Rate | None:
        """Return the newest rate valid on or before the day, or None where there is none.

        Raises:
            UnusableRateError: the currency type is quoted against another currency than the company's.

        """
        if currency == company.currency:
            return SAME_CURRENCY
        key = (company.company, currency_type, currency, day)
        kept = self._rates.get(key)
        if kept:
            return kept
        row = await self._rate_row(company.company, currency_type, currency, day)
        if row is None:
            return None
        rate, factor = (
            odata.decimal(row.get("CurrencyRate")),
            odata.decimal(row.get("ConvFactor") or row.get("ConversionFactor") or 1),
        )
        if rate is None or factor is None or not (_is_usual(rate) and _is_usual(factor)):
            raise UnusableRateError(
                f"the rate of {currency} in company {company.company} is not a positive number of a usual size"
            )
        inverted = await self.quoted_inverted(company, currency_type, row)
        return self._rates.put(key, Rate(rate, factor, inverted=inverted))

    async def quoted_inverted(
        self, company: Company, currency_type: str, rate_row: Mapping[str, Any] | None = None
    ) -> bool:
        """Tell whether rates of this type say how much foreign currency one unit of the company's own buys.

        IFS keeps that with the type's reference currency, and shows it with the type; some projections show it with
        the rate. A tenant that offers none of these quotes directly.

        Raises:
            UnusableRateError: the type is quoted against another currency than the company's, or another was told of.

        """
        if rate_row and rate_row.get("Inverted") is not None:
            self._demand_own_currency(company, currency_type, rate_row)
            return is_true(rate_row["Inverted"])
        key = (company.company, currency_type)
        kept = self._inverted.get(key)
        if kept is not None:
            return kept
        of_type = {"Company": company.company, "CurrencyType": currency_type}
        row = await self._optional_row(RATES, "CurrencyTypeSet", of_type)
        self._demand_own_currency(company, currency_type, row)
        if row.get("Inverted") is None:
            of_currency = {"Company": company.company, "CurrencyCode": company.currency}
            row = await self._optional_row("CurrencyCodesHandling", "CurrencyCodeSet", of_currency)
        return self._inverted.put(key, is_true(row.get("Inverted")))

    @staticmethod
    def _demand_own_currency(company: Company, currency_type: str, row: Mapping[str, Any]) -> None:
        reference = row.get("RefCurrencyCode")
        if reference and reference != company.currency:
            raise UnusableRateError(
                f"currency type {currency_type} of company {company.company} is quoted against {reference}, "
                f"the company's own currency is {company.currency}: set another currency type"
            )

    async def _optional_row(self, projection: str, entity_set: str, asked: Mapping[str, str]) -> Mapping[str, Any]:
        """Return the first row of a set that not every tenant offers; an empty one where it is not there."""
        condition = odata.all_of(*(odata.equal(name, value) for name, value in asked.items()))
        try:
            page = await self._service.page(projection, entity_set, odata.query(filter=condition, top=1))
        except NotFoundError as error:
            log.warning("IFS does not say how rates are quoted: taken as direct", error=str(error))
            return {}
        _demand_asked(f"{projection}.svc/{entity_set}", page.rows, asked)
        return page.rows[0] if page.rows else {}

    async def _company_row(self, company: str) -> dict[str, Any] | None:
        """Read by key, and where that is not under the key once more by filter: not every gateway knows both."""
        try:
            row = await self._service.entity(COMPANIES, odata.by_key("CompanyFinanceSet", Company=company))
        except NotFoundError:
            row = None
        if row is not None and isinstance(row.get("value"), list):
            row = next((one for one in row["value"] if isinstance(one, dict)), None)
        if row is not None and str(row.get("Company", company)) == company:  # another's currency would be posted in
            return row
        query = odata.query(filter=odata.equal("Company", company), top=1)
        rows = (await self._service.page(COMPANIES, "CompanyFinanceSet", query)).rows
        return next((row for row in rows if str(row.get("Company")) == company), None)

    async def _rate_row(self, company: str, currency_type: str, currency: str, day: date) -> dict[str, Any] | None:
        condition = odata.all_of(
            odata.equal("Company", company),
            odata.equal("CurrencyType", currency_type),
            odata.equal("CurrencyCode", currency),
            odata.at_most("ValidFrom", day),
        )
        query = odata.query(filter=condition, orderby="ValidFrom desc", top=NEWEST_RATES)
        rows = (await self._service.page(RATES, "CurrencyRateSet", query)).rows
        asked = {"Company": company, "CurrencyType": currency_type, "CurrencyCode": currency}
        _demand_asked(f"{RATES}.svc/CurrencyRateSet", rows, asked)
        valid = [row for row in rows if str(row.get("ValidFrom", ""))[:10] <= day.isoformat()]
        return max(valid, key=lambda row: str(row.get("ValidFrom", "")), default=None)


def _demand_asked(source: str, rows: Sequence[Mapping[str, Any]], asked: Mapping[str, str]) -> None:
    if any(str(row.get(name, value)) != value for row in rows for name, value in asked.items()):
        raise UnusableRateError(f"IFS {source} shows other rows than were asked for: a gateway drops $filter")


def _is_usual(rate: Decimal) -> bool:
    return SMALLEST_RATE <= rate <= LARGEST_RATE


def is_true(value: object) -> bool:
    """Tell whether IFS says yes: as a JSON boolean, or in one of the ways of its database."""
    return value is True or str(value).upper() in {"TRUE", "Y", "YES"}
