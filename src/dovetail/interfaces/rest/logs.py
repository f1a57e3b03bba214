"""JSON logs: one line per event on stderr, with the request's id, and never a secret.

Fields are chosen, not dumped: no header, no body and no URL query is ever logged. SQL is logged
with its literals taken out, unless ``log_sql`` is ``full``.
"""

from __future__ import annotations

import logging
import re
import sys
from typing import Any, cast

import structlog
from structlog.processors import CallsiteParameter

_LITERALS = re.compile(
    r"""'(?:[^']|'')*' | \$([A-Za-z_]*)\$.*?\$\1\$ | \b\d+(?:\.\d+)?(?:[eE][+-]?\d+)?\b""",
    re.VERBOSE | re.DOTALL,
)
# What must not be in a log even when somebody puts it in a name or a message.
_TOKEN = re.compile(r"\bdv[a-z]_[A-Za-z0-9_-]{20,}|(?<=://)[^\s/@]+:[^\s@]+(?=@)")


def redact_sql(sql: str) -> str:
    """``sql`` with every literal as ``?``."""
    return _LITERALS.sub("?", sql)


def _mask(_logger: Any, _method: str, event: Any) -> Any:
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = _TOKEN.sub("***", value)
    return event


class _Forward(logging.Handler):
    """Lines of libraries (uvicorn, Alembic) as events of ours."""

    def emit(self, record: logging.LogRecord) -> None:
        structlog.get_logger(record.name).log(record.levelno, record.getMessage())


def configure(*, level: int = logging.INFO) -> None:
    """Set up the process's logs."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.CallsiteParameterAdder({CallsiteParameter.PROCESS}),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _mask,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    root.handlers = [_Forward()]
    root.setLevel(logging.WARNING)


def logger() -> structlog.typing.FilteringBoundLogger:
    """The service's logger."""
    return cast("structlog.typing.FilteringBoundLogger", structlog.get_logger("dovetail"))
