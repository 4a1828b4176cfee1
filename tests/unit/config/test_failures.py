"""What a command tells of an error that is no fault of the program."""

import errno
import os

import pytest

from novakit.config.failures import sentence


def of(number: int, name: str | None = "/state/file") -> OSError:
    return OSError(number, os.strerror(number), name)


def test_an_error_of_the_system_names_the_file_and_what_to_do() -> None:
    told = sentence(of(errno.ENOSPC))
    assert told is not None and told.startswith(
        "/state/file: No space left on device. The disk is full; free some space"
    )


def test_an_error_that_nobody_has_advice_for_is_told_all_the_same() -> None:
    assert sentence(of(errno.ENETDOWN, None)) == "Network is down. Correct that, and start again."


def test_of_several_errors_the_first_that_is_known_is_told() -> None:
    assert sentence(ExceptionGroup("both", [RuntimeError("?"), of(errno.EROFS)])) == sentence(of(errno.EROFS))


def test_who_knows_other_errors_is_asked_first_also_of_several() -> None:
    def of_keys(error: BaseException) -> str | None:
        return "That key is gone." if isinstance(error, KeyError) else None

    assert sentence(KeyError("x"), of_keys) == "That key is gone."
    assert sentence(ExceptionGroup("both", [RuntimeError("?"), KeyError("x")]), of_keys) == "That key is gone."
    assert sentence(of(errno.EROFS), of_keys) == sentence(of(errno.EROFS))


def test_bytes_that_are_no_text_are_told_as_an_overwritten_file() -> None:
    with pytest.raises(UnicodeDecodeError) as raised:
        b"\xff".decode()
    assert "is not text" in (sentence(raised.value) or "")


def test_a_fault_of_the_program_has_no_sentence() -> None:
    assert sentence(KeyError("x")) is None and sentence(OSError("without a number")) is None
