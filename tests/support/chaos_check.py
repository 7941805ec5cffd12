"""The three books compared after a chaos run: Zuora's documents, the log, the ledger of IFS."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

from schemas import topics
from schemas.envelope import decode
from schemas.notifications import DocumentCaptured
from schemas.vouchers import VoucherPosted, VoucherReversed
from streams.log.reader import read_to_end
from tests.support.expected_ledger import Books, Net, booked
from tests.support.whole_system import System, by_document

Json = dict[str, Any]
IN_LEDGER = {"posted", "corrected"}
NOT_IN_LEDGER = {"not-posted", "captured", "corrected"}
NO_WORK_LEFT = IN_LEDGER | NOT_IN_LEDGER


class Number(NamedTuple):
    """What IFS calls a voucher."""

    company: str
    voucher_type: str
    year: int
    number: int


@dataclass
class Log:
    """What the log says."""

    outcomes: list[VoucherPosted]
    """Vouchers and reversals, repeats dropped by event id."""
    first_offsets: dict[str, int]
    """Of each record's first document; all of an account are in one partition."""
    dead: int
    """Dead letters."""


async def read_log(system: System) -> Log:
    """Read vouchers, documents and dead letters."""
    names = system.names
    voucher, document, dead = (names.public(one) for one in (topics.VOUCHER, topics.DOCUMENT, topics.DEAD_LETTER))
    log, seen = Log([], {}, 0), set[str | None]()
    models = {"VoucherPosted": VoucherPosted, "VoucherReversed": VoucherReversed}
    async for batch in read_to_end(system.kafka, [voucher, document, dead], {}):
        for record in batch.records:
            kind = record.headers.get("ce_type", b"").decode()
            if record.topic == document:
                log.first_offsets.setdefault(decode(DocumentCaptured, record.value).record_id, record.offset)
            elif record.topic == dead:
                log.dead += 1
            elif kind in models and record.event_id not in seen:
                seen.add(record.event_id)
                log.outcomes.append(decode(models[kind], record.value))
    return log


def expected(books: Books) -> dict[str, Net]:
    """Return what each document of Zuora must come to in the ledger, by number; external payments are not posted."""
    external = {one["number"] for one in books.documents if one["document"].get("type") == "External"}
    return {one["number"]: {} if one["number"] in external else books.net(one) for one in books.documents}


def unsettled(nets: dict[str, Net], records: dict[str, Json]) -> dict[str, Any]:
    """Return the documents whose last step is none at which nothing is left to do."""
    last = {number: records.get(number, {}) for number in nets}
    return {
        number: (told.get("status"), told.get("reason"))
        for number, told in last.items()
        if told.get("status") not in (IN_LEDGER if nets[number] else NOT_IN_LEDGER)
    }


def differences(nets: dict[str, Net], records: dict[str, Json], vouchers: list[Json], changed: set[str]) -> list[str]:
    """Return in what Zuora, the audit and IFS differ, document by document."""
    own, numbered = by_document(vouchers), {number_of(one): one for one in vouchers}
    found = [f"{number}: in IFS, not in Zuora" for number in own if number not in nets]
    for number, net in nets.items():
        got, told = own.get(number, []), records[number]
        if booked(got) != net:
            found.append(f"{number}: {booked(got)} in IFS, {net} in Zuora; {told}")
        if number not in changed and len(got) != bool(net):
            found.append(f"{number}: {len(got)} vouchers; {told}")
        standing = [numbered[told_number(one)] for one in told["vouchers"]]
        if booked(standing) != net:
            found.append(f"{number}: the audit has {told['vouchers']}, which come to {booked(standing)}, not {net}")
    return found


def disagreements(log: Log, vouchers: Iterable[Json]) -> list[str]:
    """Return references for which log and IFS do not name the same one voucher."""
    said, is_so = defaultdict[str, set[Number]](set), defaultdict[str, set[Number]](set)
    for outcome in log.outcomes:
        assert outcome.accounting_year is not None
        assert outcome.voucher_no is not None
        told = Number(outcome.company, outcome.voucher_type, outcome.accounting_year, outcome.voucher_no)
        said[outcome.reference].add(told)
    for voucher in vouchers:
        is_so[voucher["header"]["VoucherText2"]].add(number_of(voucher))
    return [
        f"{reference}: the log has {said[reference]}, IFS {is_so[reference]}"
        for reference in said.keys() | is_so.keys()
        if said[reference] != is_so[reference] or len(said[reference]) != 1
    ]


def number_of(voucher: Json) -> Number:
    """Return what IFS calls a voucher of the sandbox."""
    place = (voucher["company"], voucher["voucherType"])
    return Number(*place, int(voucher["accountingYear"]), int(voucher["voucherNo"]))


def told_number(told: Json) -> Number:
    """Return what the audit says that IFS calls a voucher."""
    return Number(told["company"], told["voucherType"], told["accountingYear"], told["voucherNo"])


def out_of_order(log: Log, vouchers: list[Json], changed: set[str]) -> list[tuple[str, str]]:
    """Return pairs of records of one account that IFS has in another order than the log.

    Documents that were changed are left out: their place is that of the state that was posted.
    """
    by_reference = {outcome.reference: outcome for outcome in log.outcomes}
    by_account: defaultdict[str, list[str]] = defaultdict(list)
    left_out = {one["header"]["VoucherText2"] for number in changed for one in by_document(vouchers).get(number, [])}
    for voucher in vouchers:
        if (reference := voucher["header"]["VoucherText2"]) not in left_out:
            by_account[by_reference[reference].account_id].append(by_reference[reference].record_id)
    return [
        (before, after)
        for records in by_account.values()
        for before, after in pairwise(records)
        if log.first_offsets[before] > log.first_offsets[after]
    ]
