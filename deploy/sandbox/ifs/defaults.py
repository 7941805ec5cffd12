"""The companies that exist at start; they fit the data that the Zuora sandbox generates.

10 EUR and 20 SEK are what the default mappings use. 30 (USD) has a parallel currency, 40 (GBP) inverted quotation,
both for the harder cases. Periods of 2025 to 2027 are open.
"""

from decimal import Decimal

from deploy.sandbox.ifs.company import Account, Company, Rate, VoucherType

_ACCOUNTS = (
    Account("1510", "Zuora receivables, domestic"),
    Account("1511", "Zuora receivables, abroad"),
    Account("1512", "Zuora receivables, group"),
    Account("1519", "On account"),
    Account("1590", "Customer ledger control", ledger=True),
    Account("1930", "Bank EUR"),
    Account("1931", "Bank SEK"),
    Account("1932", "Bank CHF"),
    Account("1933", "Bank GBP"),
    Account("1934", "Bank JPY"),
    Account("1935", "Card gateway in transit"),
    Account("1936", "Bank USD"),
    Account("1937", "Bank KWD"),
    Account("2420", "Customer prepayments"),
    Account("2440", "Supplier ledger control", ledger=True),
    Account("2610", "Output VAT 25"),
    Account("2611", "Output VAT other rates"),
    Account("2612", "Sales tax abroad"),
    Account("2970", "Deferred revenue"),
    Account("3010", "Subscription revenue"),
    Account("3020", "Services revenue"),
    Account("3030", "Usage revenue"),
    Account("3090", "Discounts"),
    Account("3740", "Rounding"),
    Account("3990", "Other revenue"),
    Account("6351", "Bad debt"),
    Account("8888", "Project cost", requirements={"C": "Mandatory"}),
    Account("9999", "Closed account", valid_until="2020-12-31"),
)

#: Units of EUR for the conversion factor's units of the currency, from 2025 on and changed for 2026-07.
_EUR_RATES = {
    "USD": (("2025-01-01", "0.9302", 1), ("2026-01-01", "0.8951", 1), ("2026-07-01", "0.91371", 1)),
    "SEK": (("2025-01-01", "8.7314", 100), ("2026-01-01", "8.9022", 100), ("2026-07-01", "9.0125", 100)),
    "GBP": (("2025-01-01", "1.1988", 1), ("2026-01-01", "1.1512", 1)),
    "CHF": (("2025-01-01", "1.0533", 1), ("2026-01-01", "1.0688", 1)),
    "JPY": (("2025-01-01", "0.6115", 100), ("2026-01-01", "0.5734", 100)),
    "KWD": (("2025-01-01", "3.0214", 1), ("2026-01-01", "2.9127", 1)),
    "NOK": (("2025-01-01", "8.5120", 100),),
}


def _rates(own: str) -> list[Rate]:
    """Rates of a company in EUR, or crossed through EUR for another own currency."""
    made = []
    for currency, entries in _EUR_RATES.items():
        for valid_from, rate, factor in entries:
            if own == "EUR":
                made.append(Rate("1", currency, valid_from, Decimal(rate), Decimal(factor)))
            elif currency != own:
                per_unit = Decimal(rate) / factor / _own_per_unit(own, valid_from)
                made.append(
                    Rate("1", currency, valid_from, (per_unit * factor).quantize(Decimal("0.000001")), Decimal(factor))
                )
    if own != "EUR":
        for valid_from, rate, factor in _EUR_RATES[own]:
            made.append(Rate("1", "EUR", valid_from, (factor / Decimal(rate)).quantize(Decimal("0.000001"))))
    return made


def _own_per_unit(own: str, date: str) -> Decimal:
    valid = [(rate, factor) for valid_from, rate, factor in _EUR_RATES[own] if valid_from <= date]
    rate, factor = valid[-1]
    return Decimal(rate) / factor


def new_company(
    company: str, description: str, currency: str, user: str, *, parallel: str | None = None, inverted: bool = False
) -> Company:
    """A company with the default chart, code parts, voucher types, user groups, periods and rates."""
    rates = _rates(currency) if currency == "EUR" or currency in _EUR_RATES else []
    if inverted:
        rates = [
            Rate(
                r.currency_type, r.currency, r.valid_from, (r.conversion_factor / r.rate).quantize(Decimal("0.000001"))
            )
            for r in rates
        ]
    made = Company(company, description, currency, parallel, inverted, rates=rates)
    made.accounts = {
        account.account: Account(**vars(account) | {"requirements": dict(account.requirements)})
        for account in _ACCOUNTS
    }
    made.code_parts["B"] = {value: f"Cost centre {value}" for value in ("100", "200", "300", "400")}
    made.code_parts["C"] = {"P1": "Project 1", "P2": "Project 2"}
    made.code_parts["D"] = {"R1": "Region 1", "R2": "Region 2"}
    made.voucher_types = {
        "M": VoucherType("M", "Manual vouchers"),
        "Z": VoucherType("Z", "Zuora vouchers"),
        "K": VoucherType("K", "Corrections", "K"),
        "F": VoucherType("F", "Customer invoices", "F"),
    }
    made.user_groups = {"INT": {user}, "AC": {"SOMEONE"}}
    return made


def companies(user: str) -> dict[str, Company]:
    """All companies at start."""
    made = (
        new_company("10", "Example Europe", "EUR", user),
        new_company("20", "Example Sverige AB", "SEK", user),
        new_company("30", "Example Inc.", "USD", user, parallel="EUR"),
        new_company("40", "Example Ltd", "GBP", user, inverted=True),
    )
    return {company.company: company for company in made}
