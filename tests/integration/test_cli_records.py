"""`zuora-ifs records` and `schemas` against a real broker."""

import asyncio
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from agents.cli.main import main
from agents.cli.reading import read_model
from schemas.base import utc_now
from schemas.notifications import DocumentCaptured
from schemas.topics import DOCUMENT, MAPPING, VOUCHER, VOUCHER_COMMAND
from schemas.vouchers import PostVoucher, VoucherPosted
from streams.accounting.documents import read_document
from streams.accounting.evaluation import evaluate
from streams.log.messages import Message, event_message
from streams.mapping_changes import change_message
from streams.mapping_csv import parse_mappings
from streams.projection.chart import ProjectedChart
from streams.settings import load_settings
from tests.support.company_10 import MAPPINGS, RULES, account, invoice, item
from tests.support.projecting import START, Cluster, step

ID = "Invoice:8ad08d2989bd"
VOUCHER_NUMBER = {"company": "10", "voucherType": "M", "accountingYear": 2026, "voucherNo": 4711}
ROWS = [
    {"account": "1510", "codeParts": {"B": "100"}, "debit": "119.00", "text": "INV-1 receivable"},
    {"account": "3010", "credit": "119.00", "text": "INV-1 Analytics"},
]
SUBJECT: dict[str, Any] = {
    "commandId": "c1",
    "appId": "app",
    "recordId": ID,
    "documentType": "Invoice",
    "accountId": "8ad0",
    "reference": "INV-1-ABC",
    "fingerprint": "f",
    "documentOffset": 0,
    "company": "10",
    "voucherType": "M",
    "voucherDate": "2026-03-01",
    "currency": "EUR",
    "rows": ROWS,
}


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(words)
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, said.err


def messages(cluster: Cluster) -> list[Message]:
    """Return all that leads to one posted invoice, in the topics' own keys."""
    lines, _ = parse_mappings(
        b"kind,zuora_account_id,company,gl_account,comment\naccount,8ad0,10,1510,first\n", actor="maria", at=START
    )
    command = PostVoucher.model_validate(
        SUBJECT
        | {
            "rateDate": "2026-03-01",
            "text": "t",
            "currencyType": "1",
            "restRow": 1,
            "mappingVersions": {"account/8ad0": 0},
        }
    )
    outcome = VoucherPosted.model_validate(
        SUBJECT
        | {"accountingYear": 2026, "voucherNo": 4711, "companyCurrency": "EUR", "rate": "1", "conversionFactor": "1"}
        | {"amount": "119.00", "postedAt": START}
    )
    captured = DocumentCaptured(
        record_id=ID,
        document_type="Invoice",
        document_id="8ad08d2989bd",
        account_id="8ad0",
        received_at=START,
        fetched_at=START,
        document={"invoiceNumber": "INV-1"},
    )
    sent = [change_message(cluster.names.public(MAPPING), line.event, process="cli") for line in lines]
    for event, topic, key in (
        (captured, DOCUMENT, "8ad0"),
        (command, VOUCHER_COMMAND, "10"),
        (outcome, VOUCHER, "8ad0"),
    ):
        name = cluster.names.public(topic)
        sent.append(event_message(name, key, event, event_id=topic, process="test", subject=ID, time=START))
    return sent


def test_a_record_is_shown_with_all_that_led_to_it(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    asyncio.run(cluster.send(messages(cluster)))
    facts = {"documentNumber": "INV-1", "accountId": "8ad0", "amount": "119.00", "currency": "EUR"}
    asyncio.run(
        cluster.send_steps(
            step(ID, "received"),
            step(ID, "fetched", minute=1, **facts),
            step(ID, "posted", minute=2, voucher=VOUCHER_NUMBER, vouchers=[VOUCHER_NUMBER], company="10", **facts),
        )
    )

    code, out, err = run(capsys, "records", "show", ID, "--json")
    found = json.loads(out)
    assert (code, err) == (0, "")
    assert (found["id"], found["status"], found["voucher"]) == (ID, "posted", VOUCHER_NUMBER)
    assert [event["status"] for event in found["events"]] == ["received", "fetched", "posted"]
    assert found["document"]["document"] == {"invoiceNumber": "INV-1"}
    assert [row["account"] for row in found["outcomes"][0]["rows"]] == ["1510", "3010"]
    assert [(one["key"], one["version"], one["glAccount"]) for one in found["mappingVersions"]] == [
        ("account/8ad0", 0, "1510")
    ]

    for name in (ID, "8ad08d2989bd", "inv-1"):
        code, out, _ = run(capsys, "records", "show", name)
        assert code == 0
        assert "10/M/2026/4711" in out
        assert "INV-1 receivable" in out
        assert "account/8ad0" in out


def test_a_record_is_shown_though_ifs_does_not_answer(
    cluster: Cluster, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asyncio.run(cluster.send(messages(cluster)))
    asyncio.run(cluster.send_steps(step(ID, "posted")))
    facts = {"BASE_URL": "http://127.0.0.1:1", "REALM": "r", "CLIENT_ID": "c", "CLIENT_SECRET": "s"}
    for name, value in facts.items():
        monkeypatch.setenv(f"ZIFS_IFS__{name}", value)

    code, out, err = run(capsys, "records", "show", ID, "--json")

    assert code == 0
    assert json.loads(out)["whereabouts"] is None
    assert err.startswith("where the vouchers are now is not known: ")


def test_a_voucher_explains_itself_from_the_log(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    captured = invoice("125.00", item("ANL", "100.00", VAT25="25.00"))
    changes = [change_message(cluster.names.public(MAPPING), one, process="cli") for one in (*MAPPINGS, *RULES)]
    asyncio.run(cluster.send([*changes, document_message(cluster, captured)]))
    asyncio.run(cluster.send_steps(step("Invoice:I1", "posting")))

    model = read_model(load_settings(), [MAPPING])
    chart = ProjectedChart(model.mapping)
    document = read_document(captured)
    voucher = evaluate(document, chart).voucher
    assert voucher
    command = PostVoucher.model_validate(
        SUBJECT
        | {"recordId": "Invoice:I1", "accountId": "A1", "fingerprint": document.fingerprint, "text": voucher.text}
        | {"rateDate": "2026-03-01", "currencyType": "1", "restRow": voucher.rest_row, "rows": voucher.rows}
        | {"mappingVersions": voucher.versions}
    )
    name = cluster.names.public(VOUCHER_COMMAND)
    sent = event_message(name, "10", command, event_id="c1", process="test", subject=command.record_id, time=START)
    moved = account(to="1999").model_copy(update={"at": utc_now() + timedelta(days=1)})
    asyncio.run(cluster.send([sent, change_message(cluster.names.public(MAPPING), moved, process="cli")]))

    code, out, err = run(capsys, "records", "show", "Invoice:I1", "--json")
    assert (code, err) == (0, "")
    [explanation] = json.loads(out)["explanations"]
    assert (explanation["identical"], explanation["differences"]) == (True, [])
    receivable = explanation["rows"][0]
    assert (receivable["account"], receivable["debit"]) == ("1510", "125.00")
    [source] = receivable["origins"][0]["sources"]
    assert (source["key"], source["actor"]) == ("account/A1", "eva")
    _, out, _ = run(capsys, "records", "show", "Invoice:I1")
    assert "it comes out identical" in out
    assert f"10/tax/VAT25 version {voucher.versions['10/tax/VAT25']}, eva 2026-03-02" in out


def document_message(cluster: Cluster, captured: DocumentCaptured) -> Message:
    name = cluster.names.public(DOCUMENT)
    return event_message(
        name, captured.account_id, captured, event_id="d1", process="test", subject=captured.record_id, time=START
    )


def test_an_unknown_record_is_told(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    assert cluster
    assert run(capsys, "records", "show", "Invoice:none") == (1, "", "no record 'Invoice:none' in the audit log\n")


def test_records_are_listed_by_status_account_and_type(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    asyncio.run(
        cluster.send_steps(
            step("Invoice:1", "posted", accountNumber="A-1", amount="1190.00", currency="EUR"),
            step("Invoice:2", "failed", accountNumber="A-1", reason="does not add up"),
            step("Payment:3", "posted", accountNumber="A-2"),
        )
    )

    def ids(*words: str) -> list[str]:
        code, out, err = run(capsys, "records", "list", "--json", *words)
        assert (code, err) == (0, "")
        return [record["id"] for record in json.loads(out)]

    assert ids() == ["Invoice:1", "Invoice:2", "Payment:3"]
    assert ids("--status", "posted") == ["Invoice:1", "Payment:3"]
    assert ids("--account", "A-1", "--type", "Invoice", "--limit", "1") == ["Invoice:1"]
    _, out, err = run(capsys, "records", "list", "--limit", "2")
    assert "1,190.00" in out
    assert "does not add up" in out
    assert "more than 2 records" in err
    code, _, err = run(capsys, "records", "list", "--status", "lost")
    assert code == 2
    assert "lost" in err


def test_exported_schemas_fit_the_events(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, _ = run(capsys, "schemas", "export", str(tmp_path / "out"))
    assert code == 0
    index = json.loads((tmp_path / "out" / "index.json").read_text())
    schema = json.loads((tmp_path / "out" / index["events"]["RecordStatusChanged"]).read_text())
    validator = jsonschema.Draft202012Validator(schema)
    validator.check_schema(schema)
    event = json.loads(step("Invoice:1", "posted", amount="1.00").model_dump_json(by_alias=True))
    validator.validate(event)
    with pytest.raises(jsonschema.ValidationError):
        validator.validate(event | {"colour": "red"})
