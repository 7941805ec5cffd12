"""The sandboxes as programs: one JSON line, settings by option and environment, a quick end; and the mapping file."""

import asyncio
import csv
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def program(
    *arguments: str, **environment: str
) -> AsyncIterator[tuple[dict[str, Any], asyncio.subprocess.Process]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "deploy.sandbox", *arguments, cwd=ROOT, env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        yield json.loads(await asyncio.wait_for(process.stdout.readline(), 60)), process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.mark.parametrize("system", ["zuora", "ifs"])
async def test_a_program_says_where_it_is_and_ends_well_on_sigterm(system: str) -> None:
    async with program(system, "--port", "0") as (facts, process), aiohttp.ClientSession() as session:
        async with session.get(f"{facts['url']}/_sandbox/requests") as answer:
            assert answer.status == 200
        process.send_signal(signal.SIGTERM)

        assert await asyncio.wait_for(process.wait(), 30) == 0

    assert facts["system"] == system


async def test_settings_come_from_options_and_from_the_environment() -> None:
    async with (
        program("ifs", "--realm", "acme", IFS_SANDBOX_CLIENT_SECRET="from-environment") as (facts, _),
        aiohttp.ClientSession() as session,
    ):
        form = {"grant_type": "client_credentials", "client_id": "ifs-client", "client_secret": "from-environment"}
        address = f"{facts['url']}/auth/realms/acme/protocol/openid-connect/token"
        async with session.post(address, data=form) as answer:
            assert answer.status == 200

    assert facts["realm"] == "acme"


async def test_the_mapping_file_maps_the_accounts_of_a_running_sandbox(tmp_path: Path) -> None:
    target = tmp_path / "mappings.csv"
    async with program("zuora", "--accounts", "5", "--seed", "3") as (facts, _):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "deploy.sandbox", "mappings", "--zuora-url", facts["url"], "--output", str(target),
            "--leave-out", "account:FIRST", cwd=ROOT,
        )  # fmt: skip
        assert await process.wait() == 0
        address = f"{facts['url']}/_sandbox/documents?kind=Account&brief=true"
        async with aiohttp.ClientSession() as session, session.get(address) as answer:
            accounts = [each["id"] for each in await answer.json()]

    rows = list(csv.DictReader(target.read_text().splitlines()))
    assert [row["zuora_account_id"] for row in rows if row["kind"] == "account"] == accounts[1:]
