"""Where log lines go and what they look like: one JSON object a line."""

import logging
import sys
from pathlib import Path
from typing import TextIO

import structlog

SECRET_WORDS = ("password", "token", "secret", "credential", "private_key")


def configure(path: Path | None, *, verbose: bool = False) -> None:
    """Write logs to `path`, or to standard error; library warnings go the same way."""
    stream: TextIO = sys.stderr if path is None else path.open("a", buffering=1)
    if path is not None:
        path.chmod(0o600)
    level = logging.DEBUG if verbose else logging.INFO
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _hide_secrets,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(default=str),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=stream),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processor=structlog.processors.JSONRenderer(default=str)))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)


def _hide_secrets(logger: object, method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    for key in event:
        if any(word in key.lower() for word in SECRET_WORDS):
            event[key] = "***"
    return event
