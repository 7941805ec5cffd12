"""The rights of each process: made from the declared topics, nothing wider than a name but the sight of groups."""

import json
import shlex

import pytest

from agents.cli.main import main
from schemas.topics import (
    AUDIT,
    CREDENTIAL,
    DEAD_LETTER,
    DOCUMENT,
    MAPPING,
    NOTIFICATION,
    PERSONAL_KEY,
    PROPOSAL,
    VOUCHER,
    TopicNames,
)
from streams.log.acls import PROCESSES, Acl, acls, commands
from streams.log.topics import declared_topics
from streams.settings import KafkaSettings

KAFKA = KafkaSettings(bootstrap_servers="broker:9093")
NAMES = TopicNames("test-", "app")


def rights(process: str) -> set[tuple[str, str, str]]:
    return {(acl.resource_type, acl.operation, acl.name) for acl in acls(KAFKA, NAMES, {process: "User:one"})}


def test_ingress_may_append_callouts_and_dead_letters_and_nothing_else() -> None:
    assert rights("ingress") == {
        ("Topic", "Write", f"test-{NOTIFICATION}"),
        ("Topic", "Write", f"test-{DEAD_LETTER}"),
    }


def test_only_the_worker_writes_what_is_in_the_ledger_apart_from_people() -> None:
    assert ("Topic", "Write", f"test-{VOUCHER}") in rights("worker")
    assert ("Topic", "Write", f"test-{CREDENTIAL}") not in rights("worker") | rights("console") | rights("ingress")
    assert ("Topic", "Read", f"test-{CREDENTIAL}") not in rights("console") | rights("ingress")
    assert ("Topic", "Read", f"test-{AUDIT}") not in rights("worker")


def test_keys_of_persons_are_shredded_by_the_command_line_and_not_by_the_console() -> None:
    right = ("Topic", "Write", f"test-{PERSONAL_KEY}")

    assert {process for process in PROCESSES if right in rights(process)} == {"worker", "cli"}
    assert ("Topic", "Read", f"test-{PERSONAL_KEY}") in rights("console")


def test_the_worker_sees_every_declared_topic_and_its_own_groups() -> None:
    seen = {name for kind, _, name in rights("worker") if kind == "Topic"}

    assert seen == {topic.name for topic in declared_topics(KAFKA, NAMES)}
    assert {one for one in rights("worker") if one[0] == "Group"} == {
        ("Group", "Read", "app-collector"),
        ("Group", "Read", "app-bookkeeper"),
        ("Group", "Read", "app-poster"),
        ("Group", "Describe", "*"),
    }


@pytest.mark.parametrize("process", PROCESSES)
def test_every_name_is_a_declared_one(process: str) -> None:
    declared = {topic.name for topic in declared_topics(KAFKA, NAMES)}

    assert {name for kind, _, name in rights(process) if kind == "Topic"} <= declared


def test_only_setup_may_create() -> None:
    assert {process for process in PROCESSES if any(one[1] == "Create" for one in rights(process))} == {"setup"}


def test_a_principal_of_two_processes_has_the_rights_of_both() -> None:
    both = acls(KAFKA, NAMES, {"ingress": "User:one", "worker": "User:one"})

    assert {(acl.resource_type, acl.operation, acl.name) for acl in both} == rights("ingress") | rights("worker")
    assert len(both) == len(set(both))


def test_commands_are_safe_for_a_shell_and_say_all() -> None:
    found = [
        Acl("User:CN=in gress", "Topic", "Write", f"test-{DOCUMENT}"),
        Acl("User:CN=in gress", "Topic", "Write", f"test-{AUDIT}"),
        Acl("User:CN=in gress", "Group", "Describe", "*"),
    ]

    first, second = (shlex.split(line) for line in commands(found, "a:1,b:2", "admin.properties"))

    start = ["kafka-acls.sh", "--bootstrap-server", "a:1,b:2", "--command-config", "admin.properties"]
    start += ["--add", "--allow-principal", "User:CN=in gress"]
    assert first == [*start, "--operation", "Describe", "--group", "*"]
    assert second == [*start, "--operation", "Write", "--topic", f"test-{AUDIT}", "--topic", f"test-{DOCUMENT}"]


def test_the_command_lists_them_without_asking_kafka(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZIFS_KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:1")
    words = ["topics", "acls", "--json", "--process", "ingress", "--principal-ingress", "User:door"]
    with pytest.raises(SystemExit) as ended:
        main(words)

    found = json.loads(capsys.readouterr().out)["acls"]
    assert ended.value.code == 0
    assert found[0] == {
        "principal": "User:door",
        "host": "*",
        "operation": "Write",
        "permissionType": "Allow",
        "resourceType": "Topic",
        "resourceName": DEAD_LETTER,
        "patternType": "Literal",
    }
    assert len(found) == 2


def test_with_four_eyes_the_command_line_proposes_and_only_the_console_writes_mappings() -> None:
    found = acls(KAFKA, NAMES, {"cli": "User:cli", "console": "User:console"}, four_eyes=True)
    writers = {(one.principal, one.name) for one in found if one.operation == "Write"}

    assert {who for who, name in writers if name == f"test-{MAPPING}"} == {"User:console"}
    assert {who for who, name in writers if name == f"test-{PROPOSAL}"} == {"User:cli", "User:console"}
    assert ("Topic", "Write", f"test-{MAPPING}") in rights("cli")
