"""Which fields of Zuora's tell of a person: the one table, and a walk over a document that meets each of them."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Final

ACCOUNT_NAME = "accountName"
"""What a record calls its account; in Zuora's own answer it is `name` of `basicInfo`."""


@dataclass(frozen=True, slots=True)
class Personal:
    """A kind of personal data and the fields that hold it.

    Names are compared without case, `_` and the `__c` of custom fields. `whole` is a field's whole name, `part` a part
    of it unless it ends as ids and dates of documents do, and `always` a part of it in any case. A field that holds an
    object or a list is personal with all that is in it. What is `known_by` is what people know an account or a document
    by: without a key to seal it, it is stored in clear, where others are not stored.
    """

    what: str
    whole: tuple[str, ...] = ()
    part: tuple[str, ...] = ()
    always: tuple[str, ...] = ()
    known_by: bool = False


# After Zuora's REST v1 models of documents, contacts, accounts and payment methods (its SDK 3.21). Documents themselves
# name contacts by id only; the rest comes with expanded answers and with custom fields.
PERSONAL: Final = (
    Personal("the account's name", (ACCOUNT_NAME, "customerName"), known_by=True),
    Personal(
        "names",
        ("salesRep", "payerName", "payeeName", "recipient", "attention"),
        (
            *("firstName", "lastName", "middleName", "fullName", "surname", "givenName", "familyName", "maidenName"),
            *("nickname", "contactName", "personName", "accountHolder"),
        ),
    ),
    Personal("contacts, as objects", ("billToContact", "soldToContact", "shipToContact", "contact", "contacts")),
    Personal("addresses", ("city", "zip"), ("address", "street", "zipCode", "postalCode", "postcode")),
    Personal("e-mail and telephone", (), ("email", "phone", "mobile", "fax")),
    Personal(
        "numbers and dates of persons",
        ("dob", "ssn", "gender", "nationality"),
        ("personalNumber",),
        ("birth", "passport", "socialSecurity", "VATId", "taxId", "nationalId", "personalId"),
    ),
    Personal(
        "means of payment",
        ("paymentMethod", "cardHolderInfo", "mandateInfo", "bankTransferAccountName", "bankAccountName"),
        ("IBAN", "cardHolder", "cardNumber", "cardMaskNumber", "bankAccountNumber", "accountNumberMask"),
    ),
    Personal("free text that people write", ("comment", "comments", "note", "notes"), known_by=True),
)
IDS = ("id", "date", "accountingcode", "accountingcodetype")
"""What a name ends with that holds an id of Zuora's, a date or an account of the ledger and nothing of a person."""
NEVER_IN_CLEAR: Final = tuple(kind for kind in PERSONAL if not kind.known_by)
LEFT_OUT: Final = object()
MOST_NAMES_KNOWN: Final = 10_000
"""Names seen are remembered, since each document has the same; whoever makes up names must not fill our memory."""


def plain(name: str) -> str:
    """Return a field's name as it is compared."""
    return name.removesuffix("__c").replace("_", "").lower()


class PersonalFields:
    """Tells which fields are personal: those of the table, and whatever further names a tenant gives."""

    def __init__(self, further: Collection[str] = (), kinds: Collection[Personal] = PERSONAL) -> None:
        self._whole = {plain(name) for kind in kinds for name in kind.whole} | {plain(name) for name in further}
        self._parts = tuple(plain(name) for kind in kinds for name in kind.part)
        self._always = tuple(plain(name) for kind in kinds for name in kind.always)
        self._known: dict[str, bool] = {}

    def __contains__(self, name: str) -> bool:
        known = self._known.get(name)
        if known is None:
            known = self._is_personal(plain(name))
            if len(self._known) < MOST_NAMES_KNOWN:
                self._known[name] = known
        return known

    def _is_personal(self, name: str) -> bool:
        parts = self._always if name.endswith(IDS) else self._always + self._parts
        return name in self._whole or any(part in name for part in parts)

    def replaced(self, document: dict[str, Any], replace: Callable[[str, Any], Any]) -> dict[str, Any]:
        """Return a document with what `replace(name, value)` gives for each personal field; LEFT_OUT leaves it out.

        What is empty, and true or false, tells nothing of anybody and stays.
        """
        found = {}
        for name, value in document.items():
            is_personal = name in self and not _is_empty(value)
            new = replace(name, value) if is_personal else self._below(value, replace)
            if new is not LEFT_OUT:
                found[name] = new
        return found

    def _below(self, value: Any, replace: Callable[[str, Any], Any]) -> Any:
        if isinstance(value, dict):
            return self.replaced(value, replace)
        if isinstance(value, list):
            return [self._below(each, replace) for each in value]
        return value


def _is_empty(value: Any) -> bool:
    return value is None or isinstance(value, bool) or value in ("", [], {})


def without_personal(fields: dict[str, Any], personal: PersonalFields) -> dict[str, Any]:
    """Return fields without what tells of a person."""
    return personal.replaced(fields, lambda _name, _value: LEFT_OUT)
