"""`zuora-ifs credentials` against a real broker, and who uses what the vault holds."""

import asyncio
import io
import json
import os
import pty
import select
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr

from agents.cli.main import main
from schemas.base import utc_now
from schemas.credentials import System
from schemas.topics import CREDENTIAL, TopicNames
from streams.log.messages import Message
from streams.log.reader import LogRecord, read_to_end
from streams.log.sending import send_all
from streams.log.topics import apply_topics
from streams.settings import KafkaSettings, Settings, load_settings
from streams.vault.current import current_credentials
from streams.vault.keys import LocalKeys, fingerprint_of
from streams.vault.records import Vault
from streams.vault.sealing import Credential

ROOT = Path(__file__).resolve().parents[2]
OLD_KEY, NEW_KEY, OTHER_KEY = (Fernet.generate_key().decode() for _ in range(3))
SECRET = "planted-5ecret"
SET_ZUORA = ("credentials", "set", "zuora", "--client-id", "billing", "--client-secret-stdin", "--actor", "anna")


class Command:
    """Runs `zuora-ifs` in this process and keeps all that it said."""

    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self._capsys = capsys
        self._monkeypatch = monkeypatch
        self.said = ""

    def __call__(self, *words: str, code: int = 0, stdin: str | bytes = "") -> str:
        """Return the output, or the error where `code` is not 0."""
        typed = stdin.encode() if isinstance(stdin, str) else stdin
        self._monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(typed)))
        with pytest.raises(SystemExit) as ended:
            main(words)
        said = self._capsys.readouterr()
        self.said += said.out + said.err
        assert (ended.value.code or 0) == code, said.err
        assert "Traceback" not in said.err
        if code:
            assert said.err.count("\n") == 1
        return said.err if code else said.out


@pytest.fixture
def zuora_ifs(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    return Command(capsys, monkeypatch)


@pytest.fixture(autouse=True)
def kafka(monkeypatch: pytest.MonkeyPatch, kafka_bootstrap: str, unique: str, tmp_path: Path) -> KafkaSettings:
    for name, value in {
        "APP_ID": unique, "DATA_DIR": str(tmp_path), "KAFKA__BOOTSTRAP_SERVERS": kafka_bootstrap,
        "KAFKA__TOPIC_PREFIX": f"{unique}.", "KAFKA__REPLICATION_FACTOR": "1", "KAFKA__PARTITIONS": "1",
        "VAULT__KEYS": OLD_KEY,
    }.items():  # fmt: skip
        monkeypatch.setenv(f"ZIFS_{name}", value)
    return load_settings().kafka


@pytest.fixture
def topic(kafka: KafkaSettings, unique: str) -> str:
    """The vault's topic, made as declared."""
    names = TopicNames(kafka.topic_prefix, unique)
    asyncio.run(apply_topics(kafka, names))
    return names.public(CREDENTIAL)


def records(kafka: KafkaSettings, topic: str) -> list[LogRecord]:
    async def read() -> list[LogRecord]:
        return [record async for batch in read_to_end(kafka, [topic], {}) for record in batch.records]

    return asyncio.run(read())


def write(kafka: KafkaSettings, topic: str, key: str, value: bytes | None) -> None:
    asyncio.run(send_all(kafka, [Message(topic, key.encode(), value)], client_id="test"))


def resolved(settings: Settings, system: System) -> tuple[str, str]:
    client_id, secret = asyncio.run(current_credentials(settings)).require(system)
    return client_id, secret.get_secret_value()


def test_what_is_set_is_listed_and_sealed_anew_under_a_newer_key(
    zuora_ifs: Command, kafka: KafkaSettings, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert f"zuora: stored under key {fingerprint_of(OLD_KEY)}" in zuora_ifs(*SET_ZUORA, stdin=f"{SECRET}\n")
    zuora_ifs("credentials", "set", "ifs", "--client-id", "connector", "--client-secret-stdin", stdin=f"ifs-{SECRET}")
    first = json.loads(zuora_ifs("credentials", "list", "--json"))
    assert [(one["system"], one["clientId"], one["keyFingerprint"], one["isNewestKey"]) for one in first] == [
        ("zuora", "billing", fingerprint_of(OLD_KEY), True),
        ("ifs", "connector", fingerprint_of(OLD_KEY), True),
    ]
    assert (first[0]["setBy"], first[0]["rotatedBy"]) == ("anna", None)
    assert first[0]["setAt"].endswith("Z")

    monkeypatch.setenv("ZIFS_VAULT__KEYS", f"{NEW_KEY},{OLD_KEY}")
    assert not any(one["isNewestKey"] for one in json.loads(zuora_ifs("credentials", "list", "--json")))
    new, old = fingerprint_of(NEW_KEY), fingerprint_of(OLD_KEY)
    assert zuora_ifs("credentials", "rotate-key", "--actor", "ben").splitlines() == [
        f"zuora: encrypted anew under key {new}",
        f"ifs: encrypted anew under key {new}",
        f"may be dropped from ZIFS_VAULT__KEYS once every process has key {new}: {old}",
    ]

    monkeypatch.setenv("ZIFS_VAULT__KEYS", NEW_KEY)
    after = json.loads(zuora_ifs("credentials", "list", "--json"))
    assert [(one["setBy"], one["rotatedBy"], one["keyFingerprint"], one["setAt"]) for one in after] == [
        ("anna", "ben", fingerprint_of(NEW_KEY), first[0]["setAt"]),
        (first[1]["setBy"], "ben", fingerprint_of(NEW_KEY), first[1]["setAt"]),
    ]
    assert "billing" in zuora_ifs("credentials", "list")
    assert "there is no older key" in zuora_ifs("credentials", "rotate-key")
    assert resolved(load_settings(), System.ZUORA) == ("billing", SECRET)
    assert resolved(load_settings(), System.IFS) == ("connector", f"ifs-{SECRET}")

    written = records(kafka, topic)
    assert [record.key for record in written] == [b"zuora", b"ifs"] * 3
    for record in written:
        assert record.headers["ce_type"] == b"CredentialSealed"
        everything = b"".join([record.value or b"", *record.headers.values()])
        for word in (SECRET, "billing", "connector", "anna", OLD_KEY, NEW_KEY):
            assert word.encode() not in everything
    for word in (SECRET, OLD_KEY, NEW_KEY):
        assert word not in zuora_ifs.said


@pytest.mark.usefixtures("topic")
def test_the_vault_wins_over_the_environment_which_serves_a_first_start(
    zuora_ifs: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZIFS_ZUORA__CLIENT_ID", "from-environment")
    monkeypatch.setenv("ZIFS_ZUORA__CLIENT_SECRET", "first")
    assert resolved(load_settings(), System.ZUORA) == ("from-environment", "first")

    zuora_ifs(*SET_ZUORA, stdin=SECRET)

    assert resolved(load_settings(), System.ZUORA) == ("billing", SECRET)


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ("", "ZIFS_VAULT__KEYS is not set"),
        ("no-key", "ZIFS_VAULT__KEYS: the key is no Fernet key"),
        (OTHER_KEY, f"ZIFS_VAULT__KEYS has no key {fingerprint_of(OLD_KEY)}"),
    ],
    ids=["not set", "no key", "another key"],
)
@pytest.mark.parametrize("command", ["list", "rotate-key"])
@pytest.mark.usefixtures("topic")
def test_a_wrong_or_missing_key_is_one_line_and_exit_2(
    zuora_ifs: Command, monkeypatch: pytest.MonkeyPatch, keys: str, line: str, command: str
) -> None:
    zuora_ifs(*SET_ZUORA, stdin=SECRET)
    monkeypatch.setenv("ZIFS_VAULT__KEYS", keys)

    assert zuora_ifs("credentials", command, code=2).startswith(line)
    assert SECRET not in zuora_ifs.said


@pytest.mark.parametrize(
    ("words", "stdin", "line"),
    [
        (("--client-secret-stdin",), "", "no secret came on standard input"),
        (("--client-secret-stdin",), "\n", "no secret came on standard input"),
        (("--client-secret-stdin",), f"{SECRET}\n{SECRET}\n", "one line of at most"),
        (("--client-secret-stdin",), SECRET * 2_000, "one line of at most"),
        (("--client-secret-stdin",), b"\xff\xfe", "is no text"),
        ((), SECRET, "the secret is never an argument"),
        (("--client-secret-stdin", SECRET), "", "the secret is never an argument"),
        (("--client-secret", SECRET), "", "No such option: --client-secret"),
        ((f"--client-secret={SECRET}",), "", "No such option: --client-secret"),
        ((f"--client-secret-stdin={SECRET}",), "", "does not take a value"),
    ],
)
def test_wrong_usage_is_one_line_that_does_not_repeat_the_secret(
    zuora_ifs: Command, words: tuple[str, ...], stdin: str | bytes, line: str
) -> None:
    said = zuora_ifs("credentials", "set", "zuora", "--client-id", "billing", *words, code=2, stdin=stdin)

    assert line in said
    assert SECRET not in zuora_ifs.said


def test_without_a_key_nobody_is_asked_for_a_secret(zuora_ifs: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ZIFS_VAULT__KEYS")

    assert zuora_ifs(*SET_ZUORA, code=2, stdin="").startswith("ZIFS_VAULT__KEYS is not set")


@pytest.mark.usefixtures("topic")
def test_on_a_terminal_the_secret_is_asked_for_and_not_shown() -> None:
    screen, terminal = pty.openpty()
    command = subprocess.Popen(
        [sys.executable, "-m", "agents", *SET_ZUORA],
        cwd=ROOT, stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True,
    )  # fmt: skip
    os.close(terminal)
    shown = read_until(screen, b"client secret of zuora (not shown): ")
    os.write(screen, f"{SECRET}\n".encode())
    shown += read_until(screen, b"tells whether they are good")

    assert command.wait(20) == 0
    os.close(screen)
    assert SECRET.encode() not in shown
    assert resolved(load_settings(), System.ZUORA) == ("billing", SECRET)


def read_until(screen: int, words: bytes, seconds: float = 30) -> bytes:
    """Return what a terminal shows up to these words."""
    shown = b""
    while words not in shown:
        assert select.select([screen], [], [], seconds)[0], shown
        shown += os.read(screen, 1024)
    return shown


@pytest.mark.parametrize("command", [SET_ZUORA, ("credentials", "list"), ("credentials", "rotate-key")])
def test_a_missing_topic_is_named_with_the_command_that_makes_it_and_is_not_made(
    zuora_ifs: Command, unique: str, command: tuple[str, ...]
) -> None:
    for _ in range(2):
        said = zuora_ifs(*command, code=1, stdin=SECRET)
        assert said.startswith(f"topics missing in Kafka: {unique}.connector.credential.v1: create them with ")


@pytest.mark.parametrize("command", [SET_ZUORA, ("credentials", "list"), ("credentials", "rotate-key")])
def test_where_no_kafka_is_that_is_said_in_one_line(
    zuora_ifs: Command, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setenv("ZIFS_KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:1")

    assert "Kafka cannot be reached at 127.0.0.1:1" in zuora_ifs(*command, code=1, stdin=SECRET)
    assert SECRET not in zuora_ifs.said


def test_a_record_of_one_system_under_the_name_of_the_other_is_refused_and_nothing_is_rotated(
    zuora_ifs: Command, kafka: KafkaSettings, topic: str
) -> None:
    zuora_ifs(*SET_ZUORA, stdin=SECRET)
    write(kafka, topic, "ifs", records(kafka, topic)[0].value)
    for command in ("list", "rotate-key"):
        said = zuora_ifs("credentials", command, code=1)
        assert "the vault's credentials of ifs were altered, or sealed for another system" in said

    assert len(records(kafka, topic)) == 2
    current = asyncio.run(current_credentials(load_settings()))
    assert current.require(System.ZUORA)[0] == "billing"
    assert "altered" in current.troubles[System.IFS]


def test_credentials_taken_out_are_no_longer_held(zuora_ifs: Command, kafka: KafkaSettings, topic: str) -> None:
    zuora_ifs(*SET_ZUORA, stdin=SECRET)
    write(kafka, topic, "zuora", None)
    write(kafka, topic, "a-later-system", b"{}")

    assert json.loads(zuora_ifs("credentials", "list", "--json")) == []
    assert "there is no older key" in zuora_ifs("credentials", "rotate-key")


@pytest.mark.usefixtures("topic")
async def test_a_secret_that_is_set_while_keys_are_rotated_is_not_hidden_by_the_old_one() -> None:
    settings = load_settings()
    old, both = LocalKeys([SecretStr(OLD_KEY)]), LocalKeys([SecretStr(NEW_KEY), SecretStr(OLD_KEY)])

    def credential(secret: str, set_by: str) -> Credential:
        return Credential(client_id="billing", client_secret=SecretStr(secret), set_by=set_by, set_at=utc_now())

    meanwhile = [credential("newer", "carla")]

    class SetMeanwhile(Vault):
        """Somebody stores a new secret between this one's reading and its writing."""

        async def put(self, credentials: Mapping[System, Credential], process: str = "cli") -> None:
            while meanwhile:
                await Vault(settings, old).put({System.ZUORA: meanwhile.pop()})
            await super().put(credentials, process)

    await Vault(settings, old).put({System.ZUORA: credential("older", "anna")})
    rotated = await SetMeanwhile(settings, both).rotate("ben")

    only_new = Vault(settings, LocalKeys([SecretStr(NEW_KEY)]))
    held = (await only_new.credentials(await only_new.contents()))[System.ZUORA]
    assert (held.client_secret.get_secret_value(), held.set_by, held.rotated_by) == ("newer", "carla", "ben")
    assert rotated == {System.ZUORA: held}
