"""`zuora-ifs erase`: what is stored of a person, and the shredding of an account's keys."""

import asyncio
from typing import Any

import click

from agents.cli.asking import reason_option, word
from agents.cli.output import actor_option, json_option, print_json, settings_with_kafka
from agents.cli.reading import read_model
from agents.cli.tables import print_table
from schemas.errors import ConnectorError
from schemas.topics import AUDIT
from streams.privacy.changing import known_keys, shred
from streams.privacy.fields import PERSONAL
from streams.projection.queries import ReadModel, Wanted
from streams.settings import Settings

REMAINS = "ids, numbers, amounts, currencies, tax codes, dates, products, vouchers"
WITHOUT_A_KEY = "nothing of account {} is sealed under a key: there is nothing to shred"


class NothingToEraseError(ConnectorError):
    """The account is not known, or nothing of it is sealed."""


@click.command()
@click.option("--account", metavar="ID", help="The account's id in Zuora, or its number.")
@reason_option("Why; kept with the erasure. A dry run needs none. Do not name the person in it.")
@click.option("--list", "listing", is_flag=True, help="List what is personal, and the erasures there were.")
@click.option("--dry-run", is_flag=True, help="Say what would be shredded and what remains; send nothing.")
@actor_option
@json_option
def erase(*, account: str | None, reason: str | None, listing: bool, dry_run: bool, actor: str, as_json: bool) -> None:
    """Erase what is stored of a person: shred the key under which an account's personal fields are sealed.

    It cannot be undone. Erase in Zuora first: a document that is fetched later is sealed under a new key.
    """
    if bool(account) == listing:
        raise click.UsageError("name an account with --account, or list with --list; one of the two")
    if not account:
        _list(settings_with_kafka(), as_json=as_json)
        return
    said = None if dry_run else word(actor, reason or "")
    settings = settings_with_kafka()
    model = read_model(settings, [AUDIT])
    account_id, records = _account(model, account)
    keys, in_clear = model.personal_keys(account_id), model.named_in_clear(account_id)
    if not keys:
        hint = f"; {in_clear} records have its name in clear, from before ZIFS_VAULT__KEYS was set" if in_clear else ""
        raise NothingToEraseError(WITHOUT_A_KEY.format(account_id) + hint)
    if said:
        keys = asyncio.run(shred(settings, account_id, said))
        read_model(settings, [AUDIT])  # our own file forgets the name now and not with the next command
    told = {
        "account": account_id,
        "dryRun": dry_run,
        "keys": keys,
        "records": records,
        "recordsNamedInClear": in_clear,
        "remains": REMAINS,
    }
    _tell(told, as_json=as_json)


def _account(model: ReadModel, text: str) -> tuple[str, int]:
    """Return an account's id and how many records it has.

    Raises:
        NothingToEraseError: nothing is known of it.

    """
    ids: dict[str, int] = {}
    cursor = None
    while True:
        page = model.records(Wanted(account=text), limit=1_000, cursor=cursor)
        for record in page.records:
            ids[record.account_id or ""] = ids.get(record.account_id or "", 0) + 1
        cursor = page.next_cursor
        if cursor is None:
            break
    if len(ids) > 1:
        raise NothingToEraseError(f"{text!r} is more than one account: {', '.join(sorted(ids))}; give the id")
    if not ids and model.personal_keys(text):
        return text, 0
    if not ids:
        raise NothingToEraseError(f"no record is of an account {text!r}")
    return ids.popitem()


def _tell(told: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(told)
        return
    done = "would be shredded (dry run)" if told["dryRun"] else "shredded"
    click.echo(f"{done}: {len(told['keys'])} key(s) of account {told['account']}: {', '.join(told['keys'])}")
    click.echo(f"remains of its {told['records']} records: {told['remains']}")
    if told["recordsNamedInClear"]:
        click.echo(f"{told['recordsNamedInClear']} records of it have the name in clear, captured without a key")


def _list(settings: Settings, *, as_json: bool) -> None:
    erased = {one.key_id: one for one in asyncio.run(known_keys(settings)).erased}.values()
    fields = [(kind.what, ", ".join((*kind.whole, *(f"*{part}*" for part in kind.part)))) for kind in PERSONAL]
    further = ", ".join(settings.privacy.fields)
    if further:
        fields.append(("ZIFS_PRIVACY__FIELDS", further))
    if as_json:
        events = [one.model_dump(mode="json", by_alias=True) for one in erased]
        print_json({"fields": dict(fields), "erased": events})
        return
    print_table(["WHAT", "FIELDS IN ZUORA"], fields)
    click.echo()
    rows = [(one.account_id, f"{one.at:%Y-%m-%d %H:%M:%SZ}", one.actor, one.reason) for one in erased]
    print_table(["ERASED ACCOUNT", "AT", "BY", "REASON"], rows)
