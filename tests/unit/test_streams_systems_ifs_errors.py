"""What IFS Cloud's answers mean."""

import json

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from schemas.errors import (
    ForbiddenError,
    NotFoundError,
    RefusedError,
    TroubleError,
    UnauthorizedError,
    UncertainError,
)
from streams.systems.ifs import refusals
from streams.systems.ifs.errors import Verdict, judge, lost, read_error
from streams.systems.session import Answer


def answer(status: int, body: object = b"", **headers: str) -> Answer:
    """Return an answer; anything but bytes becomes JSON."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(status, CIMultiDictProxy(CIMultiDict({k.replace("_", "-"): v for k, v in headers.items()})), raw)


def database_error(ora: str) -> dict[str, object]:
    """Return an error as IFS's database layer tells it."""
    message = "Database error occurred. Contact administrator."
    return {"error": {"code": "DATABASE_ERROR", "message": message, "details": [{"code": 20110, "message": ora}]}}


def test_a_business_error_is_refused_with_code_words_reason_and_advice_whatever_the_status() -> None:
    ora = "ORA-20110: UserGroupPeriod.USRGRPPER: Period 6 is not open for user group INT in Company 10"
    for status in (400, 500, 403):
        judgement = judge(answer(status, database_error(ora)))
        assert judgement.verdict is Verdict.REFUSED
        assert judgement.code == "ORA-20110 UserGroupPeriod.USRGRPPER"
        assert judgement.words == ora
        assert judgement.explanation.reason == "period-not-open-for-user-group"
        assert "User Group per Period" in judgement.explanation.advice


def test_the_key_decides_in_any_language() -> None:
    judgement = judge(answer(500, database_error("ORA-20110: Voucher.PERCLOSED: Perioden 6 är stängd")))
    assert judgement.explanation.reason == "period-closed"


def test_an_error_in_the_message_alone_is_read_too() -> None:
    body = {"error": {"code": "DATABASE_ERROR", "message": "ORA-20113: Voucher.FND_LOCKED: Please retry"}}
    assert judge(answer(500, body)).verdict is Verdict.BUSY


@pytest.mark.parametrize(
    ("status", "body", "verdict"),
    [
        (200, {}, Verdict.DONE),
        (201, {}, Verdict.DONE),
        (204, b"", Verdict.DONE),
        (401, {"error": {"message": "Unauthorized"}}, Verdict.UNAUTHORIZED),
        (412, {"error": {"code": "ODP_PRECONDITION_FAILED", "message": "changed"}}, Verdict.STALE),
        (400, database_error("ORA-20114: Voucher.FND_MODIFIED: changed"), Verdict.STALE),
        (423, b"", Verdict.BUSY),
        (429, b"<html><body>Slow down</body></html>", Verdict.BUSY),
        (503, b"", Verdict.BUSY),
        (500, {"error": {"code": "MI_MODIFIED_ERROR", "message": "metadata"}}, Verdict.BUSY),
        (400, database_error("ORA-20113: Voucher.FND_LOCKED: retry"), Verdict.BUSY),
        (500, {"error": {"code": "DATABASE_ERROR", "message": "Database error occurred."}}, Verdict.UNCERTAIN),
        (500, b"", Verdict.UNCERTAIN),
        (502, b"<html><h1>Bad Gateway</h1></html>", Verdict.UNCERTAIN),
        (504, {"error": {"code": "ODP_OPERATION_TIMEOUT", "message": "too long"}}, Verdict.UNCERTAIN),
        (520, b"", Verdict.UNCERTAIN),
        (428, b"", Verdict.TAG_DEMANDED),
        (400, {"error": {"code": "ODP_MISSING_PRECONDITION", "message": "If-Match"}}, Verdict.TAG_DEMANDED),
        (500, database_error("ORA-20112: Voucher.FND_RECORD_EXIST: exists"), Verdict.DUPLICATE),
        (400, database_error("ORA-20110: Voucher.VOUCHERISEXIST: exists"), Verdict.DUPLICATE),
        (500, database_error("ORA-00060: deadlock detected while waiting for resource"), Verdict.DATABASE),
        (500, database_error("ORA-01013: user requested cancel"), Verdict.DATABASE),
        (500, database_error("ORA-01722: invalid number"), Verdict.REFUSED),
        (400, {"error": {"code": "ODP_DESERIALIZATION_ERROR", "message": "bad"}}, Verdict.REFUSED),
        (403, b"Insufficient privileges.", Verdict.REFUSED),
        (404, {"error": {"code": "MI_METADATA_NOTFOUND"}}, Verdict.REFUSED),
        (500, {"error": {"code": "ODP_ILLEGAL_STATE", "message": "not offered"}}, Verdict.REFUSED),
        (501, {"error": {"code": "ODP_NOT_IMPLEMENTED"}}, Verdict.REFUSED),
        (302, b"", Verdict.UNCERTAIN),
        (400, [1, 2], Verdict.REFUSED),
        (400, {"error": "words only"}, Verdict.REFUSED),
        (400, {"error": {"details": [None, {"message": None}], "message": None}}, Verdict.REFUSED),
    ],
)
def test_every_kind_of_answer_has_its_verdict(status: int, body: object, verdict: Verdict) -> None:
    assert judge(answer(status, body)).verdict is verdict


def test_a_page_of_html_becomes_its_words_on_one_line() -> None:
    page = b"<html><head><style>p {}</style></head><body><h1>502</h1>\n<p>Bad &gt; gateway</p></body></html>"
    assert judge(answer(502, page)).words == "502 Bad &gt; gateway"


def test_an_empty_body_is_told_by_its_status() -> None:
    assert judge(answer(503)).words == "answered 503 without a word"


def test_words_are_cut() -> None:
    assert len(judge(answer(400, {"error": {"message": "x" * 10_000}})).words) == 500


def test_retry_after_is_read() -> None:
    assert judge(answer(429, b"", Retry_After="17")).retry_after == 17


def test_a_write_whose_answer_was_lost_is_uncertain_and_one_never_sent_is_not() -> None:
    assert lost(UncertainError("broke off")).verdict is Verdict.UNCERTAIN
    assert lost(TroubleError("cannot be reached")).verdict is Verdict.BUSY
    assert lost(UnauthorizedError("refused", status=401)).verdict is Verdict.BUSY
    assert lost(RefusedError("no URL")).verdict is Verdict.REFUSED


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, UnauthorizedError),
        (403, ForbiddenError),
        (404, NotFoundError),
        (400, RefusedError),
        (429, TroubleError),
        (500, TroubleError),
        (504, TroubleError),
    ],
)
def test_a_read_that_is_not_answered_is_an_error_of_its_kind(status: int, error: type[Exception]) -> None:
    raised = read_error(judge(answer(status, b"words")), "reading X.svc/Set")
    assert type(raised) is error
    assert str(raised) == f"IFS reading X.svc/Set: {status} words"


KEYS_OF_IFS = """
PERCLOSED NOTOPENPERIOD USRGRPPER NOTOPENPERIODGROUP USRGRPNOTCON ORDINARYONLY YEARENDONLY NOYEAR2 ACCNOTEXIST
NOACCNTREQ ACCNT_NOT_VALID VOUISLEDGER BUDACCONLY WRONGREQ WRONGTEXTREQ CODEMISSING PROJACTIMANDATORY ACTIDNOTPOSTABLE
PROJACTINOTNULL VOUCHERTYPENULL NOFUNGROUP ONLYMANUAL ALLGENNOTEXISTT NO_SER HIGH_NO EXTUSERCHK NOUSERGR
NOTAUTHORIZEDUSER APPROVEONLYVOUENTRY STATUSINVALID STATUSINVALIDFORUSERGROUP VOUCHERMUSTBEAWAITING SEPUSERAPP
VOUCHERMUSTBEBALANCE AWAITINGAPPROVALMUSTBEBALANCE VOUNOTBALANCED ACCRULDOUBLEENTRY1 ACCRULDOUBLEENTRY2
ACCRULDOUBLEENTRY3 ACCRULDOUBLEENTRY4 ACCRULDOUBLEENTRY5 NOVOUCHERROW NOAMOUNT CURCODENULL RATETYPENULL
NEGATIVECURRRATE BASECURRSAME NOVALID ERROR4 ERROR5 NOTAXDIRECTION TAXCODENULL CURRTAXAMPTY SIMNOTAXCODE
REFSERNUMNOTNULL NULLREFROWEXISTS VOUCHERISEXIST VOU_NO_EXIST VALIDATELOADID TEMPLATECOMP CANCELLEDVOU VOUUPD
PARALLELRATETYPENULL NOPARALLELFORCURR INCORRECTAMOUNTS VOUROWDEBDITAMTERR VOUROWCREDITAMTERR
"""


def test_every_business_key_that_the_connector_can_meet_is_explained() -> None:
    assert [key for key in KEYS_OF_IFS.split() if key not in refusals.BY_KEY] == []


@pytest.mark.parametrize("explanation", sorted(set(refusals.BY_KEY.values()), key=lambda entry: entry.reason))
def test_an_explanation_is_a_short_word_and_a_sentence(explanation: refusals.Explanation) -> None:
    assert explanation.reason == explanation.reason.lower()
    assert " " not in explanation.reason
    assert len(explanation.reason) <= 40
    assert explanation.advice.endswith(".")
    assert len(explanation.advice.split()) > 8


def test_no_two_explanations_share_a_word() -> None:
    everything = {*refusals.BY_KEY.values(), *refusals.BY_NUMBER.values(), *refusals.BY_STATUS.values()}
    assert len({explanation.reason for explanation in everything}) == len(everything)


def test_an_unknown_key_keeps_ifs_words_and_says_refused() -> None:
    judgement = judge(answer(400, database_error("ORA-20110: Voucher.BRANDNEW: Something else.")))
    assert (judgement.explanation.reason, judgement.code) == ("refused", "ORA-20110 Voucher.BRANDNEW")
