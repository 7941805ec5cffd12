"""The mapping CSV that fits the generated data: every account, product, tax, cash account, unapplied and rounding.

Accounts that are billed in SEK belong to company 20, those in GBP to company 40 (which quotes rates the other way
round), all others to company 10 (EUR); the GL accounts are those of `ifs/defaults`.
"""

import csv
import io
from typing import Any

import aiohttp

from deploy.sandbox.exact import Json
from deploy.sandbox.zuora.catalog import (
    DISCOUNT,
    DISCOUNTS,
    GATEWAYS,
    PRODUCTS,
    SERVICES,
    SUBSCRIPTION,
    USAGE,
    WRITE_OFF,
)

COLUMNS = (
    "kind",
    "zuora_account_id",
    "company",
    "match_on",
    "match_value",
    "gl_account",
    "cost_center",
    "code_c",
    "currency",
    "gateway",
    "deferred_account",
    "comment",
)
_HOME = "10"
_COMPANY_OF_CURRENCY = {"SEK": "20", "GBP": "40"}
COMPANIES = (_HOME, *_COMPANY_OF_CURRENCY.values())
_REVENUE = {
    SUBSCRIPTION: ("3010", ""),
    SERVICES: ("3020", "200"),
    USAGE: ("3030", ""),
    DISCOUNTS: ("3090", ""),
    WRITE_OFF: ("6351", ""),
}
_TAXES = {
    "VAT25": "2610",
    "VAT19": "2611",
    "VAT20": "2611",
    "GB20": "2611",
    "JP10": "2611",
    "CH81": "2612",
    "US-STATE": "2612",
    "US-COUNTY": "2612",
}
_CASH = {"EUR": "1930", "SEK": "1931", "CHF": "1932", "GBP": "1933", "JPY": "1934", "USD": "1936", "KWD": "1937"}
#: The card gateway pays into an account of its own.
_CARD_CASH, _DEFERRED_ACCOUNT = "1935", "2970"


class SandboxUnreachableError(Exception):
    """The Zuora sandbox did not answer as one."""


async def fetch_accounts(zuora_url: str) -> list[Json]:
    """Read all accounts of a running Zuora sandbox. Raises SandboxUnreachableError."""
    address = f"{zuora_url.rstrip('/')}/_sandbox/documents?kind=Account"
    try:
        async with aiohttp.ClientSession(raise_for_status=True) as session, session.get(address) as response:
            documents: list[Json] = await response.json()
    except (aiohttp.ClientError, TimeoutError) as error:
        raise SandboxUnreachableError(f"no Zuora sandbox answers at {zuora_url}: {error}") from error
    return [each["document"] for each in documents]


def company_of(account: Json) -> str:
    """The company that an account is billed for."""
    return _COMPANY_OF_CURRENCY.get(account["billingAndPayment"]["currency"], _HOME)


def mapping_rows(accounts: list[Json]) -> list[Json]:
    """All mappings as rows of the CSV."""
    rows = [_account_row(account) for account in accounts]
    for company in COMPANIES:
        rows += _product_rows(company)
        rows += [_row("tax", company, match_value=code, gl_account=account) for code, account in _TAXES.items()]
        rows += [_row("cash", company, currency=currency, gl_account=account) for currency, account in _CASH.items()]
        card = next(iter(GATEWAYS))
        rows.append(_row("cash", company, currency="EUR", gateway=card, gl_account=_CARD_CASH))
        rows.append(_row("unapplied", company, gl_account="2420"))
        rows.append(_row("rounding", company, gl_account="3740"))
    return rows


def _row(kind: str, company: str, **cells: str) -> Json:
    return {"kind": kind, "company": company, **cells}


def _account_row(account: Json) -> Json:
    basic = account["basicInfo"]
    company = company_of(account)
    domestic = account["billToContact"]["country"] in {"Germany", "Sweden"}
    receivable = "1510" if domestic else "1511"
    return _row(
        "account",
        company,
        zuora_account_id=basic["id"],
        gl_account=receivable,
        cost_center="100",
        comment=basic["name"],
    )


def _product_rows(company: str) -> list[Json]:
    rows = []
    for product in (*PRODUCTS, DISCOUNT):
        account, cost_center = _REVENUE[product.accounting_code]
        match_on, match_value = ("sku", product.sku) if product.sku else ("product_name", product.name)
        deferred = {"deferred_account": _DEFERRED_ACCOUNT} if product.deferred_code else {}
        rows.append(
            _row(
                "product",
                company,
                match_on=match_on,
                match_value=match_value,
                gl_account=account,
                cost_center=cost_center,
                **deferred,
            )
        )
    for code, (account, cost_center) in _REVENUE.items():
        rows.append(
            _row(
                "product",
                company,
                match_on="accounting_code",
                match_value=code,
                gl_account=account,
                cost_center=cost_center,
            )
        )
    return rows


def without(rows: list[Json], accounts: list[Json], leave_out: tuple[str, ...]) -> list[Json]:
    """Leave out what `KIND:KEY` names.

    Raises ValueError when a name fits no row: a typing error would map everything.
    """
    for name in leave_out:
        kind, _, key = name.partition(":")
        if kind == "account" and accounts:
            key = _account_id(accounts, key)
        kept = [row for row in rows if not (row["kind"] == kind and key in _keys(row))]
        if len(kept) == len(rows):
            raise ValueError(f"--leave-out {name} fits no mapping")
        rows = kept
    return rows


def _account_id(accounts: list[Json], key: str) -> str:
    if key == "FIRST":
        return str(accounts[0]["basicInfo"]["id"])
    return next((str(each["basicInfo"]["id"]) for each in accounts if each["basicInfo"]["accountNumber"] == key), key)


def _keys(row: Json) -> set[Any]:
    by_kind = {
        "account": ("zuora_account_id",),
        "cash": ("currency",),
        "unapplied": ("company",),
        "rounding": ("company",),
    }
    return {row.get(name) for name in by_kind.get(row["kind"], ("match_value",))}


def write_csv(rows: list[Json]) -> str:
    """The CSV's text, header first."""
    target = io.StringIO(newline="")
    writer = csv.DictWriter(target, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return target.getvalue()
