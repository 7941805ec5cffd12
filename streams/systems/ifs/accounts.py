"""A company's chart of accounts in IFS Cloud: which accounts there are. Names are those of IFS's Accounting Rules."""

from collections.abc import Collection

from schemas.errors import UnreadableError
from streams.systems.ifs import odata
from streams.systems.ifs.service import Service

PROJECTION, SET = "AccountsHandling", "AccountSet"


async def unknown_accounts(service: Service, company: str, accounts: Collection[str]) -> set[str]:
    """Return those of the accounts that a company does not have, or that the service user may not see.

    Raises:
        UnreadableError: the answer has other accounts than were asked for, so it proves nothing.
        FarSideError: IFS does not answer, or does not offer its accounts.

    """
    known: set[str] = set()
    url = service.url(PROJECTION, SET)
    for chunk, condition in odata.chunked(url, odata.equal("Company", company), "Account", sorted(accounts)):
        page = await service.page(PROJECTION, SET, odata.query(filter=condition, top=len(chunk)))
        found = {str(row.get("Account")) for row in page.rows if str(row.get("Company", company)) == company}
        if not found <= set(chunk) or len(page.rows) > len(chunk):
            raise UnreadableError("IFS answers with other accounts than were asked for: a gateway drops $filter")
        known |= found
    return set(accounts) - known
