"""How many webhooks a second are acknowledged, and how fast: one ingress process against a real broker.

    python -m tests.benchmarks.bench_ingress [--webhooks 5000] [--concurrency 1 10 50 200]

Starts a broker of its own unless ZIFS_KAFKA__BOOTSTRAP_SERVERS is set. Every answer is counted only when it is 200, so
Kafka has it. Prints one JSON line per concurrency. Sender and ingress share the machine; raw sockets keep the
sender's own share small.
"""

import argparse
import asyncio
import base64
import hashlib
import hmac
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from deploy.kafka.ports import free_port
from schemas.topics import TopicNames
from streams.log.topics import apply_topics
from streams.settings import KafkaSettings
from tests.support.brokers import ROOT, given_or_own_broker

HOST = "127.0.0.1"
SECRET = "benchmark"
START_SECONDS = 60.0


class NotAcknowledgedError(Exception):
    """A webhook was answered otherwise than 200."""


@contextmanager
def ingress(bootstrap_servers: str, prefix: str) -> Iterator[int]:
    """Run the process with both Basic and HMAC, yield its port."""
    port = free_port(HOST)
    environment = os.environ | {
        "ZIFS_KAFKA__BOOTSTRAP_SERVERS": bootstrap_servers,
        "ZIFS_KAFKA__TOPIC_PREFIX": prefix,
        "ZIFS_INGRESS__HOST": HOST,
        "ZIFS_INGRESS__PORT": str(port),
        "ZIFS_INGRESS__BASIC_USERNAME": "zuora",
        "ZIFS_INGRESS__BASIC_PASSWORD": SECRET,
        "ZIFS_INGRESS__HMAC_SECRET": SECRET,
    }
    process = subprocess.Popen([sys.executable, "-m", "agents", "ingress"], cwd=ROOT, env=environment)
    try:
        yield port
    finally:
        process.terminate()
        process.wait(10)


async def get(port: int, path: str) -> str:
    """Return a whole answer, head and body."""
    reader, writer = await asyncio.open_connection(HOST, port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    return answer.decode()


async def cpu_seconds(port: int) -> float:
    """Return the processor time that ingress has used: unlike the rate it does not depend on what else runs."""
    lines = (await get(port, "/metrics")).splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("process_cpu_seconds_total "))


async def until_ready(port: int) -> None:
    """Return once the process can take webhooks."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            if (await get(port, "/readyz")).startswith("HTTP/1.1 200"):
                return
        except OSError:
            pass
        await asyncio.sleep(0.1)
    raise SystemExit(f"ingress was not ready within {START_SECONDS:g} s")


def callout() -> bytes:
    """Return a whole request as Zuora sends it, about an object of its own."""
    body = json.dumps(
        {
            "event": "InvoicePosted",
            "objectType": "Invoice",
            "objectId": uuid.uuid4().hex,
            "objectNumber": "INV00004711",
            "accountId": uuid.uuid4().hex,
            "accountNumber": "A00000123",
        }
    ).encode()
    head = {
        "Host": HOST,
        "Content-Type": "application/json; charset=utf-8",
        "Content-Length": str(len(body)),
        "Zuora-Request-Id": uuid.uuid4().hex,
        "Zuora-Notification-Id": uuid.uuid4().hex,
        "Authorization": "Basic " + base64.b64encode(f"zuora:{SECRET}".encode()).decode(),
        "X-Zuora-Signature": "sha256=" + hmac.digest(SECRET.encode(), body, hashlib.sha256).hex(),
    }
    return (
        b"POST /webhooks/zuora HTTP/1.1\r\n"
        + b"".join(f"{k}: {v}\r\n".encode() for k, v in head.items())
        + b"\r\n"
        + body
    )


async def send(port: int, requests: list[bytes], seconds: list[float]) -> None:
    """Send requests one after another over one connection, note how long each took; any other answer ends it all."""
    reader, writer = await asyncio.open_connection(HOST, port)
    while requests:
        request = requests.pop()
        started = time.perf_counter()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        answer = await reader.readexactly(length)
        seconds.append(time.perf_counter() - started)
        if not head.startswith(b"HTTP/1.1 200"):
            raise NotAcknowledgedError(f"not acknowledged: {head.splitlines()[0].decode()} {answer.decode()}")
    writer.close()


async def measure(port: int, count: int, concurrency: int) -> dict[str, float]:
    """Return the rate and the quantiles of one run."""
    requests = [callout() for _ in range(count)]
    seconds: list[float] = []
    used = await cpu_seconds(port)
    started = time.perf_counter()
    async with asyncio.TaskGroup() as senders:
        for _ in range(concurrency):
            senders.create_task(send(port, requests, seconds))
    took = time.perf_counter() - started
    used = await cpu_seconds(port) - used
    seconds.sort()
    return {
        "concurrency": concurrency,
        "webhooks": count,
        "acknowledged_per_second": round(count / took),
        "p50_ms": round(seconds[count // 2] * 1000, 1),
        "p99_ms": round(seconds[count * 99 // 100] * 1000, 1),
        "cpu_ms_each": round(used / count * 1000, 2),
        "max_ms": round(seconds[-1] * 1000, 1),
    }


async def warm_up(port: int) -> None:
    """Send until a whole run is acknowledged: a broker that is busy making topics does not lead them all at once."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            await measure(port, 500, 20)
        except* NotAcknowledgedError:
            if time.monotonic() > deadline:
                raise
        else:
            return


async def main(bootstrap_servers: str, count: int, concurrencies: list[int]) -> None:
    """Create topics of their own, warm up, measure each concurrency."""
    prefix = f"bench-{uuid.uuid4().hex[:8]}-"
    kafka = KafkaSettings(bootstrap_servers=bootstrap_servers, topic_prefix=prefix, replication_factor=1)
    await apply_topics(kafka, TopicNames(prefix, "bench"))
    with ingress(bootstrap_servers, prefix) as port:
        await until_ready(port)
        await warm_up(port)
        for concurrency in concurrencies:
            print(json.dumps(await measure(port, count, concurrency)), flush=True)  # noqa: T201 - its output


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--webhooks", type=int, default=5000, help="per concurrency")
    parser.add_argument("--concurrency", type=int, nargs="+", default=[1, 10, 50, 200])
    arguments = parser.parse_args()
    with given_or_own_broker() as servers:
        asyncio.run(main(servers, arguments.webhooks, arguments.concurrency))
