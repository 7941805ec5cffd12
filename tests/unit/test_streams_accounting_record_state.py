"""A record's state comes back as it was stored, and takes little room."""

from dataclasses import fields, replace

from schemas.base import Status
from streams.accounting.record_state import _SHORT, RecordState, Sent, Standing

POSTED = RecordState(
    status=Status.POSTED,
    account_id="8ad09e2b86f1c1a90186f2a6c0d41001",
    received_at="2026-03-01T02:31:07.123456+00:00",
    updated_at="2026-03-01T02:31:09.654321+00:00",
    document_number="INV00004711",
    account_number="A00000123",
    account_name="Nordic Example AB",
    currency="EUR",
    amount="1500.00",
    company="10",
    document_offset=0,
    document_event="5f0c2d7ab1e84c0f9a3d6b7e8c9d0e1f",
    fingerprint="1-0f9c6a527a0e4b389a535c0f4f0f8e11",
    updated_date="2026-03-01T03:31:05.000+01:00",
    last_command="5f0c2d7ab1e8",
    reference="INV00004711-TSAK43ZI3UPLW2WXKVCC",
    sent_fingerprint="1-0f9c6a527a0e4b389a535c0f4f0f8e11",
    standing=(Standing(815, "INV00004711-TSAK43ZI3UPLW2WXKVCC"),),
    posted_fingerprint="1-0f9c6a527a0e4b389a535c0f4f0f8e11",
    vouchers=({"company": "10", "voucherType": "M", "accountingYear": 2026, "voucherNo": 2026000124},),
)


def test_every_field_has_a_short_name_of_its_own() -> None:
    assert set(_SHORT) == {field.name for field in fields(RecordState)}
    assert len(set(_SHORT.values())) == len(_SHORT)


def test_a_state_comes_back_as_it_was_stored() -> None:
    changed = replace(
        POSTED,
        status=Status.CHANGED_AFTER_POSTING,
        fingerprint="1-another",
        pending_offset=0,
        command="c",
        forgotten=Sent("d", "INV00004711-TSAK43ZI3UPLW2WXKVCC-R", "f", "10", "INV00004711-TSAK43ZI3UPLW2WXKVCC"),
        standing=(*POSTED.standing, Standing(0, "INV00004711-TSAK43ZI3UPLW2WXKVCC-A")),
        booked_unapplied="0",
        is_handed_over=True,
        handled_requests=("a", "b"),
    )
    for state in (POSTED, changed, RecordState.blank(POSTED.account_id)):
        assert RecordState.from_json(state.account_id, state.to_json()) == state


def test_a_finished_record_takes_a_few_hundred_bytes() -> None:
    assert len(POSTED.to_json()) < 500
