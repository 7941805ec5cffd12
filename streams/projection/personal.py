"""Personal keys in the read model, and the account names that they open.

Names are in clear only in the one column by which lists search, and go from there with their key.
"""

import sqlite3
from collections.abc import Iterable
from datetime import datetime

from schemas.audit import Record
from schemas.envelope import decode
from schemas.personal import PersonalKey, PersonalKeyErased, PersonalKeySealed, is_sealed
from streams.privacy.fields import ACCOUNT_NAME
from streams.privacy.key_book import KeptKey
from streams.privacy.opening import Find, Opener


def finder(connection: sqlite3.Connection) -> Find:
    """Return what looks a key up by its id."""

    def find(key_id: str) -> tuple[str, KeptKey | None] | None:
        query = "SELECT account_id, fingerprint, wrapped, made_at FROM personal_keys WHERE key_id = ?"
        row = connection.execute(query, (key_id,)).fetchone()
        if row is None:
            return None
        account_id, fingerprint, wrapped, made_at = row
        kept = None if wrapped is None else KeptKey(key_id, fingerprint, wrapped, datetime.fromisoformat(made_at))
        return account_id, kept

    return find


def shown_name(connection: sqlite3.Connection, opener: Opener, name: str | None) -> str | None:
    """Return an account's name as people see it."""
    return str(opener.shown(ACCOUNT_NAME, name, finder(connection))) if name and is_sealed(name) else name


def write_keys(connection: sqlite3.Connection, events: Iterable[PersonalKey], opener: Opener) -> bool:
    """Write what becomes of keys, and the names that change with it; tell whether a key was shredded."""
    shredded = False
    for event in events:
        if isinstance(event, PersonalKeySealed):
            if _keep(connection, event):
                _write_names(connection, opener, event.account_id)
        elif isinstance(event, PersonalKeyErased):
            row = (event.key_id, event.account_id)
            connection.execute("INSERT OR REPLACE INTO personal_keys VALUES (?, ?, NULL, NULL, NULL)", row)
            _write_names(connection, opener, event.account_id)
            shredded = True
    return shredded


def _keep(connection: sqlite3.Connection, event: PersonalKeySealed) -> bool:
    """Write a key; tell whether it opens what nothing opened before, as one wrapped anew does not."""
    known = connection.execute("SELECT wrapped FROM personal_keys WHERE key_id = ?", (event.key_id,)).fetchone()
    row = (event.key_id, event.account_id, event.key_fingerprint, event.wrapped_key, event.made_at.isoformat())
    connection.execute("INSERT OR REPLACE INTO personal_keys VALUES (?, ?, ?, ?, ?)", row)
    return known is None or known[0] is None


def _write_names(connection: sqlite3.Connection, opener: Opener, account_id: str) -> None:
    rows = connection.execute("SELECT id, body FROM records WHERE account_id = ?", (account_id,)).fetchall()
    named = [(shown_name(connection, opener, decode(Record, body).account_name), record_id) for record_id, body in rows]
    connection.executemany("UPDATE records SET account_name = ? WHERE id = ?", named)
