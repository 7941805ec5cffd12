# ruff: noqa: T201 - it prints its figures
"""How long it takes from a webhook to a voucher in IFS, at a steady rate.

    python -m tests.benchmarks.bench_pipeline [--per-second 5] [--invoices 150]

Everything runs on this machine, as in the demonstration; the sandboxes answer at once, so what is measured is ours.
"""

import argparse
import asyncio
import statistics
import tempfile
from pathlib import Path

import aiohttp

from agents.demo.children import Children
from agents.demo.setting import Stage, prepare
from schemas import topics
from schemas.envelope import decode
from schemas.notifications import NotificationReceived
from schemas.topics import TopicNames
from schemas.vouchers import VoucherPosted
from streams.log.reader import read_to_end
from streams.settings import KafkaSettings, Settings

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_SECONDS = 300


async def run(per_second: float, invoices: int) -> None:
    """Start everything, send a bill run, and compare the times in the log."""
    with tempfile.TemporaryDirectory(prefix="zifs-bench-") as name:
        folder = Path(name)
        children = Children(folder / "logs", ROOT)
        try:
            given = Settings().kafka
            stage = await prepare(children, folder, given, accounts=20)
            for role, url in (("ingress", stage.ingress_url), ("worker", stage.worker_url)):
                await children.ready(
                    role, await children.start(role, "agents", role, environment=stage.environment), url
                )
            await children.run(
                "deploy.sandbox",
                "mappings",
                "--zuora-url",
                stage.zuora_url,
                "--output",
                str(folder / "m.csv"),
                environment={},
            )
            await children.run("agents", "mappings", "import", str(folder / "m.csv"), environment=stage.environment)
            await _bill(stage, per_second, invoices)
            seconds = sorted(await _seconds(stage))
        finally:
            await children.stop()
    worst = seconds[int(len(seconds) * 0.99) - 1]
    print(f"webhook to voucher at {per_second:g}/s, {len(seconds)} invoices:", end=" ")
    print(f"p50 {statistics.median(seconds):.2f} s, p99 {worst:.2f} s, max {seconds[-1]:.2f} s")


async def _bill(stage: Stage, per_second: float, invoices: int) -> None:
    order = {"invoices": invoices, "perSecond": per_second, "paymentShare": 0}
    timeout = aiohttp.ClientTimeout(total=invoices / per_second + TIMEOUT_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout, raise_for_status=True) as session:
        async with session.post(f"{stage.zuora_url}/_sandbox/bill-run", json=order) as answer:
            await answer.read()
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while True:
                async with session.get(f"{stage.ifs_url}/_sandbox/vouchers?count=true") as answer:
                    if (await answer.json())["count"] >= invoices:
                        return
                await asyncio.sleep(0.5)


async def _seconds(stage: Stage) -> list[float]:
    """Return the seconds from the receipt of each webhook to its voucher's answer."""
    environment = stage.environment
    kafka = KafkaSettings(bootstrap_servers=environment["ZIFS_KAFKA__BOOTSTRAP_SERVERS"])
    names = TopicNames(environment["ZIFS_KAFKA__TOPIC_PREFIX"], environment["ZIFS_APP_ID"])
    notifications, vouchers = names.public(topics.NOTIFICATION), names.public(topics.VOUCHER)
    received, seconds = dict[str, NotificationReceived](), list[float]()
    async for batch in read_to_end(kafka, [notifications], {}):
        for record in batch.records:
            told = decode(NotificationReceived, record.value)
            received[f"{told.document_type}:{told.object_id}"] = told
    async for batch in read_to_end(kafka, [vouchers], {}):
        for record in batch.records:
            posted = decode(VoucherPosted, record.value)
            seconds.append((posted.posted_at - received[posted.record_id].received_at).total_seconds())
    return seconds


def main() -> None:
    """Read the sizes and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--per-second", type=float, default=5)
    parser.add_argument("--invoices", type=int, default=150)
    sizes = parser.parse_args()
    asyncio.run(run(sizes.per_second, sizes.invoices))


if __name__ == "__main__":
    main()
