"""Fetches documents from Zuora whole: header, all pages, what belongs to them, all of one and the same state."""

import re
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from urllib.parse import quote

from schemas.base import DocumentType
from schemas.errors import FarSideError, NotFoundError, RefusedError, SettingsError, TroubleError
from streams.settings import ZuoraSettings
from streams.systems.budget import RateBudget
from streams.systems.retry import BackOff, OnWait, persevere
from streams.systems.session import TOO_LARGE, FarSide, HttpSession, is_address
from streams.systems.tokens import TokenSource
from streams.systems.zuora.accounts import AccountCache
from streams.systems.zuora.captured import LONGEST_TEXT, OF_THE_ANSWER, Account, Fetched, as_text
from streams.systems.zuora.errors import AnotherDocumentError, NoSuchObjectError, checked, refuses_token
from streams.systems.zuora.kinds import KINDS, Kind, Related, Rows

T = TypeVar("T")

VERSION = "2025-08-12"
"""Sent always: tenants that were never upgraded otherwise answer as of version 186.0."""
PAGE_SIZE = 40
"""Zuora's largest page of items or parts."""
MOST_PAGES = 500
"""20,000 items; beyond it a document is refused as too large."""
MOST_ROUNDS = 5
"""Times that a document which changes under our hands is fetched anew before we wait."""
LONGEST_KEY = 100
_ID = re.compile(r"[0-9a-f]{32}")
BACK_OFF = BackOff(first=1, longest=60)


def zuora_tokens(settings: ZuoraSettings) -> TokenSource:
    """Return the tokens of the settings' client.

    Raises:
        SettingsError: base URL, client id or secret is missing or wrong.

    """
    client_id, secret = settings.client_id, settings.client_secret
    if not client_id or not secret:
        missing = "CLIENT_SECRET" if client_id else "CLIENT_ID"
        raise SettingsError(f"ZIFS_ZUORA__{missing} is not set: name the OAuth client of a Zuora user")
    return TokenSource(f"{_base_url(settings)}/oauth/token", client_id, secret, name="Zuora")


def zuora_session(
    settings: ZuoraSettings, *, share: Callable[[], float] = lambda: 1.0, tokens: TokenSource | None = None
) -> HttpSession:
    """Return a session, to be entered, that keeps to `share` (0 to 1) of Zuora's limits.

    Raises:
        SettingsError: base URL, client id or secret is missing or wrong.

    """
    return HttpSession(
        _base_url(settings),
        tokens or zuora_tokens(settings),
        name="Zuora",
        concurrency=lambda: settings.concurrency * share(),
        budget=RateBudget(lambda: settings.requests_per_minute * share()),
        default_headers={"Zuora-Version": VERSION},
        refuses_token=refuses_token,
    )


def _base_url(settings: ZuoraSettings) -> str:
    url = (settings.base_url or "").rstrip("/")
    if not is_address(url):
        raise SettingsError("ZIFS_ZUORA__BASE_URL must be Zuora's address, such as https://rest.na.zuora.com")
    return url


class ZuoraClient:
    """Reads from Zuora; trouble is waited out, for ever or for `give_up_after_seconds` each request.

    A request that fails is repeated alone, so page 49 of 50 costs no other page.
    """

    def __init__(
        self,
        session: FarSide,
        *,
        back_off: BackOff = BACK_OFF,
        give_up_after_seconds: float | None = None,
        on_wait: OnWait | None = None,
    ) -> None:
        self._session = session
        self._back_off = back_off
        self._give_up_after_seconds = give_up_after_seconds
        self._on_wait = on_wait
        self._accounts = AccountCache()

    async def get(self, path_or_url: str, params: str | None = None) -> dict[str, Any]:
        """Return the JSON object that a GET answers with; `params` is an encoded query.

        Raises:
            FarSideError: what Zuora refused; trouble only once it has lasted too long.

        """

        async def once() -> dict[str, Any]:
            headers = {"Zuora-Track-Id": uuid.uuid4().hex}
            return checked(await self._session.request("GET", path_or_url, params=params, headers=headers))

        return await self._persevere(once)

    async def fetch(self, document_type: DocumentType, key: str) -> Fetched:
        """Return a document by its id or number, as it was at one moment.

        Raises:
            NotFoundError: it is not there; NoSuchObjectError where Zuora itself says so, AnotherDocumentError where
                another one is answered.
            RefusedError: Zuora's own words, or the document is beyond a bound (code `too-large`).

        """
        kind = KINDS[document_type]

        async def once() -> Fetched:
            document = await self._document(kind, key)
            renewed = [await self._relate(document, related) for related in kind.related]
            return Fetched(document_type, as_text(document), tuple(one for one in renewed if one))

        return await self._persevere(once)

    async def fetch_invoice(self, key: str) -> Fetched:
        """Return an invoice with all items and their taxation items."""
        return await self.fetch(DocumentType.INVOICE, key)

    async def fetch_payment(self, key: str) -> Fetched:
        """Return a payment with all parts."""
        return await self.fetch(DocumentType.PAYMENT, key)

    async def resolve(self, document_type: DocumentType, key: str) -> str:
        """Return a document's id, given its id or number. Raises like `fetch`."""
        kind = KINDS[document_type]
        header = await self._header(kind, key)
        return str(header[kind.id])

    async def account(self, account_id: str) -> Account:
        """Return an account's number and name, remembered for some minutes; without them if Zuora will not tell."""
        if (known := self._accounts.get(account_id)) is not None:
            return known
        try:
            basic = as_text((await self.get(f"/v1/accounts/{_segment(account_id)}")).get("basicInfo"))
        except FarSideError as error:
            if error.retriable:
                raise
            return Account(account_id)  # a name is good to have, never a reason to hold a document back
        if not isinstance(basic, dict) or not _is_same(basic.get("id", account_id), account_id):
            return Account(account_id)  # another's name would be sealed under this account's key, and outlive its own
        account = Account(account_id, _text(basic.get("accountNumber")), _text(basic.get("name")))
        self._accounts.put(account)
        return account

    async def _document(self, kind: Kind, key: str) -> dict[str, Any]:
        """Fetch header and rows; the header again after them, and all again if the document moved meanwhile."""
        before = await self._header(kind, key)
        if kind.rows is None:
            return before
        for _ in range(MOST_ROUNDS):
            rows = await self._rows(kind.rows, f"{kind.path}/{_segment(before[kind.id])}/{kind.rows.path}")
            after = await self._header(kind, before[kind.id], is_id=True)
            if _state(kind, after) == _state(kind, before):
                return {**after, kind.rows.kept_as: rows}
            before = after
        raise TroubleError(f"Zuora: {before[kind.id]} changed {MOST_ROUNDS} times while it was fetched")

    async def _rows(self, rows: Rows, path: str) -> list[dict[str, Any]]:
        """Fetch the rows of a document that is there; that they are not found says nothing of the document.

        That there are none is believed of Zuora alone: some proxy's 404 would leave them out.
        """
        try:
            found = await self._all(path, rows.name)
            for row in found:
                await self._complete_taxes(row)
        except NotFoundError as error:
            if rows.may_be_absent and isinstance(error, NoSuchObjectError):
                return []
            raise NotFoundError(f"Zuora has the document, but not {path}", status=error.status) from error
        return found

    async def _header(self, kind: Kind, key: str, *, is_id: bool = False) -> dict[str, Any]:
        body = await self.get(f"{kind.path}/{_segment(key)}")
        header = {name: value for name, value in body.items() if name not in OF_THE_ANSWER}
        for name in (kind.id, kind.account_id):
            told = header.get(name)
            if not isinstance(told, str) or not 0 < len(told) <= LONGEST_KEY or not told.isprintable():
                raise RefusedError(f"Zuora's answer for {key} has no {name}")
        told_id, number = header[kind.id], header.get(kind.number)
        is_asked_for = told_id == key
        if not is_asked_for and not (is_id or _ID.fullmatch(key)):
            is_asked_for = _is_same(told_id, key) or _is_same(number, key)
        if not is_asked_for:
            told = _text(number or told_id)
            raise AnotherDocumentError(f"Zuora: asked for {key} it answered with another document, {told}")
        return header

    async def _relate(self, document: dict[str, Any], related: Related) -> tuple[DocumentType, str] | None:
        """Put the related document into `document`; return it if it is to be captured anew as well."""
        key = document.get(related.field)
        if not isinstance(key, str) or not key:
            return None
        kind = KINDS[related.document_type]
        try:
            document[related.kept_as] = await (self._document if related.whole else self._header)(kind, key)
        except NoSuchObjectError:
            document[related.kept_as] = None
            return None
        return (related.document_type, key) if related.renewed else None

    async def _complete_taxes(self, row: dict[str, Any]) -> None:
        """Fetch the further pages of an item's taxation items."""
        taxes = row.get("taxationItems")
        if isinstance(taxes, dict) and isinstance(taxes.get("nextPage"), str) and taxes["nextPage"]:
            further = await self._all(_at_our_address(taxes["nextPage"]), "data", params=None)
            row["taxationItems"] = {"data": [*_page({"data": taxes.get("data") or []}, "data"), *further]}

    async def _all(
        self, path_or_url: str, name: str, params: str | None = f"pageSize={PAGE_SIZE}"
    ) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        seen: set[str] = set()
        while path_or_url not in seen:
            if len(seen) >= MOST_PAGES:
                raise RefusedError(f"Zuora: {path_or_url} goes on after {MOST_PAGES} pages", code=TOO_LARGE)
            seen.add(path_or_url)
            body = await self.get(path_or_url, params)
            rows += _page(body, name)
            next_page, params = body.get("nextPage"), None
            if not isinstance(next_page, str) or not next_page:
                return rows
            path_or_url = _at_our_address(next_page)
        raise RefusedError("Zuora's pages go round in a circle")

    async def _persevere(self, call: Callable[[], Awaitable[T]]) -> T:
        return await persevere(
            call,
            back_off=self._back_off,
            give_up_after_seconds=self._give_up_after_seconds,
            on_wait=self._on_wait,
        )


def _segment(key: str) -> str:
    """Return an id or number as one segment of a path.

    Raises:
        RefusedError: it cannot be one.

    """
    if not 0 < len(key) <= LONGEST_KEY or key.strip(".") == "":
        raise RefusedError(f"{key[:LONGEST_KEY]!r} is no id or number of Zuora's")
    return quote(key, safe="", errors="replace")


def _page(body: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """Return the rows of one page.

    Raises:
        RefusedError: it has none under this name.

    """
    page = body.get(name)
    if not isinstance(page, list) or not all(isinstance(row, dict) for row in page):
        raise RefusedError(f"Zuora's page has no list {name}")
    return page


def _is_same(told: Any, key: str) -> bool:
    """Tell whether a number or id is the one asked for, whatever the case and the blanks that a callout has it in."""
    return isinstance(told, str) and told.strip().casefold() == key.strip().casefold()


def _at_our_address(next_page: str) -> str:
    """Return the path and query of a next page: behind a gateway, Zuora's links name a host that is not ours to ask."""
    _, version, rest = next_page.partition("/v1/")
    return f"{version}{rest}" if version else next_page


def _state(kind: Kind, header: dict[str, Any]) -> tuple[Any, ...]:
    """Return what tells one state of a document from another; `updatedDate` alone has whole seconds only."""
    return tuple(header.get(name) for name in (kind.updated_date, kind.amount, kind.account_id, "status", "balance"))


def _text(value: Any) -> str | None:
    return value[:LONGEST_TEXT] if isinstance(value, str) and value else None
