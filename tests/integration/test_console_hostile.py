"""Requests made of the console's own OpenAPI document, right and wrong, against a real console: never a 500."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from schemas.topics import MAPPING
from streams.mapping_changes import change_message
from tests.support.company_10 import MAPPINGS
from tests.support.console_process import ConsoleProcess
from tests.support.projecting import Cluster, step

SECONDS = 20.0
"""After this each operation is asked once more, right and wrong, and no more: those that change wait for Kafka."""
EXAMPLES = 8
"""Of each operation, right and wrong; to make them takes most of the time."""
# What breaks the schema need not be refused: spaces around a text are dropped before it is measured.
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
BEARER = {"Authorization": "Bearer run-it"}


@pytest.fixture
def console(cluster: Cluster, tmp_path: Path) -> Iterator[ConsoleProcess]:
    steps = [
        step("Invoice:1", "posted", accountId="A1", amount="1190.00", currency="EUR"),
        step("Invoice:2", "mapping-missing", accountId="A2", missing=[{"kind": "account", "key": "A2"}]),
        step("Payment:3", "rejected", accountId="A1", minute=2),
        step("Refund:4", "changed-after-posting", accountId="A1", minute=3),
    ]
    asyncio.run(cluster.send_steps(*steps))
    topic = cluster.names.public(MAPPING)
    asyncio.run(cluster.send([change_message(topic, one, process="test") for one in MAPPINGS]))
    running = ConsoleProcess(cluster, tmp_path, "ops:admin:run-it")
    try:
        running.until_ready()
        yield running
    finally:
        running.stop()


@pytest.mark.timeout(300)
def test_whatever_the_api_is_asked_it_answers_as_it_says(console: ConsoleProcess) -> None:
    with requests.Session() as session:
        document = session.get(f"{console.url}/api/openapi.json", headers=BEARER, timeout=10).json()
        operations = [found.ok() for found in schemathesis.openapi.from_dict(document).get_all_operations()]
        end = time.monotonic() + SECONDS
        asked = [probe(session, console.url, one, mode, end) for one in operations for mode in GenerationMode]

    assert len(operations) == sum(len(methods) for methods in document["paths"].values())
    assert min(asked) > 0
    assert "Traceback" not in console.said
    assert "failed unexpectedly" not in console.said


def probe(session: requests.Session, url: str, operation: Any, mode: GenerationMode, end: float) -> int:
    """Ask one operation until `end`, once at least; return how often."""
    asked = 0

    @settings(
        max_examples=EXAMPLES if time.monotonic() < end else 1,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        nonlocal asked
        if time.monotonic() > end and asked:
            return
        answer = case.call(base_url=url, session=session, headers=BEARER, timeout=20)
        case.validate_response(answer, checks=CHECKS)
        assert "Traceback" not in answer.text
        asked += 1

    ask()
    return asked
