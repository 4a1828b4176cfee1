"""A daemon answers where somebody listens, and nowhere else."""

import socket
from pathlib import Path

from novakit_host.sockets import answers


def test_only_a_socket_at_which_somebody_listens_answers(tmp_path: Path) -> None:
    path = tmp_path / "daemon.sock"
    assert not answers(path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        assert not answers(path), "a socket that nobody listens at"
        server.listen()
        assert answers(path)
    assert path.exists() and not answers(path), "what a killed daemon leaves behind"


def test_a_file_that_is_no_socket_and_a_path_that_is_too_long_answer_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert not answers(tmp_path / "file")
    assert not answers(tmp_path / ("x" * 200))
