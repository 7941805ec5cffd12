"""Why Kafka cannot be reached, in words for the person who must act."""

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError

from schemas.errors import LogDeniedError, LogUnavailableError
from streams.log import denied
from streams.settings import KafkaSettings


def answers_without_brokers(monkeypatch: pytest.MonkeyPatch) -> None:
    async def send(_: object) -> Any:
        return SimpleNamespace(brokers=[])

    async def connection(*_: object, **__: object) -> Any:
        return SimpleNamespace(send=send, close=lambda: None)

    monkeypatch.setattr(denied, "create_conn", connection)


async def test_a_broker_that_has_just_started_and_knows_of_none_is_away_and_refuses_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers_without_brokers(monkeypatch)
    kafka = KafkaSettings(bootstrap_servers="broker:9092")

    found = await denied.why_unreachable(kafka, KafkaConnectionError("no brokers"))

    assert isinstance(found, LogUnavailableError)
    assert not isinstance(found, LogDeniedError)
    assert "cannot be reached at broker:9092" in str(found)


async def test_a_token_in_answer_to_which_no_brokers_are_told_of_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    answers_without_brokers(monkeypatch)
    kafka = KafkaSettings(
        bootstrap_servers="broker:9092",
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanism="OAUTHBEARER",
        sasl_oauth_token_url="https://login.example.com/token",
        sasl_oauth_client_id="connector",
        sasl_oauth_client_secret="secret",
    )

    found = await denied.why_unreachable(kafka, KafkaConnectionError("no brokers"))

    assert isinstance(found, LogDeniedError)
    assert "refuses the credentials of connector" in str(found)
