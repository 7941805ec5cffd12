"""An IFS with its poster, as a bookkeeper sees them: what commands on a log in memory come to."""

from collections import Counter, defaultdict
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal

from agents.poster.interlock import after_posting, refusal_of
from agents.poster.state import RecordEntry
from agents.runtime import Event
from schemas import topics
from schemas.base import Model
from schemas.envelope import Envelope, decode_any, encode, event_id
from schemas.topics import TopicNames
from schemas.vouchers import (
    PostVoucher,
    ReverseVoucher,
    VoucherPosted,
    VoucherRejected,
    VoucherReversed,
    VoucherSubject,
)
from tests.support.memory_log import MemoryLog

NAMES = TopicNames(prefix="", app_id="test")
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
COMMANDS, VOUCHERS = NAMES.public(topics.VOUCHER_COMMAND), NAMES.public(topics.VOUCHER)


class Ledger:
    """What commands came to, each once, and what IFS is told to refuse."""

    def __init__(self, log: MemoryLog) -> None:
        self.log = log
        self.posted: dict[str, VoucherPosted] = {}
        self.refused: dict[str, str] = {}
        """Commands whose outcome is known to be a refusal, and why; the poster tries none of them again."""
        self.refuse: set[str] = set()
        self.refuse_from: int | None = None
        """How many vouchers IFS posts before it refuses all that come after."""
        self.now = NOW
        self.mode: Literal["live", "shadow"] = "live"
        self._answered = 0
        self._is_answering = True
        self.records: dict[str, RecordEntry] = {}
        """What the poster knows of each record."""

    def say(self, topic: str, key: str, event: Model, name: str | None = None) -> Event:
        """Append an event as its writer would."""
        envelope = Envelope(name or event_id(repr(event)), type(event).__name__, "/test", key, NOW)
        return self.log.append(topic, key=key.encode(), value=encode(event), headers=envelope.headers())

    def hold_answers(self) -> None:
        """Let IFS not answer for a while."""
        self._is_answering = False

    def answer(self) -> None:
        """Let IFS answer again."""
        self._is_answering = True

    def answer_one(self) -> bool:
        """Let IFS answer one command, also while it answers none; False where nothing is left to answer."""
        return self._answer_next()

    def _ifs(self) -> bool:
        return self._is_answering and self._answer_next()

    def _answer_next(self) -> bool:
        """Answer the next command as the poster does: what it meets twice is posted once, and told twice."""
        commands = self.log.topics[COMMANDS][0]
        if self._answered == len(commands):
            return False
        command = decode_any(commands[self._answered].headers, commands[self._answered].value)
        assert isinstance(command, PostVoucher | ReverseVoucher)
        self._answered += 1
        subject = {name: getattr(command, name) for name in VoucherSubject.model_fields}
        record = self.records.get(command.record_id, RecordEntry())
        is_refused = command.company in self.refuse or len(self.posted) == self.refuse_from
        unawares = refusal_of(command, record)
        if command.command_id not in self.posted and (is_refused or unawares):
            reason = unawares.explanation.reason if unawares else "period-closed"
            self.refused.setdefault(command.command_id, reason)
        if reason := self.refused.get(command.command_id):
            no = VoucherRejected(**subject, reason=reason, message="closed", advice="reopen", rejected_at=self.now)
            self.say(VOUCHERS, command.account_id, no, event_id("no", command.command_id))
        else:
            if command.command_id not in self.posted:
                self.posted[command.command_id] = posted = self._posted(command, subject)
                if not posted.shadow:
                    self.records[command.record_id] = after_posting(command, record)
            self.say(VOUCHERS, command.account_id, self.posted[command.command_id], event_id("yes", command.command_id))
        return True

    def _posted(self, command: PostVoucher | ReverseVoucher, subject: dict[str, Any]) -> VoucherPosted:
        shadow = self.mode == "shadow" or (isinstance(command, PostVoucher) and command.rehearsal)
        there = None if shadow else self._in_ifs(command.reference)
        told = subject | {
            "voucher_type": command.voucher_type,
            "accounting_year": None if shadow else 2026,
            "voucher_no": there.voucher_no if there else None if shadow else len(self.posted) + 1,
            "found": there is not None,
            "shadow": shadow,
            "voucher_date": command.voucher_date,
            "currency": command.currency,
            "company_currency": command.currency,
            "rate": Decimal(1),
            "conversion_factor": Decimal(1),
            "amount": sum((row.debit or Decimal(0) for row in command.rows), Decimal(0)),
            "rows": command.rows,
            "posted_at": self.now,
        }
        if isinstance(command, ReverseVoucher):
            return VoucherReversed(**told, reverses=command.reverses, reverses_reference=command.reverses_reference)
        return VoucherPosted(**told)

    def _in_ifs(self, reference: str) -> VoucherPosted | None:
        return next((one for one in self.posted.values() if one.reference == reference and not one.shadow), None)

    def net(self) -> dict[str, Decimal]:
        """Return the ledger's net per account, debit positive, without what is zero; a rehearsal is not in it."""
        sums: Counter[str] = Counter()
        for posted in (one for one in self.posted.values() if not (one.shadow or one.found)):
            for row in posted.rows:
                sums[row.account] += (row.debit or Decimal(0)) - (row.credit or Decimal(0))  # type: ignore[assignment]
        return {name: Decimal(amount) for name, amount in sums.items() if amount}

    def nets(self) -> dict[str, dict[str, Decimal]]:
        """Return the ledger's net of each record per account, as `net` does of all."""
        sums: defaultdict[str, defaultdict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
        for posted in (one for one in self.posted.values() if not (one.shadow or one.found)):
            for row in posted.rows:
                sums[posted.record_id][row.account] += (row.debit or Decimal(0)) - (row.credit or Decimal(0))
        return {record: {name: value for name, value in rows.items() if value} for record, rows in sums.items()}
