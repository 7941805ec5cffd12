"""The webhook asked from a description of it, right and wrong: it answers as described, and never with a 500."""

import asyncio
from typing import Any

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

from tests.unit.test_hostile_webhook import webhook

EXAMPLES = 40
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
WORDS = {"type": "string", "maxLength": 300}
TAKEN = {
    "type": "object",
    "properties": {"success": {"const": True}, "eventId": {"type": ["string", "null"]}},
    "required": ["success"],
}
REFUSED = {
    "type": "object",
    "properties": {"success": {"const": False}, "error": {"type": "string"}},
    "required": ["success", "error"],
}
WEBHOOK: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "webhook", "version": "1"},
    "paths": {
        "/webhooks/zuora": {
            "post": {
                "parameters": [{"name": "event", "in": "query", "schema": WORDS}],
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/json": {
                            "schema": {
                                "type": "object",
                                "properties": {
                                    "event": {"enum": ["InvoicePosted", "PaymentProcessed", "1110", "2120", "no such"]},
                                    "objectId": {"type": "string", "minLength": 1, "maxLength": 100},
                                    "InvoiceId": WORDS,
                                    "PaymentId": WORDS,
                                    "AccountId": WORDS,
                                },
                                "required": ["event", "objectId"],
                            }
                        }
                    },
                },
                "responses": {
                    status: {"description": "told", "content": {"application/json": {"schema": answer}}}
                    for status, answer in {"200": TAKEN, "400": REFUSED, "413": REFUSED, "415": REFUSED}.items()
                },
            }
        }
    },
}


async def test_whatever_the_webhook_is_sent_it_answers_as_described() -> None:
    [operation] = [found.ok() for found in schemathesis.openapi.from_dict(WEBHOOK).get_all_operations()]
    async with webhook() as (site, log):
        url = f"http://127.0.0.1:{site.port}"
        for mode in GenerationMode:
            answers = await asyncio.to_thread(asked, url, operation, mode)
            assert len(answers) >= EXAMPLES // 2
    assert log.messages  # of both kinds, what was taken and what was parked


def asked(url: str, operation: Any, mode: GenerationMode) -> list[int]:
    """Send what the description allows or forbids; return the statuses."""
    statuses: list[int] = []

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        answer = case.call(base_url=url, session=session, auth=("u", "p"), timeout=20)
        case.validate_response(answer, checks=CHECKS)
        assert "Traceback" not in answer.text
        statuses.append(answer.status_code)

    with requests.Session() as session:
        ask()
    return statuses
