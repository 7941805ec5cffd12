"""`zuora-ifs topics` without the setting that it needs."""

import pytest

from agents.cli.main import main


@pytest.mark.parametrize("command", ["apply", "check"])
def test_without_servers_the_setting_is_named_and_the_end_is_2(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.delenv("ZIFS_KAFKA__BOOTSTRAP_SERVERS", raising=False)
    with pytest.raises(SystemExit) as ended:
        main(["topics", command])

    said = capsys.readouterr()
    assert (ended.value.code, said.out, said.err.count("\n")) == (2, "", 1)
    assert said.err.startswith("ZIFS_KAFKA__BOOTSTRAP_SERVERS is not set")
