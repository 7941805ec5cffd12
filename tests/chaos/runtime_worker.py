"""A worker for the chaos test: three apps in one process, started again and again and killed at random.

raw -> fetch (windowed, with a slow and shaky far side) -> document -> join (serial, tables) -> command -> post (one
partition, a table of what was done) -> outcome.
"""

import asyncio
import json
import os
import random
import sys
from pathlib import Path
from typing import Any

from agents.runtime import Event, StreamApp, Timing, Work, run_process
from agents.runtime.state import PartitionState
from streams.log.producer import LogProducer
from streams.settings import KafkaSettings

PARTITIONS = 6
SKIPPED_CHANGELOG_OFFSET = 77
STATE_LOST = 78

prefix = os.environ["CHAOS_PREFIX"]
kafka = KafkaSettings(bootstrap_servers=os.environ["CHAOS_BOOTSTRAP"])
data_dir = Path(os.environ["CHAOS_DATA"]) if "CHAOS_DATA" in os.environ else None
timing = Timing(session_seconds=4, heartbeat_seconds=0.5, rebalance_seconds=20)
random_delay = random.Random(os.getpid())  # noqa: S311 - delays, not secrets


def topic(name: str) -> str:
    return f"{prefix}-{name}"


def end(code: int, line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
    os._exit(code)


def say_ready() -> None:
    sys.stdout.write(f"start {os.environ['CHAOS_START']} ready\n")
    sys.stdout.flush()


def watch_restores() -> None:
    """End when a recovery skips an offset: the changelogs of this test are not compacted."""
    restore = PartitionState.restore

    def watched(self: PartitionState, records: list[Any]) -> None:
        expected = self.entries.offset + 1
        for record in records:
            if record.offset != expected:
                end(SKIPPED_CHANGELOG_OFFSET, f"{self.topic}[{self.partition}] {record.offset} instead of {expected}")
            expected += 1
        restore(self, records)

    PartitionState.restore = watched  # type: ignore[method-assign]


def make_apps(producer: LogProducer) -> list[StreamApp]:  # noqa: C901 - three small handlers over shared tables
    def app(name: str) -> StreamApp:
        return StreamApp(f"{prefix}-{name}", kafka=kafka, producer=producer, data_dir=data_dir, timing=timing)

    fetch, join, post = app("fetch"), app("join"), app("post")
    last = join.table("last", partitions=PARTITIONS, changelog_topic=topic("last"))
    held = join.table("held", partitions=PARTITIONS, changelog_topic=topic("held"))
    done = post.table("done", partitions=1, changelog_topic=topic("done"))

    async def fetch_document(event: Event, work: Work) -> None:
        while random_delay.random() < 0.02:  # noqa: ASYNC110 - the far side is down for a moment, or for long
            await asyncio.sleep(random_delay.choice((0.05, 0.05, 4.0)))
        await asyncio.sleep(random_delay.uniform(0.001, 0.03))
        work.send(topic("document"), key=event.key, value=event.value)

    async def join_document(event: Event, work: Work) -> None:
        account, number = event.key.decode(), json.loads(event.value)["number"]
        if number == 0:  # the mapping: release what waits
            state = json.loads(last.get(account, b'{"number": 0}'))
            waiting = json.loads(held.get(account, b"[]"))
            for waited in waiting:
                work.send(topic("command"), key=event.key, value=json.dumps({"number": waited}).encode())
            last[account] = json.dumps({"mapped": True, "number": max([*waiting, state["number"]])}).encode()
            await work.confirmed()  # commands before the held records are dropped
            held.pop(account)
            return
        state = json.loads(last.get(account, b'{"mapped": false, "number": 0}'))
        waiting = json.loads(held.get(account, b"[]"))
        newest = max(waiting, default=0) if not state["mapped"] else state["number"]
        if number > newest + 1:
            end(STATE_LOST, f"{account}: {number} after {newest}, {event.topic}[{event.partition}]@{event.offset}")
        if number <= newest:
            if state["mapped"]:  # again, after a kill: the command may not have gone out
                work.send(topic("command"), key=event.key, value=event.value)
            return
        if state["mapped"]:
            work.send(topic("command"), key=event.key, value=event.value)
            last[account] = json.dumps({"mapped": True, "number": number}).encode()
        else:
            held[account] = json.dumps([*waiting, number]).encode()

    async def post_command(event: Event, work: Work) -> None:
        command = f"{event.key.decode()}/{json.loads(event.value)['number']}"
        if done.get(command) == b"":  # an intent alone may have got no further
            return
        done[command] = b"intent"
        await work.confirmed()
        work.send(topic("outcome"), key=event.key, value=event.value)
        done[command] = b""

    fetch.windowed(topics=[topic("raw")], handler=fetch_document, size=32, span=200)
    join.serial(topics=[topic("mapping"), topic("document")], handler=join_document)
    post.windowed(topics=[topic("command")], handler=post_command, size=8, span=64)
    return [fetch, join, post]


async def main() -> int:
    watch_restores()
    producer = LogProducer(kafka, client_id=f"{prefix}-{os.getpid()}")
    return await run_process(make_apps(producer), producer, on_ready=say_ready)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
