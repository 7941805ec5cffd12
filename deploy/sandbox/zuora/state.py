"""What one Zuora sandbox is made of, and where its application keeps it."""

from collections import Counter

from aiohttp import web

from deploy.sandbox.faults import Faults
from deploy.sandbox.traffic import Traffic
from deploy.sandbox.zuora.answers import Tokens
from deploy.sandbox.zuora.callouts import Callouts
from deploy.sandbox.zuora.generator import Generator
from deploy.sandbox.zuora.settings import ZuoraSettings
from deploy.sandbox.zuora.store import Store

FAULT_KINDS = frozenset({"status", "rate-limit", "concurrency", "hang", "slow", "garbage", "drop", "not-found"})


class ZuoraSandbox:
    """State and machinery of one sandbox; the application only routes to it."""

    def __init__(self, settings: ZuoraSettings) -> None:
        self.settings = settings
        self.store = Store(settings.seed, settings.lag_seconds, settings.business_date)
        self.generator = Generator(self.store)
        self.callouts = Callouts(settings, self.store)
        self.tokens = Tokens(settings)
        self.traffic = Traffic(settings.requests_per_minute, settings.concurrency, settings.window_seconds)
        self.faults = Faults(FAULT_KINDS)
        #: `withoutVersion`: /v1 requests that came without `Zuora-Version`.
        self.counts: Counter[str] = Counter()
        self.store.listeners.append(self.callouts.hear)
        for _ in range(settings.accounts):
            self.generator.account()

    def revoke_tokens(self) -> None:
        """Make every token issued so far void."""
        self.tokens.revoke_all()


SANDBOX: web.AppKey[ZuoraSandbox] = web.AppKey("sandbox", ZuoraSandbox)
