"""docker-compose.yml: of the right form, with settings, images, folders and commands that exist."""

import re
import shlex
from pathlib import Path
from typing import Any

import click
import jsonschema
import pytest
import yaml

from agents.cli.main import main
from deploy.sandbox.cli import main as sandbox
from streams.settings import Settings, load_settings

ROOT = Path(__file__).resolve().parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"] == "zuora-ifs"}

TEXTS = {"type": "array", "items": {"type": "string"}, "minItems": 1}
DURATION = {"type": "string", "pattern": r"^(\d+(us|ms|s|m|h))+$"}
HEALTHCHECK = {
    "type": "object",
    "additionalProperties": False,
    "required": ["test", "interval", "timeout", "retries"],
    "properties": {
        "test": {"type": "array", "prefixItems": [{"const": "CMD"}], "items": {"type": "string"}, "minItems": 2},
        "interval": DURATION,
        "timeout": DURATION,
        "start_period": DURATION,
        "retries": {"type": "integer", "minimum": 1},
    },
}
DEPENDENCY = {
    "type": "object",
    "additionalProperties": False,
    "required": ["condition"],
    "properties": {"condition": {"enum": ["service_started", "service_healthy", "service_completed_successfully"]}},
}
SERVICE = {
    "type": "object",
    "additionalProperties": False,
    "required": ["image", "restart"],
    "properties": {
        "image": {"type": "string"},
        "build": {
            "type": "object",
            "additionalProperties": False,
            "properties": {"context": {"type": "string"}, "dockerfile": {"type": "string"}},
        },
        "entrypoint": TEXTS,
        "command": TEXTS,
        # Values are texts: YAML would turn 1 and true into what no environment has.
        "environment": {"type": "object", "additionalProperties": {"type": "string"}},
        "ports": {"type": "array", "items": {"type": "string", "pattern": r"^\d+:\d+$"}},
        "volumes": {"type": "array", "items": {"type": "string", "pattern": r"^[a-z]+:/[a-z/]+$"}},
        "restart": {"type": "string", "pattern": r"^(unless-stopped|on-failure:\d+)$"},
        "stop_grace_period": DURATION,
        "read_only": {"type": "boolean"},
        "tmpfs": TEXTS,
        "cap_drop": TEXTS,
        "security_opt": TEXTS,
        "depends_on": {"type": "object", "additionalProperties": DEPENDENCY},
        "healthcheck": HEALTHCHECK,
    },
}
# The part of the Compose Specification that the file may use, stricter than the whole.
SPECIFICATION = {
    "type": "object",
    "additionalProperties": False,
    "patternProperties": {"^x-": {}},
    "required": ["name", "services"],
    "properties": {
        "name": {"type": "string", "pattern": "^[a-z0-9][a-z0-9_-]*$"},
        "services": {"type": "object", "additionalProperties": SERVICE},
        "volumes": {"type": "object", "additionalProperties": {"type": "null"}},
    },
}


def with_defaults(value: str) -> str:
    """Replace `${NAME:-default}` as Compose does when NAME is not set."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value)


def test_the_file_has_the_form_that_compose_asks_for() -> None:
    jsonschema.Draft202012Validator(SPECIFICATION).validate(COMPOSE)


def test_services_wait_for_services_that_exist_in_a_way_that_these_can_answer() -> None:
    for name, service in SERVICES.items():
        for other, dependency in service.get("depends_on", {}).items():
            if dependency["condition"] == "service_healthy":
                assert "healthcheck" in SERVICES[other], f"{name} waits for the health of {other}"
            if dependency["condition"] == "service_completed_successfully":
                assert SERVICES[other]["restart"].startswith("on-failure"), f"{name} waits for the end of {other}"


def test_volumes_are_declared_and_ports_are_taken_once() -> None:
    volumes = {volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])}
    ports = [port.split(":")[0] for service in SERVICES.values() for port in service.get("ports", [])]

    assert volumes == set(COMPOSE["volumes"])
    assert len(ports) == len(set(ports))


@pytest.mark.parametrize("service", sorted(OURS))
def test_the_settings_of_each_service_are_settings_of_the_program(
    service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = OURS[service].get("environment", {})
    for name, value in environment.items():
        if name.startswith("ZIFS_"):
            group, _, field = name.removeprefix("ZIFS_").lower().partition("__")
            monkeypatch.setenv(name, with_defaults(value))
            assert group in Settings.model_fields
            assert not field or field in type(getattr(Settings(), group)).model_fields, name

    if "ZIFS_KAFKA__BOOTSTRAP_SERVERS" in environment:
        assert load_settings().kafka.bootstrap_servers == "kafka:9092"
        assert load_settings().kafka.replication_factor == 1


@pytest.mark.parametrize("service", ["ifs-sandbox", "zuora-sandbox"])
def test_the_options_of_the_sandboxes_are_options_that_they_have(service: str) -> None:
    command = sandbox.commands[OURS[service]["command"][0]]
    known = {parameter.envvar for parameter in command.params if isinstance(parameter, click.Option)}

    assert set(OURS[service]["environment"]) <= known


@pytest.mark.parametrize("service", sorted(OURS))
def test_the_commands_of_each_service_parse(service: str, capsys: pytest.CaptureFixture[str]) -> None:
    entrypoint = OURS[service].get("entrypoint", ["python", "-m", "agents"])
    lines = OURS[service]["command"]
    if entrypoint == ["sh", "-ec"]:
        commands = [shlex.split(line) for line in lines[0].splitlines()]
    else:
        commands = [[*entrypoint, *lines]]

    for python, option, module, *words in commands:
        assert (python, option) == ("python", "-m")
        with pytest.raises(SystemExit) as ended:
            {"agents": main, "deploy.sandbox": sandbox.main}[module]([*words, "--help"])
        assert ended.value.code == 0, capsys.readouterr().err


def test_health_is_asked_for_where_the_process_listens() -> None:
    settings = Settings()
    ports = {"ingress": settings.ingress.port, "worker": settings.worker.port, "console": settings.console.port}

    for name, port in ports.items():
        assert f"http://127.0.0.1:{port}/" in OURS[name]["healthcheck"]["test"][-1]


def test_the_image_copies_what_exists_and_is_told_all_that_it_copies() -> None:
    dockerfile = (ROOT / "deploy/Dockerfile").read_text()
    copied = re.findall(r"^COPY (?!--)(\S+) ", dockerfile, re.MULTILINE)
    sent = [line[1:] for line in (ROOT / "deploy/Dockerfile.dockerignore").read_text().splitlines() if line[:1] == "!"]

    assert {"schemas", "streams", "agents", "deploy/sandbox", "requirements.lock"} <= set(copied)
    for path in copied:
        assert (ROOT / path).exists()
        assert any(path == one or path.startswith(f"{one}/") for one in sent), f"{path} is kept from the engine"


def test_our_processes_have_no_right_and_no_place_to_write_that_they_do_not_need() -> None:
    for service in OURS.values():
        assert (service["read_only"], service["tmpfs"], service["cap_drop"]) == (True, ["/tmp"], ["ALL"])  # noqa: S108
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert {volume.partition(":")[2] for volume in service.get("volumes", [])} <= {"/data"}


def test_the_image_ends_as_a_user_by_number_without_an_installer_and_lists_its_contents() -> None:
    dockerfile = (ROOT / "deploy/Dockerfile").read_text()
    last = dockerfile.rpartition("\nFROM ")[2]

    assert re.search(r"^USER [1-9]\d*:[1-9]\d*$", last, re.MULTILINE)
    assert re.findall(r"(?:pip install|apt-get|curl|COPY --chown)", last) == []
    assert "COPY --from=contents /build/sbom.cdx.json" in last
    installs = re.findall(r"pip install [^&]*", dockerfile)
    assert len(installs) == 2
    assert all("--require-hashes" in one for one in installs)
