"""A chaos run: the plan's acts against a running system, each in its second, none waiting for the others."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeVar

from schemas.errors import LogError
from tests.support.brokers import KafkaProcess
from tests.support.chaos_plan import WORKERS, Act
from tests.support.chaos_processes import Orchestrator, insist
from tests.support.whole_system import System

T = TypeVar("T")
INSIST_SECONDS = 240.0
BROKER_REST_SECONDS = 10.0
"""In which work goes on between two harms of the broker, however long the first has taken."""


@dataclass
class Chaos:
    """What is harmed, and what came of it."""

    system: System
    processes: Orchestrator
    broker: KafkaProcess
    accounts: list[str]
    """Zuora ids of the accounts that get invoices which are changed later."""
    done: Counter[str] = field(default_factory=Counter)
    changed: list[str] = field(default_factory=list)
    """Numbers of the invoices that were changed or cancelled after they were posted in Zuora."""
    _invoices: list[dict[str, Any]] = field(default_factory=list)
    _broker_in_use: asyncio.Lock = field(default_factory=asyncio.Lock)
    _zuora_in_use: asyncio.Lock = field(default_factory=asyncio.Lock)
    """One change of an invoice at a time: each is three calls."""

    async def carry_out(self, acts: list[Act], began: float) -> None:
        """Carry out the plan; `began` is the monotonic second 0."""
        async with asyncio.TaskGroup() as tasks:
            for act in acts:
                await asyncio.sleep(max(0.0, began + act.second - time.monotonic()))
                tasks.create_task(self._carry_out(act))

    async def calm(self) -> None:
        """End what is left of the faults: nothing more goes wrong from here on."""
        for far_side in (self.system.stage.zuora_url, self.system.stage.ifs_url):
            async with self.system.http.get(f"{far_side}/_sandbox/faults") as answer:
                self.done["faults"] += len((await answer.json())["carriedOut"])
            await self._withdraw_faults(far_side)
        await self.command("posting", "resume", "--reason", "chaos is over")

    async def command(self, *words: str) -> str:
        """Run one of our commands, again while Kafka is away."""
        return await insist(self.processes.children, "agents", *words, environment=self.system.stage.environment)

    async def _carry_out(self, act: Act) -> None:
        doing: dict[str, Callable[[Act], Awaitable[None]]] = {
            "kill": lambda act: self.processes.kill(_worker(act)),
            "stop": lambda act: self.processes.stop(_worker(act)),
            "freeze": lambda act: self.processes.freeze(_worker(act), act.seconds),
            "ingress-kill": lambda _: self.processes.kill("ingress"),
            "ifs-fault": lambda act: self._order(self.system.stage.ifs_url, act),
            "zuora-fault": lambda act: self._order(self.system.stage.zuora_url, act),
            "revoke-tokens": self._revoke_tokens,
            "pause": self._pause,
            "invoice": self._invoice,
            "edit": self._edit,
            "cancel": self._cancel,
            "correct": lambda _: self.correct(),
        }
        await doing.get(act.kind, self._harm_broker)(act)

    async def _order(self, far_side: str, act: Act) -> None:
        """Have a far side fail like so from now on, and no longer like before.

        Otherwise faults pile up while little is asked of it, which is what our own back-off does, and nothing works.
        """
        await self._withdraw_faults(far_side)
        async with self.system.http.post(f"{far_side}/_sandbox/faults", json=act.order) as answer:
            assert answer.ok, await answer.text()

    async def _withdraw_faults(self, far_side: str) -> None:
        async with self.system.http.delete(f"{far_side}/_sandbox/faults") as answer:
            assert answer.ok, await answer.text()

    async def _revoke_tokens(self, _: Act) -> None:
        await self.system.ifs("tokens/revoke", {})
        await self.system.zuora("tokens/revoke", {})
        self.done["token revocations"] += 1

    async def _pause(self, act: Act) -> None:
        await self.command("posting", "pause", "--reason", "chaos")
        await asyncio.sleep(act.seconds)
        await self.command("posting", "resume", "--reason", "chaos")
        self.done["pauses"] += 1

    # --- the broker ---------------------------------------------------------------------------------------------------

    async def _harm_broker(self, act: Act) -> None:
        """Harm the broker, unless it is not yet back from the last time: on a busy machine a start takes a minute."""
        if self._broker_in_use.locked():
            self.done["broker left alone"] += 1
            return
        async with self._broker_in_use:
            if act.kind == "broker-freeze":
                self.broker.pause()
                try:
                    await asyncio.sleep(act.seconds)
                finally:
                    self.broker.resume()
            else:
                end = self.broker.kill if act.kind == "broker-kill" else self.broker.stop
                await asyncio.to_thread(end)
                await asyncio.sleep(act.seconds)
                await asyncio.to_thread(self.broker.start)
            self.done[act.kind] += 1
            await asyncio.sleep(BROKER_REST_SECONDS)

    # --- documents that change ----------------------------------------------------------------------------------------

    async def _invoice(self, act: Act) -> None:
        order = {"accountId": self.accounts[act.number % len(self.accounts)], "items": 2}
        self._invoices.append(await self.system.zuora("invoices", order))

    async def _edit(self, act: Act) -> None:
        """Take an invoice back, change it, post it again, as people do who found a mistake."""
        async with self._zuora_in_use:
            if self._invoices:
                invoice = self._invoices[act.number % len(self._invoices)]
                amount = Decimal(100 + act.number % 4_000)
                item = {"sku": "SKU-ANL-002", "chargeAmount": amount}
                taxes = [{"taxCode": "VAT25", "taxAmount": amount / 4}]
                await self._change(invoice, "unpost")
                await self._change(invoice, "edit", items=[{**item, "taxes": taxes}])
                await self._change(invoice, "post")
                self.done["edits"] += 1

    async def _cancel(self, act: Act) -> None:
        async with self._zuora_in_use:
            if self._invoices:
                invoice = self._invoices.pop(act.number % len(self._invoices))
                await self._change(invoice, "unpost")
                await self._change(invoice, "cancel")
                self.done["cancellations"] += 1

    async def _change(self, invoice: dict[str, Any], action: str, **order: Any) -> None:
        self.changed.append(invoice["number"])
        await self.system.zuora(f"invoices/{invoice['id']}/{action}", order)

    async def correct(self) -> None:
        """Have all corrected that waits for a person's word, as far as is known now."""
        records = await self._from_log(self.system.records)
        waiting = [number for number, told in records.items() if told["status"] == "changed-after-posting"]
        if waiting:
            await self._from_log(lambda: self.system.correct(waiting))
            self.done["corrections"] += len(waiting)

    async def _from_log(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask Kafka until it answers."""
        until = time.monotonic() + INSIST_SECONDS
        while time.monotonic() < until:
            with suppress(LogError):
                return await ask()
            await asyncio.sleep(0.5)
        return await ask()


def _worker(act: Act) -> str:
    return f"worker-{act.number % WORKERS}"
