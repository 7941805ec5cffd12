"""Which topics are declared, and how."""

from schemas.topics import TopicNames
from streams.log.topics import declared_topics
from streams.settings import KafkaSettings

NAMES = TopicNames(prefix="acme.", app_id="books")


def test_every_topic_is_declared_under_its_full_name_once() -> None:
    names = [topic.name for topic in declared_topics(KafkaSettings(), NAMES)]

    assert len(names) == len(set(names))
    assert {
        "acme.zuora.notification.v1",
        "acme.zuora.document.v1",
        "acme.ledger.mapping.v1",
        "acme.ledger.voucher-command.v1",
        "acme.ledger.voucher.v1",
        "acme.connector.request.v1",
        "acme.connector.control.v1",
        "acme.connector.audit.v1",
        "acme.connector.dead-letter.v1",
        "acme.connector.credential.v1",
        "acme.books-chart-copy",
        "acme.books-collector-objects-changelog",
        "acme.books-bookkeeper-held-changelog",
        "acme.books-poster-commands-changelog",
    } <= set(names)


def test_keyed_topics_take_the_configured_partitions_and_single_ones_one() -> None:
    partitions = {topic.name: topic.partitions for topic in declared_topics(KafkaSettings(partitions=7), NAMES)}

    assert partitions["acme.zuora.document.v1"] == 7
    assert partitions["acme.books-bookkeeper-records-changelog"] == 7
    assert partitions["acme.ledger.voucher-command.v1"] == 1
    assert partitions["acme.books-poster-commands-changelog"] == 1


def test_three_replicas_need_two_in_sync_and_one_needs_one() -> None:
    three = declared_topics(KafkaSettings(replication_factor=3), NAMES)
    one = declared_topics(KafkaSettings(replication_factor=1), NAMES)

    assert {topic.config["min.insync.replicas"] for topic in three} == {"2"}
    assert {topic.config["min.insync.replicas"] for topic in one} == {"1"}
    assert {topic.config["unclean.leader.election.enable"] for topic in three} == {"false"}


def test_facts_are_kept_forever_and_tables_are_compacted_within_hours() -> None:
    config = {topic.name: topic.config for topic in declared_topics(KafkaSettings(), NAMES)}

    assert config["acme.connector.audit.v1"]["cleanup.policy"] == "delete"
    assert config["acme.connector.audit.v1"]["retention.ms"] == "-1"
    assert config["acme.connector.audit.v1"]["retention.bytes"] == "-1"
    assert config["acme.connector.credential.v1"]["cleanup.policy"] == "compact"
    table = config["acme.books-bookkeeper-held-changelog"]
    assert table["segment.ms"] == "3600000"
    assert table["max.compaction.lag.ms"] == "21600000"
    assert table["max.message.bytes"] == "16777216"
    assert "max.message.bytes" not in config["acme.connector.audit.v1"]
