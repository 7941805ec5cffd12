"""Vouchers: in the hold table until the general ledger is updated, found by key and by reference; the sets' tags."""

import base64
import datetime as dt
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal

from deploy.sandbox.exact import Json
from deploy.sandbox.ifs.company import Company
from deploy.sandbox.ifs.settings import IfsSettings


def tag(text: str) -> str:
    """A weak tag as IFS writes it: the base64 of another weak tag."""
    inner = f'W/"{text}"'
    return f'W/"{base64.b64encode(inner.encode()).decode()}"'


KEYS = ("Company", "VoucherType", "AccountingYear", "VoucherNo")


@dataclass
class Voucher:
    """A voucher with its rows, as the API shows them."""

    header: Json
    rows: list[Json]
    in_gl: bool = False
    version: int = 1

    @property
    def key(self) -> tuple[str, str, int, int]:
        """Company, voucher type, accounting year, number."""
        company, voucher_type, year, number = (self.header[name] for name in KEYS)
        return company, voucher_type, year, number

    @property
    def references(self) -> set[str]:
        """The references that its rows carry."""
        return {row["ReferenceNumber"] for row in self.rows if row.get("ReferenceNumber")}

    def etag(self) -> str:
        """The tag of this voucher."""
        return tag(f"{'-'.join(map(str, self.key))}:{self.version}")


@dataclass
class Draft:
    """A voucher in the entry assistant: of no consequence until it is created, and not in any other set."""

    objkey: str
    #: What the client gave, and what the server made of it.
    given: Json
    header: Json
    rows: list[Json] = field(default_factory=list)
    version: int = 1

    def etag(self) -> str:
        """The tag of this draft."""
        return tag(f"{self.objkey}:{self.version}")


class Ledger:
    """All vouchers of the tenant."""

    def __init__(self, settings: IfsSettings, companies: dict[str, Company]) -> None:
        self._settings = settings
        self.companies = companies
        self.vouchers: dict[tuple[str, str, int, int], Voucher] = {}
        self._by_reference: dict[str, list[Voucher]] = {}
        self._by_text: dict[str, list[Voucher]] = {}
        self._changes: Counter[str] = Counter()

    def draw_number(self, company: Company, voucher_type: str, year: int) -> int:
        """The next number of a series: the year and a running number."""
        series = company.voucher_types[voucher_type].next_number
        series[year] = series.get(year, 0) + 1
        return year * 1_000_000 + series[year]

    def book(self, header: Json, rows: list[Json]) -> Voucher:
        """Put a checked voucher into the hold table under the next number."""
        company = self.companies[header["Company"]]
        header["VoucherNo"] = self.draw_number(company, header["VoucherType"], header["AccountingYear"])
        header["keyref"] = (
            f"ACCOUNTING_YEAR={header['AccountingYear']}^COMPANY={header['Company']}^VOUCHER_NO={header['VoucherNo']}"
            f"^VOUCHER_TYPE={header['VoucherType']}^"
        )
        for number, row in enumerate(rows, 1):
            row |= {"VoucherNo": header["VoucherNo"], "RowNo": number, "keyref": f"{header['keyref']}ROW_NO={number}^"}
        voucher = Voucher(header, rows)
        self.vouchers[voucher.key] = voucher
        for reference in voucher.references:
            self._by_reference.setdefault(reference, []).append(voucher)
        if header.get("VoucherText2"):
            self._by_text.setdefault(header["VoucherText2"], []).append(voucher)
        self.changed(header["Company"])
        return voucher

    def candidates(self, equal: dict[str, frozenset[object]]) -> Iterable[Voucher]:
        """Vouchers that can fulfil a filter, by index where its equalities allow."""
        if all(len(equal.get(name, ())) == 1 for name in KEYS):
            company, voucher_type, year, number = (next(iter(equal[name])) for name in KEYS)
            voucher = self.vouchers.get((str(company), str(voucher_type), int(str(year)), int(str(number))))
            return [voucher] if voucher else []
        for name, index in (("ReferenceNumber", self._by_reference), ("VoucherText2", self._by_text)):
            if name in equal:
                return {voucher.key: voucher for value in equal[name] for voucher in index.get(str(value), [])}.values()
        return self.vouchers.values()

    def changed(self, company: str) -> None:
        """Note a change, so that the sets' tags move on."""
        self._changes[company] += 1

    def set_tag(self, company: str | None) -> str:
        """The tag of the set: of one company's vouchers, or of all."""
        if company is not None and self._settings.etag_scope == "company":
            return tag(f"VoucherSet-{company}:{self._changes[company]}")
        return tag(f"VoucherSet:{self._changes.total()}")

    def tag_fits(self, company: str, given: str) -> bool:
        """Whether a tag is the set's present one, as a read of the company or of all gives it."""
        return given == self.set_tag(company) or given == self.set_tag(None)

    def update_general_ledger(self, company: str | None = None) -> list[Voucher]:
        """Move approved vouchers from the hold table into the general ledger."""
        moved = [
            voucher
            for voucher in self.vouchers.values()
            if not voucher.in_gl
            and voucher.header["VoucherStatus"] == "Approved"
            and company in {None, voucher.header["Company"]}
        ]
        for voucher in moved:
            voucher.in_gl = True
            voucher.version += 1
            voucher.header["VoucherUpdated"] = "Y"
            self.changed(voucher.header["Company"])
        return moved

    def duplicates(self) -> list[Json]:
        """References that more than one voucher carries: what must never be."""
        return [
            {"reference": reference, "vouchers": [_key_json(voucher) for voucher in vouchers]}
            for reference, vouchers in sorted(self._by_reference.items())
            if len(vouchers) > 1
        ]

    def trial_balance(self, company: str | None = None) -> list[Json]:
        """Net per company, account and currency, over hold table and general ledger."""
        sums: dict[tuple[str, str, str], list[Decimal]] = {}
        for voucher in self.vouchers.values():
            for row in voucher.rows:
                if company in {None, row["Company"]}:
                    entry = sums.setdefault(
                        (row["Company"], row["Account"], row["CurrencyCode"]), [Decimal(0), Decimal(0)]
                    )
                    entry[0] += row["CurrencyAmount"]
                    entry[1] += row["Amount"]
        return [
            {"company": key[0], "account": key[1], "currency": key[2], "currencyAmount": entry[0], "amount": entry[1]}
            for key, entry in sorted(sums.items())
        ]


def _key_json(voucher: Voucher) -> Json:
    company, voucher_type, year, number = voucher.key
    return {"company": company, "voucherType": voucher_type, "accountingYear": year, "voucherNo": number}


def today() -> str:
    """The server's date."""
    return dt.datetime.now(dt.UTC).date().isoformat()
