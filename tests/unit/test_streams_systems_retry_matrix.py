"""What is done after each answer of the far sides, as one table to read; no entry of the code's tables is left out."""

import json

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from schemas.errors import (
    FarSideError,
    ForbiddenError,
    NotFoundError,
    RefusedError,
    TroubleError,
    UnauthorizedError,
)
from streams.systems.ifs import errors as ifs
from streams.systems.ifs.errors import Verdict, judge
from streams.systems.session import Answer
from streams.systems.zuora import errors as zuora


def answered(status: int, body: object = b"", **headers: str) -> Answer:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(status, CIMultiDictProxy(CIMultiDict({k.replace("_", "-"): v for k, v in headers.items()})), raw)


IFS_STATUSES = {
    400: Verdict.REFUSED,
    401: Verdict.UNAUTHORIZED,
    403: Verdict.REFUSED,
    404: Verdict.REFUSED,
    405: Verdict.REFUSED,
    408: Verdict.UNCERTAIN,
    412: Verdict.STALE,
    423: Verdict.BUSY,
    428: Verdict.TAG_DEMANDED,
    429: Verdict.BUSY,
    500: Verdict.UNCERTAIN,
    501: Verdict.REFUSED,
    502: Verdict.UNCERTAIN,
    503: Verdict.BUSY,
    504: Verdict.UNCERTAIN,
    520: Verdict.UNCERTAIN,
}
IFS_CODES = {
    "MI_MODIFIED_ERROR": Verdict.BUSY,
    "ODP_MISSING_PRECONDITION": Verdict.TAG_DEMANDED,
    "ODP_OPERATION_TIMEOUT": Verdict.UNCERTAIN,
    "ODP_ILLEGAL_STATE": Verdict.REFUSED,
    "ODP_NOT_IMPLEMENTED": Verdict.REFUSED,
    "ODP_DESERIALIZATION_ERROR": Verdict.REFUSED,
    "ODP_UNSUPPORTED_URL": Verdict.REFUSED,
    "ODP_RESOURCE_NOTFOUND": Verdict.REFUSED,
    "MI_METADATA_NOTFOUND": Verdict.REFUSED,
    "EXPRESSION_PROPERTY_NOT_IN_TYPE": Verdict.REFUSED,
    "INVALID_VALUE_FOR_PROPERTY": Verdict.REFUSED,
    "CSRF_ERROR": Verdict.REFUSED,
}
IFS_DATABASE = {
    "ORA-20105: Voucher.RULE": Verdict.REFUSED,
    "ORA-20110: Voucher.PERCLOSED": Verdict.REFUSED,
    "ORA-20111: Account.FND_RECORD_NOT_EXIST": Verdict.REFUSED,
    "ORA-20112: Voucher.FND_RECORD_EXIST": Verdict.DUPLICATE,
    "ORA-20110: Voucher.VOUCHERISEXIST": Verdict.DUPLICATE,
    "ORA-20113: Voucher.FND_LOCKED": Verdict.BUSY,
    "ORA-20114: Voucher.FND_MODIFIED": Verdict.STALE,
    "ORA-20121: Voucher.NOTINSERTABLE": Verdict.REFUSED,
    "ORA-20122: Voucher.NOTUPDATABLE": Verdict.REFUSED,
    "ORA-20124: Voucher.NULLVALUE": Verdict.REFUSED,
    "ORA-00060": Verdict.DATABASE,
    "ORA-01013": Verdict.DATABASE,
    "ORA-01722": Verdict.REFUSED,
    "ORA-01092": Verdict.UNCERTAIN,
    "ORA-12570": Verdict.UNCERTAIN,
    "ORA-12571": Verdict.UNCERTAIN,
    "ORA-03113": Verdict.UNCERTAIN,
    "ORA-03135": Verdict.UNCERTAIN,
    "ORA-17002": Verdict.UNCERTAIN,
    "ORA-17410": Verdict.UNCERTAIN,
    "ORA-25408": Verdict.UNCERTAIN,
    "ORA-20000": Verdict.REFUSED,
    "ORA-20999": Verdict.REFUSED,
    "ORA-21000": Verdict.DATABASE,
    "ORA-30006": Verdict.DATABASE,
}
ZUORA_STATUSES: dict[int, type[FarSideError]] = {
    302: TroubleError,
    400: RefusedError,
    401: UnauthorizedError,
    403: ForbiddenError,
    404: NotFoundError,
    408: TroubleError,
    409: TroubleError,
    422: RefusedError,
    429: TroubleError,
    500: TroubleError,
    502: TroubleError,
    503: TroubleError,
    504: TroubleError,
}
ZUORA_CATEGORIES: dict[str, type[FarSideError]] = {
    "10": ForbiddenError,
    "11": UnauthorizedError,
    **dict.fromkeys(("20", "21", "22", "23", "27", "30", "45", "90"), RefusedError),
    "40": NotFoundError,
    **dict.fromkeys(("50", "60", "61", "70", "99"), TroubleError),
}


@pytest.mark.parametrize(("status", "verdict"), IFS_STATUSES.items())
def test_an_answer_of_ifs_without_words_is_judged_by_its_status(status: int, verdict: Verdict) -> None:
    assert judge(answered(status)).verdict is verdict
    assert judge(answered(status, b"<html><h1>a gateway's page</h1></html>")).verdict is verdict


@pytest.mark.parametrize("status", [400, 403, 500])
@pytest.mark.parametrize(("code", "verdict"), IFS_CODES.items())
def test_a_code_of_ifs_goes_before_the_status(code: str, verdict: Verdict, status: int) -> None:
    assert judge(answered(status, {"error": {"code": code, "message": "words"}})).verdict is verdict


@pytest.mark.parametrize("status", [400, 403, 500])
@pytest.mark.parametrize(("ora", "verdict"), IFS_DATABASE.items())
def test_what_the_database_of_ifs_says_goes_before_all(ora: str, verdict: Verdict, status: int) -> None:
    body = {"error": {"code": "DATABASE_ERROR", "message": "m", "details": [{"message": f"{ora}: words"}]}}
    assert judge(answered(status, body)).verdict is verdict


@pytest.mark.parametrize("status", [429, 503])
def test_ifs_is_asked_again_when_it_says_so(status: int) -> None:
    assert judge(answered(status, Retry_After="17")).retry_after == 17


def test_every_line_of_the_tables_for_ifs_is_tried() -> None:
    tried = " ".join(IFS_DATABASE)
    assert set(ifs.BY_CODE) == set(IFS_CODES)
    assert set(ifs.BY_STATUS) <= set(IFS_STATUSES)
    assert [key for key in ifs.BY_KEY if key not in tried] == []
    assert [number for number in ifs.BY_NUMBER if f"ORA-{number:05}" not in tried] == []


@pytest.mark.parametrize(("status", "error"), ZUORA_STATUSES.items())
def test_an_answer_of_zuora_without_its_json_is_judged_by_its_status(status: int, error: type[FarSideError]) -> None:
    with pytest.raises(error) as raised:
        zuora.checked(answered(status, b"<html>a proxy's page</html>"))
    assert raised.value.retriable is error.retriable


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize(("category", "error"), ZUORA_CATEGORIES.items())
def test_the_category_of_zuora_s_code_goes_before_the_status(
    category: str, error: type[FarSideError], status: int
) -> None:
    body = {"success": False, "reasons": [{"code": f"500000{category}", "message": "words"}]}
    with pytest.raises(error):
        zuora.checked(answered(status, body))


@pytest.mark.parametrize("status", [408, 429, 500, 503])
@pytest.mark.parametrize("category", sorted(ZUORA_CATEGORIES))
def test_limits_and_faults_of_zuora_pass_whatever_category_they_carry(category: str, status: int) -> None:
    body = {"success": False, "reasons": [{"code": f"500000{category}", "message": "words"}]}
    with pytest.raises(TroubleError) as raised:
        zuora.checked(answered(status, body, Retry_After="17"))
    assert raised.value.retriable
    assert raised.value.retry_after == 17


def test_every_line_of_the_tables_for_zuora_is_tried() -> None:
    assert set(zuora.CATEGORIES) == set(ZUORA_CATEGORIES)
    assert set(zuora.STATUSES) <= set(ZUORA_STATUSES)
