"""Tokens, sessions, roles: who may use the console."""

import hashlib
import time

import pytest
from pydantic import SecretStr

from agents.console import access, sealing
from agents.console.access import Access, is_loopback, read_roles
from agents.console.roles import Identity, Role, at_least, required_role
from schemas.errors import SettingsError
from streams.settings import ConsoleSettings

OIDC = {"oidc_issuer": "https://id.example", "oidc_client_id": "console", "oidc_client_secret": "shared"}


def console(*tokens: str, host: str = "0.0.0.0", **settings: object) -> ConsoleSettings:
    return ConsoleSettings.model_validate({"tokens": list(tokens), "host": host, **settings})


def digest(text: str) -> str:
    """Return what `printf %s TOKEN | sha256sum` gives."""
    return hashlib.sha256(text.encode()).hexdigest()


def session(knows: Access, token: str) -> str:
    value = knows.token_session(token)
    assert value
    return value


def test_a_token_tells_who_and_which_role() -> None:
    knows = Access(console("maria:viewer:abc", "ops:admin:d:e:f"))

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
        ("maria:viewer:sha256:hunter2secret", r"entry 2 \(maria\) must have 64 hexadecimal digits"),
        ("maria:boss:hunter2secret", r"entry 2 \(maria\) must be one of viewer, mapper, operator, admin"),
    ],
)
def test_a_wrong_token_is_told_without_its_secret(text: str, expected: str) -> None:
    with pytest.raises(SettingsError, match=expected) as told:
        Access(console("a:viewer:b", text))
    assert "hunter2secret" not in str(told.value)


def test_without_tokens_only_this_machine_may_look() -> None:
    assert Access(console(host="127.0.0.1")).is_open
    assert not Access(console(**OIDC)).is_open
    with pytest.raises(SettingsError, match="ZIFS_CONSOLE__TOKENS is not set"):
        Access(console())


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "localhost:8081", "127.8.8.8:1", "::1", "[::1]:8081"])
def test_hosts_of_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "10.0.0.1:80", "example.com", "localhost.example.com", "", "127.0.0.1.nip.io"]
)
def test_hosts_of_others(host: str) -> None:
    assert not is_loopback(host)


def test_a_token_of_which_only_the_digest_is_known_opens_the_same_door() -> None:
    knows = Access(console(f"maria:mapper:sha256:{digest('look at this')}", f"ops:admin:sha256:{digest('x').upper()}"))

    assert knows.by_token("look at this") == Identity("maria", Role.MAPPER)
    assert knows.by_token("x") == Identity("ops", Role.ADMIN)
    assert knows.by_token(digest("look at this")) is None
    assert knows.by_session(session(knows, "look at this")) == Identity("maria", Role.MAPPER)


def test_a_session_holds_until_it_ends_or_its_token_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    knows = Access(console("maria.ann:viewer:abc"))
    maria = Identity("maria.ann", Role.VIEWER)
    opened = session(knows, "abc")

    assert knows.by_session(opened) == maria
    assert Access(console("maria.ann:viewer:abc")).by_session(opened) == maria
    assert Access(console("maria.ann:viewer:new")).by_session(opened) is None
    assert Access(console("maria.ann:admin:abc")).by_session(opened) is None
    assert Access(console("other:viewer:abc")).by_session(opened) is None
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + access.SESSION_SECONDS + 2)
    assert knows.by_session(opened) is None


def test_while_a_token_is_replaced_the_sessions_of_both_hold() -> None:
    knows = Access(console("maria:viewer:old", "maria:viewer:new"))
    opened = session(knows, "new")

    assert Access(console("maria:viewer:new")).by_session(opened) == Identity("maria", Role.VIEWER)
    assert Access(console("maria:viewer:old")).by_session(opened) is None


def test_who_knows_the_digest_alone_cannot_make_a_session(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = console(f"maria:admin:sha256:{digest('secret')}")
    knows = Access(settings)
    opened = session(knows, "secret")

    monkeypatch.setattr(access, "DRAWN", b"of another process")
    assert Access(settings).by_session(opened) is None
    shared = console(f"maria:admin:sha256:{digest('secret')}", session_secret="of all consoles")
    assert Access(shared).by_session(session(Access(shared), "secret")) == Identity("maria", Role.ADMIN)
    assert len(sealing.DRAWN) == 32


def test_a_session_of_single_sign_on_holds_until_the_roles_change() -> None:
    settings = console(**OIDC, oidc_roles=["staff:viewer"])
    opened = Access(settings).sign_on_session(Identity("eva@example.com", Role.VIEWER))

    assert Access(settings).by_session(opened) == Identity("eva@example.com", Role.VIEWER)
    assert Access(console(**OIDC, oidc_roles=["staff:mapper"])).by_session(opened) is None
    assert Access(console("eva@example.com:viewer:shared")).by_session(opened) is None


def test_roles_of_single_sign_on_are_read_with_colons_in_their_values() -> None:
    settings = console(oidc_roles='["urn:acme:ledger:mapper", "CN=Ops,OU=Groups:operator"]')

    assert read_roles(settings) == {"urn:acme:ledger": Role.MAPPER, "CN=Ops,OU=Groups": Role.OPERATOR}
    with pytest.raises(SettingsError, match="entry 1 is not value:role"):
        read_roles(console(oidc_roles="operator"))
    with pytest.raises(SettingsError, match=r"entry 2 \(b\) must be one of viewer"):
        read_roles(console(oidc_roles="a:viewer,b:boss"))


@pytest.mark.parametrize(
    "value", ["", ".", "..", "a.9999999999.maria", "a.²²²²²²²²²²²².maria", "\udce4.9999999999.maria"]
)
def test_a_session_that_was_not_made_here_is_nobodys(value: str) -> None:
    assert Access(console("maria:viewer:abc")).by_session(value) is None


def test_a_handler_is_for_viewers_unless_it_says_otherwise() -> None:
    @at_least(Role.OPERATOR)
    def replay() -> None: ...

    assert required_role(replay) is Role.OPERATOR
    assert required_role(test_hosts_of_others) is Role.VIEWER


def test_secrets_that_are_easy_to_guess_are_named_and_not_shown() -> None:
    strong = "k7mWq2ZsT9xLb4Vn8RcH"
    settings = console("maria:viewer:abc", f"ops:admin:{strong}", f"eva:viewer:sha256:{digest('x')}")

    assert Access(settings).short_secrets() == ["the token of maria"]
    sealed = settings.model_copy(update={"session_secret": SecretStr("short")})
    assert Access(sealed).short_secrets() == ["the token of maria", "ZIFS_CONSOLE__SESSION_SECRET"]
