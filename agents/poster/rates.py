"""The rate that a voucher is posted at: the one that its command knows, else the one that IFS Cloud has."""

from agents.poster.trouble import CannotPostError, NotPossibleError
from schemas.errors import ForbiddenError, NotFoundError, RefusedError, UnreadableError
from schemas.vouchers import KnownRate, PostVoucher, ReverseVoucher
from streams.accounting.conversion import SAME_CURRENCY, Rate
from streams.accounting.money import decimals
from streams.systems.ifs.basics import Company, UnusableRateError
from streams.systems.ifs.client import Found, IfsClient
from streams.systems.ifs.refusals import CURRENCY, PARALLEL_CURRENCY, RATE_MISSING, RATES_NOT_READABLE
from streams.systems.ifs.voucher_json import Command


class Rates:
    """Tells rates of commands; IFS is asked for none that the command brings along."""

    def __init__(self, ifs: IfsClient) -> None:
        self._ifs = ifs

    async def of(self, command: Command, company: Company) -> KnownRate:
        """Return the rate to post at; what IFS has for a date is kept for minutes, so asking twice costs nothing.

        Raises:
            NotPossibleError: the company keeps a parallel currency, or there is no rate that may be used or read.

        """
        if company.parallel_currency:
            raise NotPossibleError(
                PARALLEL_CURRENCY, f"company {company.company} keeps {company.parallel_currency} as parallel currency"
            )
        if isinstance(command, ReverseVoucher):
            return _in_currency_of(company, command.known_rate)
        if command.known_rate is not None:
            return _in_currency_of(company, command.known_rate)
        rate = await self._quoted(command, company)
        if rate is None:
            raise NotPossibleError(
                RATE_MISSING,
                f"IFS has no rate of {command.currency} for currency type {command.currency_type} in company "
                f"{company.company} on or before {command.rate_date}",
            )
        return _known(company, rate)

    async def of_found(self, command: Command, company: Company, found: Found) -> KnownRate:
        """Return the rate that a voucher has which another poster created, under another app id or with lost tables.

        Raises:
            CannotPostError: neither its rows nor IFS's rates tell it. It is in IFS, so it is never rejected for that.

        """
        try:
            return await self._of_found(command, company, found)
        except (NotPossibleError, ForbiddenError, NotFoundError, RefusedError) as error:
            raise CannotPostError(
                f"voucher {command.reference} is in IFS, but its rate cannot be told: {error}"
            ) from error

    async def _of_found(self, command: Command, company: Company, found: Found) -> KnownRate:
        if isinstance(command, ReverseVoucher):
            return command.known_rate
        if command.known_rate is not None:
            return command.known_rate
        if command.currency == company.currency:
            return _known(company, SAME_CURRENCY)
        row: Found | None = found
        if found.rate is None:
            row = await self._ifs.look_in_hold_rows(command.company, command.reference)
        if row and row.rate and row.conversion_factor:
            inverted = await self._ifs.basics.quoted_inverted(company, command.currency_type)
            return _known(company, Rate(row.rate, row.conversion_factor, inverted=inverted))
        rate = await self._quoted(command, company)
        if rate is None:
            raise CannotPostError(
                f"voucher {command.reference} is in IFS, but no rate of {command.currency} in company "
                f"{company.company} on or before {command.rate_date} is: enter it in IFS"
            )
        return _known(company, rate)

    async def _quoted(self, command: PostVoucher, company: Company) -> Rate | None:
        try:
            decimals(company.currency)
            return await self._ifs.basics.rate(company, command.currency_type, command.currency, command.rate_date)
        except (UnusableRateError, UnreadableError) as error:
            raise NotPossibleError(CURRENCY, str(error)) from error
        except (ForbiddenError, NotFoundError, RefusedError) as error:  # no reason to stop for those without rates
            raise NotPossibleError(RATES_NOT_READABLE, str(error)) from error


def _known(company: Company, rate: Rate) -> KnownRate:
    return KnownRate(
        company_currency=company.currency,
        rate=rate.rate,
        conversion_factor=rate.conversion_factor,
        inverted=rate.inverted,
    )


def _in_currency_of(company: Company, known: KnownRate) -> KnownRate:
    """Return the rate; one that leads to another currency than the company's would make amounts of that other one."""
    if known.company_currency != company.currency:
        raise NotPossibleError(
            CURRENCY,
            f"the earlier voucher was kept in {known.company_currency}, but company {company.company} keeps its books "
            f"in {company.currency}",
        )
    return known
