"""Tokens, sessions, roles: who may use the console."""

import pytest
from pydantic import SecretStr

from agents.console import access
from agents.console.access import Access, Identity, Role, at_least, is_loopback, required_role
from schemas.errors import SettingsError


def tokens(*texts: str) -> list[SecretStr]:
    return [SecretStr(text) for text in texts]


def test_a_token_tells_who_and_which_role() -> None:
    knows = Access(tokens("maria:viewer:abc", "ops:admin:d:e:f"), "0.0.0.0")

    assert knows.by_token("abc") == Identity("maria", Role.VIEWER)
    assert knows.by_token("d:e:f") == Identity("ops", Role.ADMIN)
    assert knows.by_token("ab") is None
    assert knows.by_token("") is None
    assert knows.by_token("\udce4") is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hunter2secret", "entry 2 is not name:role:token"),
        ("maria:viewer:", "entry 2 is not name:role:token"),
        (":viewer:hunter2secret", "entry 2 is not name:role:token"),
        ("maria:boss:hunter2secret", r"entry 2 \(maria\) must be one of viewer, mapper, operator, admin"),
    ],
)
def test_a_wrong_token_is_told_without_its_secret(text: str, expected: str) -> None:
    with pytest.raises(SettingsError, match=expected) as told:
        Access(tokens("a:viewer:b", text), "0.0.0.0")
    assert "hunter2secret" not in str(told.value)


def test_without_tokens_only_this_machine_may_look() -> None:
    assert Access([], "127.0.0.1").is_open
    with pytest.raises(SettingsError, match="ZIFS_CONSOLE__TOKENS is not set"):
        Access([], "0.0.0.0")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "localhost:8081", "127.8.8.8:1", "::1", "[::1]:8081"])
def test_hosts_of_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "10.0.0.1:80", "example.com", "localhost.example.com", "", "127.0.0.1.nip.io"]
)
def test_hosts_of_others(host: str) -> None:
    assert not is_loopback(host)


def test_a_session_holds_until_it_ends_or_its_token_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    knows = Access(tokens("maria.ann:viewer:abc"), "0.0.0.0")
    maria = Identity("maria.ann", Role.VIEWER)
    session = knows.session(maria)

    assert knows.by_session(session) == maria
    assert Access(tokens("maria.ann:viewer:new"), "0.0.0.0").by_session(session) is None
    assert Access(tokens("maria.ann:admin:abc"), "0.0.0.0").by_session(session) is None
    now = access.time.time()
    monkeypatch.setattr(access.time, "time", lambda: now + access.SESSION_SECONDS + 2)
    assert knows.by_session(session) is None


@pytest.mark.parametrize(
    "value", ["", ".", "..", "a.9999999999.maria", "a.²²²²²²²²²²²².maria", "\udce4.9999999999.maria"]
)
def test_a_session_that_was_not_made_here_is_nobodys(value: str) -> None:
    assert Access(tokens("maria:viewer:abc"), "0.0.0.0").by_session(value) is None


def test_a_handler_is_for_viewers_unless_it_says_otherwise() -> None:
    @at_least(Role.OPERATOR)
    def replay() -> None: ...

    assert required_role(replay) is Role.OPERATOR
    assert required_role(test_hosts_of_others) is Role.VIEWER
