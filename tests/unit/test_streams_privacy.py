"""What is personal, how it is sealed and opened, and what becomes of documents on their way to the log."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
from cryptography.fernet import Fernet
from pydantic import SecretStr

from schemas.base import DocumentType, Model
from schemas.envelope import encode
from schemas.errors import SettingsError, UnreadableError
from schemas.notifications import DocumentCaptured
from schemas.personal import PersonalKeyErased, PersonalKeySealed, is_sealed
from schemas.topics import AUDIT, PERSONAL_KEY, TopicNames
from streams.accounting.documents import read_document
from streams.log.reader import LogRecord
from streams.privacy.documents import LeftOut, Sealed
from streams.privacy.fields import PersonalFields
from streams.privacy.key_book import KeptKey, KeyBook
from streams.privacy.messages import key_message, opened_key, sealed_key
from streams.privacy.opening import ERASED, NOT_OPENED, Opener
from streams.privacy.sealing import DataKey
from streams.projection.projector import Projector
from streams.projection.queries import ReadModel, Wanted
from streams.projection.store import Store
from streams.systems.zuora.captured import captured_event_id
from streams.vault.keys import LocalKeys
from tests.support.collecting import Scene, documents, invoice, notified
from tests.support.projecting import log_record, step

NAMES = TopicNames("", "app")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
EVA = "Eva Lind-Bergström"
DOCUMENT: dict[str, Any] = {
    "id": "i1",
    "accountId": "acc-1",
    "status": "Posted",
    "invoiceDate": "2026-03-01",
    "amount": "10.00",
    "currency": "EUR",
    "autoPay": True,
    "comments": "called Eva on Monday",
    "billToContactId": "8ad0",
    "lastEmailSentDate": "2026-03-02",
    "billToContact": {"id": "8ad0", "firstName": "Eva", "zipCode": "11122"},
    "additionalEmailAddresses": ["eva@example.com"],
    "WorkPhone__c": "+46 8 123",
    "items": [{"id": "x", "sku": "ANL", "sold_to_address__c": "Storgatan 1", "taxCode": "VAT25", "contact": None}],
}
PERSONAL = {"billToContact", "additionalEmailAddresses", "WorkPhone__c", "comments"}


def keys() -> LocalKeys:
    return LocalKeys([SecretStr(Fernet.generate_key().decode())])


class OneKey:
    """Gives each account one key."""

    def __init__(self) -> None:
        self.made: dict[str, DataKey] = {}

    async def key_of(self, account_id: str) -> DataKey:
        return self.made.setdefault(account_id, DataKey.new(account_id))


def captured(document: dict[str, Any], name: str | None = EVA, account: str = "acc-1") -> DocumentCaptured:
    return DocumentCaptured(
        record_id="Invoice:i1",
        document_type=DocumentType.INVOICE,
        document_id="i1",
        account_id=account,
        account_number="A1",
        account_name=name,
        received_at=NOON,
        fetched_at=NOON,
        document=document,
    )


async def test_what_posting_needs_stays_in_clear_and_what_is_of_a_person_does_not() -> None:
    sealed = await Sealed(OneKey()).sealed(captured(DOCUMENT))

    item = sealed.document["items"][0]
    assert {name for name, value in sealed.document.items() if is_sealed(value)} == PERSONAL
    assert {name for name, value in item.items() if is_sealed(value)} == {"sold_to_address__c"}
    assert {name: value for name, value in sealed.document.items() if name not in {*PERSONAL, "items"}} == {
        name: value for name, value in DOCUMENT.items() if name not in {*PERSONAL, "items"}
    }
    raw = encode(sealed).decode()
    assert [word for word in ("Eva", "Storgatan", "11122", "+46", "Monday", "Lind") if word in raw] == []


async def test_without_a_key_what_is_of_a_person_is_not_stored_but_for_names_and_comments() -> None:
    kept = await LeftOut(["sku"]).sealed(captured(DOCUMENT))

    assert DOCUMENT.keys() - kept.document.keys() == PERSONAL - {"comments"}
    assert kept.document["items"] == [{"id": "x", "taxCode": "VAT25", "contact": None}]
    assert (kept.account_name, kept.document["comments"]) == (EVA, "called Eva on Monday")


async def test_the_same_content_is_the_same_event_and_another_content_another() -> None:
    sealing = Sealed(OneKey())
    first = await sealing.sealed(captured(DOCUMENT))
    again = await sealing.sealed(captured(dict(reversed(DOCUMENT.items()))))
    moved = await sealing.sealed(captured(DOCUMENT | {"billToContact": {"firstName": "Ada"}}))

    assert captured_event_id(first) == captured_event_id(again) != captured_event_id(moved)
    assert first.account_name == again.account_name


async def test_the_id_of_an_event_does_not_let_a_guess_be_tried_without_the_key() -> None:
    [one, other] = [captured_event_id(await Sealed(OneKey()).sealed(captured(DOCUMENT))) for _ in range(2)]

    assert one != other


async def test_an_account_of_which_nothing_is_sealed_gets_no_key() -> None:
    sources = OneKey()
    event = captured({"id": "i1", "billToContact": None, "comments": ""}, name=None)

    assert await Sealed(sources).sealed(event) == event
    assert sources.made == {}


async def test_a_voucher_does_not_name_whom_the_log_does_not_name() -> None:
    document = DOCUMENT | {"items": []}
    in_clear = read_document(captured(document))
    sealed = read_document(await Sealed(OneKey()).sealed(captured(document)))

    assert (in_clear.account_name, sealed.account_name) == (EVA, "")
    assert in_clear.fingerprint == sealed.fingerprint


@pytest.mark.parametrize(
    ("name", "is_personal"),
    [
        ("personalEmail", True),
        ("IBAN", True),
        ("creditCardMaskNumber", True),
        ("dateOfBirth", True),
        ("cost_note__c", False),
        ("VATId", True),
        *(
            (f"{name}__c", True)
            for name in ("Contact_Birth_Date", "Customer_Tax_ID", "Passport_Id", "DOB", "SSN", "Zip")
        ),
        *((f"{name}__c", True) for name in ("Work_Fax", "Surname", "Given_Name", "Family_Name", "City", "Postcode")),
        ("capacity", False),
        ("taxationItemId", False),
        ("taxDate", False),
        ("emailTemplateId", False),
        ("bankAccountAccountingCode", False),
        ("productName", False),
        ("accountNumber", False),
        ("taxCode", False),
        ("gatewayState", False),
        ("skuName", False),
    ],
)
def test_fields_are_known_by_their_names(name: str, *, is_personal: bool) -> None:
    assert (name in PersonalFields()) is is_personal


def test_further_fields_of_a_tenant_are_personal_too() -> None:
    assert "Betreuer__c" in PersonalFields(["betreuer"])
    assert "Betreuer__c" not in PersonalFields()


def test_a_sealed_value_opens_in_its_own_field_of_its_own_account_alone() -> None:
    key = DataKey.new("acc-1")
    sealed = key.seal("workEmail", "eva@example.com")

    assert key.open("workEmail", sealed) == "eva@example.com"
    thief = DataKey("acc-2", key.key_id, key.key)
    for opening, field in ((key, "comments"), (thief, "workEmail"), (DataKey.new("acc-1"), "workEmail")):
        with pytest.raises(UnreadableError, match=field):
            opening.open(field, sealed)
    with pytest.raises(UnreadableError):
        key.open("workEmail", sealed[:-8] + "????????")
    assert "eva" not in repr(key) + str(sealed)
    assert key.key.hex() not in repr(key)


def told(event: PersonalKeySealed | PersonalKeyErased, offset: int, key: bytes | None = None) -> LogRecord:
    message = key_message(NAMES, event, "test")
    headers = dict(message.headers)
    return LogRecord(PERSONAL_KEY, 0, offset, key or message.key, message.value, headers, NOON)


def erased(key: DataKey) -> PersonalKeyErased:
    return PersonalKeyErased(account_id=key.account_id, key_id=key.key_id, actor="anna", reason="asked", at=NOON)


def test_all_who_seal_choose_the_oldest_key_in_whatever_order_they_heard_of_two() -> None:
    local = keys()
    old, new = (sealed_key(DataKey.new("acc-1"), local, NOON + timedelta(seconds=late)) for late in (0, 1))
    one, other = KeyBook(), KeyBook()
    one.take([told(old, 0), told(new, 1)])
    other.take([told(new, 0), told(old, 1)])

    assert one.oldest("acc-1") == other.oldest("acc-1")
    assert [one.oldest("acc-1")] == [KeptKey(old.key_id, old.key_fingerprint, old.wrapped_key, NOON)]


def test_a_key_that_was_shredded_is_no_key_and_words_under_a_foreign_key_are_none() -> None:
    local, key = keys(), DataKey.new("acc-1")
    event = sealed_key(key, local, NOON)
    book = KeyBook()
    book.take([told(event, 0), told(erased(key), 1, key=b"acc-2/x")])
    assert book.of("acc-1") == [key.key_id]

    assert book.take([told(erased(key), 2)]) == [erased(key)]
    assert (book.of("acc-1"), book.oldest("acc-1")) == ([], None)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        ({"value": b"\xff\x00hush"}, "not a PersonalKeySealed: "),
        ({"value": None}, "not a PersonalKeySealed: "),
        ({"value": b'{"accountId": "acc-1", "keyId": "k", "wrappedKey": "hush"}'}, "not a PersonalKeySealed: "),
        ({"headers": {}}, "unknown event type '' in header ce_type"),
        ({"headers": {"ce_type": b"\xff"}}, "unknown event type"),
        (
            {"headers": {"ce_type": b"RecordStatusChanged"}, "value": encode(step("Invoice:1", "posted"))},
            "RecordStatus",
        ),
        ({"key": b"acc-2/x"}, "it is not under the key of its account and personal key"),
        ({"key": None}, "it is not under the key of its account and personal key"),
    ],
)
def test_a_record_of_personal_keys_that_cannot_be_read_is_told_with_its_place_and_what_follows_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, spoil: dict[str, Any], why: str
) -> None:
    local, before, after = keys(), DataKey.new("acc-1"), DataKey.new("acc-2")
    spoilt = replace(told(sealed_key(DataKey.new("acc-1"), local, NOON), 1), **spoil)
    records = [told(sealed_key(before, local, NOON), 0), spoilt, told(sealed_key(after, local, NOON), 2)]

    book = KeyBook()
    with structlog.testing.capture_logs() as said:
        book.take([*records, told(erased(before), 3)])
    assert [book.of("acc-1"), book.of("acc-2")] == [[], [after.key_id]]
    assert [one["place"] for one in said] == [f"{PERSONAL_KEY}/0/1"]
    assert said[0]["why"].startswith(why)

    with Store(tmp_path / "m.sqlite") as store:
        projector = Projector(store, NAMES, Opener(local), keeps_unparked=True)
        projector.apply(records)
        model = ReadModel(store.path)
    assert (model.personal_keys("acc-1"), model.personal_keys("acc-2")) == ([before.key_id], [after.key_id])
    assert f"{PERSONAL_KEY}/0/1" in caplog.text
    assert projector.unreadable == 1
    assert model.unparked() == []  # a dead letter is kept forever: it would outlive the erasure of what is in it
    assert "hush" not in caplog.text + str(said)


def test_a_key_wrapped_anew_opens_what_it_sealed_and_the_old_key_of_keys_is_needed_no_more() -> None:
    first, second = (SecretStr(Fernet.generate_key().decode()) for _ in range(2))
    key = DataKey.new("acc-1")
    before = sealed_key(key, LocalKeys([first]), NOON)
    kept = KeptKey(key.key_id, before.key_fingerprint, before.wrapped_key, NOON)
    both = LocalKeys([second, first])
    after = sealed_key(opened_key("acc-1", kept, both), both, kept.made_at)

    kept = KeptKey(key.key_id, after.key_fingerprint, after.wrapped_key, NOON)
    assert opened_key("acc-1", kept, LocalKeys([second])).key == key.key
    with pytest.raises(SettingsError, match="has no key"):
        opened_key("acc-1", kept, LocalKeys([first]))


async def test_the_collector_sends_nothing_that_is_not_sealed() -> None:
    scene = Scene(invoice(billToContact={"lastName": "Lind"}))
    scene.collector._sealing = Sealed(OneKey())

    work = await scene.notify(notified())

    [event] = documents(work)
    assert is_sealed(event.account_name)
    assert b"Lind" not in b"".join(message.value or b"" for message in work.sent)
    assert b"Nordic Example" not in b"".join(message.value or b"" for message in work.sent)


# --- the read model ---------------------------------------------------------------------------------------------------


class Lists:
    """A read model with the keys of a console."""

    def __init__(self, path: Path, opener: Opener) -> None:
        self.path = path
        self.opener = opener
        self.model = ReadModel(path, opener)
        self._offsets = {AUDIT: 0, PERSONAL_KEY: 0}

    def take(self, *events: Model) -> None:
        """Project events, a batch each."""
        with Store(self.path) as store:
            projector = Projector(store, NAMES, self.opener)
            for event in events:
                topic = PERSONAL_KEY if isinstance(event, PersonalKeySealed | PersonalKeyErased) else AUDIT
                offset = self._offsets[topic]
                self._offsets[topic] += 1
                record = told(event, offset) if topic == PERSONAL_KEY else log_record(event, offset)  # type: ignore[arg-type]
                projector.apply([record])
            self.raw = self._raw()
        self.raw += self._raw()

    def _raw(self) -> bytes:
        return b"".join(file.read_bytes() for file in self.path.parent.iterdir())

    @property
    def names(self) -> list[str | None]:
        return [record.account_name for record in self.model.records(Wanted(), limit=9).records]


@pytest.fixture
def key() -> DataKey:
    return DataKey.new("acc-1")


def posted(key: DataKey, number: int = 1) -> Model:
    name = key.seal("accountName", EVA)
    return step(f"Invoice:{number}", "posted", accountId="acc-1", accountName=name, amount="5.00", currency="EUR")


def test_a_name_is_shown_and_found_and_goes_with_its_key_to_the_last_byte(tmp_path: Path, key: DataKey) -> None:
    local = keys()
    lists = Lists(tmp_path / "m.sqlite", Opener(local))
    lists.take(sealed_key(key, local, NOON), posted(key), *(posted(key, number) for number in range(2, 6)))
    assert (lists.names[0], EVA.encode() in lists.raw) == (EVA, True)
    assert len(lists.model.records(Wanted(search="Eva Lind"), limit=9).records) == 5
    totals = lists.model.totals()

    lists.take(erased(key))

    assert lists.names == [ERASED] * 5
    assert lists.model.record("Invoice:1").account_name == ERASED  # type: ignore[union-attr]
    assert lists.model.totals() == totals
    assert EVA.encode() not in lists.raw
    assert lists.model.personal_keys("acc-1") == []


def test_a_name_read_before_its_key_is_shown_once_the_key_is_there(tmp_path: Path, key: DataKey) -> None:
    local = keys()
    lists = Lists(tmp_path / "m.sqlite", Opener(local))

    lists.take(posted(key))
    assert lists.names == [NOT_OPENED]
    lists.take(sealed_key(key, local, NOON))
    assert lists.names == [EVA]


def test_without_the_key_of_keys_nothing_is_opened(tmp_path: Path, key: DataKey) -> None:
    lists = Lists(tmp_path / "m.sqlite", Opener())

    lists.take(sealed_key(key, keys(), NOON), posted(key))

    assert lists.names == [NOT_OPENED]
    assert EVA.encode() not in lists.raw


def test_a_document_is_shown_with_what_can_be_opened_of_it(tmp_path: Path, key: DataKey) -> None:
    local, other = keys(), DataKey.new("acc-2")
    lists = Lists(tmp_path / "m.sqlite", Opener(local))
    lists.take(sealed_key(key, local, NOON), sealed_key(other, local, NOON), erased(other))
    document = {
        "document": {"billToContact": key.seal("billToContact", {"firstName": "Eva"}), "amount": "1.00"},
        "accountName": other.seal("accountName", "Ada"),
        "workEmail": key.seal("billToContact", "moved here from elsewhere"),
    }

    assert lists.model.opened(document) == {
        "document": {"billToContact": {"firstName": "Eva"}, "amount": "1.00"},
        "accountName": ERASED,
        "workEmail": NOT_OPENED,
    }


def test_records_that_name_their_account_in_clear_are_counted(tmp_path: Path, key: DataKey) -> None:
    lists = Lists(tmp_path / "m.sqlite", Opener(keys()))
    lists.take(posted(key), step("Invoice:7", "posted", accountId="acc-1", accountName=EVA))

    assert lists.model.named_in_clear("acc-1") == 1
