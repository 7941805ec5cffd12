"""Settings and arguments that nobody should have given: one line that says what is wrong, never a traceback."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.cli import main
from schemas.errors import SettingsError
from streams.log.connection import connection_options
from streams.settings import IfsSettings, KafkaSettings, Settings, ZuoraSettings, load_settings
from streams.systems.ifs.service import token_source
from streams.systems.zuora.client import zuora_session

NOT_ADDRESSES = [
    "http://",
    "http://[",
    "http://127.0.0.1:99999",
    "http://two words",
    "http://user:word@zuora.example",
    "http://x\ny",
    f"http://{'a' * 300}",
    f"http://{'a' * 64}.example",
    "http://a..b",
    "ftp://zuora.example",
    "zuora.example",
    "https:///path",
    "http://x?y=1",
]


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("ZIFS_"):
            monkeypatch.delenv(name)


@pytest.mark.parametrize("url", NOT_ADDRESSES)
def test_a_base_url_that_is_none_is_told_when_the_process_starts(url: str) -> None:
    with pytest.raises(SettingsError, match="ZIFS_ZUORA__BASE_URL must be") as zuora:
        zuora_session(ZuoraSettings(base_url=url, client_id="a", client_secret="planted"))
    with pytest.raises(SettingsError, match="ZIFS_IFS__BASE_URL must be") as ifs:
        token_source(IfsSettings(base_url=url, realm="r", client_id="a", client_secret="planted"))
    assert "word" not in f"{zuora.value}{ifs.value}"


@pytest.mark.parametrize(
    "url", ["https://rest.eu.zuora.com", "http://127.0.0.1:8090/", "http://[::1]:8090", "https://x/y"]
)
def test_an_address_is_taken(url: str) -> None:
    zuora_session(ZuoraSettings(base_url=url, client_id="a", client_secret="b"))
    token_source(IfsSettings(base_url=url, realm="r", client_id="a", client_secret="b"))


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("ZIFS_KAFKA", '{"bootstrap_servers":', "a ZIFS_ variable of a whole group is not JSON"),
        ("ZIFS_KAFKA", "[" * 100_000, "a ZIFS_ variable of a whole group is not JSON"),
        ("ZIFS_KAFKA", "[1]", "ZIFS_KAFKA: Input should be a valid dictionary"),
        ("ZIFS_KAFKA__PARTITIONS", "9" * 5_000, "ZIFS_KAFKA__PARTITIONS: Unable to parse input string as an integer"),
        ("ZIFS_KAFKA__BOOTSTRAP_SERVERS", "\udcff:9092", "ZIFS_KAFKA__BOOTSTRAP_SERVERS: Input should be a valid str"),
        ("ZIFS_APP_ID", "a\nb", "ZIFS_APP_ID: String should match pattern"),
        ("ZIFS_APP_ID", "../etc", "ZIFS_APP_ID: String should match pattern"),
        ("ZIFS_KAFKA__TOPIC_PREFIX", "a/b", "ZIFS_KAFKA__TOPIC_PREFIX: String should match pattern"),
        ("ZIFS_INGRESS__HMAC_HEADER", "a\r\nb", "ZIFS_INGRESS__HMAC_HEADER: String should match pattern"),
        ("ZIFS_INGRESS__MAX_BODY_BYTES", "1e400", "ZIFS_INGRESS__MAX_BODY_BYTES: Input should be"),
        ("ZIFS_INGRESS__BASIC_PASSWORD", '["a", {"b": 1}]', "ZIFS_INGRESS__BASIC_PASSWORD__1: Input should be a"),
        ("ZIFS_IFS__SETTLE_SECONDS", "inf", "ZIFS_IFS__SETTLE_SECONDS: Input should be less than or equal to 3600"),
        ("ZIFS_IFS__SETTLE_SECONDS", "nan", "ZIFS_IFS__SETTLE_SECONDS: Input should be"),
    ],
)
def test_a_setting_that_cannot_be_is_one_line_without_its_value(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, told: str
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(SettingsError) as error:
        load_settings()

    assert str(error.value).startswith(told)
    assert len(str(error.value)) < 200


@pytest.mark.parametrize("content", [b"\xff\xfeZ\0I\0", b"ZIFS_APP_ID=\xff", b"\x00\xff\x00"])
def test_an_env_file_of_other_bytes_is_one_line(content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(Settings.model_config, "env_file", ".env")
    Path(".env").write_bytes(content)

    with pytest.raises(SettingsError, match=r"^\.env is not UTF-8 at byte \d+$"):
        load_settings()


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60))
def test_any_text_is_a_setting_or_one_line(text: str) -> None:
    for name in (
        "ZIFS_KAFKA__BOOTSTRAP_SERVERS",
        "ZIFS_CONSOLE__TOKENS",
        "ZIFS_INGRESS__BASIC_PASSWORD",
        "ZIFS_VAULT__KEYS",
    ):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(name, text)
            assert isinstance(load_settings(), Settings)  # whoever uses one of these says what is wrong with it


@pytest.mark.parametrize("servers", ["127.0.0.1:99999", "a:1,b:123456789", f"a:{'9' * 5_000}"])
def test_a_port_that_is_none_is_told_before_kafka_is_asked(servers: str) -> None:
    with pytest.raises(SettingsError, match="ZIFS_KAFKA__BOOTSTRAP_SERVERS: there is no port") as error:
        connection_options(KafkaSettings(bootstrap_servers=servers))
    assert len(str(error.value)) < 100


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["mappings", "set", "account", "\udcff", "--company", "10", "--gl-account", "1"], 2),
        (["\udcff"], 2),
        (["mappings", "set", "account", "a\nb", "--company", "10", "--gl-account", "1"], 2),
        (["mappings", "set", "account", "a", "--company", "10", "--gl-account", "1" * 10_000], 2),
        (["mappings", "set", "cash", "--company", "10", "--currency", "\x1b[2J", "--gl-account", "1"], 2),
        (["mappings", "set", "account", "a", "--company", "10", "--gl-account", "1", "--code-part", "\u202eZ=1"], 2),
        (["companies", "set", "10", "--cutover", "99999-01-01"], 2),
        (["companies", "set", "10", "--cutover", "\u0661-01-01"], 2),
        (["records", "list", "--status", "\0"], 2),
        (["\n" * 100], 2),
        (["--"], 2),
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_arguments_that_cannot_be_are_one_line(words: list[str], code: int, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(words)

    told = capsys.readouterr()
    assert end.value.code == code
    assert len(told.err.splitlines()) == 1 or words == ["--"]  # which shows the help
    assert "Traceback" not in told.err
    assert "unexpected" not in told.err
