"""What Zuora's answers mean."""

import json
from typing import Any

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
from streams.systems.session import Answer
from streams.systems.zuora.errors import CATEGORIES, NoSuchObjectError, checked, refuses_token


def answer(status: int, body: Any, **headers: str) -> Answer:
    told = CIMultiDict({name.replace("_", "-"): value for name, value in headers.items()})
    return Answer(status, CIMultiDictProxy(told), body if isinstance(body, bytes) else json.dumps(body).encode())


def failed(code: Any, message: str = "Zuora's own words") -> dict[str, Any]:
    return {"success": False, "processId": "B7C1", "reasons": [{"code": code, "message": message}]}


def test_a_good_answer_is_its_object() -> None:
    assert checked(answer(200, {"success": True, "id": "8ad0"})) == {"success": True, "id": "8ad0"}
    assert checked(answer(200, {"Id": "8ad0"})) == {"Id": "8ad0"}
    assert checked(answer(200, {"data": []})) == {"data": []}


@pytest.mark.parametrize("category", sorted(CATEGORIES))
@pytest.mark.parametrize("as_number", [True, False], ids=["number", "string"])
def test_with_status_200_the_category_of_the_code_decides(category: str, *, as_number: bool) -> None:
    code = f"500000{category}"

    with pytest.raises(CATEGORIES[category], match="Zuora's own words"):
        checked(answer(200, failed(int(code) if as_number else code)))


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, failed(90000011), UnauthorizedError),
        (401, {"message": "Authentication error"}, UnauthorizedError),
        (403, failed(50000010), ForbiddenError),
        (404, failed(50000040), NoSuchObjectError),
        (404, {"records": [], "size": 0, "done": True}, NoSuchObjectError),
        (404, b"<html>no such page</html>", NotFoundError),
        (404, {"message": "no Route matched with those values"}, NotFoundError),
        (400, failed(50000020), RefusedError),
        (400, failed("MissingVersion"), RefusedError),
        (409, failed(50000050), TroubleError),
        (429, failed(50000070), TroubleError),
        (429, {"reasons": [{"code": 70, "message": "API Rate limit exceeded"}]}, TroubleError),
        (200, {"reasons": [{"code": 70, "message": "API Rate limit exceeded"}]}, TroubleError),
        (500, {"reasons": [{"code": "SystemError", "message": "x"}]}, TroubleError),
        (500, failed(50000040), TroubleError),
        (502, b"", TroubleError),
        (504, b"<html>", TroubleError),
        (200, b"<html>maintenance</html>", TroubleError),
        (200, b"[]", TroubleError),
        (302, b"", TroubleError),
        (200, {"success": False}, RefusedError),
        (200, {"Success": False, "reasons": "odd"}, RefusedError),
        (200, {"success": False, "reasons": [None, {"code": None}]}, RefusedError),
    ],
    ids=str,
)
def test_every_other_answer_is_an_error(status: int, body: Any, kind: type[FarSideError]) -> None:
    with pytest.raises(FarSideError) as caught:
        checked(answer(status, body))

    assert type(caught.value) is kind
    assert caught.value.status == status


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry_After": "120", "RateLimit_Reset": "60", "RateLimit_Remaining": "900"}, 120),
        ({"Retry_After": "1", "RateLimit_Reset": "60", "RateLimit_Remaining": "900"}, 1),
        ({"RateLimit_Remaining": "0", "RateLimit_Reset": "600"}, 600),
        ({"RateLimit_Remaining": "0", "RateLimit_Reset": "600", "Retry_After": "1"}, 600),
        ({"RateLimit_Remaining": "5", "RateLimit_Reset": "600"}, None),
        ({"RateLimit_Reset": "600"}, 600),
        ({"RateLimit_Reset": "soon"}, None),
        ({"RateLimit_Reset": "999999999"}, 3600),
        ({}, None),
    ],
    ids=str,
)
def test_a_429_waits_as_long_as_it_says(headers: dict[str, str], seconds: float | None) -> None:
    with pytest.raises(TroubleError) as caught:
        checked(answer(429, failed(50000070), **headers))

    assert caught.value.retry_after == seconds


def test_zuora_s_words_are_kept_on_one_bounded_line() -> None:
    with pytest.raises(RefusedError) as caught:
        checked(answer(400, failed(50000020, "one\n two " + "x" * 1000)))

    assert str(caught.value).startswith("Zuora: one two xxx")
    assert len(str(caught.value)) < 320


@pytest.mark.parametrize(
    ("given", "refused"),
    [
        (answer(401, b""), True),
        (answer(200, failed(90000011)), True),
        (answer(200, failed("90000011")), True),
        (answer(200, {"success": True, "comments": "90000011"}), False),
        (answer(403, failed(50000010)), False),
    ],
)
def test_a_refused_token_is_seen_in_both_forms(given: Answer, *, refused: bool) -> None:
    assert refuses_token(given) is refused
