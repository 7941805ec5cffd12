"""From postings to rows: finds each its account, lists every gap, and brings together what meets on one account."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal

from schemas.audit import Gap
from streams.accounting import keys
from streams.accounting.chart import Chart, Mapped
from streams.accounting.ledger_document import LedgerDocument
from streams.accounting.postings import Posting, Postings
from streams.accounting.voucher import Account, Balance, Role, account_of, in_order


@dataclass(slots=True)
class Resolver:
    """Finds the account of each posting of one document, and remembers what it used and what it missed."""

    chart: Chart
    document: LedgerDocument
    account: Mapped
    company: str
    contra_account: str | None = None
    """Of the posting rule: stands in for the product mapping."""
    versions: dict[str, int] = field(default_factory=dict)
    gaps: dict[Gap, None] = field(default_factory=dict)
    """In the order in which they were met."""
    waits_for: set[str] = field(default_factory=set)
    """Every key that would fill a gap."""

    def account_of(self, posting: Posting) -> Account | None:
        """Return where a posting goes, or None after noting the gap."""
        if posting.role is Role.RECEIVABLE:
            return account_of(self.account.gl_account, self.account.code_parts)
        if posting.role is Role.REVENUE:
            return self._revenue(posting)
        mapped = self._first(posting)
        return account_of(mapped.gl_account, mapped.code_parts) if mapped else None

    def _revenue(self, posting: Posting) -> Account | None:
        if self.contra_account:
            return account_of(self.contra_account, self.account.code_parts)
        mapped = self._first(posting)
        if mapped is None:
            return None
        gl_account = mapped.deferred_account if posting.deferred and mapped.deferred_account else mapped.gl_account
        return account_of(gl_account, {**self.account.code_parts, **mapped.code_parts})

    def _first(self, posting: Posting) -> Mapped | None:
        candidates = self._candidates(posting)
        for key in candidates:
            mapped = self.chart.mapped(key)
            if mapped is not None:
                self.versions[key] = mapped.version
                return mapped
        self.gaps.setdefault(self._gap(posting))
        self.waits_for.update(candidates)
        return None

    def _candidates(self, posting: Posting) -> list[str]:
        """Return the keys that would give the posting its account, most specific first."""
        if posting.role is Role.REVENUE:
            return [keys.product_key(self.company, match_on, value) for match_on, value in posting.keys]
        if posting.role is Role.TAX:
            return [keys.tax_key(self.company, posting.label)]
        if posting.role is Role.CASH:
            gateways = (self.document.gateway, None) if self.document.gateway else (None,)
            return [keys.cash_key(self.company, self.document.currency, gateway) for gateway in gateways]
        return [keys.single_key(self.company, _kind(posting))]

    def _gap(self, posting: Posting) -> Gap:
        if posting.role is Role.REVENUE:
            match_on, value = posting.keys[0]
            return Gap(kind="product", company=self.company, match_on=match_on, key=value)
        if posting.role is Role.TAX:
            return Gap(kind="tax", company=self.company, key=posting.label)
        if posting.role is Role.CASH:
            gateway = self.document.gateway or None
            return Gap(kind="cash", company=self.company, currency=self.document.currency, gateway=gateway)
        return Gap(kind="unapplied" if posting.role is Role.UNAPPLIED else "rounding", company=self.company)


def _kind(posting: Posting) -> str:
    return "unapplied" if posting.role is Role.UNAPPLIED else "rounding"


def balances_of(postings: Postings, resolver: Resolver) -> list[Balance]:
    """Return what comes together on each account, in the order of rows; incomplete where the resolver has gaps."""
    balances: dict[Account, Balance] = {}
    for posting in postings.parts:
        account = resolver.account_of(posting)
        if account is not None:
            balance = balances.setdefault(account, Balance(account))
            balance.add(posting.amount, posting.role, posting.label)
    _give_rest(balances.values(), postings.tax_rest)
    return in_order(balances.values(), postings.lead)


def _give_rest(balances: Iterable[Balance], rest: Decimal) -> None:
    """Add what tax lacks against the header to the largest tax row, the first of equals by account."""
    taxes = [balance for balance in balances if Role.TAX in balance.labels]
    if rest and taxes:
        taxes.sort(key=lambda balance: (-abs(balance.amount), balance.account))
        taxes[0].amount += rest
