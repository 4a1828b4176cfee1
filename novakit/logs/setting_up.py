"""Where log lines go and what they look like: one JSON object a line, folded where they repeat."""

import logging
import sys
from functools import lru_cache
from pathlib import Path

import attrs
import structlog

from novakit import world
from novakit.config.connections import LogOptions
from novakit.logs.file import LogFile, StandardError
from novakit.logs.rendering import rendered

SECRET_WORDS = ("password", "token", "secret", "credential", "private_key")


def configure(path: Path | None, options: LogOptions | None = None, *, verbose: bool = False) -> None:
    """Write logs to `path`, or to standard error; library warnings go the same way. Raises OSError."""
    options = options or LogOptions()
    stream = StandardError(sys.stderr) if path is None else LogFile(path, options.max_bytes, options.keep)
    folding = Folding(options)
    level = logging.DEBUG if verbose else logging.INFO
    told: list[structlog.typing.Processor] = [
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _hide_secrets,
        structlog.processors.format_exc_info,
        rendered,
    ]
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            folding,
            *told,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=stream),  # type: ignore[arg-type]
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_log_level, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *told],
        )
    )
    handler.addFilter(folding.passes)
    handler.addFilter(_hide_input)
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)


def _hide_input(record: logging.LogRecord) -> bool:
    """Keep of a request that could not be parsed what is wrong with it; the error quotes it, tokens included."""
    error = record.exc_info[1] if record.exc_info else None
    if error is not None and type(error).__module__ == "aiohttp.http_exceptions":
        record.msg = f"{record.getMessage()}: {type(error).__name__}"
        record.args, record.exc_info, record.exc_text = (), None, None
    return True


@attrs.define
class _LineWindow:
    """Lines of one kind within one window."""

    began: float
    lines: int = 0


@attrs.define
class Folding:
    """Lets so many lines of one kind pass in a window, and says with the first one after it how many it kept back.

    A kind is level, event and class of the error: the request's id and the traceback differ from line to line.
    Lines below a warning are never folded: each of them is about something else, and an audit reads them.
    """

    options: LogOptions
    _kinds: dict[tuple[str, str, str], _LineWindow] = attrs.field(factory=dict)

    MOST = 1000
    """Kinds that are remembered; beyond them everything is forgotten, for a kind may hold what a client wrote."""

    def __call__(self, logger: object, method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        """Be a structlog processor. Raises DropEvent for a line that is kept back."""
        if event["level"] not in ("warning", "error", "critical"):
            return event
        error = event.get("exc_info")
        kept_back = self.count(str(event["level"]), str(event.get("event")), type(error).__name__)
        if kept_back is None:
            raise structlog.DropEvent
        if kept_back:
            event["kept_back"] = kept_back
        return event

    def passes(self, record: logging.LogRecord) -> bool:
        """Be a filter of the standard library's logging."""
        error = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else ""
        kept_back = self.count(record.levelname, str(record.msg)[:200], error)
        if kept_back:
            record.msg = f"{record.msg} ({kept_back} lines like this were kept back)"
        return kept_back is not None

    def count(self, level: str, event: str, error: str) -> int | None:
        """Count a line; return None where it is kept back, else how many were kept back before it."""
        now = world.monotonic()
        if len(self._kinds) > self.MOST:
            self._kinds.clear()
        kind = self._kinds.setdefault((level, event, error), _LineWindow(now))
        kept_back = 0
        if now - kind.began > self.options.repeats_within:
            kept_back = max(0, kind.lines - self.options.repeats)
            kind.began, kind.lines = now, 0
        kind.lines += 1
        return kept_back if kind.lines <= self.options.repeats else None


def _hide_secrets(logger: object, method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    for key in event:
        if _is_secret(key):
            event[key] = "***"
    return event


@lru_cache(maxsize=1000)
def _is_secret(name: str) -> bool:
    """Return whether what a line says under a name is left out; the same few names come with every line."""
    return any(word in name.lower() for word in SECRET_WORDS)
