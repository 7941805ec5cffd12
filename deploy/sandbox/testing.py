"""Sandboxes for tests: started in the test's own event loop on a free port.

async with running_zuora(seed=7) as zuora, running_ifs() as ifs:
zuora.url, ifs.url, zuora.sandbox.store, ifs.sandbox.ledger
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from deploy.sandbox.ifs.app import create_app as create_ifs
from deploy.sandbox.ifs.settings import IfsSettings
from deploy.sandbox.ifs.state import IfsSandbox
from deploy.sandbox.serving import listening
from deploy.sandbox.zuora.app import create_app as create_zuora
from deploy.sandbox.zuora.settings import ZuoraSettings
from deploy.sandbox.zuora.state import ZuoraSandbox

SandboxT = TypeVar("SandboxT")


@dataclass(frozen=True)
class Running(Generic[SandboxT]):
    """A sandbox that serves: its URL, its state and its settings (settings may be changed while it runs)."""

    url: str
    sandbox: SandboxT


@asynccontextmanager
async def running_zuora(*, port: int = 0, **settings: Any) -> AsyncIterator[Running[ZuoraSandbox]]:
    """Serve a Zuora sandbox while the context is open; keyword arguments are those of `ZuoraSettings`."""
    sandbox = ZuoraSandbox(ZuoraSettings(**settings))
    async with listening(create_zuora(sandbox), port=port) as url:
        yield Running(url, sandbox)


@asynccontextmanager
async def running_ifs(*, port: int = 0, **settings: Any) -> AsyncIterator[Running[IfsSandbox]]:
    """Serve an IFS sandbox while the context is open; keyword arguments are those of `IfsSettings`."""
    sandbox = IfsSandbox(IfsSettings(**settings))
    async with listening(create_ifs(sandbox), port=port) as url:
        yield Running(url, sandbox)
