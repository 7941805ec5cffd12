"""`zuora-ifs mappings`, `rules` and `companies` against a real broker."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from agents.cli import changes
from schemas.audit import RecordStatusChanged
from schemas.topics import MAPPING
from streams.log.reader import log_bounds
from tests.support.projecting import Cluster, ZuoraIfs, step
from tests.support.waiting import eventually

HEADER = "kind,zuora_account_id,company,match_on,match_value,gl_account,cost_center,currency,gateway,comment\n"
FILE = HEADER + (
    "account,8ad0,10,,,1510,100,,,first customers\n"
    "product,,10,sku,ANL,3010,,,,\n"
    "tax,,10,,VAT25,2610,,,,\n"
    "cash,,10,,,1935,,EUR,GW1,\n"
)
GAP = {"kind": "account", "key": "8ad1"}

pytestmark = pytest.mark.usefixtures("cluster")


def test_what_is_imported_is_listed_exported_and_imported_again(zuora_ifs: ZuoraIfs, tmp_path: Path) -> None:
    file = tmp_path / "mappings.csv"
    file.write_text(FILE)

    assert "4 new, 0 changed, 0 unchanged; nothing was sent (dry run)" in zuora_ifs(
        "mappings", "import", str(file), "--dry-run"
    )
    assert zuora_ifs("mappings", "export").count("\n") == 1
    assert "4 sent" in zuora_ifs("mappings", "import", str(file), "--actor", "maria")

    listed = json.loads(zuora_ifs("mappings", "list", "--json"))
    assert [one["key"] for one in listed] == ["account/8ad0", "10/product/sku/ANL", "10/tax/VAT25", "10/cash/EUR/GW1"]
    assert listed[0]["codeParts"] == {"B": "100"}
    assert {one["actor"] for one in listed} == {"maria"}
    exported = zuora_ifs("mappings", "export")
    file.write_text(exported)
    assert json.loads(zuora_ifs("mappings", "import", str(file), "--json")) == {
        "new": 0,
        "changed": 0,
        "unchanged": 4,
        "sent": 0,
        "dryRun": False,
        "errors": [],
        "warnings": [],
    }
    assert zuora_ifs("mappings", "export") == exported


def test_a_file_with_one_wrong_line_sends_nothing(zuora_ifs: ZuoraIfs, tmp_path: Path) -> None:
    file = tmp_path / "mappings.csv"
    file.write_text(FILE + "tax,,10,,VAT25,2611,,,,\nfees,,10,,,1,,,,\n")

    told = zuora_ifs("mappings", "import", str(file), code=1, most_lines=3)

    assert "line 6: maps the same as line 4 (10/tax/VAT25)" in told
    assert "line 7: kind is 'fees'" in told
    assert "2 errors, nothing was sent" in told
    assert json.loads(zuora_ifs("mappings", "list", "--json")) == []


def test_one_mapping_is_set_and_removed(zuora_ifs: ZuoraIfs) -> None:
    zuora_ifs(
        "mappings",
        "set",
        "product",
        "--company",
        "10",
        "--match-on",
        "sku",
        "--match-value",
        "X",
        "--gl-account",
        "3010",
        "--code-part",
        "C=7",
    )
    assert json.loads(zuora_ifs("mappings", "list", "--json"))[0]["codeParts"] == {"C": "7"}

    key = ("product", "--company", "10", "--match-on", "sku", "--match-value", "X")
    assert "removed" in zuora_ifs("mappings", "remove", *key)
    assert json.loads(zuora_ifs("mappings", "list", "--json")) == []
    assert zuora_ifs("mappings", "remove", *key, code=1) == "10/product/sku/X: there is no such mapping\n"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["set", "tax", "--company", "10", "--gl-account", "1"], "--match-value is empty, tax needs it\n"),
        (
            ["set", "tax", "--company", "10", "--match-value", "V", "--gl-account", "1", "--gateway", "G"],
            "--gateway is not used by tax\n",
        ),
        (
            ["set", "rounding", "--company", "10", "--gl-account", "1", "--code-part", "Z=1"],
            "--code-part Z=1: write it as C=VALUE",
        ),
        (["set", "fees"], "Invalid value for 'KIND'"),
        (["import", "nowhere.csv"], "does not exist"),
    ],
)
def test_wrong_usage_is_told_in_one_line(zuora_ifs: ZuoraIfs, words: list[str], expected: str) -> None:
    told = zuora_ifs("mappings", *words, code=2)

    assert expected in told
    assert told.count("\n") == 1


def posted(record_id: str, account_id: str) -> RecordStatusChanged:
    voucher = {"company": "10", "voucherType": "M", "accountingYear": 2026, "voucherNo": 1}
    return step(record_id, "posted", accountId=account_id, voucher=voucher, vouchers=[voucher])


def test_moving_an_account_with_vouchers_needs_a_second_word(
    zuora_ifs: ZuoraIfs, cluster: Cluster, tmp_path: Path
) -> None:
    set_to = ("mappings", "set", "account", "8ad0", "--company", "10", "--gl-account")
    zuora_ifs(*set_to, "1510")
    zuora_ifs(*set_to, "1511")
    asyncio.run(cluster.send_steps(posted("Invoice:1", "8ad0")))

    assert "--confirm" in zuora_ifs(*set_to, "1512", code=1)
    zuora_ifs(*set_to, "1511", "--cost-center", "200")
    zuora_ifs("mappings", "remove", "account", "8ad0")
    assert "--confirm" in zuora_ifs(*set_to, "1512", code=1)
    file = tmp_path / "mappings.csv"
    file.write_text(HEADER + "account,8ad0,20,,,1510,,,,\n")
    assert "vouchers are posted for 8ad0" in zuora_ifs("mappings", "import", str(file), code=1)
    zuora_ifs("mappings", "import", str(file), "--confirm")
    assert json.loads(zuora_ifs("mappings", "list", "--json"))[0]["company"] == "20"


def test_missing_mappings_are_counted(zuora_ifs: ZuoraIfs, cluster: Cluster) -> None:
    assert zuora_ifs("mappings", "missing") == "nothing is missing\n"
    held = {"currency": "EUR", "accountId": "8ad1", "missing": [GAP]}
    asyncio.run(
        cluster.send_steps(
            step("Invoice:1", "mapping-missing", amount="10.00", **held),
            step("Invoice:2", "mapping-missing", amount="0.50", **held),
        )
    )

    assert json.loads(zuora_ifs("mappings", "missing", "--json")) == [
        {**GAP, "records": 2, "amounts": [{"currency": "EUR", "amount": "10.50"}]}
    ]
    assert "account  -        8ad1" in zuora_ifs("mappings", "missing")


def test_rules_keep_what_is_not_named(zuora_ifs: ZuoraIfs) -> None:
    rule = ("--company", "*", "--document-type", "Payment")
    assert "--post" in zuora_ifs("rules", "set", *rule, "--external", "yes", code=2)
    zuora_ifs("rules", "set", *rule, "--post", "yes", "--external", "yes")
    zuora_ifs("rules", "set", *rule, "--post", "no")

    listed = json.loads(zuora_ifs("rules", "list", "--json"))
    assert [(one["company"], one["post"], one["external"]) for one in listed] == [("*", False, True)]
    zuora_ifs("rules", "remove", *rule)
    assert json.loads(zuora_ifs("rules", "list", "--json")) == []
    assert "no such rule" in zuora_ifs("rules", "remove", *rule, code=1)


def test_companies_keep_what_is_not_named(zuora_ifs: ZuoraIfs) -> None:
    zuora_ifs("companies", "set", "10", "--cutover", "2026-01-01")
    zuora_ifs("companies", "set", "10", "--voucher-type", "Z")

    listed = json.loads(zuora_ifs("companies", "list", "--json"))
    assert [(one["company"], one["cutover"], one["voucherType"]) for one in listed] == [("10", "2026-01-01", "Z")]
    assert "2026-01-01" in zuora_ifs("companies", "list")
    zuora_ifs("companies", "set", "10", code=2)


def test_missing_topics_are_told_with_what_to_do(zuora_ifs: ZuoraIfs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZIFS_KAFKA__TOPIC_PREFIX", "nowhere.")

    assert "`zuora-ifs topics apply`" in zuora_ifs("mappings", "list", code=1)


def test_waiting_ends_when_the_bookkeeper_has_committed_the_change(
    zuora_ifs: ZuoraIfs, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_rounding = ("mappings", "set", "rounding", "--company", "10", "--gl-account", "3740", "--wait")
    monkeypatch.setattr(changes, "APPLY_SECONDS", 1.0)
    assert "is a bookkeeper running?" in zuora_ifs(*set_rounding, code=1)

    asyncio.run(commit_everything(cluster))
    monkeypatch.setattr(changes, "APPLY_SECONDS", 20.0)
    with ThreadPoolExecutor() as threads:
        bookkeeper = threads.submit(asyncio.run, commit_everything(cluster, more_than=1))
        assert "set" in zuora_ifs(*set_rounding)
        bookkeeper.result()


async def commit_everything(cluster: Cluster, more_than: int = 0) -> None:
    """Commit, as the bookkeeper would, all mappings once there are more than so many."""
    topic, group = cluster.names.public(MAPPING), cluster.names.agent("bookkeeper")

    async def mappings() -> dict[tuple[str, int], int]:
        return (await log_bounds(cluster.kafka, [topic])).end

    ends = await eventually(mappings, lambda found: sum(found.values()) > more_than)
    async with AIOKafkaConsumer(
        bootstrap_servers=cluster.kafka.bootstrap_servers, group_id=group, enable_auto_commit=False
    ) as consumer:
        consumer.assign([TopicPartition(*position) for position in ends])
        await consumer.commit({TopicPartition(*position): end for position, end in ends.items()})
