"""`novakit host`: credentials of hosts, made where they can be kept and ended only when there is another."""

from pathlib import Path

import pytest

from novakit.bus import enrolments
from novakit.cli import main


def _told(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    code = main(["host", *words])
    said = capsys.readouterr()
    return code, said.out + said.err


def test_a_credential_that_cannot_be_written_ends_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state, own = tmp_path / "state", str(tmp_path / "vm")
    state.mkdir()
    (tmp_path / "a file").write_text("x")
    for nowhere in ("/proc/novakit", str(tmp_path / "a file")):
        code, said = _told(capsys, "enrol", "vm", "--state", str(state), "--into", nowhere)
        assert code == 2 and "cannot be written" in said and said.count("\n") == 1
    assert _told(capsys, "enrol", "vm", "--state", str(state), "--into", own)[0] == 0, "nobody was enrolled by that"
    credential = enrolments.read(enrolments.directory(Path(own)) / "agent.vm")
    known = enrolments.Enrolments(state)
    assert known.admits("agent:vm", credential.secret)
    code, said = _told(capsys, "rotate", "vm", "--state", str(state), "--into", "/proc/novakit")
    assert code == 2 and "cannot be written" in said
    assert known.admits("agent:vm", credential.secret), "the host has no other one"
    assert _told(capsys, "rotate", "vm", "--state", str(state), "--into", own)[0] == 0
    assert not known.admits("agent:vm", credential.secret)
    renewed = enrolments.read(enrolments.directory(Path(own)) / "agent.vm")
    assert known.admits("agent:vm", renewed.secret)
    assert [path.name for path in enrolments.directory(Path(own)).iterdir()] == ["agent.vm"], "no draft is left"
