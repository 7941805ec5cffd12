"""What documents are mapped by: accounts, charts, posting rules and what is per company, each under its key."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Protocol

from schemas.base import DocumentType, Model
from schemas.mappings import (
    ALL_COMPANIES,
    AccountMappingRemoved,
    AccountMappingSet,
    ChartRuleRemoved,
    ChartRuleSet,
    CodePart,
    CompanySet,
    PostingRuleRemoved,
    PostingRuleSet,
)
from streams.accounting import keys


@dataclass(frozen=True, slots=True)
class Mapped:
    """Where something posts to: an account of the ledger and code parts (B is the cost centre)."""

    version: int
    gl_account: str
    code_parts: Mapping[CodePart, str] = field(default_factory=dict)
    company: str | None = None
    """Of account mappings only."""
    deferred_account: str | None = None
    """Of product mappings only: used instead of `gl_account` for what Zuora defers."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Whether documents of a type post; version -1 stands for the default that nobody set."""

    version: int
    post: bool
    external: bool = False
    contra_account: str | None = None


@dataclass(frozen=True, slots=True)
class CompanyTerms:
    """What is per company; None stands for what the settings say."""

    version: int
    cutover: date | None = None
    voucher_type: str | None = None
    user_group: str | None = None
    currency_type: str | None = None


Entry = Mapped | Rule | CompanyTerms

NOBODYS = -1
"""The version of what nobody set; versions are offsets, so that of the first event of a partition is 0."""

POSTING_BY_DEFAULT = frozenset({DocumentType.INVOICE, DocumentType.PAYMENT})


class Chart(Protocol):
    """Today's mappings and rules, by the keys of streams.accounting.keys."""

    def mapped(self, key: str) -> Mapped | None:
        """Return the mapping under a key, or None."""

    def rule(self, key: str) -> Rule | None:
        """Return the posting rule under a key, or None."""

    def company(self, key: str) -> CompanyTerms | None:
        """Return the terms of a company, or None."""


def posting_rule(chart: Chart, document_type: DocumentType, company: str | None) -> tuple[str, Rule]:
    """Return the rule that holds and its key: the company's own, else that of `*`, else the default (version -1)."""
    for owner in (company, ALL_COMPANIES) if company else (ALL_COMPANIES,):
        key = keys.rule_key(owner, document_type)
        rule = chart.rule(key)
        if rule is not None:
            return key, rule
    return keys.rule_key(ALL_COMPANIES, document_type), Rule(NOBODYS, document_type in POSTING_BY_DEFAULT)


def entry_of(event: Model, version: int) -> Entry | None:
    """Return what an event of `ledger.mapping.v1` sets, in the version that its offset is; None if it removes.

    Raises:
        TypeError: it is no such event.

    """
    match event:
        case AccountMappingSet():
            return Mapped(version, event.gl_account, dict(event.code_parts), company=event.company)
        case ChartRuleSet():
            return Mapped(version, event.gl_account, dict(event.code_parts), deferred_account=event.deferred_account)
        case PostingRuleSet():
            return Rule(version, event.post, event.external, event.contra_account)
        case CompanySet():
            return CompanyTerms(version, event.cutover, event.voucher_type, event.user_group, event.currency_type)
        case AccountMappingRemoved() | ChartRuleRemoved() | PostingRuleRemoved():
            return None
    raise TypeError(f"{type(event).__name__} is no mapping or rule")


class KeyedChart(ABC):
    """A chart that answers from one entry for each key; what is of another kind than asked for is not there."""

    @abstractmethod
    def entry(self, key: str) -> Entry | None:
        """Return what is set under a key, or None."""

    def mapped(self, key: str) -> Mapped | None:
        """Return the mapping under a key, or None."""
        entry = self.entry(key)
        return entry if isinstance(entry, Mapped) else None

    def rule(self, key: str) -> Rule | None:
        """Return the posting rule under a key, or None."""
        entry = self.entry(key)
        return entry if isinstance(entry, Rule) else None

    def company(self, key: str) -> CompanyTerms | None:
        """Return the terms of a company, or None."""
        entry = self.entry(key)
        return entry if isinstance(entry, CompanyTerms) else None


class DictChart(KeyedChart):
    """A chart in memory, folded from events."""

    def __init__(self, events: Iterable[Model] = (), *, first_version: int = 1) -> None:
        """Apply `events` in their order, the first as `first_version`."""
        self.entries: dict[str, Entry] = {}
        self._versions: dict[str, int] = {}
        for version, event in enumerate(events, first_version):
            self.apply(event, version)

    def apply(self, event: Model, version: int) -> None:
        """Take in an event, unless a version as new is already known."""
        key = keys.mapping_key(event)
        if version <= self._versions.get(key, -1):
            return
        self._versions[key] = version
        entry = entry_of(event, version)
        if entry is None:
            self.entries.pop(key, None)
        else:
            self.entries[key] = entry

    def entry(self, key: str) -> Entry | None:
        """Return what is set under a key, or None."""
        return self.entries.get(key)
