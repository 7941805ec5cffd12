"""`zuora-ifs credentials`: the encrypted vault of what Zuora and IFS Cloud are entered with."""

import asyncio
import getpass
import sys
from datetime import datetime

import click
from pydantic import SecretStr

from agents.cli.output import actor_option, json_option, print_json, settings_with_kafka
from agents.cli.tables import print_table
from schemas.base import utc_now
from schemas.credentials import CredentialSealed, System
from schemas.envelope import decode
from schemas.errors import UsageError
from streams.privacy.changing import wrap_anew
from streams.settings import Settings
from streams.vault.keys import LocalKeys
from streams.vault.records import Vault
from streams.vault.sealing import Credential

LONGEST_SECRET = 4_096
"""Characters; those of OAuth clients have some 40."""


@click.group()
def credentials() -> None:
    """Keep the client ids and secrets of Zuora and IFS Cloud, encrypted; running processes take up what changes."""


# Whatever stands too much on the line may be the secret itself, so click must not repeat it in its error.
@credentials.command("set", context_settings={"allow_extra_args": True})
@click.argument("system", type=click.Choice([system.value for system in System]))
@click.option("--client-id", required=True, help="The id of the OAuth client.")
@click.option(
    "--client-secret-stdin", "from_stdin", is_flag=True, help="Read its secret from standard input; the only way."
)
@actor_option
@click.pass_context
def set_credentials(context: click.Context, system: str, client_id: str, actor: str, *, from_stdin: bool) -> None:
    """Store the credentials of a system; they win over those of the environment.

    The secret is read from standard input, on a terminal without showing it.
    """
    if context.args or not from_stdin:
        raise UsageError("the secret is never an argument: give --client-secret-stdin and the secret on standard input")
    vault, keys = _vault(settings_with_kafka())
    fingerprint = keys.fingerprint  # without a key nobody needs to be asked for a secret
    if not client_id.strip():
        raise UsageError("--client-id is empty")
    secret = _read_secret(system)
    one = Credential(client_id=client_id.strip(), client_secret=secret, set_by=actor, set_at=utc_now())
    asyncio.run(vault.put({System(system): one}))
    click.echo(f"{system}: stored under key {fingerprint}; `zuora-ifs ping` tells whether they are good")


@credentials.command("list")
@json_option
def list_credentials(*, as_json: bool) -> None:
    """List what the vault holds: since when, by whom, under which key; never a secret."""
    vault, keys = _vault(settings_with_kafka())
    found = asyncio.run(_found(vault))
    newest = keys.fingerprints[:1]
    if as_json:
        print_json([_as_json(*one) | {"isNewestKey": (one[2],) == newest} for one in found])
        return
    rows = [
        (system.value, one.client_id, _moment(one.set_at), one.set_by, key, _moment(one.rotated_at), one.rotated_by)
        for system, one, key in found
    ]
    print_table(["SYSTEM", "CLIENT ID", "SET AT", "SET BY", "KEY", "ROTATED AT", "ROTATED BY"], rows)


@credentials.command("rotate-key")
@actor_option
def rotate_key(actor: str) -> None:
    """Encrypt all anew under the newest key, the first of ZIFS_VAULT__KEYS, and say which keys are needed no more."""
    settings = settings_with_kafka()
    vault, keys = _vault(settings)
    newest, *older = keys.fingerprints or (keys.fingerprint,)
    for system in asyncio.run(vault.rotate(actor)):
        click.echo(f"{system.value}: encrypted anew under key {newest}")
    if count := asyncio.run(wrap_anew(settings, keys)):
        click.echo(f"personal keys of accounts: {count} wrapped anew under key {newest}")
    if older:
        click.echo(f"may be dropped from ZIFS_VAULT__KEYS once every process has key {newest}: {', '.join(older)}")
    else:
        click.echo("there is no older key to drop")


def _vault(settings: Settings) -> tuple[Vault, LocalKeys]:
    keys = LocalKeys(settings.vault.keys)
    return Vault(settings, keys), keys


def _read_secret(system: str) -> SecretStr:
    if sys.stdin.isatty():
        text = getpass.getpass(f"client secret of {system} (not shown): ")
    else:
        try:
            text = click.get_binary_stream("stdin").read(4 * LONGEST_SECRET).decode()
        except UnicodeDecodeError:
            raise UsageError("the secret on standard input is no text (UTF-8)") from None
    secret = text.strip()
    if not secret:
        raise UsageError("no secret came on standard input")
    if not secret.isprintable() or len(secret) > LONGEST_SECRET:
        raise UsageError(f"one line of at most {LONGEST_SECRET} characters is expected on standard input")
    return SecretStr(secret)


async def _found(vault: Vault) -> list[tuple[System, Credential, str]]:
    contents = await vault.contents()
    opened = await vault.credentials(contents)
    sealed = {system: decode(CredentialSealed, record.value) for system, record in contents.held().items()}
    return [(system, one, sealed[system].key_fingerprint) for system, one in opened.items()]


def _moment(time: datetime | None) -> str | None:
    return f"{time:%Y-%m-%d %H:%M:%SZ}" if time else None


def _as_json(system: System, one: Credential, key_fingerprint: str) -> dict[str, object]:
    told = one.model_dump(mode="json", by_alias=True, exclude={"client_secret"})
    return {"system": system.value, **told, "keyFingerprint": key_fingerprint}
