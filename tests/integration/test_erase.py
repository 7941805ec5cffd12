"""A person's data through the whole system: nowhere in clear on Kafka, and gone once its key is shredded."""

import json
import sqlite3
from collections import Counter
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from streams.log.reader import read_to_end
from streams.log.topics import declared_topics
from tests.support.waiting import eventually
from tests.support.whole_system import System, whole_system

NAME = "Zwilling-Ångström Evamaria"
PLANTED = {
    "comments": "rang up Zwilling-Ångström",
    "BillToContact__c": {"firstName": "Evamaria", "workEmail": "evamaria@zwilling.example", "zipCode": "97531-7"},
    "Delivery_Address__c": "Quittenweg 41b",
}
WORDS = ("Zwilling", "Ångström", "Evamaria", "evamaria@", "97531-7", "Quittenweg")


async def topics(system: System) -> list[bytes]:
    """Return all that lies on Kafka: keys, values and headers of each record of each topic."""
    names = [topic.name for topic in declared_topics(system.kafka, system.names)]
    found: list[bytes] = []
    async for batch in read_to_end(system.kafka, names, {}):
        for record in batch.records:
            found += [record.key or b"", record.value or b"", *record.headers.values()]
    return found


def files(system: System, *patterns: str) -> list[bytes]:
    return [file.read_bytes() for pattern in patterns for file in system.folder.glob(pattern) if file.is_file()]


def in_clear(texts: list[bytes]) -> set[str]:
    """Return which of the planted words are there, in UTF-8 or as JSON and logs may have escaped them."""
    whole = b"\n".join(texts).lower()
    return {word for word in WORDS if any(way.encode().lower() in whole for way in (word, json.dumps(word).strip('"')))}


async def invoice(system: System, account: str, **header: Any) -> dict[str, Any]:
    order = {"accountId": account, "currency": "EUR", "date": "2026-02-10", "items": 1, "header": header}
    made: dict[str, Any] = await system.zuora("invoices", order)
    return made


async def shown(system: System, number: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(await system.zuora_ifs("records", "show", number, "--json"))
    return found


async def console(system: System, path: str) -> str:
    headers = {"Authorization": f"Bearer {system.stage.console_token}"}
    async with system.http.get(f"{system.stage.console_url}{path}", headers=headers) as answer:
        assert answer.status == 200
        return await answer.text()


async def trial_balance(system: System) -> Counter[tuple[str, str, str]]:
    """Return what is on each account of each company in IFS."""
    total: Counter[tuple[str, str, str]] = Counter()
    for voucher in await system.ifs("vouchers"):
        for row in voucher["rows"]:
            place = (voucher["header"]["Company"], row["Account"], row["CurrencyCode"])
            total[place] += Decimal(str(row["DebetAmount"] or 0)) - Decimal(str(row["CreditAmount"] or 0))
    return total


@pytest.mark.timeout(600)
async def test_a_person_is_sealed_everywhere_and_erased_everywhere_and_the_ledger_stands(
    kafka_bootstrap: str, tmp_path: Path
) -> None:
    async with whole_system(kafka_bootstrap, tmp_path) as system:
        process = await system.children.start("console", "agents", "console", environment=system.stage.environment)
        account = await system.zuora("accounts", {"name": NAME, "currency": "EUR"})
        other = await system.zuora("accounts", {"name": "Larkfield AG", "currency": "EUR"})
        # Comments on mappings are people's own words, kept with their names: nobody is to be named in them.
        await system.import_mappings([{**row, "comment": ""} for row in await system.default_mappings()])
        first, theirs = await invoice(system, account["id"], **PLANTED), await invoice(system, other["id"])
        changed = await invoice(system, account["id"])
        await system.statuses_are({one["number"]: {"posted"} for one in (first, theirs, changed)})
        await system.children.ready("console", process, system.stage.console_url)

        # Sealed: whoever reads Kafka, RocksDB or a log reads nothing; who has the keys reads all.
        on_kafka = await topics(system)
        assert (len(on_kafka) > 50, in_clear(on_kafka)) == (True, set())
        assert in_clear(files(system, "worker/**/*", "logs/*.log")) == set()
        record = await shown(system, first["number"])
        assert record["accountName"] == record["document"]["accountName"] == NAME
        assert {name: record["document"]["document"][name] for name in PLANTED} == PLANTED
        assert all(explanation["identical"] for explanation in record["explanations"])
        await eventually(lambda: console(system, "/api/records?search=Zwilling"), lambda text: NAME in text)
        assert in_clear([json.dumps(await system.ifs("vouchers"), default=str).encode()]) == set()

        before = await trial_balance(system)
        number = account["number"]
        told = json.loads(await system.zuora_ifs("erase", "--account", number, "--dry-run", "--json"))
        assert (told["account"], told["records"], len(told["keys"])) == (account["id"], 2, 1)

        # Erased: not in a file, not on a page, not for whoever has the keys; and all goes on.
        await system.zuora_ifs("erase", "--account", number, "--reason", "asked for in writing", "--actor", "anna")
        gone = await shown(system, first["number"])
        assert gone["accountName"] == gone["document"]["accountName"] == "(erased)"
        assert {gone["document"]["document"][name] for name in PLANTED} == {"(erased)"}
        assert all(explanation["identical"] for explanation in gone["explanations"])
        assert (gone["status"], gone["amount"]) == (record["status"], record["amount"])
        await eventually(lambda: console(system, "/api/records"), lambda text: "(erased)" in text)
        pages = [
            await console(system, path) for path in ("/", f"/records/{gone['id']}", "/api/summary", "/api/records")
        ]
        assert in_clear([page.encode() for page in pages]) == set()
        await eventually(lambda: forgotten(system), lambda left: left == set())
        assert (await shown(system, theirs["number"]))["accountName"] == "Larkfield AG"
        listed = json.loads(await system.zuora_ifs("erase", "--list", "--json"))["erased"]
        assert [(one["accountId"], one["actor"], one["reason"]) for one in listed] == [
            (account["id"], "anna", "asked for in writing")
        ]
        assert await trial_balance(system) == before

        # What comes after is sealed under a new key; correcting what was posted before needs no name.
        await system.zuora("accounts/" + account["id"] + "/edit", {"name": "Somebody Else"})
        for action, body in (("unpost", {}), ("edit", {"header": {"invoiceDate": "2026-02-11"}}), ("post", {})):
            await system.zuora(f"invoices/{changed['id']}/{action}", body)
        await system.statuses_are({changed["number"]: {"changed-after-posting"}})
        await system.zuora_ifs("records", "correct", changed["number"], "--reason", "price")
        await system.statuses_are({changed["number"]: {"corrected"}})
        assert (await shown(system, first["number"]))["accountName"] == "(erased)"
        assert len(json.loads(await system.zuora_ifs("erase", "--account", number, "--dry-run", "--json"))["keys"]) == 1
        assert in_clear(await topics(system)) == set()


async def forgotten(system: System) -> set[str]:
    """Return what the files of console and command line still have; readers let go of them soon."""
    for name in ("cli.sqlite", "console.sqlite"):
        with closing(sqlite3.connect(system.folder / name)) as connection:
            assert connection.execute("SELECT count(*) FROM records").fetchone()[0] >= 3
    return in_clear(files(system, "*.sqlite*"))
