"""Secrets are planted and errors provoked that invite to tell them: no topic, log, metric, page or error does."""

import asyncio
import base64
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from pydantic import SecretStr

from agents.demo.children import clean_environment
from schemas.errors import FarSideError
from schemas.topics import VOUCHER_COMMAND
from streams.log.reader import read_to_end
from streams.log.topics import declared_topics
from streams.systems.session import HttpSession
from streams.systems.tokens import TokenSource
from streams.systems.zuora.errors import checked
from tests.support.servers import serving
from tests.support.waiting import eventually
from tests.support.whole_system import ROOT, System, whole_system

SECRET_SETTINGS = (
    "ZIFS_INGRESS__BASIC_PASSWORD",
    "ZIFS_INGRESS__HMAC_SECRET",
    "ZIFS_ZUORA__CLIENT_SECRET",
    "ZIFS_IFS__CLIENT_SECRET",
    "ZIFS_VAULT__KEYS",
)
WRONG_PASSWORD, WRONG_TOKEN, WRONG_KEY = "planted-wrong-password", "planted-wrong-token", "planted-wrong-vault-key"
KAFKA_PASSWORD, STORED = "planted-kafka-password", "planted-stored-secret"
STORE = ("credentials", "set", "zuora", "--client-id", "c", "--client-secret-stdin")
GIVEN = (WRONG_PASSWORD, WRONG_TOKEN, WRONG_KEY, KAFKA_PASSWORD, STORED)


def found_in(secrets: dict[str, str], texts: dict[str, bytes]) -> set[tuple[str, str]]:
    """Return which secrets are in which texts, as they are or in base64."""
    forms = {name: (value.encode(), base64.b64encode(value.encode()).rstrip(b"=")) for name, value in secrets.items()}
    return {
        (name, place) for name, ways in forms.items() for place, text in texts.items() if any(w in text for w in ways)
    }


async def said_by(system: System, *words: str, given: str = "", **settings: str) -> str:
    """Run a command that goes wrong, or not, and return all that it says."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "agents", *words),
        cwd=ROOT,
        env=clean_environment() | system.stage.environment | settings,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate(given.encode())
    return said.decode()


async def callouts_of_strangers(system: System) -> list[int]:
    """Call the webhook with what is nearly right: another password, a body in which our own secrets stand."""
    url = f"{system.stage.ingress_url}/webhooks/zuora"
    wrong = base64.b64encode(f"zuora:{WRONG_PASSWORD}".encode()).decode()
    strangers: list[dict[str, Any]] = [
        {"headers": {"Authorization": f"Basic {wrong}"}, "data": b"{}"},
        {"headers": {"Authorization": f"Bearer {WRONG_TOKEN}"}, "data": b"{"},
        {
            "headers": {"X-Zuora-Signature": f"sha256={WRONG_TOKEN}"},
            "data": b"\xff",
            "params": {"password": WRONG_PASSWORD},
        },
    ]
    statuses = []
    for stranger in strangers:
        async with system.http.post(url, **stranger) as answer:
            statuses.append(answer.status)
    return statuses


async def pages(system: System) -> dict[str, bytes]:
    """Return metrics of all processes, and the console as an admin and as a stranger sees it."""
    stage, found = system.stage, {}
    admin = {"Authorization": f"Bearer {stage.console_token}"}
    for url in (stage.ingress_url, stage.worker_url, stage.console_url):
        async with system.http.get(f"{url}/metrics") as answer:
            found[f"{url}/metrics"] = await answer.read()
    records = json.loads(await (await system.http.get(f"{stage.console_url}/api/records", headers=admin)).read())
    some = [f"/records/{one['id']}" for one in records["items"]] + [
        f"/api/records/{one['id']}" for one in records["items"]
    ]
    for path in ("/", "/login", "/api/summary", "/api/records", "/api/mappings", "/api/nowhere", *some):
        for headers in (admin, {"Authorization": f"Bearer {WRONG_TOKEN}"}, {}):
            async with system.http.get(f"{stage.console_url}{path}", headers=headers) as answer:
                found[f"{path} {answer.status} {len(headers)}"] = await answer.read()
    return found


async def on_kafka(system: System) -> dict[str, bytes]:
    names = [topic.name for topic in declared_topics(system.kafka, system.names)]
    found: dict[str, bytes] = dict.fromkeys(names, b"")
    async for batch in read_to_end(system.kafka, names, {}):
        for record in batch.records:
            found[record.topic] += b"\n".join([record.key or b"", record.value or b"", *record.headers.values()])
    return found


@pytest.mark.timeout(600)
async def test_no_planted_secret_is_told_anywhere(kafka_bootstrap: str, tmp_path: Path) -> None:
    async with whole_system(kafka_bootstrap, tmp_path) as system:
        environment = system.stage.environment
        secrets = {name: environment[name] for name in SECRET_SETTINGS} | {one: one for one in GIVEN}
        secrets["console token"] = system.stage.console_token
        console = await system.children.start("console", "agents", "console", environment=environment)

        # Both far sides quote what was sent to them, as gateways do in their errors.
        await system.zuora("accounts", {"currency": "EUR"})
        await system.import_mappings(await system.default_mappings())
        for side, path, name in ((system.zuora, "/v1/invoices", "ZUORA"), (system.ifs, "VoucherSet", "IFS")):
            secret = environment[f"ZIFS_{name}__CLIENT_SECRET"]
            words = f"bad request: Authorization client_secret={secret}"
            body = {"success": False, "reasons": [{"code": 50000020, "message": words}], "error": {"message": words}}
            fault = {"kind": "status", "path": path, "status": 400, "body": json.dumps(body), "times": 1}
            await side("faults", fault | ({"method": "POST"} if name == "IFS" else {}))
        for _ in range(3):
            await system.zuora("invoices", {"currency": "EUR", "items": 1})
        assert await callouts_of_strangers(system) == [401, 401, 401]
        said = {
            "keys": await said_by(system, "credentials", "list", ZIFS_VAULT__KEYS=WRONG_KEY),
            "tokens": await said_by(system, "console", ZIFS_CONSOLE__TOKENS=WRONG_TOKEN),
            "kafka": await said_by(
                system,
                *("topics", "check"),
                ZIFS_KAFKA__SECURITY_PROTOCOL="SASL_PLAINTEXT",
                ZIFS_KAFKA__SASL_USERNAME="x",
                ZIFS_KAFKA__SASL_PASSWORD=KAFKA_PASSWORD,
            ),
            "ping": await said_by(system, "ping", ZIFS_IFS__CLIENT_SECRET=WRONG_PASSWORD, ZIFS_VAULT__KEYS=""),
        }
        assert all(said.values())
        await system.children.ready("console", console, system.stage.console_url)
        done = await eventually(system.records, lambda now: settled(now, 3), seconds=60)
        said["stored"] = await said_by(system, *STORE, given=STORED)

        # The quotes came through, without what was quoted.
        reasons = " ".join(one.get("reason") or "" for one in done.values())
        assert "client_secret=***" in reasons
        texts = {**await on_kafka(system), **await pages(system)}
        texts |= {f"said: {name}": text.encode() for name, text in said.items()}
        texts |= {file.name: file.read_bytes() for file in (tmp_path / "logs").iterdir()}
        assert len(texts[system.names.public(VOUCHER_COMMAND)]) > 100
        assert found_in(secrets, texts) == set()


def settled(now: dict[str, Any], count: int) -> bool:
    return len(now) == count and all(one["status"] in {"posted", "rejected", "failed"} for one in now.values())


async def test_a_far_side_that_quotes_our_token_is_quoted_without_it() -> None:
    token, secret = "planted-access-token", "planted-client-secret"

    async def gateway(request: web.Request) -> web.Response:
        if request.path.endswith("/token"):
            return web.json_response({"access_token": token, "expires_in": 60})
        message = f"refused: {dict(request.headers)} {secret}"
        return web.json_response({"success": False, "reasons": [{"code": 50000020, "message": message}]}, status=400)

    async with serving(gateway) as url:
        tokens = TokenSource(f"{url}/token", "client", SecretStr(secret))
        async with HttpSession(url, tokens, name="Zuora") as session:
            with pytest.raises(FarSideError) as told:
                checked(await session.request("GET", "/v1/invoices/1"))

    assert "Bearer ***" in str(told.value)
    assert [one for one in (token, secret) if one in repr(told.value)] == []
