"""What IFS Cloud's refusals mean for a person: a short word for lists, and what to do about it.

IFS writes `ORA-20110: UserGroupPeriod.USRGRPPER: text`. The text follows the service user's language, the KEY does not.
"""

from dataclasses import dataclass

from schemas.vouchers import ANOTHER_STANDS


@dataclass(frozen=True, slots=True)
class Explanation:
    """A short word such as `period-closed`, and advice for a person in finance."""

    reason: str
    advice: str


_REPLAY = "then replay the record"

PERIOD_CLOSED = Explanation(
    "period-closed",
    f"Open the accounting period in IFS, {_REPLAY}, or replay it with a date in an open period.",
)
PERIOD_NOT_OPEN = Explanation(
    "period-not-open-for-user-group",
    f"Open the period for the voucher's user group in IFS (User Group per Period), {_REPLAY}, or replay it with a date "
    "in an open period.",
)
YEAR_MISSING = Explanation(
    "accounting-year-missing",
    f"Create the accounting year and its periods in IFS, {_REPLAY}, or replay it with a date in an open period.",
)
ACCOUNT_NOT_VALID = Explanation(
    "account-not-valid",
    f"The account does not exist in the company or is not valid on the voucher's date: correct the mapping, or the "
    f"account in IFS, {_REPLAY}.",
)
ACCOUNT_NOT_ALLOWED = Explanation(
    "account-not-allowed",
    f"IFS takes no manual voucher on this account (a ledger or budget account): map to another account, {_REPLAY}.",
)
CODE_PART = Explanation(
    "code-part-not-valid",
    "A code part is missing, blocked or not valid for the account: correct the cost centre or code parts of the "
    f"mapping, {_REPLAY}.",
)
PROJECT = Explanation(
    "project-not-valid",
    f"The account demands a project activity, or the one given takes no postings: map without a project or correct the "
    f"project in IFS, {_REPLAY}.",
)
VOUCHER_TYPE = Explanation(
    "voucher-type-not-valid",
    "The voucher type does not exist in the company or is not for manual vouchers (function group M, K or Q): correct "
    f"the company's voucher type here or in IFS, {_REPLAY}.",
)
NUMBER_SERIES = Explanation(
    "number-series-missing",
    f"The voucher type has no number series for the year, or it is used up: extend it in IFS, {_REPLAY}.",
)
USER = Explanation(
    "user-not-authorized",
    "IFS's service user is no finance user of the company, not in the user group, or not allowed to enter this voucher "
    f"type: have the IFS administrator correct that, {_REPLAY}.",
)
APPROVAL = Explanation(
    "approval-status-not-valid",
    f"The user group's authorization for the voucher type does not allow this status: correct it in IFS, {_REPLAY}.",
)
NOT_BALANCED = Explanation(
    "not-balanced",
    "IFS finds the voucher unbalanced, though it balanced here: compare the rows with the document and tell the "
    "people who run this connector; nothing was booked.",
)
EMPTY = Explanation(
    "empty-voucher",
    "IFS finds a row without an amount, or no row: tell the people who run this connector; nothing was booked.",
)
AMOUNTS = Explanation(
    "amounts-refused",
    "IFS finds the amounts of a row incomplete, or on both sides: tell the people who run this connector; nothing was "
    "booked.",
)
CURRENCY = Explanation(
    "currency-not-valid",
    f"The currency or currency type is not set up in the company, or is used wrongly: correct it in IFS or in the "
    f"company's currency type, {_REPLAY}.",
)
RATE_MISSING = Explanation(
    "currency-rate-missing",
    f"IFS has no currency rate that is valid on the document's date: enter it in IFS, {_REPLAY}.",
)
RATES_NOT_READABLE = Explanation(
    "currency-rates-not-readable",
    "IFS does not let its service user read currency rates, which this document needs: have CurrencyRatesHandling "
    f"granted, {_REPLAY}.",
)
PARALLEL_CURRENCY = Explanation(
    "parallel-currency",
    "The company keeps a parallel currency, which this connector does not post to: map the account to another company, "
    "or book this document by hand and settle the record.",
)
TAX = Explanation(
    "tax-code-required",
    "IFS demands a tax code on a row: map to an account without tax handling, or correct the account in IFS, "
    f"{_REPLAY}.",
)
REFERENCE = Explanation(
    "reference-required",
    f"IFS demands a reference that it did not find: check the voucher type's reference settings in IFS, {_REPLAY}.",
)
DUPLICATE = Explanation(
    "duplicate",
    "IFS says that such a voucher exists, yet none has our reference: look for it in IFS, then replay or settle the "
    "record.",
)
TEMPLATE_COMPANY = Explanation(
    "template-company",
    f"The company is a template and takes no vouchers: correct the account's mapping, {_REPLAY}.",
)
NO_LONGER_OPEN = Explanation(
    "voucher-no-longer-open",
    "The voucher was cancelled or moved to the general ledger meanwhile: look at it in IFS, then replay or settle the "
    "record.",
)
NOT_FOUND = Explanation(
    "not-found",
    f"Something that the voucher names does not exist in IFS: correct the mapping or IFS's basic data, {_REPLAY}.",
)
FIELD_MISSING = Explanation(
    "field-missing",
    f"IFS demands a field that the voucher does not have: correct the mapping or IFS's set-up, {_REPLAY}.",
)
NOT_PERMITTED = Explanation(
    "not-permitted",
    f"IFS's service user may not create this voucher: have the IFS administrator grant it, {_REPLAY}.",
)
COMPANY_UNKNOWN = Explanation(
    "company-not-visible",
    "The company does not exist in IFS or its service user may not see it: correct the mapping, or have the IFS "
    f"administrator give access, {_REPLAY}.",
)
REQUEST_NOT_UNDERSTOOD = Explanation(
    "request-not-understood",
    "IFS does not understand the request as this connector makes it: have the connector's IFS settings compared with "
    f"the projection in IFS, {_REPLAY}.",
)
DATABASE = Explanation(
    "database-error",
    f"IFS's database failed on this voucher, several times; give the message to the IFS administrator, {_REPLAY}.",
)
OTHER = Explanation(
    "refused",
    f"Read IFS's words, correct what they name in IFS or in the mapping, {_REPLAY}.",
)

MADE_UNAWARES = Explanation(
    ANOTHER_STANDS,
    "Nothing was booked by this one: it, or the voucher that stands, was sent late by a worker taken for dead. Correct "
    "the record where it is changed after posting, settle it where it is rejected; else there is nothing to do.",
)

_KEYS_OF: dict[Explanation, str] = {
    PERIOD_CLOSED: "PERCLOSED NOTOPENPERIOD",
    PERIOD_NOT_OPEN: "USRGRPPER NOTOPENPERIODGROUP USRGRPNOTCON ORDINARYONLY YEARENDONLY",
    YEAR_MISSING: "NOYEAR2",
    ACCOUNT_NOT_VALID: "ACCNOTEXIST NOACCNTREQ ACCNT_NOT_VALID",
    ACCOUNT_NOT_ALLOWED: "VOUISLEDGER BUDACCONLY",
    CODE_PART: "WRONGREQ WRONGTEXTREQ CODEMISSING",
    PROJECT: "PROJACTIMANDATORY ACTIDNOTPOSTABLE PROJACTINOTNULL",
    VOUCHER_TYPE: "VOUCHERTYPENULL NOFUNGROUP ONLYMANUAL ALLGENNOTEXISTT",
    NUMBER_SERIES: "NO_SER HIGH_NO",
    USER: "EXTUSERCHK NOUSERGR NOTAUTHORIZEDUSER APPROVEONLYVOUENTRY SEPUSERAPP",
    APPROVAL: "STATUSINVALID STATUSINVALIDFORUSERGROUP VOUCHERMUSTBEAWAITING",
    NOT_BALANCED: "VOUCHERMUSTBEBALANCE AWAITINGAPPROVALMUSTBEBALANCE VOUNOTBALANCED VOUNOTBALANCEDPAR "
    "ACCRULDOUBLEENTRY1 ACCRULDOUBLEENTRY2 ACCRULDOUBLEENTRY3 ACCRULDOUBLEENTRY4 ACCRULDOUBLEENTRY5",
    EMPTY: "NOVOUCHERROW NOAMOUNT",
    AMOUNTS: "INCORRECTAMOUNTS VOUROWDEBDITAMTERR VOUROWCREDITAMTERR",
    CURRENCY: "CURCODENULL RATETYPENULL NEGATIVECURRRATE BASECURRSAME",
    RATE_MISSING: "NOVALID ERROR4 ERROR5",
    PARALLEL_CURRENCY: "PARALLELRATETYPENULL NOPARALLELFORCURR",
    TAX: "NOTAXDIRECTION TAXCODENULL CURRTAXAMPTY SIMNOTAXCODE",
    REFERENCE: "REFSERNUMNOTNULL NULLREFROWEXISTS",
    DUPLICATE: "VOUCHERISEXIST VOU_NO_EXIST VALIDATELOADID",
    TEMPLATE_COMPANY: "TEMPLATECOMP",
    NO_LONGER_OPEN: "CANCELLEDVOU VOUUPD",
}
BY_KEY: dict[str, Explanation] = {key: explanation for explanation, keys in _KEYS_OF.items() for key in keys.split()}
"""IFS's KEY to what it means; keys of the voucher components, gathered from IFS's own Accounting Rules."""

BY_NUMBER: dict[int, Explanation] = {
    20111: NOT_FOUND,
    20112: DUPLICATE,
    20115: NO_LONGER_OPEN,
    20118: NOT_PERMITTED,
    20119: NOT_PERMITTED,
    20124: FIELD_MISSING,
    20181: NOT_PERMITTED,
}
"""ORA number to what it means, where the KEY says nothing."""

BY_STATUS: dict[int, Explanation] = {
    400: REQUEST_NOT_UNDERSTOOD,
    403: NOT_PERMITTED,
    404: REQUEST_NOT_UNDERSTOOD,
    405: REQUEST_NOT_UNDERSTOOD,
    501: REQUEST_NOT_UNDERSTOOD,
}
"""HTTP status to what it means, where there is no ORA number."""


def explain(*, key: str | None, number: int | None, status: int) -> Explanation:
    """Return what a refusal means, by the most telling of its three marks."""
    if key in BY_KEY:
        return BY_KEY[key]
    if number is not None:
        return BY_NUMBER.get(number, OTHER)
    return BY_STATUS.get(status, OTHER)
