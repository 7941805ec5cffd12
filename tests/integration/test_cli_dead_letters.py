"""`zuora-ifs dead-letters` against a real broker: what could not be read, whole, and back in."""

import asyncio
import gzip
import json
from typing import Any

import pytest

from agents.cli.main import main
from schemas import topics
from schemas.envelope import decode_any
from schemas.notifications import NotificationReceived
from schemas.topics import LARGEST_MESSAGE_BYTES
from streams.log.messages import Message, NeverInATopic, dead_letter
from streams.log.partitions import partition_of
from streams.log.reader import LogRecord, read_to_end
from tests.support.projecting import START, Cluster, ZuoraIfs

CALLOUT = b'{"event": "InvoicePosted", "InvoiceId": "8ad08d2989bd1f2c0189bd5a7e3a2001", "apiToken": "hush"}'

pytestmark = pytest.mark.usefixtures("cluster")


@pytest.fixture
def zuora_ifs(capsys: pytest.CaptureFixture[str]) -> ZuoraIfs:
    """Run `zuora-ifs dead-letters` in this process; give its output, or the error where `code` is not 0."""

    def run(*words: str, code: int = 0) -> str:
        with pytest.raises(SystemExit) as ended:
            main(("dead-letters", *words))
        said = capsys.readouterr()
        assert (ended.value.code or 0) == code, said.err + said.out
        return said.out or said.err

    return run


def record(cluster: Cluster, topic: str, *, offset: int = 7, **fields: Any) -> LogRecord:
    """A record of a public topic, as an agent met it."""
    told: dict[str, Any] = {"key": b"A1", "value": b"\xff\x00 no event", "headers": {"ce_id": b"e1"}, "partition": 1}
    return LogRecord(cluster.names.public(topic), offset=offset, timestamp=START, **told | fields)


def callout(cluster: Cluster, body: bytes, **headers: str) -> NeverInATopic:
    """A webhook's body, as ingress parks it."""
    told = {name.replace("_", "-"): text for name, text in headers.items()}
    told |= {"ce_id": "delivery", "content-type": "application/json", "http.query": "{}"}
    as_bytes = {name: text.encode() for name, text in told.items()}
    return NeverInATopic(cluster.names.public(topics.NOTIFICATION), None, body, as_bytes)


def park(cluster: Cluster, *origins: LogRecord | NeverInATopic, reason: str = "not JSON") -> None:
    letters = [dead_letter(cluster.names.public(topics.DEAD_LETTER), origin, reason) for origin in origins]
    asyncio.run(cluster.send(letters))


def sent(cluster: Cluster, topic: str) -> list[LogRecord]:
    async def read() -> list[LogRecord]:
        batches = read_to_end(cluster.kafka, [cluster.names.public(topic)], {})
        return [one async for batch in batches for one in batch.records]

    return asyncio.run(read())


def listed(output: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(output)
    return found


def test_each_is_listed_once_however_often_it_was_parked(cluster: Cluster, zuora_ifs: ZuoraIfs) -> None:
    first, second = record(cluster, topics.DOCUMENT), record(cluster, topics.REQUEST, offset=0, value=None, key=None)
    park(cluster, first, first, second)
    asyncio.run(cluster.send([Message(cluster.names.public(topics.DEAD_LETTER), b"k", b"not parked by us")]))

    prefix = cluster.kafka.topic_prefix
    document, request = f"{prefix}zuora.document.v1/1/7", f"{prefix}connector.request.v1/1/0"
    found = {one["id"]: one for one in listed(zuora_ifs("list", "--json"))}
    assert set(found) == {document, request}
    assert (found[document]["reason"], found[document]["key"], found[document]["size"]) == ("not JSON", "A1", 11)
    assert (found[request]["key"], found[request]["resent"]) == (None, [])
    only = listed(zuora_ifs("list", "--topic", topics.REQUEST, "--json"))
    assert [one["id"] for one in only] == [request]
    assert len(zuora_ifs("list", "--limit", "1").splitlines()) == 2


def test_one_is_shown_whole(cluster: Cluster, zuora_ifs: ZuoraIfs) -> None:
    park(cluster, record(cluster, topics.DOCUMENT, headers={"ce_id": b"\xff", "note": b"ol\xc3\xa9"}))
    park(cluster, record(cluster, topics.MAPPING, value=b'{"kind": "unheard of"}'), reason="unknown event type")

    shown = json.loads(zuora_ifs("show", "zuora.document.v1/1/7", "--json"))
    assert shown["value"] == {"hex": b"\xff\x00 no event".hex()}
    assert shown["headers"] == {"ce_id": "ff", "note": "olé"}
    text = zuora_ifs("show", f"{cluster.kafka.topic_prefix}ledger.mapping.v1/1/7")
    assert "unknown event type" in text
    assert '{"kind": "unheard of"}' in text
    assert "no dead letter 'nowhere/0/0'" in zuora_ifs("show", "nowhere/0/0", code=1)


def test_what_is_sent_back_has_its_bytes_and_key_and_says_who_sent_it(cluster: Cluster, zuora_ifs: ZuoraIfs) -> None:
    key = b"8ad08d2989bd1f2c0189bd5a7e3a1001"
    park(cluster, record(cluster, topics.MAPPING, key=key), record(cluster, topics.VOUCHER, offset=8, key=key))
    letters = ["ledger.mapping.v1/1/7", "ledger.voucher.v1/1/8"]

    assert "would be sent back" in zuora_ifs("resend", *letters, "--dry-run")
    assert sent(cluster, topics.MAPPING) == []

    said = zuora_ifs("resend", *letters, "--actor", "Zoë", "--reason", "the reader was too old")
    assert said.count("still cannot be read, and will come back") == 2
    for topic in (topics.MAPPING, topics.VOUCHER):
        [one] = sent(cluster, topic)
        assert (one.key, one.value, one.partition) == (key, b"\xff\x00 no event", partition_of(key, 3))
        assert (one.headers["ce_id"], one.headers["resent-by"].decode()) == (b"e1", "Zoë")
        assert not [name for name in one.headers if name.startswith("dlq.")]

    # A fresh projection finds it again, in the log alone.
    for file in (cluster.settings.data_dir / "data").glob("cli.sqlite*"):
        file.unlink()
    assert listed(zuora_ifs("list", "--open", "--json")) == []
    found = listed(zuora_ifs("list", "--topic", topics.MAPPING, "--json"))
    [resent] = found[0]["resent"]
    assert (resent["actor"], resent["reason"]) == ("Zoë", "the reader was too old")
    assert resent["to"].startswith(f"{cluster.kafka.topic_prefix}ledger.mapping.v1/")

    assert zuora_ifs("resend", *letters).count("sent back before, by Zoë") == 2
    assert len(sent(cluster, topics.MAPPING)) == 1
    zuora_ifs("resend", letters[0], "--again")
    assert len(sent(cluster, topics.MAPPING)) == 2


def test_a_callout_is_read_again_and_goes_to_the_notifications(cluster: Cluster, zuora_ifs: ZuoraIfs) -> None:
    later = callout(cluster, gzip.compress(CALLOUT), content_encoding="gzip", zuora_notification_id="n1")
    park(cluster, later, later, callout(cluster, b"\xff never"), reason="of no type that we know")
    found = {one["reason"]: one for one in listed(zuora_ifs("list", "--json"))}
    assert len(listed(zuora_ifs("list", "--json"))) == 2
    assert all(one["id"] == one["parked"] for one in found.values())
    ids = [one["id"] for one in listed(zuora_ifs("list", "--json"))]

    outcomes = {one["outcome"]: one for one in json.loads(zuora_ifs("resend", *ids, "--json", code=1))}
    assert set(outcomes) == {"sent", "not-sent"}
    assert "still cannot be read: not utf-8" in outcomes["not-sent"]["note"]
    [one] = sent(cluster, topics.NOTIFICATION)
    notification = decode_any(one.headers, one.value)
    assert isinstance(notification, NotificationReceived)
    assert (notification.object_id, notification.origin) == ("8ad08d2989bd1f2c0189bd5a7e3a2001", "resend")
    assert (one.headers["ce_id"], one.key) == (b"delivery", notification.object_id.encode())
    assert "hush" not in (one.value or b"").decode()


def test_a_notification_that_was_given_up_gets_an_id_of_its_own(cluster: Cluster, zuora_ifs: ZuoraIfs) -> None:
    park(cluster, record(cluster, topics.NOTIFICATION), reason="not found in Zuora")

    zuora_ifs("resend", "zuora.notification.v1/1/7")
    zuora_ifs("resend", "zuora.notification.v1/1/7", "--again")

    ids = [one.headers["ce_id"] for one in sent(cluster, topics.NOTIFICATION)]
    assert len(ids) == 2
    assert len(set(ids)) == 1
    assert ids[0] != b"e1"


def test_what_is_as_large_as_a_topic_takes_is_read_from_where_it_was(cluster: Cluster, zuora_ifs: ZuoraIfs) -> None:
    value = b"x" * (LARGEST_MESSAGE_BYTES - 1100)
    name = cluster.names.public(topics.DOCUMENT)
    asyncio.run(cluster.send([Message(name, b"A1", value, (("ce_id", b"e1"),), partition=1)]))
    park(cluster, record(cluster, topics.DOCUMENT, offset=0, value=value))

    [found] = listed(zuora_ifs("list", "--json"))
    assert (found["id"], found["size"]) == (f"{name}/1/0", None)
    zuora_ifs("resend", found["id"])
    again = sent(cluster, topics.DOCUMENT)
    assert [(one.key, one.headers, one.value == value) for one in again] == [(b"A1", {"ce_id": b"e1"}, True)] * 2


def test_what_has_no_way_back_is_told(cluster: Cluster, zuora_ifs: ZuoraIfs) -> None:
    told = {
        topics.CREDENTIAL: "they would hide newer ones",
        topics.AUDIT: "it would stand for its newest",
        topics.PROPOSAL: "propose or decide once more",
        topics.DEAD_LETTER: "it came to the dead letters themselves",
        "another-app-release": "is no topic of this app id",
    }
    park(cluster, *(record(cluster, topic) for topic in told))
    parked = len(sent(cluster, topics.DEAD_LETTER))

    said = zuora_ifs("resend", *(f"{topic}/1/7" for topic in told), "--again", code=1)

    for topic, why in told.items():
        [line] = [
            one for one in said.splitlines() if one.startswith(f"{cluster.names.public(topic)}/1/7: not sent back")
        ]
        assert why in line
    assert [sent(cluster, topic) for topic in (topics.CREDENTIAL, topics.AUDIT, topics.PROPOSAL)] == [[], [], []]
    assert len(sent(cluster, topics.DEAD_LETTER)) == parked
