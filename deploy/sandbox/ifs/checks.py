"""Whether a voucher may be booked: the rules of IFS's accounting in the order in which they strike, with their keys."""

import datetime as dt
from decimal import Decimal
from typing import Any

from deploy.sandbox.exact import Json, minor_unit
from deploy.sandbox.ifs.company import CODE_PARTS, Company, VoucherType
from deploy.sandbox.ifs.errors import OdataError, bad_body, mandatory, missing_object, rule
from deploy.sandbox.ifs.ledger import today

#: Header property -> (type, longest text).
HEADER = {
    "Company": ("text", 20),
    "VoucherType": ("text", 3),
    "AccountingYear": ("number", 0),
    "VoucherNo": ("number", 0),
    "VoucherDate": ("date", 0),
    "UserGroup": ("text", 30),
    "VoucherText": ("text", 2000),
    "VoucherText2": ("text", 2000),
    "AccountingTextId": ("text", 20),
    "VoucherStatus": ("text", 20),
    "AmountMethod": ("text", 20),
    "UseCorrectionRows": ("boolean", 0),
    "InterimVoucher": ("boolean", 0),
    "SimulationVoucher": ("boolean", 0),
    "FunctionGroup": ("text", 10),
}
_AMOUNTS = (
    "CurrencyDebetAmount",
    "CurrencyCreditAmount",
    "DebetAmount",
    "CreditAmount",
    "CurrencyRate",
    "ConversionFactor",
    "Quantity",
    "ThirdCurrencyDebitAmount",
    "ThirdCurrencyCreditAmount",
    "ParallelCurrencyRate",
)
ROW = {
    "Account": ("text", 20),
    **{f"Code{letter}": ("text", 20) for letter in CODE_PARTS},
    "ProcessCode": ("text", 10),
    "OptionalCode": ("text", 20),
    "TaxDirection": ("text", 20),
    "CurrencyCode": ("text", 3),
    "CurrencyType": ("text", 10),
    **dict.fromkeys(_AMOUNTS, ("amount", 0)),
    "Text": ("text", 200),
    "ReferenceSerie": ("text", 50),
    "ReferenceNumber": ("text", 50),
    "Correction": ("boolean", 0),
    "Company": ("text", 20),
    "ParallelCurrRateType": ("text", 10),
    "PartyTypeId": ("text", 20),
    "ProjectActivityId": ("number", 0),
    "RowGroupId": ("number", 0),
}
#: Letter and row property of each code part.
_CODES = tuple((letter, f"Code{letter}") for letter in CODE_PARTS)
#: What a row has of its voucher's header, before what is its own.
_OF_HEADER = (
    "Company",
    "VoucherType",
    "AccountingYear",
    "AccountingPeriod",
    "VoucherDate",
    "UserGroup",
    "VoucherStatus",
)
#: What a row has as it was given, after its code parts.
_AS_GIVEN = (
    "ProcessCode",
    "OptionalCode",
    "TaxDirection",
    "CurrencyCode",
    "CurrencyType",
    "Text",
    "ReferenceSerie",
    "ReferenceNumber",
    "ProjectActivityId",
    "PartyTypeId",
)
#: Manual entry takes these function groups only.
_MANUAL_GROUPS = frozenset({"M", "K", "Q"})


class Checker:
    """Checks one request body against the companies' set-up and makes header and rows of it."""

    def __init__(
        self, companies: dict[str, Company], *, user: str, rows_property: str, status: str, text_numbers: bool
    ) -> None:
        self._companies, self._user, self._rows_property, self._status = companies, user, rows_property, status
        #: With `IEEE754Compatible=true` in the Content-Type, amounts are texts; without it they are numbers.
        self._text_numbers = text_numbers

    def company_of(self, body: Json) -> Company:
        """The company of a body. Raises the error for one that does not exist or that the user may not use."""
        if not body.get("Company"):
            raise mandatory("Voucher", "COMPANY", "Voucher")
        company = self._companies.get(str(body["Company"]))
        if company is None:
            raise missing_object("Company", "Company")
        if not company.visible:
            raise rule("UserFinance.EXTUSERCHK", f"User {self._user} is not connected to company {company.company}")
        return company

    def check(self, body: Json) -> tuple[Json, list[Json]]:
        """Return header and rows ready to book. Raises OdataError or BusinessError."""
        rows = body.get(self._rows_property)
        if rows is not None and not isinstance(rows, list):
            raise bad_body(f"{self._rows_property} must be a list")
        header = self.header({name: value for name, value in body.items() if name != self._rows_property})
        if not rows:
            raise rule("Voucher.NOVOUCHERROW", "The voucher has no rows")
        return header, self._rows(self.company_of(body), header, rows)

    def row_shape(self, row: Any) -> None:
        """Check that a row has only properties that rows have, of the right type and length."""
        self._shape(row, ROW)

    def header(self, body: Json) -> Json:
        """Return the header that IFS makes of what is given: period, user group, status and more come from it."""
        self._shape(body, HEADER)
        company = self.company_of(body)
        if body.get("VoucherNo"):
            raise rule("Voucher.NOTMANUAL", "Voucher number must not be given: the voucher type allots it")
        voucher_type = self._voucher_type(company, body)
        date, year, period = self._period(company, body, voucher_type)
        return {
            "luname": "Voucher",
            "keyref": "",
            "Objgrants": None,
            "Objstate": self._status,
            "Company": company.company,
            "VoucherType": voucher_type.voucher_type,
            "AccountingYear": year,
            "VoucherNo": 0,
            "VoucherDate": date,
            "AccountingPeriod": period,
            "UserGroup": self._user_group(company, body),
            "VoucherStatus": self._status,
            "AmountMethod": body.get("AmountMethod", "NetAmountEntry"),
            "UseCorrectionRows": body.get("UseCorrectionRows", False),
            "InterimVoucher": False,
            "SimulationVoucher": False,
            "FunctionGroup": voucher_type.function_group,
            "VoucherText": body.get("VoucherText"),
            "VoucherText2": body.get("VoucherText2"),
            "TransferId": None,
            "Userid": self._user,
            "DateReg": today(),
            "VoucherUpdated": "N",
            "UpdateError": None,
        }

    def _shape(self, given: Any, known: dict[str, tuple[str, int]]) -> None:
        if not isinstance(given, dict):
            raise bad_body("an object is expected")
        for name, value in given.items():
            if name not in known:
                if name.startswith("@odata"):
                    continue
                raise bad_body(f"The property '{name}' is not defined.")
            if value is not None and not self._fits(value, *known[name]):
                raise OdataError(400, "INVALID_VALUE_FOR_PROPERTY", f"Invalid value for property '{name}'.")

    def _fits(self, value: Any, kind: str, longest: int) -> bool:
        if kind == "text":
            return isinstance(value, str) and len(value) <= longest
        if kind == "boolean":
            return isinstance(value, bool)
        if kind == "number":
            return isinstance(value, int) and not isinstance(value, bool)
        if kind == "amount":
            return isinstance(value, str if self._text_numbers else (int, Decimal)) and not isinstance(value, bool)
        return _is_date(value)

    def _voucher_type(self, company: Company, body: Json) -> VoucherType:
        if not body.get("VoucherType"):
            raise rule("Voucher.VOUCHERTYPENULL", "Voucher type must be given")
        voucher_type = company.voucher_types.get(body["VoucherType"])
        if voucher_type is None:
            raise missing_object("VoucherType", "Voucher Type")
        if voucher_type.function_group not in _MANUAL_GROUPS:
            raise rule("Voucher.ONLYMANUAL", "Only function groups M, K and Q are allowed for manual vouchers")
        return voucher_type

    def _user_group(self, company: Company, body: Json) -> str:
        group = body.get("UserGroup") or next(
            (name for name, members in company.user_groups.items() if self._user in members), ""
        )
        if group not in company.user_groups:
            raise rule(
                "UserGroupMemberFinance.NOUSERGR", f"User group {group} does not exist in company {company.company}"
            )
        if self._user not in company.user_groups[group]:
            raise rule(
                "UserGroupMemberFinance.NOTAUTHORIZEDUSER", f"User {self._user} is not a member of user group {group}"
            )
        return str(group)

    def _period(self, company: Company, body: Json, voucher_type: VoucherType) -> tuple[str, int, int]:
        if not body.get("VoucherDate"):
            raise mandatory("Voucher", "VOUCHER_DATE", "Voucher")
        date = str(body["VoucherDate"])
        found = company.period_of(dt.date.fromisoformat(date))
        if found is None:
            raise rule(
                "AccountingPeriod.NOYEAR2", f"There is no accounting year for {date} in company {company.company}"
            )
        year, period = found
        group = self._user_group(company, body)
        if found in company.closed_periods:
            raise rule(
                "UserGroupPeriod.USRGRPPER",
                f"Period {period} is not open for user group {group} in Company {company.company}",
            )
        if body.get("AccountingYear") not in {None, year}:
            raise rule("Voucher.NOTOPENPERIOD", f"{date} does not lie in accounting year {body['AccountingYear']}")
        if year not in voucher_type.years:
            raise rule(
                "VoucherNoSerial.NO_SER", f"No number series for voucher type {voucher_type.voucher_type} in {year}"
            )
        return date, year, period

    def _rows(self, company: Company, header: Json, given: list[Any]) -> list[Json]:
        rows = [self._row(company, header, row, len(given)) for row in given]
        for side, key in (("CurrencyAmount", "Voucher.ACCRULDOUBLEENTRY1"), ("Amount", "Voucher.VOUCHERMUSTBEBALANCE")):
            per_currency: dict[str, Decimal] = {}
            for row in rows:
                currency = row["CurrencyCode"] if side == "CurrencyAmount" else company.currency
                per_currency[currency] = per_currency.get(currency, Decimal(0)) + row[side]
            off = {currency: difference for currency, difference in per_currency.items() if difference}
            # Rows of several currencies need to balance in the company's own one only.
            if off and (side == "Amount" or len(per_currency) == 1):
                raise rule(
                    key,
                    f"The voucher must be balanced; the difference is {', '.join(f'{d} {c}' for c, d in off.items())}",
                )
        return rows

    def _row(self, company: Company, header: Json, given: Any, count: int) -> Json:
        self._shape(given, ROW)
        if given.get("Company") not in {None, company.company}:
            raise rule("VoucherRow.DIFFCOMPANY", "A row's company must be the voucher's")
        self._account(company, given, header["VoucherDate"])
        amounts = {name: None if (value := given.get(name)) is None else _exact(value) for name in _AMOUNTS}
        signed = self._amounts(company, given, amounts)
        rate, factor = self._rate(company, given, header["VoucherDate"], amounts, signed, count)
        return {
            "luname": "VoucherRow",
            "keyref": "",
            "Objgrants": None,
            **{name: header[name] for name in _OF_HEADER},
            "VoucherNo": 0,
            "RowNo": 0,
            "Account": given["Account"],
            **{name: given.get(name) for _, name in _CODES},
            **{name: given.get(name) for name in _AS_GIVEN},
            **amounts,
            "CurrencyRate": rate,
            "ConversionFactor": factor,
            "CurrencyAmount": signed[0],
            "Amount": signed[1],
            "Correction": given.get("Correction", False),
            "TransCode": "MANUAL",
            "VoucherText2": header["VoucherText2"],
        }

    def _account(self, company: Company, row: Json, date: str) -> None:
        if not row.get("Account"):
            raise mandatory("VoucherRow", "ACCOUNT", "Voucher Row")
        account = company.accounts.get(row["Account"])
        if account is None:
            raise rule("Account.ACCNOTEXIST", f"Account {row['Account']} does not exist in company {company.company}")
        if not account.valid_from <= date <= account.valid_until:
            raise rule("Account.ACCNT_NOT_VALID", f"Account {account.account} is not valid on {date}")
        if account.ledger:
            raise rule(
                "VoucherRow.VOUISLEDGER", f"Ledger Account {account.account} is not permitted for Manual Vouchers"
            )
        for letter, name in _CODES:
            value, wanted = row.get(name), account.requirements.get(letter)
            if (wanted == "Mandatory" and not value) or (wanted == "Blocked" and value):
                raise rule(
                    "AccountingCodestr.WRONGREQ", f"Code part {letter} is {wanted} for account {account.account}"
                )
            if value and value not in company.code_parts[letter]:
                raise rule(
                    "AccountingCodestr.CODEMISSING",
                    f"Value {value} of code part {letter} does not exist in company {company.company}",
                )

    def _amounts(self, company: Company, row: Json, amounts: dict[str, Decimal | None]) -> tuple[Decimal, Decimal]:
        """Debit xor credit, in both currencies; returns both amounts, debit positive."""
        if not row.get("CurrencyCode"):
            raise rule("VoucherRow.CURCODENULL", "Currency code must be given")
        if not row.get("CurrencyType"):
            raise rule("VoucherRow.RATETYPENULL", "Currency rate type must be given")
        if (
            company.parallel_currency
            and amounts["ThirdCurrencyDebitAmount"] is None
            and amounts["ThirdCurrencyCreditAmount"] is None
        ):
            raise rule("VoucherRow.PARALLELRATETYPENULL", "Parallel currency amounts and rate type must be given")
        currency_debit, currency_credit = amounts["CurrencyDebetAmount"], amounts["CurrencyCreditAmount"]
        debit, credit = amounts["DebetAmount"], amounts["CreditAmount"]
        if not any((currency_debit, currency_credit, debit, credit)):
            raise rule("VoucherRow.NOAMOUNT", "The row has no amount")
        if (
            (currency_debit and currency_credit)
            or (debit and credit)
            or (currency_debit and credit)
            or (currency_credit and debit)
        ):
            raise rule("VoucherRow.INCORRECTAMOUNTS", "A row has either a debit or a credit amount")
        # Sent is sent: 0.01 SEK is 0.00 GBP.
        if (currency_debit is None) != (debit is None):
            raise rule("VoucherRow.VOUROWDEBDITAMTERR", "Both debit amount and currency debit amount must be given")
        if (currency_credit is None) != (credit is None):
            raise rule("VoucherRow.VOUROWCREDITAMTERR", "Both credit amount and currency credit amount must be given")
        in_currency, own = (
            (currency_debit or 0) - (currency_credit or Decimal(0)),
            (debit or 0) - (credit or Decimal(0)),
        )
        if min(value for value in (currency_debit, currency_credit, debit, credit) if value) < 0 and not row.get(
            "Correction"
        ):
            raise rule("VoucherRow.INCORRECTAMOUNTS", "Negative amounts are for correction rows only")
        if not company.exact(in_currency, row["CurrencyCode"]) or not company.exact(own, company.currency):
            raise OdataError(400, "INVALID_VALUE_FOR_PROPERTY", "An amount has more decimals than its currency.")
        return in_currency, own

    def _rate(  # noqa: PLR0917 - all six are what the rule is about
        self,
        company: Company,
        row: Json,
        date: str,
        amounts: dict[str, Decimal | None],
        signed: tuple[Decimal, Decimal],
        count: int,
    ) -> tuple[Decimal, Decimal]:
        """The row's rate and factor; the amounts must follow from them, but for the cents that balance a voucher."""
        currency, kind = row["CurrencyCode"], row["CurrencyType"]
        if not company.knows_currency(currency):
            raise missing_object("CurrencyCode", "Currency Code")
        if kind not in company.currency_types:
            raise missing_object("CurrencyType", "Currency Type")
        rate, factor = amounts["CurrencyRate"], amounts["ConversionFactor"] or Decimal(1)
        if currency == company.currency:
            if signed[0] != signed[1] or rate not in {None, Decimal(1)} or factor != 1:
                raise rule(
                    "VoucherRow.BASECURRSAME", "Amounts in the company's own currency must be the same, at rate 1"
                )
            return Decimal(1), Decimal(1)
        if company.rate_on(currency, kind, date) is None:
            raise rule(
                "CurrencyRate.NOVALID", f"There is no valid currency rate for {currency} of type {kind} on {date}"
            )
        if rate is None:
            raise mandatory("VoucherRow", "CURRENCY_RATE", "Voucher Row")
        if rate <= 0 or factor <= 0:
            raise rule("VoucherRow.NEGATIVECURRRATE", "Currency rate must be greater than zero")
        if abs(company.converted(signed[0], rate, factor) - signed[1]) > minor_unit(company.currency) * count:
            raise rule(
                "VoucherRow.INCORRECTAMOUNTS",
                f"{signed[1]} {company.currency} is not {signed[0]} {currency} at rate {rate} / {factor}",
            )
        return rate, factor


def _exact(value: Decimal | str | int) -> Decimal:
    return value if isinstance(value, Decimal) else Decimal(str(value))


def _is_date(value: Any) -> bool:
    try:
        dt.date.fromisoformat(value)
    except (TypeError, ValueError):
        return False
    return True
