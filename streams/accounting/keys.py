"""Keys of mappings and rules, as text: what a table holds them under and what a waiting record waits for.

account/{Zuora account id}                     {company}/product/{match on}/{value}
{company}/tax/{tax code or (none)}             {company}/cash/{currency}/{gateway id or nothing}
{company}/unapplied, {company}/rounding        {company or *}/rule/{document type}
{company}/company                              record/{record id} (a refund waits for its payment)
"""

from schemas.base import DocumentType, Model
from schemas.mappings import (
    AccountMappingRemoved,
    AccountMappingSet,
    ChartKey,
    CompanySet,
    PostingRuleRemoved,
    PostingRuleSet,
)


def account_key(account_id: str) -> str:
    """Return the key of an account mapping."""
    return f"account/{account_id}"


def product_key(company: str, match_on: str, value: str) -> str:
    """Return the key of a product rule."""
    return f"{company}/product/{match_on}/{value}"


def tax_key(company: str, tax_code: str) -> str:
    """Return the key of a tax rule."""
    return f"{company}/tax/{tax_code}"


def cash_key(company: str, currency: str, gateway: str | None) -> str:
    """Return the key of a cash rule; without a gateway, that of the currency."""
    return f"{company}/cash/{currency}/{gateway or ''}"


def single_key(company: str, kind: str) -> str:
    """Return the key of a rule of which a company has one: `unapplied`, `rounding`."""
    return f"{company}/{kind}"


def rule_key(company: str, document_type: DocumentType) -> str:
    """Return the key of a posting rule; the company may be `*`."""
    return f"{company}/rule/{document_type.value}"


def company_key(company: str) -> str:
    """Return the key of what is per company."""
    return f"{company}/company"


def record_key(record_id: str) -> str:
    """Return the key under which a record waits for another to be posted."""
    return f"record/{record_id}"


def chart_key(rule: ChartKey) -> str:
    """Return the key of a chart rule, set or removed."""
    if rule.kind == "product":
        return product_key(rule.company, rule.match_on or "", rule.match_value or "")
    if rule.kind == "tax":
        return tax_key(rule.company, rule.match_value or "")
    if rule.kind == "cash":
        return cash_key(rule.company, rule.currency or "", rule.gateway)
    return single_key(rule.company, rule.kind)


def mapping_key(event: Model) -> str:
    """Return the key that an event of `ledger.mapping.v1` sets or removes.

    Raises:
        TypeError: it is no such event.

    """
    match event:
        case AccountMappingSet() | AccountMappingRemoved():
            return account_key(event.account_id)
        case ChartKey():
            return chart_key(event)
        case PostingRuleSet() | PostingRuleRemoved():
            return rule_key(event.company, event.document_type)
        case CompanySet():
            return company_key(event.company)
    raise TypeError(f"{type(event).__name__} is no mapping or rule")


def topic_key(event: Model) -> str:
    """Return the key of an event in `ledger.mapping.v1`: the account id, or the company of what is per company.

    Raises:
        TypeError: it is no such event.

    """
    match event:
        case AccountMappingSet() | AccountMappingRemoved():
            return event.account_id
        case ChartKey() | PostingRuleSet() | PostingRuleRemoved() | CompanySet():
            return event.company
    raise TypeError(f"{type(event).__name__} is no mapping or rule")
