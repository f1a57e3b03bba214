"""Faults of ours: what reaches the user of an exception that nobody expected.

Not the trace, which may hold data or a secret, but where a report lies. The report says in which
lines of code it happened and nothing of what was being worked on.
"""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from pathlib import Path

from dovetail.errors import InternalError


def fault_of_ours(error: BaseException, more: str = "") -> InternalError:
    """An error that names a report on ``error``; ``more`` is said behind it."""
    name = type(error).__qualname__
    report = write_report(error)
    where = f"; a report without data or secrets is in {report}" if report is not None else ""
    return InternalError(f"a fault of Dovetail itself ({name}){where}{more}")


def write_report(error: BaseException) -> Path | None:
    """Write versions, the kind of ``error`` and its lines of code to a private temporary file.

    The text of the exception stays out: it may hold data. None when nothing can be written.
    """
    lines = [f"dovetail {version()}, Python {sys.version.split()[0]}, {sys.platform}"]
    cause: BaseException | None = error
    while cause is not None:
        lines.append(type(cause).__qualname__)
        lines += [
            f"  {frame.filename}:{frame.lineno} {frame.name}"
            for frame in traceback.extract_tb(cause.__traceback__)
        ]
        cause = cause.__cause__
    try:
        descriptor, path = tempfile.mkstemp(prefix="dovetail-report-", suffix=".txt", text=True)
        with os.fdopen(descriptor, "w", encoding="utf-8") as report:
            report.write("\n".join(lines) + "\n")
    except OSError:
        return None
    return Path(path)


def version() -> str:
    """The installed version of Dovetail."""
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    try:
        return installed("dovetail")
    except PackageNotFoundError:
        return "0 (not installed)"
