"""`zuora-ifs rules`: which documents post, per company or for all (`*`)."""

import click

from agents.cli.changes import carry_out, wait_option
from agents.cli.output import actor_option, json_option, print_json, settings_with_kafka
from agents.cli.reading import read_model
from agents.cli.tables import print_table
from schemas.base import DocumentType, utc_now
from schemas.errors import ConnectorError
from schemas.mappings import PostingRuleRemoved, PostingRuleSet
from schemas.topics import MAPPING
from streams.accounting.keys import mapping_key, rule_key
from streams.mapping_changes import checked
from streams.views.mappings import mapping_json

DOCUMENT_TYPES = [kind.value for kind in DocumentType]
YES_NO = click.Choice(["yes", "no"])

company_option = click.option("--company", required=True, help="IFS company, or * for all.")
type_option = click.option("--document-type", required=True, type=click.Choice(DOCUMENT_TYPES))


@click.group()
def rules() -> None:
    """Look at and change which documents post."""


@rules.command("list")
@json_option
def list_rules(*, as_json: bool) -> None:
    """List the posting rules that were set; without one, invoices and electronic payments post, others do not."""
    found = [one for one in read_model(settings_with_kafka(), [MAPPING]).mappings() if one.kind == "rule"]
    if as_json:
        print_json([mapping_json(one.key, one.version, one.event) for one in found])
        return
    events = [(one.event, one.version) for one in found if isinstance(one.event, PostingRuleSet)]
    rows = [
        (
            event.company,
            event.document_type.value,
            _word(value=event.post),
            _word(value=event.external),
            event.contra_account,
            version,
            event.actor,
            f"{event.at:%Y-%m-%d %H:%M:%SZ}",
            event.approved_by,
        )
        for event, version in events
    ]
    headers = ["COMPANY", "TYPE", "POST", "EXTERNAL", "CONTRA ACCOUNT", "VERSION", "SET BY", "SET AT", "APPROVED BY"]
    print_table(headers, rows)


@rules.command("set")
@company_option
@type_option
@click.option("--post", type=YES_NO, help="Whether such documents post; needed for a new rule.")
@click.option("--external", type=YES_NO, help="Whether external and manual payments, and refunds of memos, post too.")
@click.option("--contra-account", help="For adjustments: a GL account instead of the product mapping.")
@click.option("--comment", help="Why; kept with the change.")
@wait_option
@actor_option
def set_rule(
    *,
    company: str,
    document_type: str,
    post: str | None,
    external: str | None,
    contra_account: str | None,
    comment: str | None,
    actor: str,
    wait: bool,
) -> None:
    """Set a posting rule; options that are not named keep their value in that rule.

    A company's own rule takes the place of that of `*` whole.
    """
    settings = settings_with_kafka()
    now = read_model(settings, [MAPPING]).mapping(rule_key(company, DocumentType(document_type)))
    before = now.event if now and isinstance(now.event, PostingRuleSet) else None
    if before is None and post is None:
        raise click.UsageError("--post yes|no is needed: there is no such rule yet")
    event = checked(
        PostingRuleSet,
        company=company,
        document_type=document_type,
        post=_yes(post, before=before is not None and before.post),
        external=_yes(external, before=before is not None and before.external),
        contra_account=contra_account or (before.contra_account if before else None),
        comment=comment,
        actor=actor,
        at=utc_now(),
    )
    carry_out(settings, event, "set", wait=wait)


@rules.command("remove")
@company_option
@type_option
@click.option("--comment", help="Why; kept with the change.")
@wait_option
@actor_option
def remove_rule(company: str, document_type: str, comment: str | None, actor: str, *, wait: bool) -> None:
    """Remove a posting rule: that of `*` holds again, or else the default."""
    settings = settings_with_kafka()
    event = checked(
        PostingRuleRemoved, company=company, document_type=document_type, comment=comment, actor=actor, at=utc_now()
    )
    now = read_model(settings, [MAPPING]).mapping(mapping_key(event))
    if now is None or now.removed:
        raise ConnectorError(f"{mapping_key(event)}: there is no such rule")
    carry_out(settings, event, "removed", wait=wait)


def _yes(word: str | None, *, before: bool) -> bool:
    return before if word is None else word == "yes"


def _word(*, value: bool) -> str:
    return "yes" if value else "no"
