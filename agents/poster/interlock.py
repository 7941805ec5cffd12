"""The last guard against a second voucher: of each record the poster knows what stands, whoever sends the commands.

The bookkeeper has one command of a record on its way at a time, and names in it what it knows to stand in IFS. But a
worker that Kafka took for dead may wake, or its network may heal, and what it had sent arrives after its successor has
sent something else. Kafka does not refuse that, and the log has both. So a voucher is made only where its sender knows
all that stands of the record and nothing else, and one at a time.
"""

from agents.poster.state import Intent, PostedOutcome, RecordEntry, entry_of, record_key, written
from agents.runtime import StateTable
from schemas.vouchers import PostVoucher, ReverseVoucher
from streams.accounting.record_state import beginning_of
from streams.systems.ifs.errors import Judgement, Verdict
from streams.systems.ifs.refusals import MADE_UNAWARES
from streams.systems.ifs.voucher_json import Command


def refusal_of(command: Command, entry: RecordEntry) -> Judgement | None:
    """Return why a voucher must not be made; None where its sender knew what stands, or nobody knows what does.

    A reversal needs no guard: that of one voucher always has the same reference, under which it is found.
    """
    if isinstance(command, ReverseVoucher) or command.stands is None or entry.standing is None:
        return None
    if entry.last == beginning_of(command.command_id):
        return None
    unknown = [name for name in entry.standing if name not in command.stands]
    gone = [name for name in command.stands if name not in entry.standing]
    if not unknown and not gone:
        return None
    facts = [*(f"{name} stands" for name in unknown), *(f"{name} is reversed" for name in gone)]
    words = f"{' and '.join(facts)} in IFS, which was not known where this voucher was sent"
    return Judgement(Verdict.REFUSED, None, words, MADE_UNAWARES)


def after_posting(command: Command, entry: RecordEntry) -> RecordEntry:
    """Return what is known of a record once a command of it is done in IFS."""
    if isinstance(command, PostVoucher):
        before = entry.standing if entry.standing is not None else command.stands
        standing = None if before is None else tuple(dict.fromkeys((*before, command.reference)))
    else:
        standing = entry.standing
        if standing is not None:
            standing = tuple(name for name in standing if name != command.reverses_reference)
    if standing is None:  # nobody has told us what stood before
        return RecordEntry()
    return RecordEntry(standing=standing, last=beginning_of(command.command_id))


class Interlock:
    """What the poster's table knows of records; to be asked inside a handler."""

    def __init__(self, commands: StateTable) -> None:
        self._commands = commands

    def refusal(self, command: Command) -> Judgement | None:
        """Return why a voucher must not be made, if so."""
        return refusal_of(command, self._entry(command))

    def is_behind_another(self, command: Command) -> bool:
        """Tell whether another command of the record may have been sent to IFS, and has no outcome."""
        other = self._entry(command).open
        if other is None or other == command.command_id:
            return False
        return isinstance(entry_of(self._commands, other), Intent)

    def begins(self, command: Command) -> None:
        """Note that a command is about to be sent; before its intent, so that none is without."""
        entry = self._entry(command)
        if entry.open != command.command_id:
            self._write(command, entry.model_copy(update={"open": command.command_id}))

    def ends(self, command: Command, outcome: PostedOutcome) -> None:
        """Note what is done in IFS; before its outcome, so that none is without."""
        if outcome.number is not None:
            self._write(command, after_posting(command, self._entry(command)))

    def _entry(self, command: Command) -> RecordEntry:
        value = self._commands.get(record_key(command.record_id))
        return RecordEntry() if value is None else RecordEntry.model_validate_json(value)

    def _write(self, command: Command, entry: RecordEntry) -> None:
        key = record_key(command.record_id)
        if entry != RecordEntry():
            self._commands[key] = written(entry)
        elif key in self._commands:
            del self._commands[key]
