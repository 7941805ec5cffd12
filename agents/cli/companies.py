"""`zuora-ifs companies`: what is per company and not in the settings."""

from datetime import datetime

import click

from agents.cli.changes import carry_out, wait_option
from agents.cli.output import actor_option, json_option, print_json, settings_with_kafka
from agents.cli.reading import read_model
from agents.cli.tables import print_table
from schemas.base import utc_now
from schemas.mappings import CompanySet
from schemas.topics import MAPPING
from streams.accounting.keys import company_key
from streams.mapping_changes import checked
from streams.views.mappings import mapping_json


@click.group()
def companies() -> None:
    """Look at and change what is per company."""


@companies.command("list")
@json_option
def list_companies(*, as_json: bool) -> None:
    """List the companies for which something was set; what is empty is as the settings say."""
    found = [one for one in read_model(settings_with_kafka(), [MAPPING]).mappings() if one.kind == "company"]
    if as_json:
        print_json([mapping_json(one.key, one.version, one.event) for one in found])
        return
    events = [(one.event, one.version) for one in found if isinstance(one.event, CompanySet)]
    rows = [
        (
            event.company,
            event.cutover,
            event.voucher_type,
            event.user_group,
            event.currency_type,
            version,
            event.actor,
            f"{event.at:%Y-%m-%d %H:%M:%SZ}",
            event.approved_by,
        )
        for event, version in events
    ]
    headers = ["COMPANY", "CUTOVER", "VOUCHER TYPE", "USER GROUP", "CURRENCY TYPE", "VERSION"]
    print_table([*headers, "SET BY", "SET AT", "APPROVED BY"], rows)


@companies.command("set")
@click.argument("company")
@click.option("--cutover", type=click.DateTime(["%Y-%m-%d"]), help="Documents dated earlier are captured, not posted.")
@click.option("--voucher-type", help="IFS voucher type.")
@click.option("--user-group", help="IFS user group.")
@click.option("--currency-type", help="IFS currency rate type.")
@click.option("--comment", help="Why; kept with the change.")
@wait_option
@actor_option
def set_company(
    company: str,
    *,
    cutover: datetime | None,
    voucher_type: str | None,
    user_group: str | None,
    currency_type: str | None,
    comment: str | None,
    actor: str,
    wait: bool,
) -> None:
    """Set what is per company; options that are not named keep their value."""
    settings = settings_with_kafka()
    now = read_model(settings, [MAPPING]).mapping(company_key(company))
    before = now.event if now and isinstance(now.event, CompanySet) else None
    named = {
        "cutover": cutover.date() if cutover else None,
        "voucher_type": voucher_type,
        "user_group": user_group,
        "currency_type": currency_type,
    }
    if not any(named.values()):
        raise click.UsageError("name at least one of --cutover, --voucher-type, --user-group, --currency-type")
    kept = {name: value or getattr(before, name, None) for name, value in named.items()}
    event = checked(CompanySet, company=company, comment=comment, actor=actor, at=utc_now(), **kept)
    carry_out(settings, event, "set", wait=wait)
