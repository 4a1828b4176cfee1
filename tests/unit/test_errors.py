"""Each error has the status that the public APIs give it."""

import errno
import inspect

import pytest

from novakit import errors

STATUSES = {
    "BadRequest": 400,
    "Unauthorized": 401,
    "Forbidden": 403,
    "NotFound": 404,
    "MethodNotAllowed": 405,
    "NotAcceptable": 406,
    "Conflict": 409,
    "Gone": 410,
    "TooLarge": 413,
    "UnsupportedMedia": 415,
    "ExpectationFailed": 417,
    "TooMany": 429,
    "NovakitError": 500,
    "ConfigError": 500,
    "NotImplementedHere": 501,
    "Unavailable": 503,
    "InsufficientStorage": 507,
}


ALWAYS = {"Unavailable": {"Retry-After": "2"}}
"""Headers that an error has whatever its raiser says."""


def test_every_error_has_its_status() -> None:
    classes = dict(inspect.getmembers(errors, lambda one: inspect.isclass(one) and issubclass(one, Exception)))
    assert {name: int(one.status) for name, one in classes.items()} == STATUSES


@pytest.mark.parametrize("name", STATUSES)
def test_an_error_keeps_its_sentence_and_the_word_that_clients_match_on(name: str) -> None:
    kind = getattr(errors, name)
    plain, told = kind("It is gone."), kind("It is gone.", kind="NetworkNotFound", headers={"Retry-After": "1"})
    assert (str(plain), plain.message, plain.kind, plain.headers) == (
        "It is gone.",
        "It is gone.",
        name,
        ALWAYS.get(name, {}),
    )
    assert (told.kind, told.headers) == ("NetworkNotFound", {"Retry-After": "1"})
    assert isinstance(plain, errors.NovakitError)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValueError("it is\n gone."), "it is gone"),
        (KeyError("id"), "id is missing"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "/x"), "No such file or directory: /x"),
        (OSError(errno.ENOSPC, ""), "No space left on device"),
        (OSError("the disk is away"), "the disk is away"),
        (TimeoutError(), "timeout error"),
        (ConnectionResetError(), "connection reset error"),
        (OSError(), "os error"),
        (ValueError("x" * 1000), "x" * 300),
    ],
)
def test_an_error_is_a_part_of_a_sentence_that_names_no_class(error: Exception, words: str) -> None:
    assert errors.in_words(error) == words
