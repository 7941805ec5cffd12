"""The poster as a process: who waits is woken without traffic and survives a kill; a paused poster can be stopped."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agents.poster.road import READ_AHEAD
from deploy.sandbox.ifs.app import create_app
from deploy.sandbox.ifs.settings import IfsSettings as SandboxSettings
from deploy.sandbox.ifs.state import IfsSandbox
from deploy.sandbox.serving import listening
from schemas.base import utc_now
from schemas.envelope import decode_any
from schemas.requests import PostingPaused, PostingResumed
from schemas.topics import VOUCHER, VOUCHER_COMMAND
from schemas.vouchers import PostVoucher, VoucherPosted
from streams.log.messages import Message, event_message
from streams.log.reader import read_to_end
from streams.posting_control import control_message
from streams.posting_status import posting_status
from tests.support.posting import BOOKS, command
from tests.support.projecting import Cluster, cluster_of
from tests.support.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]
STOP_SECONDS = 15.0


class Workplace:
    """A cluster, an IFS sandbox, and posters that come and go."""

    def __init__(self, cluster: Cluster, sandbox: IfsSandbox, ifs_url: str, folder: Path) -> None:
        self.cluster = cluster
        self.sandbox = sandbox
        kafka, posters = cluster.kafka, sandbox.settings
        self._folder = folder
        self._environment = os.environ | {
            "ZIFS_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers or "",
            "ZIFS_KAFKA__TOPIC_PREFIX": kafka.topic_prefix,
            "ZIFS_KAFKA__PARTITIONS": str(kafka.partitions),
            "ZIFS_KAFKA__REPLICATION_FACTOR": "1",
            "ZIFS_APP_ID": cluster.settings.app_id,
            "ZIFS_DATA_DIR": str(folder / "data"),
            "ZIFS_WORKER__HOST": "127.0.0.1",
            "ZIFS_WORKER__PORT": "0",
            "ZIFS_WORKER__SESSION_SECONDS": "3",
            "ZIFS_IFS__BASE_URL": ifs_url,
            "ZIFS_IFS__REALM": posters.realm,
            "ZIFS_IFS__CLIENT_ID": posters.client_id,
            "ZIFS_IFS__CLIENT_SECRET": posters.client_secret,
            "ZIFS_IFS__SETTLE_SECONDS": "1",
            "PYTHONPATH": str(ROOT),
        }

    @asynccontextmanager
    async def poster(self, **settings: str) -> AsyncIterator[asyncio.subprocess.Process]:
        words = ("-m", "agents", "worker", "--agents", "poster")
        with (self._folder / "worker.log").open("a") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable, *words, cwd=self._folder, env=self._environment | settings, stdout=log, stderr=log
            )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    async def command(self, account: str, number: int = 1, company: str = "10") -> None:
        """Have a voucher posted."""
        await self.cluster.send([self.message(account, number, company)])

    def message(self, account: str, number: int, company: str) -> Message:
        """The message by which the bookkeeper has a voucher posted."""
        asked: PostVoucher = command(
            f"INV{account}{number}-AAAABBBBCCCCDDDDEEEE",
            account_id=account,
            app_id=self.cluster.settings.app_id,
            company=company,
        )
        return event_message(
            self.cluster.names.public(VOUCHER_COMMAND), asked.company, asked, event_id=asked.command_id,
            process="test", subject=asked.record_id, time=utc_now(),
        )  # fmt: skip

    async def posted(self) -> list[str]:
        """What is posted, by its account and number, in the order in which that was told, each event once."""
        accounts: dict[str, str] = {}
        async for batch in read_to_end(self.cluster.kafka, [self.cluster.names.public(VOUCHER)], {}):
            for record in sorted(batch.records, key=lambda record: record.timestamp):
                told = decode_any(record.headers, record.value)
                assert isinstance(told, VoucherPosted)
                name = told.reference.split("-")[0].removeprefix("INV")
                accounts.setdefault(record.headers["ce_id"].decode(), name)
        return list(accounts.values())

    async def posted_are(self, *wanted: str) -> None:
        """Wait until these are posted and nothing else is, each once in IFS."""
        await eventually(self.posted, lambda found: sorted(found) == sorted(wanted), seconds=60)
        for name in wanted:
            found = [one for one in self.sandbox.ledger.vouchers.values() if f"INV{name}-" in str(one.references)]
            assert len(found) == 1, name

    async def waiting(self) -> int:
        """How many wait in the room."""
        return (await posting_status(self.cluster.settings, self.cluster.names, utc_now())).waiting

    async def logged(self, *words: str) -> None:
        """Wait until a poster has logged a line with these words."""

        async def lines() -> list[str]:
            return (self._folder / "worker.log").read_text().splitlines()

        await eventually(lines, lambda now: any(all(word in line for word in words) for line in now), seconds=60)

    async def order(self, kind: type[PostingPaused], company: str = "*") -> None:
        event = kind(company=company, actor="ann", at=utc_now(), reason="audit")
        await self.cluster.send([control_message(self.cluster.names, event, "cli")])


@pytest.fixture
async def workplace(kafka_bootstrap: str, unique: str, tmp_path: Path) -> AsyncIterator[Workplace]:
    cluster = cluster_of(kafka_bootstrap, unique, tmp_path)
    await cluster.make_topics()
    sandbox = IfsSandbox(SandboxSettings())
    async with listening(create_app(sandbox)) as url:
        yield Workplace(cluster, sandbox, url, tmp_path)


async def test_who_waits_is_woken_when_no_command_comes_any_more(workplace: Workplace) -> None:
    workplace.sandbox.faults.order({"kind": "drop", "method": "POST", "path": BOOKS["voucher-set"]})
    for account, number in (("A", 1), ("A", 2), ("B", 1)):
        await workplace.command(account, number)
    async with workplace.poster():
        await workplace.posted_are("A1", "A2", "B1")
        assert [name for name in await workplace.posted() if name.startswith("A")] == ["A1", "A2"]

        await eventually(workplace.waiting, lambda many: many == 0)


async def test_who_waits_survives_a_kill(workplace: Workplace) -> None:
    workplace.sandbox.faults.order({"kind": "locked", "method": "POST", "path": BOOKS["voucher-set"], "times": 10**6})
    for number in (1, 2):
        await workplace.command("A", number)
    async with workplace.poster() as process:
        await eventually(workplace.waiting, lambda many: many == 2, seconds=60)
        process.kill()
        await process.wait()
    workplace.sandbox.faults.clear()
    async with workplace.poster():
        await workplace.posted_are("A1", "A2")
    assert await workplace.posted() == ["A1", "A2"]


async def test_a_paused_poster_stops_at_once_and_the_next_one_obeys_until_it_is_resumed(workplace: Workplace) -> None:
    async with workplace.poster() as process:
        await workplace.command("A")
        await workplace.posted_are("A1")
        await workplace.order(PostingPaused)
        await workplace.logged("posting is paused", "company=*")
        await workplace.command("B")
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), STOP_SECONDS) == 0
    async with workplace.poster() as process:
        await workplace.command("C")
        await workplace.order(PostingPaused, "99")
        await workplace.logged("posting is paused", "company=99")  # it is at work, and still posts nothing
        assert await workplace.posted() == ["A1"]
        await workplace.order(PostingResumed)
        await workplace.posted_are("A1", "B1", "C1")
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), STOP_SECONDS) == 0


async def test_the_bill_run_of_a_paused_company_holds_up_no_other_also_after_a_kill(workplace: Workplace) -> None:
    many = READ_AHEAD + 500
    await workplace.order(PostingPaused, "10")
    await workplace.cluster.send([workplace.message(f"A{number}-", 1, "10") for number in range(many)])
    await workplace.command("B", 1, company="40")
    async with workplace.poster() as process:
        await workplace.posted_are("B1")
        await eventually(workplace.waiting, lambda found: found == many)
        process.kill()
        await process.wait()
    await workplace.command("B", 2, company="40")
    async with workplace.poster():
        await workplace.posted_are("B1", "B2")
    assert await workplace.waiting() == many


async def test_what_is_there_goes_in_batches_and_a_kill_leaves_one_voucher_each(workplace: Workplace) -> None:
    names = [f"{account}{number}" for number in (1, 2) for account in ("A", "B", "C", "D")]
    for name in names:
        await workplace.command(name[0], int(name[1]))
    workplace.sandbox.faults.order({"kind": "hang", "method": "POST", "path": BOOKS["voucher-set"], "seconds": 30})
    async with workplace.poster(ZIFS_IFS__BATCH_SIZE="50") as process:

        async def is_sent() -> bool:
            return bool(workplace.sandbox.faults.carried_out)

        await eventually(is_sent, seconds=60)
        process.kill()
        await process.wait()
    async with workplace.poster(ZIFS_IFS__BATCH_SIZE="50") as process:
        await workplace.posted_are(*names)
        assert 1 <= workplace.sandbox.counts["batches"] <= 3  # as they arrived, and not each alone
        for account in "ABCD":
            assert [name for name in await workplace.posted() if name[0] == account] == [f"{account}1", f"{account}2"]
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), STOP_SECONDS) == 0
